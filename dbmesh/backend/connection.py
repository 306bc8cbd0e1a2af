"""What every connection to a data source can do, whatever speaks behind it.

Decides the contract between connections (MySQL wire, embedded SQLite) and the engine that uses them: commands go in,
answers come out through a receiver, in order, one at a time. Knows nothing of plans, merging or clients.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Sequence
from enum import Enum
from typing import Any, NamedTuple, Protocol, runtime_checkable

from dbmesh.backend.state import SessionState
from dbmesh.wire.packets import ColumnDefinition, OkPacket


class Product(Enum):
    """What answers behind a connection, where its answers differ from the others'."""

    MARIADB = "MariaDB"
    MYSQL = "MySQL"
    OTHER = "another"
    """A data source whose answers dbmesh makes itself, as MySQL's."""


def product_of(server_version: str) -> Product:
    """What a server is that greets with this version."""
    if not server_version:
        return Product.OTHER
    return Product.MARIADB if "mariadb" in server_version.lower() else Product.MYSQL


class Flavour(NamedTuple):
    """What a client's capabilities change in a server's answers; connections are pooled by it.

    `found_rows`: UPDATE counts matched rows (CLIENT_FOUND_ROWS). `deprecate_eof`: result sets end in an OK packet, so
    that their bytes can be relayed untouched. `ignore_space`: CLIENT_IGNORE_SPACE.
    """

    found_rows: bool = False
    deprecate_eof: bool = True
    ignore_space: bool = False


class Receiver(Protocol):
    """Receives one answer, called from the connection. After `done` with no further result, or `failed`, nothing
    more comes. A receiver may pause and resume its connection's reading meanwhile."""

    def columns(self, columns: Sequence[ColumnDefinition]) -> None:
        """A result set begins."""
        ...

    def rows(self, rows: list[bytes]) -> None:
        """Row packet payloads, text or binary as the command asked for."""
        ...

    def done(self, ok: OkPacket, *, more: bool) -> None:
        """A result (rows or not) ended well; `more` tells that another follows."""
        ...

    def failed(self, error: Exception) -> None:
        """ShardError from the server, or MeshError when the connection was lost. Final."""
        ...


class Observer(Protocol):
    """Is told how a server does by those who use it."""

    def answered(self, seconds: float) -> None:
        """The server began to answer after so long."""
        ...

    def lost(self, problem: str, now: float) -> None:
        """The server did not answer, at this loop time."""
        ...

    def may_retry(self, now: float) -> bool:
        """Whether a read that the server failed may be sent once more, to another one; it is counted then."""
        ...

    def retry_not_made(self) -> None:
        """One that was counted at this moment is not made."""
        ...


class Guard(Protocol):
    """Is asked before a connection to a data source is lent, and told how what ran there ended. Who holds a connection
    already, as a transaction does, asks nobody. Times are loop times."""

    def permits(self, now: float) -> bool:
        """Whether one may be lent at once. False decides nothing: `admit` is asked then."""
        ...

    async def admit(self) -> None:
        """Wait until one may be lent. Raises MeshError to refuse it."""
        ...

    def ended(self, began: float, now: float, error: Exception | None) -> None:
        """A call that began then was answered, or failed, now."""
        ...


class Home(Protocol):
    """Where a connection goes back to: its pool. `observer` wants to know how its server does, if anybody, and `guard` how
    what runs there ends. `catalog_reads`: how often its tables have been read, because somebody may have changed them; whoever
    compiles by what he has read before reads them again."""

    observer: Observer | None
    guard: Guard | None
    catalog_reads: int

    def release(self, connection: Connection, now: float) -> None:
        """Take the connection back; it is closed when its state is unknown."""
        ...

    def discard(self, connection: Connection) -> None:
        """Close the connection for good."""
        ...


class Connection(Protocol):
    """A connection to one data source. At most one owner; never shared while busy."""

    home: Home
    flavour: Flavour
    state: SessionState
    """The session state it was last brought to."""
    began_with_autocommit: bool
    """Whether it was so when it was opened."""
    interrupting: bool
    """A KILL QUERY is on its way: it may hit whatever runs next, so the connection must not be lent to another."""

    @property
    def data_source(self) -> str:
        """Name of the data source."""
        ...

    @property
    def schema(self) -> str:
        """The data source's own schema, as its error texts name it."""
        ...

    @property
    def relays(self) -> bool:
        """Whether answers are MySQL packets whose bytes a client may get as they are."""
        ...

    @property
    def product(self) -> Product:
        """What answers."""
        ...

    @property
    def prepares(self) -> bool:
        """Whether its server can prepare a transaction, to commit it later: XA."""
        ...

    @property
    def usable(self) -> bool:
        """Open, idle, and with nothing unknown about its state: only then may it be pooled or lent."""
        ...

    @property
    def in_transaction(self) -> bool:
        """Whether the server last reported an open transaction."""
        ...

    @property
    def opened_at(self) -> float:
        """Loop time of its opening, seconds."""
        ...

    def query(self, sql: bytes, receiver: Receiver) -> None:
        """Run one statement, MySQL dialect; the answer goes to `receiver`."""
        ...

    async def bring_to(self, state: SessionState) -> None:
        """Make the session state equal `state`. Raises ShardError when the server refuses a variable."""
        ...

    async def ping(self) -> bool:
        """Whether the server still answers."""
        ...

    def pause_reading(self) -> None:
        """Stop taking bytes from the server: its send buffer fills and it waits."""
        ...

    def resume_reading(self) -> None:
        """Undo `pause_reading`."""
        ...

    async def interrupt(self) -> None:
        """Ask the server to stop the running statement (KILL QUERY by another connection). `interrupting` is false afterwards."""
        ...

    def abort(self) -> None:
        """Close at once; a server rolls back what was open."""
        ...

    async def close(self) -> None:
        """Say goodbye and close."""
        ...


@runtime_checkable
class Pipeline(Protocol):
    """What a connection can do besides whose server reads ahead."""

    def abort(self) -> None:
        """See `Connection`."""
        ...

    def query_all(self, statements: Sequence[bytes], receiver: Receiver) -> None:
        """Send statements together; the server runs them one after another, whatever becomes of those before.
        `receiver` gets one answer after another, as of so many calls of `query`: a failed one is followed by the
        rest. For statements that only read, or of which the later ones fail by themselves when an earlier one did."""
        ...

    def execute_all(self, payloads: Sequence[bytes], receiver: Receiver) -> None:
        """As `query_all`, for COM_STMT_EXECUTEs of statements prepared here; rows come in binary form."""
        ...


@runtime_checkable
class OwnDialect(Protocol):
    """What a connection can do besides whose data source has a dialect of its own."""

    async def own(self, sql: str) -> list[tuple[Any, ...]]:
        """Run one statement of that dialect, as it is: its rows, with Python's values. Raises ShardError or MeshError; in a transaction
        nothing more can be done after an error but ROLLBACK."""
        ...


def interrupt_all(connections: Sequence[Connection]) -> Coroutine[object, object, None]:
    """KILL QUERY on every busy connection's server. A server that cannot be reached has nothing running for us. None of them is
    lent to another from this call on: what it runs may end before the coroutine begins."""
    busy = [connection for connection in connections if not connection.usable]
    for connection in busy:
        connection.interrupting = True
    return _interrupt(busy)


async def _interrupt(connections: Sequence[Connection]) -> None:
    await asyncio.gather(*(connection.interrupt() for connection in connections), return_exceptions=True)
