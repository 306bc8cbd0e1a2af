"""What somebody has taken out of service: sidecars, data sources and replicas, kept in the store for every process of the mesh.

Decides how that lies in the store (ShardingSphere's places) and how a process learns of it. What it means for pools and
clients, those decide.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from dbmesh.governance import layout
from dbmesh.governance.following import follow
from dbmesh.governance.store import Changes, Store, Write

_DISABLED = b"DISABLED"


@dataclass(frozen=True, slots=True)
class Switches:
    """What is out of service: ids of sidecars, and data sources and replicas as `database.name` in lower case."""

    instances: frozenset[str] = frozenset()
    data_sources: frozenset[str] = frozenset()


async def read_switches(store: Store) -> Switches:
    """All that is out of service. Raises StoreError."""
    snapshot = await store.range(layout.nodes_prefix())

    def under(prefix: str) -> frozenset[str]:
        return frozenset(
            entry.key.removeprefix(prefix) for entry in snapshot.entries if entry.key.startswith(prefix)
        )

    return Switches(under(layout.disabled_instances_prefix()), under(layout.disabled_sources_prefix()))


async def switch_instance(store: Store, id_: str, *, on: bool) -> None:
    """Take a sidecar out of service, or back. Raises StoreError."""
    await store.commit([Write(layout.disabled_instance(id_), None if on else _DISABLED)])


async def switch_data_source(store: Store, name: str, *, on: bool) -> None:
    """Take a data source or a replica (`database.name`) out of service, or back. Raises StoreError."""
    await store.commit([Write(layout.disabled_source(name), None if on else _DISABLED)])


async def follow_switches(store: Store, take_over: Callable[[Switches], Awaitable[None]]) -> None:
    """Tell every change until the store is closed; see `following.follow`."""

    async def look() -> None:
        await take_over(await read_switches(store))

    def told(changes: Changes) -> bool:
        # Beside it is how each sidecar does, which changes often.
        return any(map(layout.is_switch, (write.key for write in changes.writes)))

    await follow(store, layout.nodes_prefix(), look, "what is out of service", told)
