"""A statement that met a server which could not run it, and what becomes of it when another one can.

Decides which statements are sent again, always those outside transactions. One that a read-only server has refused waits for a server that takes
writes: nothing was done of it. One that only reads, and that a replica has failed, goes to another one at once, a single
time and as often as the group's budget allows (`backend.retry_budget`). A command is given again as it came, as long as it
is still there (`Session.given`): a file or long data that the client sent are used up, a procedure may have done a part, and what was killed
stays so. How long statements wait is the group's to say (`backend.replicas`).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection
from typing import TYPE_CHECKING, Protocol

from dbmesh.backend.replicas import Replicas
from dbmesh.engine.exchange import Outcome
from dbmesh.errors import READ_ONLY, MeshError, ShardError, is_server_failure
from dbmesh.planner.plan import BoundStatement, ShardPlan
from dbmesh.session.answering.result_sink import ResultSink
from dbmesh.session.mesh import Database

if TYPE_CHECKING:
    from dbmesh.session.session import Session


class Retrier(Protocol):
    """Who allows one more read of what a server has failed."""

    def may_retry(self, now: float) -> bool:
        """Whether there may be one now (loop time); it is counted then."""
        ...

    def retry_not_made(self) -> None:
        """One that was counted at this moment is not made."""
        ...


# ---------------------------------------------------------------------------------------------- writes


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
    return error.number in READ_ONLY and _alone(session) and session.given is not None


async def again(session: Session, error: ShardError) -> bool | None:
    """Give the session's command again once every group has a primary. Raises `error` when all had one all the time: the
    server meant something else. Raises MeshError NO_PRIMARY, and what the command raises."""
    groups = [group for database in session.mesh.databases.values() for group in database.replicas.values()]
    while True:
        if not await _waited(session, groups):
            raise error
        if session.given is None:
            raise error
        try:
            return await _give(session, *session.given)
        except ShardError as another:
            if not may_wait(session, another):
                raise
            error = another


async def _give(session: Session, payload: bytes, sequence: int) -> bool | None:
    work = session.commands[payload[0]](session, payload, sequence)
    # A relay that has begun ends the command.
    return True if work is None else await work


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


# ---------------------------------------------------------------------------------------------- reads


def reads_again(session: Session, plan: ShardPlan, error: Exception, servers: Collection[Retrier]) -> bool:
    """Whether a statement that failed so, of whose answer nothing has left, is sent once more; the servers' budgets count it. None of
    them: it is not."""
    return (
        plan.repeatable
        and bool(servers)
        and is_server_failure(error)
        and _alone(session)
        and session.given is not None
        and _all_allow(servers, session.now())
    )


def _all_allow(servers: Collection[Retrier], now: float) -> bool:
    """Whether all of them let one more be sent; where one does not, none has it counted."""
    allowed: list[Retrier] = []
    for server in servers:
        if not server.may_retry(now):
            for one in allowed:
                one.retry_not_made()
            return False
        allowed.append(server)
    return True


async def once_more(session: Session) -> bool | None:
    """Give the session's command again, for the last time. Raises what the command raises."""
    if session.given is None:
        raise AssertionError("`reads_again` has seen the command")
    payload, sequence = session.given
    session.given = None
    return await _give(session, payload, sequence)


async def reading_again(
    session: Session,
    database: Database,
    plan: ShardPlan,
    bound: BoundStatement,
    sink: ResultSink,
    ask: Callable[[], Awaitable[Outcome]],
) -> Outcome:
    """What `ask` writes to `sink`; written by a second call where a server has failed the first before the client got any of it.
    Raises what `ask` raises."""
    # Looked at before: what the session held there is missed by whoever reads there next, and told then.
    servers = servers_of(session, database, bound)
    mark = sink.mark()
    try:
        return await ask()
    except (MeshError, ShardError) as error:
        left = sink.mark().flushed != mark.flushed
        if left or not reads_again(session, plan, error, servers) or not sink.take_back(mark):
            raise
    session.given = None
    return await ask()


def servers_of(session: Session, database: Database, bound: BoundStatement) -> Collection[Replicas]:
    """The groups that a statement reads; none where it reads something else as well, or where the session holds a connection."""
    sources = {shot.data_source for shot in bound.shots}
    groups = {name: database.replicas[name] for name in sources if name in database.replicas}
    held = any(database.connection_key(name) in session.pins for name in sources)
    return () if held or len(groups) < len(sources) else groups.values()


def _alone(session: Session) -> bool:
    return session.autocommit and not session.transaction.open
