"""The other sidecars of a mesh, as a session sees them: their sessions, and KILL there.

Decides what one sidecar tells another of its sessions, and how connection ids say whose they are. How sidecars reach one another,
`governance.peers` decides.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from dbmesh.errors import NOT_THREAD_OWNER, UNKNOWN_THREAD, MeshError
from dbmesh.sql.digest import digest_of
from dbmesh.sql.fingerprint import fingerprint

if TYPE_CHECKING:
    from dbmesh.session.mesh import Mesh
    from dbmesh.session.session import Session

COUNTED_BITS = 22
"""Of the 32 bits of a connection id: what a sidecar counts. Above them is the number of its worker (at most 1023), which no other
sidecar has."""


def connection_id(worker: int, count: int) -> int:
    """The id of a sidecar's connection; after four million it begins anew."""
    return worker << COUNTED_BITS | count & (1 << COUNTED_BITS) - 1


def worker_of(id_: int) -> int:
    """The number of the worker whose connection this is."""
    return id_ >> COUNTED_BITS


class Account(Protocol):
    """Whoever asks."""

    @property
    def account(self) -> str: ...
    @property
    def administrator(self) -> bool: ...


@dataclass(frozen=True, slots=True)
class Asker:
    """An account of another sidecar's session."""

    account: str
    administrator: bool


@dataclass(frozen=True, slots=True)
class Process:
    """A session as others are told of it. `text` is the digest of what it runs: values stay where they are; `seconds` since its last
    command began. `state` says what kept it from being told."""

    id: int
    user: str = ""
    host: str = ""
    database: str | None = None
    command: str = ""
    seconds: int = 0
    text: str | None = None
    state: str = ""


@dataclass(frozen=True, slots=True)
class Sidecar:
    """A process of the mesh: `status` as ShardingSphere says it, OK or CIRCUIT_BREAK where it is disabled; `own` is this one."""

    id: str
    address: str
    status: str
    version: str
    own: bool


class Peers(Protocol):
    """The sidecars of the mesh. All methods raise MeshError."""

    async def processes(self, asker: Account) -> Sequence[tuple[str, Process]]:
        """Address and session, of this sidecar's and all others' that the account may see."""
        ...

    async def kill(self, asker: Account, id_: int, *, query: bool) -> None:
        """As `kill`, on the sidecar whose connection it is."""
        ...

    async def sidecars(self) -> Sequence[Sidecar]:
        """Those that are alive, oldest first."""
        ...

    async def switch_sidecar(self, id_: str, *, on: bool) -> None:
        """Take a sidecar out of service, or back. Raises MeshError for one that is not alive, unless it is taken back."""
        ...

    async def switch_data_source(self, name: str, *, on: bool) -> None:
        """Take a data source or a replica (`database.name`) out of service, or back."""
        ...


def may_see(asker: Account, other: Session) -> bool:
    """Whether an account may know of a session: an administrator of any, others of their own."""
    return asker.administrator or other.account == asker.account


def processes(mesh: Mesh, asker: Account) -> list[Process]:
    """This sidecar's sessions that an account may see, by their ids."""
    found = []
    for other in sorted(mesh.sessions.values(), key=lambda one: one.connection_id):
        if not may_see(asker, other):
            continue
        text = other.command_text.decode("utf-8", "replace")
        flags = other.lexer_flags
        found.append(
            Process(
                other.connection_id,
                other.user_name,
                other.host,
                other.database,
                "Query" if text else "Sleep",
                int(other.now() - other.command_since),
                digest_of(fingerprint(text, flags).shape, flags).text if text else None,
            )
        )
    return found


def kill(mesh: Mesh, asker: Account, id_: int, *, query: bool) -> None:
    """KILL QUERY or CONNECTION of a session of this process. Raises MeshError UNKNOWN_THREAD or NOT_THREAD_OWNER."""
    target = mesh.sessions.get(id_)
    if target is None:
        raise MeshError(UNKNOWN_THREAD, id=id_)
    if not may_see(asker, target):
        raise MeshError(NOT_THREAD_OWNER, id=id_)
    if query:
        target.kill_query()
    else:
        target.kill_connection()


async def kill_anywhere(session: Session, id_: int, *, query: bool) -> None:
    """As `kill`, also of another sidecar's. Raises MeshError."""
    mesh = session.mesh
    if id_ in mesh.sessions or mesh.peers is None:
        kill(mesh, session, id_, query=query)
    else:
        await mesh.peers.kill(session, id_, query=query)
