"""Runs a federated statement of a session: its scans on the session's connections, the rest on a merge connection.

Decides which connections: scans run inside the session's transaction, so that its own writes are seen; the merge node's
work runs outside it, on a pool of its own, borrowed last. Whoever holds a merge connection waits for no other, so that two
federated statements never wait for each other.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from dbmesh.backend.connection import Connection, Product
from dbmesh.engine.exchange import Outcome, Sink
from dbmesh.engine.federation import LOAD_STATE, FederatedRun, definition_of, final_state
from dbmesh.engine.prepared import Execution
from dbmesh.engine.warnings import ShardWarning
from dbmesh.errors import INTERNAL, MeshError, ShardError, not_supported
from dbmesh.planner.federation.definition import TableDefinition
from dbmesh.planner.plan import BoundStatement, Names, ShardPlan
from dbmesh.planner.scans import Federation, Scan
from dbmesh.session.answering.errors import logic_error, logic_text
from dbmesh.session.answering.result_sink import rename
from dbmesh.session.connections import Loan
from dbmesh.session.mesh import Database
from dbmesh.session.side_effects import expose_insert_id, take_over
from dbmesh.session.tracing import step, trace_of
from dbmesh.wire.packets import ColumnDefinition

_CANNOT_REOPEN = 1137
"""MySQL reads a common table expression's tables once for each place that names it, and a temporary table only once."""

if TYPE_CHECKING:
    from dbmesh.session.session import Session


async def run_federated(
    session: Session,
    database: Database,
    plan: ShardPlan,
    bound: BoundStatement,
    sink: Sink,
    way: Execution | None = None,
) -> Outcome:
    """Scan, load, run the final statement into `sink`, in the `way` of a prepared statement where it is one. Raises MeshError or ShardError; nothing is left behind."""
    federation = bound.answer
    if not isinstance(federation, Federation):
        raise MeshError(INTERNAL, reason="a statement without federation was to be federated")
    merge_limits = session.mesh.limits
    loan = Loan(session)
    try:
        definitions = await _foreign_definitions(session, database, federation)
        await loan.take(database, plan, bound.shots, federation)
        merge = await _borrow(session, database, federation.merge_node)
        limits = session.mesh.federation_limits
        run = FederatedRun(federation, merge, limits, session.announce, trace_of(session))
        began = session.now()
        try:
            with step(session, "load", merge_node=federation.merge_node, scans=len(federation.scans)):
                await _make_tables(run, merge, federation, definitions)
                await run.load(loan.lanes, merge_limits)
            loan.free()
            if bound.effects is not None:
                await expose_insert_id(session, merge, bound.effects)
            try:
                outcome = await run.finish(session.state, sink, merge_limits, way)
            except ShardError as error:
                if error.number != _CANNOT_REOPEN:
                    raise
                raise not_supported(
                    "a common table expression that is read twice, over rows of several data nodes, on MySQL",
                    "write it as a derived table where it is read",
                ) from error
            finally:
                if bound.effects is not None:
                    await take_over(session, merge, bound.effects)
            if plan.calculates_found_rows or (bound.skips and not outcome.row_count):
                outcome.row_count = await run.found_rows()
            elif outcome.row_count is not None and outcome.product is not Product.OTHER:
                outcome.row_count += bound.skips
            await run.drop_tables()
        finally:
            run.close()
            now = session.now()
            merge.home.release(merge, now)
            counts = session.mesh.federated
            counts.runs += 1
            counts.rows += run.loaded.rows
            counts.size += run.loaded.size
            counts.seconds += now - began
    finally:
        session.announce(None)
        loan.free()
    schema = database.sources[federation.merge_node].database
    outcome.warnings = [
        ShardWarning(warning.level, warning.number, logic_text(warning.message, bound.names, schema))
        for warning in outcome.warnings
    ]
    return outcome


async def describe_federated(
    session: Session, database: Database, prototype: Federation, names: Names
) -> tuple[list[ColumnDefinition], list[ColumnDefinition]]:
    """Definitions of the parameters and columns of a statement only a merge node can prepare: over empty temporary
    tables. Raises MeshError or ShardError."""
    temporary = {scan.table: scan.logic_table for scan in prototype.scans}
    names = Names(names.database, {**names.tables, **temporary})
    definitions = await _foreign_definitions(session, database, prototype)
    merge = await _borrow(session, database, prototype.merge_node)
    run = FederatedRun(prototype, merge, session.mesh.federation_limits, session.announce)
    try:
        await _make_tables(run, merge, prototype, definitions)
        await merge.bring_to(final_state(session.state))
        prepared = await run.prepare_final()
        await run.drop_tables()
        return list(prepared.parameters), [rename(column, names) for column in prepared.columns]
    except ShardError as error:
        raise logic_error(error, names, merge.schema) from error
    finally:
        run.close()
        merge.home.release(merge, session.now())


async def _make_tables(
    run: FederatedRun, merge: Connection, federation: Federation, definitions: dict[str, TableDefinition]
) -> None:
    for scan in federation.scans:
        if scan.table not in definitions:
            definitions[scan.table] = await definition_of(merge, scan)
    await run.prepare([definitions[scan.table] for scan in federation.scans])


async def _foreign_definitions(
    session: Session, database: Database, federation: Federation
) -> dict[str, TableDefinition]:
    """Definitions of tables that the merge connection does not see, read before anything is held: temporary table →
    definition."""
    found: dict[str, TableDefinition] = {}
    by_source: dict[str, list[Scan]] = {}
    for scan in federation.scans:
        own = None if session.temporary is None else session.temporary.definition(database, scan.node)
        if own is not None:
            found[scan.table] = own
        elif scan.node.data_source != federation.merge_node:
            by_source.setdefault(scan.node.data_source, []).append(scan)
    for source, scans in by_source.items():
        connection = await _borrow(session, database, source)
        try:
            for scan in scans:
                found[scan.table] = await definition_of(connection, scan)
        finally:
            connection.home.release(connection, session.now())
    return found


async def _borrow(session: Session, database: Database, data_source: str) -> Connection:
    """A merge connection in the state for loading."""
    connection = await database.merge_pools[data_source].acquire(session.flavour)
    try:
        if connection.state != LOAD_STATE:
            await connection.bring_to(LOAD_STATE)
    except BaseException:
        connection.home.release(connection, session.now())
        raise
    return connection
