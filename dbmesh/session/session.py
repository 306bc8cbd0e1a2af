"""One client's session: what it has set, what it holds, and the command under way.

Decides the life of a command (begin, answer, end), what the status flags say, and what a lost or killed client leaves
behind. What each command does is in `session.commands`, how statements run in `session.statements.execution`. Knows no socket:
the client is a port.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from time import perf_counter

from dbmesh.backend.connection import Connection, Flavour, interrupt_all
from dbmesh.backend.state import SessionState
from dbmesh.backend.tasks import TaskOwner
from dbmesh.engine.federation import UnderWay
from dbmesh.engine.warnings import ShardWarning
from dbmesh.errors import (
    INTERNAL,
    MALFORMED_PACKET,
    QUERY_INTERRUPTED,
    TRANSACTION_BROKEN,
    UNKNOWN_COMMAND,
    XA_WRONG_STATE,
    MeshError,
    ProtocolError,
    ShardError,
)
from dbmesh.planner.plan import Names, PinReason
from dbmesh.rules.accounts import AccountName
from dbmesh.rules.privileges import NOTHING, Privileges
from dbmesh.rules.ruleset import TransactionType
from dbmesh.session import filtering
from dbmesh.session.answering.errors import as_packet
from dbmesh.session.answering.relay import RelayReceiver
from dbmesh.session.answering.result_sink import ResultSink
from dbmesh.session.answers import Answers
from dbmesh.session.authority.masking import veiled
from dbmesh.session.client import Client
from dbmesh.session.connections import free_after_error
from dbmesh.session.failover import persevering
from dbmesh.session.log_fields import fields_of
from dbmesh.session.mesh import Database, Mesh
from dbmesh.session.prepared import PreparedStatement, Statements
from dbmesh.session.reading import lexer_flags
from dbmesh.session.replica_reads import Written, remember_writes
from dbmesh.session.rule_view import follow_rules
from dbmesh.session.statements.doubled import Doubling
from dbmesh.session.temporary import TemporaryTables
from dbmesh.transaction.coordinator import Branch
from dbmesh.transaction.counts import COMMITTED, FAILED, ROLLED_BACK, kind_of
from dbmesh.transaction.transaction import NOT_ATOMIC_WARNING, Transaction
from dbmesh.wire.commands import Attribute
from dbmesh.wire.constants import Capability, Status
from dbmesh.wire.packets import OkPacket

_log = logging.getLogger(__name__)

NO_NAMES = Names("", {})

Work = Coroutine[object, object, bool | None]
"""The rest of a command. True as its result: the relay is under way and will end the command."""

Handler = Callable[["Session", bytes, int], Work | None]
"""What answers one command: gets the session, the payload (command byte included) and the sequence id its answer begins
with. It returns None when the command has been answered or is being relayed (somebody calls `Session.finish`), else
the coroutine that does the rest."""


class Session(Answers):
    """See the module's docstring. Created when the client has authenticated; `end` must be awaited when it is gone."""

    # With more than thirty attributes an instance's dictionary is no longer shared with its class, and every access
    # would pay for that.
    __slots__ = (
        "_answered",
        "_begun",
        "_ended",
        "_killed",
        "_sink",
        "_tasks",
        "_work",
        "account",
        "arrived",
        "attributes",
        "autocommit",
        "broken_transaction",
        "capabilities",
        "checked",
        "client",
        "client_paused",
        "command_since",
        "command_text",
        "commands",
        "committing",
        "connection_id",
        "database",
        "databases",
        "doubling",
        "exchange",
        "flavour",
        "found_rows",
        "given",
        "handshake_state",
        "host",
        "last_insert_id",
        "lexer_flags",
        "mesh",
        "multi_statements",
        "now",
        "pins",
        "principals",
        "privileges",
        "relay",
        "roles",
        "row_count",
        "running",
        "seen",
        "state",
        "statements",
        "stopped_by",
        "temporary",
        "text_statements",
        "transaction",
        "transaction_type",
        "user_name",
        "warnings",
        "written",
    )

    def __init__(
        self,
        mesh: Mesh,
        client: Client,
        tasks: TaskOwner,
        connection_id: int,
        capabilities: int,
        host: str,
        commands: Mapping[int, Handler],
    ) -> None:
        self.mesh = mesh
        self.commands = commands
        self.client = client
        self.connection_id = connection_id
        # A plain int: flag arithmetic of enum classes costs microseconds, and this is asked for at every statement.
        self.capabilities = int(capabilities)
        self.host = host
        self.user_name = self.account = ""
        # Whose masks hold: the user's name and those of its roles.
        self.principals: frozenset[str] = frozenset()
        self.privileges = NOTHING
        self.roles: frozenset[AccountName] = frozenset()
        # What statements are asked about: None for an account that may do everything.
        self.checked: Privileges | None = NOTHING
        self.database: str | None = None
        self.databases = mesh.databases
        self.handshake_state = SessionState()
        self.flavour = Flavour(
            found_rows=bool(capabilities & Capability.FOUND_ROWS),
            deprecate_eof=bool(capabilities & Capability.DEPRECATE_EOF),
            ignore_space=bool(capabilities & Capability.IGNORE_SPACE),
        )
        self.relay = RelayReceiver(self)
        self.exchange: UnderWay | None = None
        self._sink: ResultSink | None = None
        self.committing = False
        self.client_paused = False
        self._tasks = tasks
        self.now = asyncio.get_running_loop().time
        self._work: asyncio.Task[None] | None = None
        self._begun = self._answered = self._killed = self._ended = False
        self.command_text = b""
        self.command_since = self.now()
        self.arrived = 0.0
        # Those of the command under way, where the client may send some.
        self.attributes: tuple[Attribute, ...] = ()
        self.given: tuple[bytes, int] | None = None
        self.stopped_by: MeshError | None = None
        self.running: filtering.RunningStatement | None = None
        # The statement under way that has no record: at most one of the two.
        self.seen: filtering.Seen | None = None
        self.reset()
        mesh.sessions[connection_id] = self

    def reset(self) -> None:
        """State as after connecting (COM_RESET_CONNECTION, COM_CHANGE_USER); `give_up_connections` comes before."""
        self.autocommit = self.mesh.autocommit
        state = self.handshake_state
        self.state = state if self.autocommit else state.with_variable("autocommit", "0")
        self.lexer_flags = lexer_flags(self.state)
        self.multi_statements = bool(self.capabilities & Capability.MULTI_STATEMENTS)
        self.transaction = Transaction()
        self.use_transaction_type(self.mesh.configuration.transaction_type)
        self.broken_transaction: str | None = None
        self.temporary: TemporaryTables | None = None
        self.pins: dict[str, tuple[Connection, PinReason]] = {}
        self.statements = Statements()
        self.text_statements: dict[str, PreparedStatement] = {}
        self.last_insert_id = 0
        self.found_rows = 0
        self.row_count = -1
        self.warnings: list[ShardWarning] = []
        self.written: dict[str, Written] = {}
        self.doubling: Doubling | None = None

    def use_transaction_type(self, kind: TransactionType, *, once: bool = False) -> None:
        """How this session's transactions commit from here on, or the one that begins."""
        if not once:
            self.transaction_type = kind.value
        self.transaction.commit_by(*self.mesh.ends_by(kind), once=once)

    # ------------------------------------------------------------------ what statements ask (planner SessionView)

    def current_database(self) -> Database:
        """The logic database statements are planned in: without a chosen one the first that the account may use, because
        a qualified name reaches its tables."""
        # Nearly always a name in lower case is chosen, as the databases are known by.
        found = self.databases.get(self.database or "")
        if found is not None:
            return found
        if self.logic_database is None:
            for database in self.databases.values():
                if self.privileges.sees_database(database.name):
                    return database
            return next(iter(self.databases.values()))
        found = self.databases.get(self.logic_database.lower())
        if found is None:
            # Another session has dropped it.
            self.database = None
            return self.current_database()
        return found

    @property
    def status(self) -> int:
        """Server status flags of the session itself."""
        flags = Status.AUTOCOMMIT.value if self.autocommit else 0
        if self.transaction.open:
            flags |= Status.IN_TRANS.value
        if self.lexer_flags.no_backslash_escapes:
            flags |= Status.NO_BACKSLASH_ESCAPES.value
        return flags

    # ------------------------------------------------------------------ the life of a command

    def handle(self, payload: bytes, sequence: int) -> None:
        """One command has arrived; the answer's first packet has the id `sequence`. Never raises: a command that fails
        is answered with an error packet and the session lives on."""
        mesh = self.mesh
        self.command_since = self.now()
        self._sink = None
        self._answered = False
        if mesh.filters or mesh.observers:
            self.arrived = perf_counter()
        if mesh.keeps_commands:
            self.given = payload, sequence
        if self.databases is not mesh.newest and not mesh.gate.enter(self, payload, sequence):
            return
        try:
            handler = self.commands.get(payload[0]) if payload else None
            if handler is None:
                raise MeshError(UNKNOWN_COMMAND)
            work = handler(self, payload, sequence)
            if work is not None:
                self.run(work, perseveres=mesh.has_groups)
        except Exception as error:
            malformed = isinstance(error, ProtocolError)
            if not malformed and not isinstance(error, (MeshError, ShardError)):
                _log.exception("session %d: unexpected error", self.connection_id, extra=fields_of(self))
            self.error(MeshError(MALFORMED_PACKET) if malformed else error, sequence=sequence)
            self.finish()

    def run(self, work: Work, *, perseveres: bool = False) -> None:
        """Run the rest of a command as a task of this session; it ends the command. See `failover.persevering`."""
        self._begun = False
        self._work = self._tasks.start(self._run(work, perseveres), f"session {self.connection_id}")
        # A task that is cancelled before its first step leaves its work behind, never awaited.
        self._work.add_done_callback(lambda _: work.close())

    def finish(self) -> None:
        """The command has been answered in full."""
        seen = self.seen
        if seen is not None:
            self.seen = None
            mesh = self.mesh
            seconds = mesh.count(self, seen)
            if seconds >= mesh.least:
                filtering.took_long(filtering.RunningStatement(self, *seen), seconds)
        elif self.running is not None:
            filtering.end(self, answered=True)
        self.command_text = b""
        self.given = None
        if not self._ended:
            self.client.next_command()

    def pause(self) -> None:
        """The client reads too slowly: its data sources wait."""
        self.client_paused = True
        (self.exchange or self.relay).pause()

    def resume(self) -> None:
        """The client reads again."""
        self.client_paused = False
        (self.exchange or self.relay).resume()

    def announce(self, part: UnderWay | None) -> None:
        """A part of the command under way begins, or (None) has ended: who pauses, kills and ends reaches it."""
        self.exchange = part
        if part is not None and self.client_paused:
            part.pause()

    # ------------------------------------------------------------------ answers

    def sink(self, *, sequence: int = 1, binary: bool = False) -> ResultSink:
        """A writer of results for the command under way."""
        self._sink = ResultSink(self.client, self.capabilities, NO_NAMES, sequence=sequence, binary=binary)
        return self._sink

    def use_sink(self, sink: ResultSink) -> None:
        """The command under way is answered by this sink: errors go behind what it has written."""
        self._sink = sink

    def ok(self, *, sequence: int = 1, session_state: bytes = b"") -> None:
        """Answer with a plain OK."""
        self.sink(sequence=sequence).ok(OkPacket(status=self.status, session_state=session_state))

    def error(self, error: Exception, *, sequence: int | None = None) -> None:
        """Answer with an error packet: with the id `sequence`, or behind what the command's sink has written."""
        sink = self._sink if sequence is None else None
        self.report(error, sink or self.sink(sequence=1 if sequence is None else sequence))

    def report(self, error: Exception, sink: ResultSink) -> None:
        """Write an error packet to `sink` and remember it for SHOW WARNINGS."""
        if self.stopped_by is not None and as_packet(error).number == QUERY_INTERRUPTED.number:
            error = self.stopped_by
        packet = as_packet(veiled(self, error))
        statement = filtering.failing(self)
        if statement is not None:
            statement.failed(error, packet)
        self.row_count = -1
        self.warnings = [
            ShardWarning(
                "Error", packet.number, packet.message.decode("utf-8", "surrogateescape"), packet.sqlstate
            )
        ]
        sink.error(packet)

    # ------------------------------------------------------------------ transactions and connections

    def refuse_in_broken_transaction(self) -> None:
        """After a data source was lost inside a transaction only its end may follow: raises MeshError."""
        if self.broken_transaction is not None:
            raise MeshError(TRANSACTION_BROKEN, reason=self.broken_transaction)

    async def end_transaction(self, *, commit: bool) -> list[ShardWarning]:
        """End the open transaction, if any; its connections go back. Returns the warning of a commit that was not
        atomic, for SHOW WARNINGS. Raises ShardError or MeshError."""
        if self.broken_transaction is not None:
            reason, self.broken_transaction = self.broken_transaction, None
            if commit:
                raise MeshError(TRANSACTION_BROKEN, reason=reason)
        if commit and self.transaction.outer is not None:
            raise MeshError(XA_WRONG_STATE, state="ACTIVE")
        return await self._end_branches(commit=commit)

    async def _end_branches(self, *, commit: bool) -> list[ShardWarning]:
        transaction = self.transaction
        branches = [*transaction.branches.values(), *transaction.readers.values()]
        since, kind, end = transaction.since, kind_of(transaction), FAILED
        remember_writes(self)
        try:
            self.committing = commit
            warning = await (transaction.commit() if commit else transaction.roll_back())
            end = COMMITTED if commit else ROLLED_BACK
            return [] if warning is None else [ShardWarning("Warning", NOT_ATOMIC_WARNING, warning)]
        finally:
            self.committing = False
            if since is not None:
                self.mesh.transactions.add(kind, end, self.now() - since)
            self.release_branches(branches)
            if self.databases is not self.mesh.databases:
                follow_rules(self)

    def release_branches(self, branches: Iterable[Branch]) -> None:
        """Give back the connections of a transaction that has ended, but for pinned ones."""
        for branch in branches:
            if not any(branch.connection is connection for connection, _ in self.pins.values()):
                branch.connection.home.release(branch.connection, self.now())

    def held_connections(self) -> Iterable[Connection]:
        """Connections this session keeps between statements."""
        yield from (branch.connection for branch in self.transaction.branches.values())
        yield from (reader.connection for reader in self.transaction.readers.values())
        yield from (connection for connection, _ in self.pins.values())

    def relay_lost(self, error: Exception, sequence: int | None) -> None:
        """The connection of a relayed answer was lost. `sequence` is the id the client expects next; None when half a
        packet has left: the client's stream cannot be mended then and is closed."""
        if sequence is None:
            self.client.abort()
            return
        self.error(error, sequence=sequence)
        if isinstance(error, (MeshError, ShardError)):
            self.settle(error)
        else:
            self.finish()

    def settle(self, error: MeshError | ShardError) -> None:
        """The command has been answered with this error; only its transaction is left to be seen to. A KILL QUERY must
        not interrupt that: its error would be a second answer."""
        self._answered = True
        self.run(self._free_after(error))

    async def _free_after(self, error: MeshError | ShardError) -> None:
        await free_after_error(self, error)

    async def give_up_connections(self, broken_by: str | None = None) -> None:
        """Roll back and free every connection this session still holds. Pinned ones carry state of their own (temporary
        tables, locks) and are closed. What the client has sent by now as a part of the transaction is told what it is `broken_by`."""
        self.broken_transaction = broken_by
        await self._end_branches(commit=False)
        for connection, _ in self.pins.values():
            connection.abort()
            connection.home.discard(connection)
        self.pins.clear()
        self.temporary = None

    # ------------------------------------------------------------------ kill and end

    def kill_query(self, why: MeshError | None = None) -> None:
        """KILL QUERY: stop what runs, on the shards too; the client gets error 1317, or `why`."""
        connections = self._busy_connections()
        if self.committing or self._answered:
            # As on one server: a commit that has begun is not interrupted, its outcome must be known.
            return
        self.stopped_by, self.given = why, None
        if connections:
            self._tasks.start(interrupt_all(connections), f"kill query of session {self.connection_id}")
        if self.exchange is not None:
            # Not to be cancelled: what it has done would be reported as not done. A server may be told when it has just ended what runs:
            # then nothing may follow.
            self.exchange.interrupt()
        elif not connections and self._work is not None and not self._work.done():
            self._killed = True
            if self._begun:
                self._work.cancel()

    async def stop_command(self) -> None:
        """Nothing of the command under way goes on after this, a commit that has begun excepted; the client gets an error. For whoever rolls
        back what it has done: a further step of it would be a transaction of its own."""
        work = self._work
        if work is None or work.done() or self.committing or self._answered:
            return
        self._killed = True
        if self._begun:
            work.cancel()
        await asyncio.gather(work, return_exceptions=True)

    @property
    def killed(self) -> bool:
        """Whether KILL QUERY interrupts the command under way, whose client is still there."""
        return self._killed and not self._ended

    def kill_connection(self) -> None:
        """KILL CONNECTION: close the client's connection; `end` does the rest."""
        self.client.abort()

    @contextmanager
    def uninterrupted(self) -> Iterator[None]:
        """Nothing in the block is killed, as on one server a commit is not: what it has done must be known here."""
        before, self.committing = self.committing, True
        try:
            yield
        finally:
            self.committing = before

    @property
    def at_rest(self) -> bool:
        """Whether no command is under way."""
        return not self.command_text and (self._work is None or self._work.done())

    async def end(self) -> None:
        """The client is gone: its running statement is killed on the shards, its transaction rolled back, its
        connections given back or closed. Called once."""
        self._ended = True
        self.mesh.sessions.pop(self.connection_id, None)
        with self.mesh.gate.until_left(self):
            await self._end()

    async def _end(self) -> None:
        busy = self._busy_connections()
        if busy:
            await interrupt_all(busy)
        work = self._work
        if work is not None and not work.done():
            if not self.committing:
                work.cancel()
            await asyncio.gather(work, return_exceptions=True)
        self.relay.drop()
        filtering.end(self, answered=False)
        await self.give_up_connections()

    def _busy_connections(self) -> Sequence[Connection]:
        return (self.exchange or self.relay).busy_connections()

    async def _run(self, work: Work, perseveres: bool) -> None:
        self._begun = True
        try:
            if self._killed:
                raise MeshError(QUERY_INTERRUPTED)
            if await (persevering(self, work) if perseveres else work):
                return
        except asyncio.CancelledError:
            if not self._killed or self._ended:
                raise
            task = asyncio.current_task()
            if task is not None:
                task.uncancel()
            self.error(MeshError(QUERY_INTERRUPTED))
        except (MeshError, ShardError) as error:
            self.error(error)
        except Exception as error:
            _log.exception("session %d: unexpected error", self.connection_id, extra=fields_of(self))
            self.error(MeshError(INTERNAL, reason=type(error).__name__))
        finally:
            self._killed = False
        self.finish()
