"""A data source's connection that answers from a script, in memory, and a client that keeps what it is sent.

For tests of what stands above connections: pools, exchanges, transactions. It keeps the contract of
`backend.connection.Connection`, so a test decides when an answer comes, fails or never comes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from dbmesh.backend.connection import Connection, Flavour, Guard, Observer, Product, Receiver
from dbmesh.backend.state import SessionState
from dbmesh.errors import DATA_SOURCE_LOST, MeshError, ShardError
from dbmesh.wire.constants import ColumnType
from dbmesh.wire.packets import ColumnDefinition, OkPacket

Answer = Callable[["ScriptedConnection", str, Receiver], None]


def column(name: str, kind: ColumnType = ColumnType.VAR_STRING, table: str = "") -> ColumnDefinition:
    """A column definition."""
    encoded = name.encode()
    return ColumnDefinition(
        b"def", b"", table.encode(), table.encode(), encoded, encoded, 45, 1020, kind, 0, 0
    )


def ok(affected: int = 0, warnings: int = 0) -> Answer:
    """Answers OK."""

    def answer(connection: ScriptedConnection, sql: str, receiver: Receiver) -> None:
        del sql
        connection.rest()
        receiver.done(OkPacket(affected_rows=affected, warnings=warnings), more=False)

    return answer


def error(number: int, text: str = "no") -> Answer:
    """Answers with an error of the server."""

    def answer(connection: ScriptedConnection, sql: str, receiver: Receiver) -> None:
        del sql
        connection.rest()
        receiver.failed(ShardError(number, "HY000", text))

    return answer


def silence(connection: ScriptedConnection, sql: str, receiver: Receiver) -> None:
    """Does not answer; the test does, through `receiver`."""
    del connection, sql, receiver


class Home:
    """A home that notes what comes back."""

    def __init__(self) -> None:
        self.released: list[Connection] = []
        self.discarded: list[Connection] = []
        self.observer: Observer | None = None
        self.guard: Guard | None = None

    def release(self, connection: Connection, now: float) -> None:
        del now
        self.released.append(connection)

    def discard(self, connection: Connection) -> None:
        self.discarded.append(connection)


class ScriptedConnection:
    """See the module's docstring. `sent` is every statement it was given."""

    relays = False
    prepares = True
    product = Product.OTHER

    def __init__(
        self, name: str = "ds_0", answer: Answer | None = None, flavour: Flavour | None = None
    ) -> None:
        self.data_source = name
        self.schema = name
        self.flavour = flavour or Flavour()
        self.home = Home()
        self.began_with_autocommit = True
        self.interrupting = False
        self.state = SessionState()
        self.in_transaction = False
        self.opened_at = 0.0
        self.sent: list[str] = []
        self.answer = answer or ok()
        self.receiver: Receiver | None = None
        self.open = True
        self.busy = False
        self.paused = False
        self.answers_pings = True

    @property
    def usable(self) -> bool:
        return self.open and not self.busy

    def query(self, sql: bytes, receiver: Receiver) -> None:
        text = sql.decode()
        if not self.open:
            receiver.failed(MeshError(DATA_SOURCE_LOST, data_source=self.data_source, reason="closed"))
            return
        assert not self.busy, "two statements at once on one connection"
        self.sent.append(text)
        self.busy = True
        self.receiver = receiver
        self.answer(self, text, receiver)

    def rest(self) -> None:
        """The answer is complete. What the statement does to the transaction is true from now on."""
        self.busy = False
        self.receiver = None
        word = self.sent[-1].split()[0].upper()
        if word == "START":
            self.in_transaction = True
        elif word in ("COMMIT", "ROLLBACK") and " TO " not in self.sent[-1]:
            self.in_transaction = False

    def rows(self, columns: Sequence[ColumnDefinition], rows: list[bytes]) -> None:
        """Send a whole result set to the waiting statement."""
        receiver = self.receiver
        assert receiver is not None
        receiver.columns(columns)
        if self.receiver is receiver and rows:
            receiver.rows(rows)
        if self.receiver is receiver:
            self.rest()
            receiver.done(OkPacket(), more=False)

    async def bring_to(self, state: SessionState) -> None:
        self.state = state

    async def ping(self) -> bool:
        return self.open and self.answers_pings

    def pause_reading(self) -> None:
        self.paused = True

    def resume_reading(self) -> None:
        self.paused = False

    async def interrupt(self) -> None:
        self.interrupting = False
        if self.busy and self.receiver is not None:
            receiver = self.receiver
            self.rest()
            receiver.failed(ShardError(1317, "70100", "Query execution was interrupted"))

    def abort(self) -> None:
        if not self.open:
            return
        self.open = False
        receiver, self.receiver = self.receiver, None
        if receiver is not None:
            receiver.failed(MeshError(DATA_SOURCE_LOST, data_source=self.data_source, reason="aborted"))

    async def close(self) -> None:
        self.open = False


class RecordingClient:
    """A client that keeps every byte it is sent."""

    def __init__(self) -> None:
        self.data = b""
        self.commands = 0
        self.closed = False
        self.aborted = False

    def write(self, data: bytes) -> None:
        self.data += data

    def encryption(self) -> tuple[str, str] | None:
        return None

    def next_command(self) -> None:
        self.commands += 1

    def close(self) -> None:
        self.closed = True

    def abort(self) -> None:
        self.aborted = True

    def packets(self) -> list[tuple[int, bytes]]:
        """What arrived, as (sequence id, payload)."""
        found, position = [], 0
        while position < len(self.data):
            length = int.from_bytes(self.data[position : position + 3], "little")
            found.append((self.data[position + 3], self.data[position + 4 : position + 4 + length]))
            position += 4 + length
        return found
