"""Writes of a BASE transaction: each in local transactions of its own, with images of its rows before and after.

Decides what surrounds a write, which of its forms are run in steps because their rows must be read first, and when it has to be
refused. What is written is run like any other; what becomes of the images is the transaction's.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import TYPE_CHECKING

from dbmesh.backend.connection import Connection
from dbmesh.backend.mysql import MySQLConnection
from dbmesh.engine.collect import Result, all_of, collect, collect_all
from dbmesh.engine.exchange import Exchange, Outcome
from dbmesh.engine.lane import Lane
from dbmesh.errors import (
    DEADLOCK,
    MERGE_LIMIT,
    NOT_SUPPORTED,
    TABLE_CHANGED,
    MeshError,
    ShardError,
    not_supported,
)
from dbmesh.planner.capture import BASE, Capture, Effect, Found, Occasion, SchemaOf, capture
from dbmesh.planner.images import Row
from dbmesh.planner.plan import BoundStatement, ShardPlan, Shot
from dbmesh.planner.steps import DerivedWrite
from dbmesh.session.connections import LOCK_WAIT_TIMEOUT, free_after_error
from dbmesh.session.mesh import Database, place_of
from dbmesh.session.moment import at_one_moment
from dbmesh.session.replica_reads import remember_writes
from dbmesh.session.select_limit import without_limit
from dbmesh.transaction.compensator import RecordLocked
from dbmesh.transaction.undo import Change, TableChanges
from dbmesh.wire.constants import Capability
from dbmesh.wire.packets import OkPacket

if TYPE_CHECKING:
    from dbmesh.session.session import Session

FIRST_PAUSE, LONGEST_PAUSE = 0.01, 0.25
"""Seconds between two tries to write rows that another transaction has locked."""

DEFAULT_LOCK_WAIT = 50.0
"""Seconds: innodb_lock_wait_timeout where a session has not set it."""

_LOCKED = (
    "Lock wait timeout exceeded; try restarting transaction (dbmesh: transaction {} has written a row of this write and has not "
    "ended)"
)

Runner = Callable[[BoundStatement], Awaitable[Outcome]]
"""Runs a bound write with everything that belongs to it."""


async def compensated(
    session: Session, database: Database, plan: ShardPlan, bound: BoundStatement, run: Runner
) -> Outcome:
    """Run a write, and where its transaction compensates commit it; a hint may have said so just now. Raises MeshError or ShardError:
    nothing of it is left then, or nothing of its transaction."""
    if not session.transaction.compensates:
        return await run(bound)
    bound = readable(session, database, bound)
    deadline = session.now() + lock_wait(session)
    pause = FIRST_PAUSE
    variables, insert_id = session.state.user_variables, session.last_insert_id
    while True:
        try:
            return await _once(session, database, plan, bound, run)
        except RecordLocked as locked:
            # What has been told already cannot be told again.
            told = isinstance(bound.answer, DerivedWrite) and bound.answer.returning
            gone = session.connection_id not in session.mesh.sessions
            if told or gone or session.now() + pause > deadline:
                raise ShardError(LOCK_WAIT_TIMEOUT, "HY000", _LOCKED.format(locked)) from locked
        await asyncio.sleep(pause)
        pause = min(2 * pause, LONGEST_PAUSE)
        # A query of the write's own may have assigned some.
        session.state = replace(session.state, user_variables=variables)
        session.last_insert_id = insert_id


async def _once(
    session: Session, database: Database, plan: ShardPlan, bound: BoundStatement, run: Runner
) -> Outcome:
    """Run the write and commit it. Raises RecordLocked, and nothing has happened then."""
    transaction, state = session.transaction, session.state
    # What a query of images finds is what the write finds, however often it asks for the time.
    session.state = at_one_moment(without_limit(state)) if plan.reads_clock else without_limit(state)
    branches = []
    transaction.writing = True
    try:
        try:
            outcome = await run(bound)
        except BaseException as failure:
            branches = list(transaction.branches.values())
            if transaction.writing:
                await transaction.undo_write()
            await _learn_from(session, database, failure)
            raise
        branches = list(transaction.branches.values())
        remember_writes(session)
        error = await _end(session, database)
    finally:
        session.state = replace(state, user_variables=session.state.user_variables)
        session.release_branches(branches)
    if error is not None:
        await transaction.roll_back()
        session.broken_transaction = str(error)
        raise error
    return outcome


def lock_wait(session: Session) -> float:
    """Seconds a write waits for rows of others."""
    written = session.state.variable("innodb_lock_wait_timeout")
    return float(written) if written is not None and written.isdecimal() else DEFAULT_LOCK_WAIT


async def _end(session: Session, database: Database) -> MeshError | ShardError | None:
    # As a COMMIT it is not interrupted: what is committed must be known.
    with session.uninterrupted():
        try:
            return await session.transaction.end_write()
        except (MeshError, ShardError) as error:
            await _learn_from(session, database, error)
            raise await free_after_error(session, error) from error


async def _learn_from(session: Session, database: Database, error: BaseException) -> None:
    if isinstance(error, MeshError) and error.kind is TABLE_CHANGED:
        await session.mesh.reload(database)


def readable(
    session: Session, database: Database, bound: BoundStatement, occasion: Occasion = BASE
) -> BoundStatement:
    """The write in a form whose rows can be told beforehand. Raises MeshError(NOT_SUPPORTED)."""
    if isinstance(bound.answer, DerivedWrite):
        return bound
    try:
        captures = tuple(_capture(session, database, bound, shot, occasion) for shot in bound.shots)
    except MeshError as refusal:
        if refusal.kind is not NOT_SUPPORTED or bound.in_steps is None:
            raise
        try:
            return bound.in_steps()
        except MeshError as another:
            raise refusal from another
    return bound._replace(captures=captures)


def _capture(
    session: Session, database: Database, bound: BoundStatement, shot: Shot, occasion: Occasion
) -> Capture:
    config = database.sources[shot.data_source]
    place = place_of(config)
    if session.transaction.compensates and (place is None or not place.compensates):
        raise not_supported(
            f"{occasion.write} on the data source '{shot.data_source}' of kind {config.kind}",
            occasion.instead,
        )
    sql = shot.sql.decode("utf-8", "surrogateescape")
    return capture(sql, schemas_of(database, bound), session.lexer_flags, occasion)


def schemas_of(database: Database, bound: BoundStatement) -> SchemaOf:
    """The schemas of the actual tables that a statement's shots name."""
    catalog, tables = database.catalog, bound.names.tables
    return lambda name: catalog.table(tables.get(name, name))


def keep_in_branches(session: Session) -> Keep:
    """What a write of a BASE transaction has changed belongs to its branches."""
    branches = {id(branch.connection): branch for branch in session.transaction.branches.values()}
    return lambda connection, changes: branches[id(connection)].changes.append(changes)


@dataclass(slots=True)
class _Shot:
    """One shot of a write, and its rows before."""

    capture: Capture
    before: dict[Row, Row] = field(default_factory=dict)


Keep = Callable[[Connection, TableChanges], None]
"""Told what one write has changed on a connection."""


class Images:
    """The images of what one exchange writes: `before`, then the exchange, then `after`."""

    def __init__(
        self,
        session: Session,
        database: Database,
        bound: BoundStatement,
        lanes: Sequence[Lane],
        keep: Keep,
        occasion: Occasion,
    ) -> None:
        self._keep = keep
        self._occasion = occasion
        self._limit = session.mesh.limits.max_rows
        self._counts_found = bool(session.capabilities & Capability.FOUND_ROWS)
        self._lanes = [
            (
                lane.connection,
                [
                    _Shot(
                        bound.captures[place]
                        if bound.captures
                        else _capture(session, database, bound, shot, occasion)
                    )
                    for place, shot in zip(lane.places, lane.shots, strict=True)
                ],
            )
            for lane in lanes
        ]

    async def before(self, lanes: Sequence[Lane]) -> None:
        """Read and lock the rows that will change. Raises MeshError or ShardError."""
        del lanes
        await all_of(self._before(connection, shots) for connection, shots in self._lanes)

    async def _before(self, connection: Connection, shots: Sequence[_Shot]) -> None:
        asking = [shot for shot in shots if shot.capture.before]
        found = await self._rows(connection, [(one.capture, [one.capture.before]) for one in asking])
        for shot, rows in zip(asking, found, strict=True):
            shot.before = rows

    async def after(self, exchange: Exchange) -> None:
        """Read the rows again, and give both images to the branches they are of. Raises MeshError or ShardError."""
        pairs = zip(self._lanes, exchange.oks(), strict=True)
        await all_of(self._after(connection, shots, oks) for (connection, shots), oks in pairs)

    async def _after(self, connection: Connection, shots: Sequence[_Shot], oks: Sequence[OkPacket]) -> None:
        named = await self._rows(
            connection, [(shot.capture, _named(shot, ok)) for shot, ok in zip(shots, oks, strict=True)]
        )
        rest = await self._rows(
            connection,
            [
                (shot.capture, shot.capture.again([key for key in shot.before if key not in there]))
                for shot, there in zip(shots, named, strict=True)
            ],
        )
        for shot, ok, there, others in zip(shots, oks, named, rest, strict=True):
            taken = shot.capture
            changes = _changes(shot.before, there | others)
            made = sum(change.before is None for change in changes)
            found = Found(len(shot.before), len(changes) - made, made, len(there))
            exactly = self._occasion is BASE
            if not taken.agrees(ok, found, counts_found=self._counts_found, exactly=exactly):
                raise _differs(taken, self._occasion)
            if changes:
                self._keep(connection, TableChanges(taken.table, changes))

    async def _rows(
        self, connection: Connection, asked: Sequence[tuple[Capture, Sequence[str]]]
    ) -> list[dict[Row, Row]]:
        """The rows that each one's queries find, by key. Raises MeshError or ShardError."""
        queries = [query for _, own in asked for query in own]
        results = iter(await _ask(connection, queries) if queries else ())
        found: list[dict[Row, Row]] = []
        for taken, own in asked:
            rows: dict[Row, Row] = {}
            for result in islice(results, len(own)):
                rows.update((taken.table.key_of(tuple(row)), tuple(row)) for row in result.rows)
                if len(rows) > self._limit:
                    raise MeshError(MERGE_LIMIT, limit=f"{self._limit} rows", setting="merge-max-rows")
            found.append(rows)
        return found


def _named(shot: _Shot, ok: OkPacket) -> Sequence[str]:
    query = shot.capture.named(ok.last_insert_id)
    return [query] if query else []


async def _ask(connection: Connection, queries: Sequence[str]) -> list[Result]:
    """The answers of queries, sent together where that is possible: rows are locked meanwhile. Raises MeshError or ShardError."""
    encoded = [query.encode("utf-8", "surrogateescape") for query in queries]
    if len(encoded) == 1 or not isinstance(connection, MySQLConnection):
        return [await collect(connection, query) for query in encoded]
    found: list[Result] = []
    for answer in await collect_all(connection, encoded):
        if isinstance(answer, Exception):
            raise answer
        found.append(answer)
    return found


def _changes(before: dict[Row, Row], after: dict[Row, Row]) -> tuple[Change, ...]:
    """What is not as it was, in the order the rows were found."""
    there = [Change(row, after.get(key)) for key, row in before.items() if after.get(key) != row]
    made = [Change(None, row) for key, row in after.items() if key not in before]
    return (*there, *made)


def _differs(taken: Capture, occasion: Occasion) -> Exception:
    """Rows of a write that finds its rows by WHERE, and assigns what they show, can only differ because others came in between."""
    if taken.outdated:
        return MeshError(TABLE_CHANGED, table=taken.table.name)
    if taken.effect in (Effect.UPDATES, Effect.DELETES):
        return ShardError(*DEADLOCK)
    return not_supported(
        f"{occasion.write} ('{taken.table.name}') whose rows cannot be told from the keys it names",
        f"write the keys as the columns store them, each once, or {occasion.instead}",
    )
