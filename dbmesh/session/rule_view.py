"""Which rules a session's statements are planned with: the newest, but one and the same for all of a transaction.

Decides when a session goes on to rules that have become active, and what becomes of transactions that do not end. A view
is a mapping of logic databases as `Mesh.databases`, which always is the newest.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from dbmesh.backend.connection import Connection
from dbmesh.backend.pool import Pool
from dbmesh.errors import NOTHING_COMMITTED, MeshError

if TYPE_CHECKING:
    from dbmesh.session.mesh import Database, Mesh
    from dbmesh.session.session import Session

LOOK = 0.05
"""Seconds between two looks at who still uses former rules."""


def follow_rules(session: Session) -> None:
    """Go on to the newest rules, unless a transaction has begun under others or the session keeps a connection (temporary
    tables, locks, cursors) to what they no longer name."""
    mesh = session.mesh
    if session.transaction.open or not all(
        _serves(mesh, key, connection) for key, (connection, _) in session.pins.items()
    ):
        return
    session.databases = mesh.databases


def _serves(mesh: Mesh, key: str, connection: Connection) -> bool:
    """Whether what a session keeps under a key still is the data source of that key."""
    return any(
        (database.connection_key(name) == key and pool is connection.home)
        or (name in database.replicas and connection.home in database.replicas[name].pools)
        for database in mesh.databases.values()
        for name, pool in database.pools.items()
    )


async def retire(
    mesh: Mesh,
    former: Mapping[str, Database],
    pools: Sequence[Pool],
    patience: float,
    now: Callable[[], float],
) -> None:
    """Close `pools`, which only `former` rules use, once nobody does: after `patience` seconds transactions that still do are rolled
    back, and told."""
    for pool in pools:
        await pool.retire()
    deadline = now() + patience
    while True:
        users = [session for session in mesh.everyone() if session.databases is former]
        for session in users:
            if session.at_rest:
                follow_rules(session)
        users = [session for session in users if session.databases is former]
        if not users and not any(pool.size for pool in pools):
            break
        if now() >= deadline:
            reason = f"the rules it began with were replaced {patience:g} s ago"
            # A statement that runs by itself ends by itself, if its data sources stay.
            held = [session for session in users if session.transaction.open or session.pins]
            await asyncio.gather(*(give_up(session, reason) for session in held if not session.committing))
            if not any(session.databases is former for session in held):
                break
        await asyncio.sleep(LOOK)
    mesh.forget(former)
    for pool in pools:
        await pool.close()


async def give_up(session: Session, reason: str) -> None:
    """Roll back what the session has begun; its next statement is told why, unless the one under way is told and is all of it."""
    alone = session.transaction.alone
    if not session.at_rest:
        session.kill_query(MeshError(NOTHING_COMMITTED, reason=reason) if alone else None)
    for connection in session.held_connections():
        connection.abort()
    await session.stop_command()
    if session.committing:
        return
    await session.give_up_connections(None if alone else reason)
    follow_rules(session)
