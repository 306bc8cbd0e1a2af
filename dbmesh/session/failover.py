"""A statement that met a server which no longer takes writes, and what becomes of it when another one does.

Decides which statements are sent again: those outside transactions, of which nothing was done, and which are still there
(`Session.given`, the command as it came): a file or long data that the client sent are used up, and a procedure may have done a part. How long they wait is the group's
to say (`backend.replicas`).
"""

from __future__ import annotations

from collections.abc import Awaitable
from typing import TYPE_CHECKING

from dbmesh.backend.replicas import Replicas
from dbmesh.errors import READ_ONLY, ShardError

if TYPE_CHECKING:
    from dbmesh.session.session import Session


async def persevering(session: Session, work: Awaitable[bool | None]) -> bool | None:
    """The rest of a command, begun again when it could not write and may wait. Raises what the command raises."""
    try:
        return await work
    except ShardError as error:
        if not may_wait(session, error):
            raise
        return await again(session, error)


def may_wait(session: Session, error: ShardError) -> bool:
    """Whether a command that failed so can be given again: a read-only server has done nothing of it."""
    alone = session.autocommit and not session.transaction.open
    return error.number in READ_ONLY and alone and session.given is not None


async def again(session: Session, error: ShardError) -> bool | None:
    """Give the session's command again once every group has a primary. Raises `error` when all had one all the time: the
    server meant something else. Raises MeshError NO_PRIMARY, and what the command raises."""
    groups = [group for database in session.mesh.databases.values() for group in database.replicas.values()]
    while True:
        if not await _waited(session, groups):
            raise error
        if session.given is None:
            raise error
        payload, sequence = session.given
        try:
            work = session.commands[payload[0]](session, payload, sequence)
            # A relay that has begun ends the command.
            return True if work is None else await work
        except ShardError as another:
            if not may_wait(session, another):
                raise
            error = another


async def _waited(session: Session, groups: list[Replicas]) -> bool:
    """Look at the groups and wait for those without a primary; False when nothing has changed."""
    before = [group.primary for group in groups]
    changed = False
    for group in groups:
        if group.look_now is not None:
            await group.look_now()
        # One that does not answer has not refused the statement.
        if not group.has_primary and group.primary.seen.read_only:
            changed = True
            await group.wait_for_primary(session.command_since + group.group.failover_wait)
    return changed or any(group.primary is not one for group, one in zip(groups, before, strict=True))
