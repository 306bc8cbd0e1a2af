"""COM_QUERY: one or several text statements."""

from __future__ import annotations

from collections.abc import Awaitable, Sequence
from time import perf_counter
from typing import TYPE_CHECKING

from dbmesh.errors import EMPTY_QUERY, MeshError, ShardError, not_supported
from dbmesh.planner.metadata import preview_rows, preview_text
from dbmesh.planner.plan import Plan
from dbmesh.planner.session_plan import LocalRows
from dbmesh.rules.keygen.auto_increment import KeysNeeded
from dbmesh.session import filtering, relaying
from dbmesh.session.answering.result_sink import ResultSink
from dbmesh.session.authority.masking import reads_masked
from dbmesh.session.mesh import Database
from dbmesh.session.planning import look_up, stale
from dbmesh.session.recoding import recoded
from dbmesh.session.statement_log import log_command, log_shots
from dbmesh.session.statements import execution, local
from dbmesh.sql.lexer import split_statements
from dbmesh.wire.commands import parse_query
from dbmesh.wire.constants import Capability

if TYPE_CHECKING:
    from dbmesh.session.session import Session, Work


_SEMICOLON = ord(";")
_QUERY_ATTRIBUTES = Capability.QUERY_ATTRIBUTES.value


def query(session: Session, payload: bytes, sequence: int) -> Work | None:
    """See the manual, COM_QUERY. Query attributes are read, for traces, and not passed on. A statement is relayed at once where
    that is possible, else run by the returned coroutine."""
    if session.capabilities & _QUERY_ATTRIBUTES:
        # Nearly always there are none: a count of 0 and one set.
        if payload[1:3] == b"\0\1":
            sql = payload[3:]
            session.attributes = ()
        else:
            given = parse_query(payload, session.capabilities)
            sql, session.attributes = given.sql, given.attributes
    else:
        sql = payload[1:]
    if session.lexer_flags.recoded:
        sql = recoded(sql, session.lexer_flags)
    session.command_text = sql
    if session.mesh.shows_statements:
        log_command(session)
    text = sql.decode("utf-8", "surrogateescape")
    if session.multi_statements and _SEMICOLON in sql:
        statements = split_statements(text, session.lexer_flags)
        if len(statements) > 1:
            return _run_several(session, statements, sequence)
        text = statements[0] if statements else ""
    if text[:1] in "pP" and (inner := preview_text(text)) is not None:
        return _preview(session, inner, session.sink(sequence=sequence))
    try:
        database, plan, literals = look_up(session, text)
    except MeshError as error:
        if stale(session, error) is not None:
            return _run_one(session, text, session.sink(sequence=sequence), more=False)
        raise
    mesh = session.mesh
    if mesh.filters:
        waiting = filtering.begin(session, database, plan, text)
        if waiting is not None:
            sink = session.sink(sequence=sequence)
            return _run_planned(session, database, plan, literals, sink, more=False, waiting=waiting)
    elif mesh.observers and session.running is None:
        session.seen = database, plan, text
    if local.answers(plan):
        return local.answer(session, plan, session.sink(sequence=sequence))
    if plan.direct is not None and sequence == 1 and mesh.relays_directly:
        shot = plan.direct.text(literals)
        if shot is not None and relaying.try_relay(session, database, plan, shot, plan.direct.names):
            return None
    try:
        bound = plan.bind(execution.make_call(session, database, literals))
    except KeysNeeded:
        return _run_one(session, text, session.sink(sequence=sequence), more=False)
    if sequence == 1 and relaying.relayable(session, database, plan, bound):
        if session.mesh.shows_statements:
            log_shots(session, bound)
        if relaying.try_relay(
            session, database, plan, bound.shots[0], bound.names, bound.gives_id, bound.skips
        ):
            return None
        return execution.run_relayed(session, database, plan, bound)
    return execution.run(session, database, plan, bound, session.sink(sequence=sequence))


async def _preview(session: Session, text: str, sink: ResultSink) -> None:
    """PREVIEW: what the statement would send where; nothing is sent."""
    if reads_masked(session):
        raise not_supported(
            "PREVIEW for users who read masked columns, since it shows the masks",
            "ask for the right to read the columns as they are",
        )
    database, plan, literals = look_up(session, text)
    if local.answers(plan):
        rows = LocalRows(("data_source_name", "actual_sql"), ())
    else:
        call = execution.make_call(session, database, literals)
        rows = preview_rows(await execution.bind(session, database, plan, call))
    await local.answer(session, rows, sink)


async def _run_one(session: Session, text: str, sink: ResultSink, *, more: bool) -> None:
    """Plan and run one statement, reading the catalog again when a table was not known."""
    try:
        database, plan, literals = look_up(session, text)
    except MeshError as error:
        outdated = stale(session, error)
        if outdated is None:
            raise
        await session.mesh.reload(outdated)
        database, plan, literals = look_up(session, text)
    watched = session.mesh.filters or session.mesh.observers
    waiting = filtering.begin(session, database, plan, text) if watched else None
    await _run_planned(session, database, plan, literals, sink, more=more, waiting=waiting)


async def _run_planned(
    session: Session,
    database: Database,
    plan: Plan,
    literals: Sequence[object],
    sink: ResultSink,
    *,
    more: bool,
    waiting: Awaitable[None] | None,
) -> None:
    if waiting is not None:
        await waiting
    if local.answers(plan):
        await local.answer(session, plan, sink, more=more)
        return
    bound = await execution.bind(session, database, plan, execution.make_call(session, database, literals))
    await execution.run(session, database, plan, bound, sink, more=more)


async def _run_several(session: Session, statements: list[str], sequence: int) -> None:
    """Multi-statements: one answer after another; the first error ends them."""
    sink = session.sink(sequence=sequence)
    for position, text in enumerate(statements):
        try:
            if not text.strip():
                raise MeshError(EMPTY_QUERY)
            await _run_one(session, text, sink, more=position < len(statements) - 1)
            filtering.end(session, answered=True)
            session.arrived = perf_counter()
        except (MeshError, ShardError) as error:
            session.report(error, sink)
            return
