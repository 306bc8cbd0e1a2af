"""What a statement changed on its connection becomes the session's, so that every other connection can be told.

Decides how values are read back. A session's variables are a value of its own (`backend.state`): the connection that
assigned one is as good as any other afterwards.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from dbmesh.backend.connection import Connection
from dbmesh.backend.state import forgetting
from dbmesh.engine.collect import collect
from dbmesh.planner.plan import SideEffects
from dbmesh.session.user_variables import read_variables

if TYPE_CHECKING:
    from dbmesh.session.session import Session


async def expose_insert_id(session: Session, connection: Connection, effects: SideEffects) -> None:
    """Before a statement that may give LAST_INSERT_ID() a value: the connection knows another session's. Raises
    ShardError or MeshError."""
    if effects.insert_id:
        await collect(connection, b"SET last_insert_id = %d" % session.last_insert_id)


async def take_over(session: Session, connection: Connection, effects: SideEffects) -> None:
    """After the statement, whether it failed or not. A connection that was lost has nothing to tell. Raises ShardError or
    MeshError."""
    if not connection.usable:
        return
    # Until they have been read and said, whoever uses the connection next must not take them for his own.
    connection.state = forgetting(connection.state, effects.variables)
    if effects.insert_id:
        told = await collect(connection, b"SELECT LAST_INSERT_ID()")
        session.last_insert_id = int(told.rows[0][0] or 0)
    known = connection.state
    values = await read_variables(connection, effects.variables, session.lexer_flags)
    for name, value in zip(effects.variables, values, strict=True):
        session.state = session.state.with_user_variable(name, value)
        known = known.with_user_variable(name, value)
    # The variables are there already; said again they are the same on every connection, to the type.
    await connection.bring_to(known)
