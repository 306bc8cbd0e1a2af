"""DDL of a session: recorded before it begins, so that one that stops half-way is seen and can be finished.

Decides the order: record, shots, rules, catalog. What is recorded and where is the keeper's business (`session.mesh`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from dbmesh.backend.state import SessionState
from dbmesh.engine.catalog import touched_by
from dbmesh.engine.collect import collect
from dbmesh.engine.exchange import Exchange, Outcome
from dbmesh.engine.federation import LOAD_STATE
from dbmesh.engine.warnings import ShardWarning, of_definition
from dbmesh.errors import NOT_SUPPORTED, MeshError, ShardError, not_supported
from dbmesh.merge.counts import with_warnings
from dbmesh.planner.plan import BoundStatement, CountMerge, Relay, ShardPlan, Shot, TableReports
from dbmesh.planner.text_plan import MadeWhole, TextPlan
from dbmesh.rules.ruleset import NO_CHANGE
from dbmesh.session.answering.errors import logic_text
from dbmesh.session.answering.result_sink import ResultSink
from dbmesh.session.connections import Loan
from dbmesh.session.mesh import Database, DdlStatement, RuleKeeper
from dbmesh.session.statements.system_tables import Reading
from dbmesh.session.temporary import TemporaryTables

if TYPE_CHECKING:
    from dbmesh.session.session import Session

_GUARDED_ALREADY = frozenset((1826, 3822))
"""A constraint of that name is there: an earlier attempt was cut off (MariaDB, MySQL)."""
_HAS_ROWS = frozenset((4025, 3819))
"""Rows that a new constraint would not allow (MariaDB, MySQL)."""


async def run_ddl(
    session: Session,
    database: Database,
    plan: ShardPlan,
    bound: BoundStatement,
    sink: ResultSink,
    plainly: Callable[[], Awaitable[Outcome]],
) -> Outcome:
    """Run a DDL statement, `plainly` where nobody else need know of it, and read the catalog again. Raises MeshError or
    ShardError."""
    keeper = session.mesh.keeper
    try:
        if keeper is not None and isinstance(plan, TextPlan) and _is_recorded(plan, bound):
            outcome = await _run_recorded(session, database, keeper, plan, bound, sink)
        else:
            outcome = _told_once(await plainly())
    except (ShardError, asyncio.CancelledError):
        # DROP of several drops those that are there, and what is cut off may have been done.
        with session.uninterrupted():
            await session.mesh.reload(database, _touched(session, plan, bound))
        raise
    touched = _touched(session, plan, bound)
    with session.uninterrupted():
        if isinstance(plan, TextPlan):
            await _remember_temporary(session, database, plan, touched)
        await session.mesh.reload(database, touched)
    return outcome


def _touched(session: Session, plan: ShardPlan, bound: BoundStatement) -> frozenset[str] | None:
    """What has to be read again, None for all there is: the texts of its shots name every table that a statement changes,
    where they are all it does and can be read as UTF-8."""
    whole = bound.shots and isinstance(bound.answer, Relay | CountMerge | TableReports)
    if session.lexer_flags.encoding is not None or not whole or bound.alternative is not None:
        return None
    if isinstance(plan, TextPlan) and plan.whole is not None:
        return None
    return touched_by(shot.sql.decode("utf-8", "surrogateescape") for shot in bound.shots)


async def _remember_temporary(
    session: Session, database: Database, plan: TextPlan, touched: frozenset[str] | None
) -> None:
    """Which temporary tables the session has after a statement, and what those it `touched` (None: all) are like. Raises
    ShardError or MeshError."""
    if plan.makes_temporary is not None:
        session.temporary = session.temporary or TemporaryTables()
        session.temporary.add(database, plan.makes_temporary)
    if session.temporary is None:
        return
    session.temporary.remove(database, plan.drops)
    for source in {shot.data_source for shot in plan.shots}:
        pinned = session.pins.get(database.connection_key(source))
        if pinned is not None and session.temporary.on(database, source):
            await session.temporary.read(database, source, pinned[0], touched)


def _is_recorded(plan: TextPlan, bound: BoundStatement) -> bool:
    """Whether a statement could be left half done, changes rules or what other processes know, or has something to tell
    of them. CHECK TABLE and its like define nothing."""
    if isinstance(bound.answer, TableReports):
        return False
    changes = plan.change != NO_CHANGE or bool(plan.warnings)
    return len(bound.shots) > 1 or plan.announced or changes


async def _run_recorded(
    session: Session,
    database: Database,
    keeper: RuleKeeper,
    plan: TextPlan,
    bound: BoundStatement,
    sink: ResultSink,
) -> Outcome:
    """Run a DDL statement on every node and change the rules accordingly. Raises MeshError or ShardError that tells
    which nodes had done their part."""
    text = session.command_text.decode("utf-8", "surrogateescape")
    statement = DdlStatement(database.name, text, bound.shots, plan.change)
    if plan.whole is not None:
        await _make_whole(session, database, plan, plan.whole)
    record = await keeper.begin(statement)
    loan = Loan(session)
    exchange: Exchange | None = None
    try:
        await loan.take(database, plan, bound.shots, bound.answer)
        exchange = Exchange(loan.lanes, bound.answer, sink, session.mesh.limits)
        session.announce(exchange)
        outcome = await exchange.run()
    except BaseException as error:
        done = exchange.completed_shots() if exchange is not None else ()
        # A connection that was lost says nothing about what its server did, nor does one whose client was.
        certain = exchange is None or isinstance(error, ShardError)
        kept = await _kept(keeper, record, done, certain=certain)
        if not isinstance(error, (MeshError, ShardError)):
            raise
        if kept:
            session.given = None
        raise _told(
            error, database, bound, [shot.data_source for shot in done], record if kept else None
        ) from error
    finally:
        session.announce(None)
        loan.free()
    try:
        with session.uninterrupted():
            await keeper.finish(record)
    except MeshError as error:
        # It is done, and only who looks at the data sources knows.
        session.given = None
        everywhere = [shot.data_source for shot in bound.shots]
        raise _told(error, database, bound, everywhere, record) from error
    outcome.warnings = [
        replace(warning, message=_logic_text(warning.message, database, bound))
        for warning in outcome.warnings
    ]
    outcome = _told_once(outcome)
    outcome.warnings += [ShardWarning("Warning", NOT_SUPPORTED.number, text) for text in plan.warnings]
    return outcome


def _told_once(outcome: Outcome) -> Outcome:
    """What every data node tells in logic names one server tells once."""
    kept = of_definition(outcome.warnings)
    count = outcome.ok.warnings - (len(outcome.warnings) - len(kept))
    ok = replace(outcome.ok, warnings=count, info=with_warnings(outcome.ok.info, count))
    return replace(outcome, ok=ok, warnings=kept)


async def _kept(keeper: RuleKeeper, record: str, done: Sequence[Shot], *, certain: bool) -> bool:
    """Whether a statement that was stopped has to be finished."""
    try:
        return await keeper.stopped(record, done, certain=certain)
    except MeshError:
        # What was written when it began is there still.
        return True


async def _make_whole(session: Session, database: Database, plan: TextPlan, whole: MadeWhole) -> None:
    """Bring every node of a table to where it can become one: the first with what the client asked for, the others empty.
    Raises MeshError or ShardError, and the table is as it was."""
    guarded: list[Shot] = []
    try:
        for guard, undo in zip(whole.guards, whole.undo, strict=True):
            try:
                await _run_one(session, database, plan, guard, LOAD_STATE)
            except ShardError as error:
                if error.number not in _GUARDED_ALREADY:
                    raise
            guarded.append(undo)
        await _run_one(session, database, plan, whole.written, session.state)
    except BaseException as error:
        # Also when it is killed between two of them: nobody could write rows where a constraint stays.
        with session.uninterrupted():
            for undo in guarded:
                await _run_one(session, database, plan, undo, LOAD_STATE)
        if isinstance(error, ShardError) and error.number in _HAS_ROWS:
            raise not_supported(
                f"this change of '{whole.table}', which has rows on several data nodes: {whole.why}",
                "make a table with that key and copy the rows",
            ) from error
        raise


async def _run_one(
    session: Session, database: Database, plan: TextPlan, shot: Shot, state: SessionState
) -> None:
    loan = Loan(session, state)
    try:
        await loan.take(database, plan, (shot,), Relay())
        connection = loan.lanes[0].connection
        # Killed where it runs: who only stops waiting does not know whether it is done.
        session.announce(Reading(connection))
        await collect(connection, shot.sql)
    finally:
        session.announce(None)
        loan.free()


def _told(
    error: MeshError | ShardError,
    database: Database,
    bound: BoundStatement,
    done: list[str],
    record: str | None,
) -> MeshError | ShardError:
    """The error in logic names; of a half-done statement, with what was done and how to go on."""
    text = str(error)
    if isinstance(error, ShardError):
        text = _logic_text(text, database, bound)
    elif record is None:
        return error
    if record is not None:
        already = f"already done on {', '.join(done)}; " if done else ""
        text = f"{text} (dbmesh: {already}finish it with: dbmesh ddl resume {record})"
    return ShardError(error.number, error.sqlstate, text)


def _logic_text(text: str, database: Database, bound: BoundStatement) -> str:
    for data_source in {shot.data_source for shot in bound.shots}:
        text = logic_text(text, bound.names, database.sources[data_source].database)
    return text
