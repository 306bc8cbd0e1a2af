"""Chooses the statements that are mirrored, and listens to the client's own answers to them.

Decides what can be mirrored: what reads rows, by choice what writes them, outside transactions each statement for itself, inside them all or none. A
transaction that does anything else is left out as a whole. Runs nothing: units go to the player.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from time import perf_counter

from dbmesh.backend.state import SessionState
from dbmesh.errors import (
    DATA_SOURCE_LOST,
    QUERY_INTERRUPTED,
    ROLLED_BACK_BY_SERVER,
    UNHEALTHY,
    MeshError,
    ProtocolError,
    ShardError,
)
from dbmesh.governance.mirroring.answers import Answer, AnswerReader
from dbmesh.governance.mirroring.report import Report
from dbmesh.planner.plan import Verb
from dbmesh.planner.session_plan import (
    Begin,
    Commit,
    GetDiagnostics,
    LocalRows,
    Nothing,
    Rollback,
    Savepoint,
    SessionStatement,
    SetVariables,
    ShowWarnings,
    TextDeallocate,
    TextPrepare,
    Use,
)
from dbmesh.rules.mirroring import Mirror
from dbmesh.session.client import Client
from dbmesh.session.filtering import RunningStatement, Seen
from dbmesh.session.session import Session
from dbmesh.sql.digest import Digest
from dbmesh.sql.lexer import split_statements
from dbmesh.wire.commands import Execute, parse_execute, parse_statement_id
from dbmesh.wire.constants import Command

MOST_TEXT = 1 << 16
"""Bytes of a command; longer ones are not kept."""

_BY_CHANCE = UNHEALTHY | ROLLED_BACK_BY_SERVER | {QUERY_INTERRUPTED.number}
"""Errors of what met at that moment (deadlocks, time that ran out, KILL): the mirror would do what has not been done."""

_ENDS = (Begin, Commit, Rollback, Savepoint)
_HARMLESS = (
    GetDiagnostics,
    LocalRows,
    Nothing,
    SetVariables,
    ShowWarnings,
    TextDeallocate,
    TextPrepare,
    Use,
)
_WRITES = frozenset((Verb.INSERT, Verb.REPLACE, Verb.UPDATE, Verb.DELETE))
_QUERY, _EXECUTE = Command.QUERY.value, Command.STMT_EXECUTE.value


@dataclass(frozen=True, slots=True)
class Recorded:
    """A statement as it was run: its command (`payload`, of a prepared one `execute` in its place), in which state of the session, and how
    it was answered in how many `seconds`."""

    text: str
    payload: bytes
    execute: Execute | None
    state: SessionState
    autocommit: bool
    digest: Digest
    answer: Answer
    seconds: float


@dataclass(slots=True)
class Unit:
    """What is mirrored as a whole: a statement, or a transaction. `spoilt`: it must not be."""

    mirror: Mirror
    statements: list[Recorded] = field(default_factory=list)
    spoilt: bool = False


class _Listening:
    """A client whose answer is listened to: what it is sent goes through here."""

    def __init__(self, client: Client, reader: AnswerReader) -> None:
        self.client = client
        self.reader: AnswerReader | None = reader

    def write(self, data: bytes) -> None:
        """See `Client`. Whatever is wrong with listening, the client gets its answer."""
        self.client.write(data)
        if self.reader is not None:
            try:
                self.reader.feed(data)
            except ProtocolError:
                self.reader = None

    async def read_packet(self, sequence: int) -> tuple[int, bytes]:
        """See `Client`."""
        return await self.client.read_packet(sequence)

    def encryption(self) -> tuple[str, str] | None:
        """See `Client`."""
        return self.client.encryption()

    def next_command(self) -> None:
        """See `Client`."""
        self.client.next_command()

    def close(self) -> None:
        """See `Client`."""
        self.client.close()

    def abort(self) -> None:
        """See `Client`."""
        self.client.abort()


@dataclass(slots=True)
class _Heard:
    """A statement under way that will be part of a unit."""

    unit: Unit
    listening: _Listening
    payload: bytes
    execute: Execute | None
    state: SessionState
    autocommit: bool


class Recorder:
    """A `StatementFilter`. `draw` gives numbers of [0, 1); `play` takes units that are complete, of a session."""

    def __init__(
        self,
        mirrors: Mapping[str, Mirror],
        report: Report,
        draw: Callable[[], float],
        play: Callable[[Session, Unit], None],
    ) -> None:
        self._mirrors = mirrors
        self.report = report
        self._draw = draw
        self._play = play
        # By connection: what the statement under way is a part of, and who listens to its answer.
        self._under_way: dict[int, Unit | None] = {}
        self._heard: dict[int, _Heard] = {}
        # Transactions that are open, each with its session; None for those that are not mirrored.
        self._open: dict[int, tuple[Session, Unit | None]] = {}

    def find(self, session: Session, seen: Seen) -> bool | None:
        """See `StatementFilter`: those that are a part of another are mirrored with it."""
        if session.running is not None:
            return None
        return seen[0].name.lower() in self._mirrors or session.connection_id in self._open or None

    def begin(self, statement: RunningStatement, found: bool) -> Awaitable[None] | None:
        """See `StatementFilter`."""
        del found
        session = statement.session
        unit = self._under_way[session.connection_id] = self._unit_of(statement)
        if unit is not None and not unit.spoilt:
            self._listen(statement, unit)
        return None

    def end(self, statement: RunningStatement) -> None:
        """See `StatementFilter`."""
        session = statement.session
        key = session.connection_id
        unit, heard = self._under_way.pop(key, None), self._heard.pop(key, None)
        if heard is not None:
            if session.client is heard.listening:
                session.client = heard.listening.client
            self._record(statement, heard)
        if statement.answered and session.transaction.open:
            if key not in self._open and len(self._open) >= len(session.mesh.sessions):
                self._forget_the_lost(session)
            self._open[key] = session, unit
            return
        self._open.pop(key, None)
        if unit is not None and not unit.spoilt and unit.statements:
            self._play(session, unit)

    def _unit_of(self, statement: RunningStatement) -> Unit | None:
        """The unit a statement is a part of; None for what is not mirrored."""
        session = statement.session
        mirror = self._mirrors.get(statement.database.name.lower())
        opened = self._open.get(session.connection_id)
        if opened is not None and opened[0] is session:
            unit = opened[1]
            ended = not session.transaction.open
            if unit is not None and (ended or mirror is not unit.mirror):
                self._spoil(unit)
            if not ended:
                return unit
            # No statement has ended it: the client, or somebody else, has reset the session.
            del self._open[session.connection_id]
        if mirror is None or not (isinstance(statement.plan, _ENDS) or _is_mirrored(statement, mirror)):
            return None
        return Unit(mirror) if self._draw() < mirror.share else None

    def _listen(self, statement: RunningStatement, unit: Unit) -> None:
        """Listen to the answer of a statement that can be mirrored; one that cannot be spoils its unit, unless it does nothing
        to rows."""
        session, plan = statement.session, statement.plan
        if isinstance(plan, _HARMLESS) or (not isinstance(plan, SessionStatement) and not plan.tables):
            return
        command = None
        if isinstance(plan, _ENDS) or _is_mirrored(statement, unit.mirror):
            command = _command(session)
        if command is None:
            self._spoil(unit)
            return
        payload, execute = command
        listening = _Listening(session.client, AnswerReader(session.capabilities))
        session.client = listening
        self._heard[session.connection_id] = _Heard(
            unit, listening, payload, execute, session.state, session.autocommit
        )

    def _record(self, statement: RunningStatement, heard: _Heard) -> None:
        unit, reader = heard.unit, heard.listening.reader
        answer = None if reader is None else reader.answer
        tally = self.report.tally(unit.mirror.database, unit.mirror.target)
        cause = statement.cause
        if isinstance(cause, MeshError) or (isinstance(cause, ShardError) and cause.number in _BY_CHANCE):
            if isinstance(cause, MeshError) and cause.kind is DATA_SOURCE_LOST and not _only_reads(statement):
                # Whether it was done nobody knows.
                self._spoil(unit)
            # Nothing was done otherwise, as far as anybody knows.
            return
        if not statement.answered or answer is None:
            self._spoil(unit)
            return
        if tally.waiting >= unit.mirror.queue:
            self._forget_the_lost(statement.session)
        if tally.waiting >= unit.mirror.queue:
            tally.dropped += len(unit.statements) + 1
            self._empty(unit)
        else:
            tally.waiting += 1
            unit.statements.append(
                Recorded(
                    statement.text,
                    heard.payload,
                    heard.execute,
                    heard.state,
                    heard.autocommit,
                    statement.digest,
                    answer,
                    perf_counter() - statement.begun,
                )
            )

    def _spoil(self, unit: Unit) -> None:
        if not unit.spoilt:
            self._empty(unit)
            self.report.tally(unit.mirror.database, unit.mirror.target).skipped += 1

    def _empty(self, unit: Unit) -> None:
        unit.spoilt = True
        self.report.tally(unit.mirror.database, unit.mirror.target).waiting -= len(unit.statements)
        unit.statements.clear()

    def _forget_the_lost(self, session: Session) -> None:
        """A client that went away inside a transaction tells nobody."""
        known = session.mesh.sessions
        for key, (owner, unit) in list(self._open.items()):
            if known.get(key) is not owner:
                del self._open[key]
                if unit is not None:
                    self._spoil(unit)


def _only_reads(statement: RunningStatement) -> bool:
    return not isinstance(statement.plan, SessionStatement) and statement.plan.reads_only


def _is_mirrored(statement: RunningStatement, mirror: Mirror) -> bool:
    """Whether a statement reads or writes rows in a way that can be done twice."""
    session, plan = statement.session, statement.plan
    if isinstance(plan, SessionStatement) or not plan.tables or plan.pin is not None:
        return False
    if session.pins or session.temporary is not None or statement.database.rule_set.joined:
        return False
    if plan.verb is Verb.SELECT:
        return plan.reads_only or mirror.writes
    return mirror.writes and plan.verb in _WRITES


def _command(session: Session) -> tuple[bytes, Execute | None] | None:
    """The command under way, if it can be given to another session: one statement, and nothing that came before it."""
    if session.given is None or len(session.given[0]) > MOST_TEXT:
        return None
    payload = session.given[0]
    if payload[0] == _QUERY:
        if session.multi_statements and b";" in payload:
            text = session.command_text.decode("utf-8", "surrogateescape")
            if len(split_statements(text, session.lexer_flags)) > 1:
                return None
        return payload, None
    prepared = session.statements.get(parse_statement_id(payload)) if payload[0] == _EXECUTE else None
    if prepared is None:
        return None
    execute = parse_execute(
        payload,
        prepared.parameter_count,
        prepared.parameter_types,
        session.capabilities,
        encoding=session.encoding(),
    )
    return None if execute.cursor_flags else (payload, execute)
