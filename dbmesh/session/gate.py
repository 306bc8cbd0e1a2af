"""Holds commands back while it is not known which rules hold.

Decides which commands wait and for how long, and when nothing is under way any more. Why rules are not known, the gate's owner knows
(`governance.rule_follower`). Commands are led here by `Mesh.newest` only while the gate is closed or watched: an open one costs nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from dbmesh.errors import NOT_SERVING, MeshError
from dbmesh.session.rule_view import follow_rules, give_up
from dbmesh.wire.constants import Command

if TYPE_CHECKING:
    from dbmesh.session.mesh import Mesh
    from dbmesh.session.session import Session

PATIENCE = 5.0
"""Seconds a command waits at most; its client may try again then."""

_HELD = frozenset(
    map(
        int,
        (
            Command.QUERY,
            Command.STMT_PREPARE,
            Command.STMT_EXECUTE,
            Command.STMT_BULK_EXECUTE,
            Command.FIELD_LIST,
            Command.INIT_DB,
            Command.CREATE_DB,
            Command.DROP_DB,
        ),
    )
)
"""Commands that are planned; the others end things, or have no answer that could be an error."""


class Gate:
    """See the module's docstring."""

    def __init__(self, mesh: Mesh) -> None:
        self._mesh = mesh
        self._reason = ""
        self._drains = False
        self._expired: Callable[[], str] | None = None
        self._opened = asyncio.Event()
        self._waiting: set[Session] = set()
        self._leaving: set[Session] = set()

    def close(self, reason: str) -> None:
        """Begin no statement from here on but those of transactions that are open. The reason is for clients who have waited too long."""
        self._hold(reason, drains=True)
        # Transactions that have waited because it was shut look again.
        self._opened.set()
        self._opened.clear()

    def shut(self, reason: str) -> None:
        """Begin nothing from here on."""
        self._hold(reason, drains=False)

    def watch(self, expired: Callable[[], str]) -> None:
        """Let statements begin as long as `expired` does not say why they may not: it is asked for each."""
        self.open()
        self._expired = expired
        self._mesh.lead_to_gate(True)

    def open(self) -> None:
        """Let everybody go on, by the newest rules."""
        self._reason = ""
        self._expired = None
        self._mesh.lead_to_gate(False)
        self._opened.set()

    def _hold(self, reason: str, *, drains: bool) -> None:
        # What is watched goes on being watched.
        self._reason, self._drains = reason, drains
        self._opened.clear()
        self._mesh.lead_to_gate(True)

    def enter(self, session: Session, payload: bytes, sequence: int) -> bool:
        """A command has arrived: whether it may begin now, by the rules the session has from here on. One that may not is run later."""
        if self._lets(session) or not payload or payload[0] not in _HELD:
            follow_rules(session)
            return True
        session.run(self._later(session, payload, sequence), perseveres=self._mesh.has_groups)
        return False

    @contextmanager
    def until_left(self, session: Session) -> Iterator[None]:
        """The client is gone, and what it has begun is ended in the block."""
        self._leaving.add(session)
        try:
            yield
        finally:
            self._leaving.discard(session)

    def _lets(self, session: Session) -> bool:
        """Whether a statement may begin at this moment."""
        if self._expired is not None and (reason := self._expired()):
            self.shut(reason)
        return not self._reason or (self._drains and session.transaction.open)

    async def _later(self, session: Session, payload: bytes, sequence: int) -> bool | None:
        self._waiting.add(session)
        try:
            async with asyncio.timeout(PATIENCE):
                # It may have been closed again since it was opened, with nothing known to be under way.
                while not self._lets(session):
                    await self._opened.wait()
        except TimeoutError:
            raise MeshError(NOT_SERVING, reason=self._reason) from None
        finally:
            self._waiting.discard(session)
        follow_rules(session)
        work = session.commands[payload[0]](session, payload, sequence)
        # One that was answered at once, or is being relayed, has ended or will end by itself.
        return True if work is None else await work

    async def drained(self, *, by_force: bool) -> bool:
        """Whether nothing is under way any more, neither a statement nor a transaction, nor a session that goes by rules older than
        those served. `by_force`: what is, is ended, but for commits; clients are told why."""
        busy = self._busy()
        if by_force:
            await asyncio.gather(*(self._end(session) for session in busy if not session.committing))
        return not busy and not self._leaving

    def under_way(self) -> str:
        """What is under way, for people: the first of it, and how much more."""
        busy = self._busy()
        if not busy:
            return "clients that have left"
        first, more = busy[0], len(busy) - 1
        what = "the transaction" if first.transaction.open else "the statement"
        if first.at_rest and not first.transaction.open:
            what = "what is kept by former rules (a temporary table, a lock, a cursor)"
        seconds = first.now() - first.command_since
        others = f", and {more} more" if more else ""
        return (
            f"{what} of connection {first.connection_id} ({first.account}), "
            f"whose last statement began {seconds:.1f} s ago{others}"
        )

    def _busy(self) -> list[Session]:
        return [session for session in self._mesh.everyone() if self._is_busy(session)]

    def _is_busy(self, session: Session) -> bool:
        """Whether a session has something under way. Whose statement waits has begun nothing by it, but may have a transaction."""
        if session.transaction.open:
            return True
        rests = session.at_rest or session in self._waiting
        return not rests or self._lags(session)

    def _lags(self, session: Session) -> bool:
        """Whether a session that is at rest keeps what only former rules know."""
        if session.databases is not self._mesh.databases:
            follow_rules(session)
        return session.databases is not self._mesh.databases

    async def _end(self, session: Session) -> None:
        if session.transaction.open or self._lags(session):
            await give_up(session, self._reason)
        else:
            session.kill_query(MeshError(NOT_SERVING, reason=self._reason))
