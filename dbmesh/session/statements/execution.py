"""Runs one planned statement of a session and writes its result.

Decides the order: transaction checks, bind, borrow, exchange, bookkeeping, closing packet. The fast path (one shard,
answer relayed) is `relaying`'s; everything else is a coroutine that owns the exchange until it ends.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, NoReturn

from dbmesh.backend.connection import Product
from dbmesh.backend.mysql import MySQLConnection
from dbmesh.backend.state import SessionState
from dbmesh.engine.collect import found_rows
from dbmesh.engine.exchange import Exchange, Outcome, Sink
from dbmesh.engine.lane import Lane
from dbmesh.engine.once import Trial
from dbmesh.engine.prepared import EXACT_READING, Execution, close_statements, prepared_lanes
from dbmesh.engine.warnings import ShardWarning, count_of
from dbmesh.errors import (
    INTERNAL,
    NOT_SUPPORTED,
    PARSE_ERROR,
    ROLLED_BACK_BY_SERVER,
    TABLE_CHANGED,
    MeshError,
    ShardError,
)
from dbmesh.model import SqlValue
from dbmesh.planner.capture import BASE, MOVING
from dbmesh.planner.plan import BoundStatement, Call, RowMerge, ShardPlan, Verb
from dbmesh.planner.scans import Federation, SystemFederation
from dbmesh.planner.session_plan import SessionStatement
from dbmesh.planner.shadow.side import ShadowSide
from dbmesh.planner.steps import DerivedWrite
from dbmesh.rules.keygen.auto_increment import KeysNeeded
from dbmesh.session.answering.definitions import corrected
from dbmesh.session.answering.diagnostics import warnings_of
from dbmesh.session.answering.errors import logic_text
from dbmesh.session.answering.front_sinks import Attempt, count_shown, end_of_rows, front_sink
from dbmesh.session.answering.outcomes import (
    found_none,
    half_done,
    remember,
    session_insert_id,
    skips_all,
    without_deprecations,
)
from dbmesh.session.answering.result_sink import ResultSink
from dbmesh.session.connections import Loan, free_after_error
from dbmesh.session.failover import once_more, reading_again, reads_again, servers_of
from dbmesh.session.filtering import record
from dbmesh.session.mesh import Database
from dbmesh.session.moment import at_one_moment
from dbmesh.session.planning import look_up
from dbmesh.session.relaying import needs_images, query_packet
from dbmesh.session.select_limit import limited, without_limit
from dbmesh.session.side_effects import expose_insert_id, take_over
from dbmesh.session.statement_log import log_shots
from dbmesh.session.statements.compensated import Images, Keep, compensated, keep_in_branches
from dbmesh.session.statements.ddl import run_ddl
from dbmesh.session.statements.derived import RowsInMemory, run_derived, run_part
from dbmesh.session.statements.doubled import doubled, doubles, refuse_altering, traceable
from dbmesh.session.statements.federated import run_federated
from dbmesh.session.statements.own_transaction import DEADLOCK_TRIES, in_own_transaction, repeatable
from dbmesh.session.statements.returned import ReturnedRowImages, returns
from dbmesh.session.statements.system_tables import run_system
from dbmesh.session.tracing import step, trace_of
from dbmesh.wire.constants import Status
from dbmesh.wire.packets import OkPacket

if TYPE_CHECKING:
    from dbmesh.session.session import Session


class _NoParameters(tuple[SqlValue, ...]):
    """What a text statement has in place of values for `?`: whoever wrote one made a mistake."""

    __slots__ = ()

    def __getitem__(self, index: object) -> NoReturn:
        raise MeshError(PARSE_ERROR, near="?", line=1)


_NO_PARAMETERS = _NoParameters()


def make_call(session: Session, database: Database, literals: Sequence[object]) -> Call:
    """What `bind` may look at, for a text statement."""
    return Call(literals, session, _NO_PARAMETERS, False, database.key_generators)


def prepares(database: Database, bound: BoundStatement) -> bool:
    """Whether a statement can be prepared where it runs: it keeps its parameters, and all its data sources can."""
    return bound.keeps_parameters and can_prepare(database, bound)


def can_prepare(database: Database, bound: BoundStatement) -> bool:
    """Whether all data sources of a statement can prepare it."""
    sources = database.sources
    return all(sources[shot.data_source].kind == "mysql" for shot in bound.shots)


async def bind(session: Session, database: Database, plan: ShardPlan, call: Call) -> BoundStatement:
    """`plan.bind`, once there are enough numbers for the rows of an INSERT. Raises MeshError."""
    while True:
        try:
            return plan.bind(call)
        except KeysNeeded as needed:
            keeper = session.mesh.keeper
            if keeper is None:
                raise MeshError(INTERNAL, reason="nobody counts AUTO_INCREMENT") from needed
            await keeper.lease(database, needed)


async def run(
    session: Session,
    database: Database,
    plan: ShardPlan,
    bound: BoundStatement,
    sink: ResultSink,
    *,
    more: bool = False,
    way: Execution | None = None,
    prepared: bool = False,
) -> None:
    """Run a bound statement and write its whole answer to `sink`. `more` tells that another result follows; a statement
    that keeps its parameters is run in this `way`. `prepared`: the client has prepared it, and been told then what is wrong
    with its text. Raises MeshError or ShardError (in logic names)."""
    session.refuse_in_broken_transaction()
    statement = record(session)
    if statement is not None:
        statement.bound(bound)
    if plan.verb is Verb.DDL:
        texts = (shot.sql.decode("utf-8", "surrogateescape") for shot in bound.shots)
        refuse_altering(session, database, plan.tables, texts)
    told: list[ShardWarning] = []
    if plan.implicit_commit:
        view = session.databases
        told = await session.end_transaction(commit=True)
        if session.databases is not view:
            # The transaction has kept former rules alive, and the statement is planned with these.
            raise MeshError(TABLE_CHANGED, table=", ".join(plan.tables) or database.name)
    further = Status.MORE_RESULTS_EXISTS.value if more else 0
    sink.use_names(bound.names)
    sink.use_status(session.status | further)
    if statement is not None:
        sink.limit = statement.limit
    if session.mesh.shows_statements:
        log_shots(session, bound)
    own = session.autocommit and not session.transaction.open
    if plan.verb is Verb.DDL:
        plainly = partial(_merged_or_federated, session, database, plan, bound, sink, way=way)
        outcome = await run_ddl(session, database, plan, bound, sink, plainly)
    elif plan.verb.changes_rows and (not own or _in_parts(session, bound) or doubles(database, plan)):
        run_part = partial(_write, session, database, plan, sink=sink, undo=not own, way=way)
        if doubles(database, plan):
            work = partial(doubled, session, database, bound, run_part, partial(send, session))
        else:
            work = partial(compensated, session, database, plan, bound, run_part)
        if own:
            # An isolation level that was set for the next transaction is used up by the first try.
            repeats = repeatable(session, bound) and session.transaction.isolation is None
            tries = DEADLOCK_TRIES if repeats else 1
            outcome = await in_own_transaction(session, work, tries=tries)
        else:
            outcome = await work()
    else:
        ask = partial(_merged_or_federated, session, database, plan, bound, sink, way=way)
        repeats = plan.repeatable and session.mesh.has_groups
        outcome = await (reading_again(session, database, plan, bound, sink, ask) if repeats else ask())
    if prepared:
        outcome = without_deprecations(outcome)
    outcome.warnings += told
    remember(session, plan, bound, outcome)
    status = session.status | further
    warnings = min(count_of(warnings_of(outcome)), 65535)
    if outcome.row_count is not None:
        sink.end_rows(status, warnings)
    else:
        ok = outcome.ok
        sink.ok(OkPacket(ok.affected_rows, session_insert_id(bound, ok), status, warnings, ok.info))


async def _write(
    session: Session,
    database: Database,
    plan: ShardPlan,
    bound: BoundStatement,
    *,
    sink: ResultSink,
    undo: bool,
    way: Execution | None,
) -> Outcome:
    if isinstance(bound.answer, DerivedWrite):
        part = partial(perform, session, database, settled=True, shadow=bound.shadow)
        ask = partial(fetch, session, database, plan, captures=False)
        return await run_derived(session, plan.verb, bound.answer, part, ask, sink, binary=sink.binary)
    return await _merged_or_federated(session, database, plan, bound, sink, undo=undo, way=way)


async def fetch(
    session: Session,
    database: Database,
    plan: ShardPlan,
    bound: BoundStatement,
    sink: Sink,
    *,
    exact: bool = False,
    undo: bool = True,
    captures: bool = True,
) -> Outcome:
    """Run a bound statement for the session itself: its rows go to `sink`, with `exact` (where data sources can) no number
    rounded, nothing to the client. Unless it `captures`, nobody asks which rows it changes: it explains a write. Raises MeshError or ShardError (in logic names)."""
    # A variable that a prepared statement assigns has another type in it.
    prepared = exact and bound.effects is None and can_prepare(database, bound)
    way = EXACT_READING if prepared else None
    outcome = await _merged_or_federated(
        session, database, plan, bound, sink, undo=undo, way=way, captures=captures
    )
    outcome.exact = way is not None
    return outcome


async def run_relayed(session: Session, database: Database, plan: ShardPlan, bound: BoundStatement) -> bool:
    """Relay after all: borrow, bring to state, join the transaction, then pass the answer on. Returns True: the relay
    ends the command."""
    session.refuse_in_broken_transaction()
    loan = Loan(session)
    try:
        await loan.take(database, plan, bound.shots, bound.answer)
    except (MeshError, ShardError) as error:
        loan.free()
        return await lost_before_it_began(session, database, plan, bound, error)
    except BaseException:
        loan.free()
        raise
    lane = loan.lanes[0]
    if not isinstance(lane.connection, MySQLConnection):
        loan.free()
        raise MeshError(INTERNAL, reason="a data source that cannot be relayed was to be")
    packet = query_packet(lane.shots[0].sql)
    keeps = loan.keeps(lane.connection)
    session.relay.start(lane.connection, packet, bound.names, keeps, plan, bound.gives_id, bound.skips)
    return True


async def lost_before_it_began(
    session: Session,
    database: Database,
    plan: ShardPlan,
    bound: BoundStatement,
    error: MeshError | ShardError,
) -> bool:
    """A statement that was to be relayed could not be sent. Returns True where it is given again; raises MeshError or ShardError
    (in logic names)."""
    told = await settled(session, database, bound, error)
    if not reads_again(session, plan, error, servers_of(session, database, bound)):
        raise told from error
    await once_more(session)
    return True


async def settled(
    session: Session, database: Database, bound: BoundStatement, error: MeshError | ShardError
) -> MeshError | ShardError:
    """What an error does to the session's transaction is done; returns it in logic names."""
    error = await free_after_error(session, error)
    if not isinstance(error, ShardError):
        return error
    return ShardError(error.number, error.sqlstate, _in_logic_names(error.message, database, bound))


def _in_logic_names(text: str, database: Database, bound: BoundStatement) -> str:
    sources = {shot.data_source for shot in bound.shots}
    if isinstance(bound.answer, Federation | SystemFederation):
        sources.add(bound.answer.merge_node)
    for data_source in sources:
        text = logic_text(text, bound.names, database.sources[data_source].database)
    return text


async def perform(
    session: Session,
    database: Database,
    sql: str,
    sink: RowsInMemory,
    *,
    exact: bool = False,
    among_rows: bool = False,
    settled: bool = False,
    shadow: ShadowSide | None = None,
) -> Outcome:
    """Plan and run a part of a larger statement inside its transaction; its rows go to `sink`, with `exact` (where data
    sources can) no number rounded. For `among_rows` and `settled` see `Call`: with `shadow` it is run
    there. What an error leaves behind is the larger statement's to undo. Raises MeshError or
    ShardError (in logic names)."""
    current = session.find_database(database.name) or database
    database, plan, literals = look_up(session, sql, current)
    if isinstance(plan, SessionStatement):
        raise MeshError(INTERNAL, reason="a part of a write is no statement for data sources")
    call = make_call(session, database, literals)
    call.among_rows, call.settled = among_rows, settled
    bound = await bind(session, database, plan, call)
    if shadow is not None:
        bound = shadow.place(bound)
    if session.doubling is not None and plan.verb.changes_rows and doubles(database, plan):
        # What is a step already is not taken apart again.
        bound = traceable(session, database, bound._replace(in_steps=None) if settled else bound)
    sink.use_names(bound.names)
    if isinstance(bound.answer, DerivedWrite):
        part = partial(perform, session, database, settled=True, shadow=bound.shadow)
        ask = partial(fetch, session, database, plan, captures=False)
        return await run_part(session, plan.verb, bound.answer, part, ask, sink)
    outcome = await fetch(session, database, plan, bound, sink, exact=exact, undo=False)
    if outcome.row_count is not None and bound.generated_id is not None:
        outcome.ok = replace(outcome.ok, last_insert_id=bound.generated_id)
    return outcome


async def send(session: Session, database: Database, sql: str) -> Outcome:
    """Run a statement of the mesh's own, planned in this very generation of a logic database. Raises MeshError or ShardError."""
    plan, literals = database.plans.lookup(sql, database.name, session.lexer_flags)
    if isinstance(plan, SessionStatement):
        raise MeshError(INTERNAL, reason="a row is written by no statement for data sources")
    bound = await bind(session, database, plan, make_call(session, database, literals))
    return await fetch(session, database, plan, bound, RowsInMemory(session.mesh.limits), undo=False)


async def _merged_or_federated(
    session: Session,
    database: Database,
    plan: ShardPlan,
    bound: BoundStatement,
    sink: Sink,
    *,
    undo: bool = True,
    way: Execution | None = None,
    captures: bool = True,
) -> Outcome:
    """The merge, or the federation; federation too when the merger finds values it cannot combine exactly, as long as
    the sink has got no rows that could not be taken back."""
    if isinstance(bound.answer, Federation | SystemFederation):
        return await _federated(session, database, plan, bound, sink, way)
    if bound.alternative is None:
        return await _exchange(session, database, plan, bound, sink, undo=undo, way=way, captures=captures)
    attempt = Attempt(sink)
    try:
        return await _exchange(session, database, plan, bound, attempt, undo=undo, way=way, captures=captures)
    except MeshError as refusal:
        if refusal.kind is not NOT_SUPPORTED or not attempt.taken_back():
            raise
        try:
            instead = bound.alternative(refusal)
        except MeshError as another:
            # No merge node can help: what the data source or the merger said is the nearer reason.
            raise refusal from another
        if isinstance(sink, ResultSink | RowsInMemory):
            sink.use_names(instead.names)
        if isinstance(sink, ResultSink) and way is not None and way.binary:
            sink.pass_binary()
        return await _federated(session, database, plan, instead, sink, way)


async def _federated(
    session: Session,
    database: Database,
    plan: ShardPlan,
    bound: BoundStatement,
    sink: Sink,
    way: Execution | None = None,
) -> Outcome:
    try:
        if isinstance(bound.answer, SystemFederation):
            return await run_system(session, database, bound, sink)
        target = front_sink(session, bound, sink)
        with step(session, "federate"):
            outcome = await run_federated(session, database, plan, bound, target, way)
        count_shown(outcome, target)
        return outcome
    except (MeshError, ShardError) as error:
        if isinstance(error, MeshError) and error.kind is TABLE_CHANGED:
            await session.mesh.reload(database)
        found_none(session, plan, error)
        raise await settled(session, database, bound, error) from error


async def _exchange(
    session: Session,
    database: Database,
    plan: ShardPlan,
    bound: BoundStatement,
    sink: Sink,
    *,
    undo: bool = True,
    way: Execution | None = None,
    captures: bool = True,
) -> Outcome:
    exchange: Exchange | None = None
    loan = Loan(session, _state_for(session, plan, bound))
    undoable = False
    target = shown = front_sink(session, bound, sink)
    images: Images | ReturnedRowImages | None = None
    if captures and (returned := _returned_images(session, database, plan, bound)) is not None:
        images, bound = returned, returned.bound
    try:
        answer = limited(bound, plan.verb, session.state)
        await loan.take(database, plan, bound.shots, answer)
        undoable = not plan.reads_only and len(bound.shots) > 1 and bool(session.transaction.branches)
        if undoable and undo:
            await session.transaction.begin_statement()
        target = await corrected(session, database, plan, bound, loan.lanes, way, target)
        lanes = loan.lanes
        if isinstance(images, ReturnedRowImages):
            target = images.split(target)
        if way is not None:
            once = way.gives_text or (plan.verb.changes_rows and bound.parameters == ())
            lanes = await prepared_lanes(lanes, way, bound.parameters, once=once)
        own = None if bound.own is None else bound.own.whole
        trial = None if bound.repeated is None else Trial(bound.repeated, way)
        watch = trace_of(session)
        exchange = Exchange(lanes, answer, target, session.mesh.limits, own=own, trial=trial, watch=watch)
        if bound.effects is not None:
            await expose_insert_id(session, lanes[0].connection, bound.effects)
        if captures and images is None:
            images = _images(session, database, plan, bound, lanes)
        if images is not None:
            await images.before(lanes)
        session.announce(exchange)
        try:
            with step(session, f"exchange {type(answer).__name__}"):
                outcome = await exchange.run()
        finally:
            close_statements(lanes)
            if bound.effects is not None:
                await take_over(session, lanes[0].connection, bound.effects)
        if images is not None:
            await images.after(exchange)
        end_of_rows(target)
        if plan.calculates_found_rows or skips_all(bound, outcome):
            # More than were returned: only the one data source that ran it knows.
            outcome.row_count = await found_rows(lanes[0].connection)
        elif outcome.row_count is not None and outcome.product is not Product.OTHER:
            outcome.row_count += bound.skips or exchange.skipped
        count_shown(outcome, shown)
        outcome.warnings[:] = [
            replace(warning, message=_in_logic_names(warning.message, database, bound))
            for warning in outcome.warnings
        ]
        outcome.gives_id = bound.gives_id
        return outcome
    except (MeshError, ShardError) as error:
        session.announce(None)
        found_none(session, plan, error)
        if exchange is not None and undoable and undo and error.number not in ROLLED_BACK_BY_SERVER:
            await session.transaction.undo_statement()
        loan.free()
        settled_error = await settled(session, database, bound, error)
        if exchange is not None and images is None and not (plan.reads_only or undoable):
            settled_error = half_done(settled_error, plan, exchange.completed())
        raise settled_error from error
    finally:
        session.announce(None)
        loan.free()


def _returned_images(
    session: Session, database: Database, plan: ShardPlan, bound: BoundStatement
) -> ReturnedRowImages | None:
    """The images of a write to a table that moves which returns its rows."""
    if session.doubling is None or session.transaction.writing or not plan.verb.changes_rows:
        return None
    keep = session.doubling.keeper(database, bound.names)
    if keep is None or not returns(session, bound):
        return None
    return ReturnedRowImages(session, database, bound, keep)


def _images(
    session: Session, database: Database, plan: ShardPlan, bound: BoundStatement, lanes: Sequence[Lane]
) -> Images | None:
    """The images of a write that somebody wants to know, once its branches are there."""
    keep = _keeper_of_images(session, database, plan, bound)
    if keep is None:
        return None
    occasion = BASE if session.transaction.writing else MOVING
    return Images(session, database, bound, lanes, keep, occasion)


def _keeper_of_images(
    session: Session, database: Database, plan: ShardPlan, bound: BoundStatement
) -> Keep | None:
    """Who wants to know the rows a statement changes."""
    if not plan.verb.changes_rows:
        return None
    if session.transaction.writing:
        return keep_in_branches(session)
    return session.doubling.keeper(database, bound.names) if session.doubling is not None else None


def _state_for(session: Session, plan: ShardPlan, bound: BoundStatement) -> SessionState:
    """The session's state, its sql_select_limit left to the merge; for a statement that asks several times for the time,
    with its one moment in it."""
    state = without_limit(session.state) if isinstance(bound.answer, RowMerge) else session.state
    return state if len(bound.shots) == 1 or not plan.reads_clock else at_one_moment(state)


def _in_parts(session: Session, bound: BoundStatement) -> bool:
    """Whether a write under autocommit is more than one statement on one data source."""
    if len(bound.shots) > 1 or isinstance(bound.answer, DerivedWrite):
        return True
    return session.transaction.compensator is not None and needs_images(session)
