"""Runs statements a second time, in sessions of its own, and compares the answers.

Decides order (that of the client's session), how many run at a time, and when a session is given up. Takes nothing from clients: these sessions
have connections, tasks and a clock of their own, no filter looks at them, and whatever goes wrong is only counted.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from itertools import count
from time import perf_counter

from dbmesh.backend.tasks import TaskOwner
from dbmesh.errors import MeshError, ShardError
from dbmesh.governance.mirroring.answers import Answer, AnswerReader, differences, is_ordered
from dbmesh.governance.mirroring.recorder import Recorded, Unit
from dbmesh.governance.mirroring.report import Key, Report
from dbmesh.planner.needs.need import Denied
from dbmesh.rules.mirroring import Mirror
from dbmesh.rules.privileges import ADMINISTRATOR, Privileges
from dbmesh.session.inner import InnerPort
from dbmesh.session.mesh import Mesh
from dbmesh.session.planning import look_up
from dbmesh.session.reading import lexer_flags
from dbmesh.session.session import Session
from dbmesh.session.unwatched import UnwatchedMesh
from dbmesh.wire.commands import forward_execute

_log = logging.getLogger(__name__)

IDLE = 5.0
"""Seconds a session waits for more of its client's statements."""


class _Line:
    """The units of one client's session that wait, and the session that runs them."""

    def __init__(self, client: Session, mirror: Mirror) -> None:
        self.client = client
        self.mirror = mirror
        self.units: deque[Unit] = deque()
        self.more = asyncio.Event()
        self.session: Session | None = None


class Player:
    """See the module's docstring. Its tasks, and those of its sessions, are `tasks`'; `now` gives seconds since 1970."""

    def __init__(self, mesh: Mesh, report: Report, tasks: TaskOwner, now: Callable[[], float]) -> None:
        self._mesh = mesh
        self._report = report
        self._tasks = tasks
        self._now = now
        self._lines: dict[tuple[int, str], _Line] = {}
        self._slots: dict[str, asyncio.Semaphore] = {}
        # No client has a number below 0.
        self._ids = count(-1, -1)

    def play(self, session: Session, unit: Unit) -> None:
        """Run a unit, whose statements are counted as waiting, behind those of the same session. Returns at once."""
        mirror = unit.mirror
        key = session.connection_id, mirror.database
        line = self._lines.get(key)
        if line is None or line.client is not session:
            line = self._lines[key] = _Line(session, mirror)
            self._tasks.start(self._serve(key, line), f"mirror of session {session.connection_id}")
        line.units.append(unit)
        line.more.set()

    async def _serve(self, key: tuple[int, str], line: _Line) -> None:
        mirror = line.mirror
        slots = self._slots.setdefault(mirror.database, asyncio.Semaphore(mirror.concurrency))
        tally = self._report.tally(mirror.database, mirror.target)
        try:
            while await _comes(line):
                async with slots:
                    unit = line.units.popleft()
                    try:
                        await self._run(line, unit)
                    finally:
                        tally.waiting -= len(unit.statements)
        finally:
            if self._lines.get(key) is line:
                del self._lines[key]
            left = sum(len(unit.statements) for unit in line.units)
            tally.waiting -= left
            tally.dropped += left
            await _end(line)

    async def _run(self, line: _Line, unit: Unit) -> None:
        mirror = unit.mirror
        tally = self._report.tally(mirror.database, mirror.target)
        for position, one in enumerate(unit.statements):
            if self._mesh.database(mirror.target) is None:
                tally.failed += len(unit.statements) - position
                return
            if line.session is None:
                line.session = self._session(line.client, mirror)
            if not _stays_in(line.session, one, mirror):
                tally.skipped += len(unit.statements) - position
                break
            began = perf_counter()
            answer = await _ask(line.session, one, mirror.timeout)
            if answer is None:
                tally.failed += len(unit.statements) - position
                await _end(line)
                return
            seconds = perf_counter() - began
            key = Key(mirror.database, mirror.target, one.digest.name)
            found = differences(one.answer, answer, ordered=is_ordered(one.digest.text))
            self._report.compared(
                key, one.digest.text, found, (one.answer, answer), (one.seconds, seconds), self._now()
            )
        if line.session is not None and line.session.transaction.open:
            # It ended otherwise than the client's.
            await _end(line)

    def _session(self, client: Session, mirror: Mirror) -> Session:
        """A session as the client's, in the other logic database: who it is decides what it reads masked, but not what it may."""
        session = Session(
            UnwatchedMesh(self._mesh),
            InnerPort(),
            self._tasks,
            next(self._ids),
            client.capabilities,
            client.host,
            client.commands,
        )
        session.user_name, session.account = client.user_name, client.account
        session.principals, session.roles = client.principals, client.roles
        session.privileges, session.checked = Privileges(ADMINISTRATOR), None
        session.database = mirror.target
        return session


async def _comes(line: _Line) -> bool:
    """Whether there is more to run; waited for."""
    if line.units:
        return True
    line.more.clear()
    try:
        async with asyncio.timeout(IDLE):
            await line.more.wait()
    except TimeoutError:
        return bool(line.units)
    return True


def _stays_in(session: Session, one: Recorded, mirror: Mirror) -> bool:
    """Whether a statement concerns the other logic database alone: names of databases in it would lead back to the first."""
    _be_as(session, one)
    try:
        database, _, _ = look_up(session, one.text)
    except (MeshError, ShardError, Denied):
        # Its answer will say so.
        return True
    return database.name.lower() == mirror.target and not database.rule_set.joined


def _be_as(session: Session, one: Recorded) -> None:
    session.state, session.autocommit = one.state, one.autocommit
    session.lexer_flags = lexer_flags(one.state)


async def _ask(session: Session, one: Recorded, seconds: float) -> Answer | None:
    """The answer; None where there was none, or none in time."""
    client = session.client
    if not isinstance(client, InnerPort):
        raise AssertionError("this session has no client")
    reader = AnswerReader(session.capabilities)
    client.listen(reader)
    payload, prepared = one.payload, None
    if one.execute is not None:
        sql = one.text.encode("utf-8", "surrogateescape")
        prepared = session.statements.add(sql, one.text, len(one.execute.values))
        payload = forward_execute(one.execute, prepared.statement_id)
    session.handle(payload, 1)
    try:
        async with asyncio.timeout(seconds):
            await client.answered.wait()
    except TimeoutError:
        return None
    if prepared is not None:
        session.statements.pop(prepared.statement_id, None)
    return reader.answer if client.reader is reader else None


async def _end(line: _Line) -> None:
    session, line.session = line.session, None
    if session is not None:
        try:
            await session.end()
        except (MeshError, ShardError) as error:
            _log.info("a mirrored session ended with: %s", error)
