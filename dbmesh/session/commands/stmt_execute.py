"""COM_STMT_EXECUTE: run a prepared statement with bound values.

A statement of one shard is prepared on the shard's connection and executed there, its binary rows relayed. One of
several shards is prepared and executed on each, a federated one on the merge node: in the text protocol FLOAT and many a
DOUBLE are rounded, and a value written into SQL may be of another type. Rows of an INSERT that go to several places, and data
sources that cannot prepare, get the values written in all the same. Where a client asks for a cursor, one data source keeps
its own; what several answer, the mesh keeps.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from dbmesh.backend.connection import Product
from dbmesh.backend.mysql import MySQLConnection
from dbmesh.engine.prepared import EXACT_READING, BinaryExecution, Execution
from dbmesh.errors import CURSOR_INTO, INTERNAL, PACKET_TOO_LARGE, MeshError, ShardError
from dbmesh.planner.plan import (
    BoundStatement,
    Call,
    CountMerge,
    Names,
    PinReason,
    Plan,
    Relay,
    ReturnedRows,
    RowMerge,
    ShardPlan,
)
from dbmesh.planner.scans import Federation
from dbmesh.planner.session_plan import CallProcedure, LocalRows, SelectInto, SessionStatement
from dbmesh.rules.keygen.auto_increment import KeysNeeded
from dbmesh.session import filtering, relaying
from dbmesh.session.answering.cursor_sink import CursorSink
from dbmesh.session.answering.cursors import close_cursor
from dbmesh.session.answering.result_sink import ResultSink
from dbmesh.session.connections import Loan
from dbmesh.session.mesh import Database
from dbmesh.session.planning import look_up, with_values
from dbmesh.session.prepared import Cursor, PreparedStatement
from dbmesh.session.recoding import recoded_execute
from dbmesh.session.statement_log import log_command, log_shots
from dbmesh.session.statements import execution, local, routines
from dbmesh.session.statements.doubled import doubles
from dbmesh.session.statements.returned import returns
from dbmesh.wire.commands import Execute, forward_execute, make_execute, parse_execute, parse_statement_id
from dbmesh.wire.constants import Capability, CursorFlag
from dbmesh.wire.framing import frame

if TYPE_CHECKING:
    from dbmesh.session.session import Session, Work

_ROWS_AS_THEY_ARE = Relay | RowMerge | CountMerge | ReturnedRows | Federation
"""Answers whose rows may come in binary form."""

_READ_ONLY = CursorFlag.READ_ONLY.value
_QUERY_ATTRIBUTES = Capability.QUERY_ATTRIBUTES.value


def stmt_execute(session: Session, payload: bytes, sequence: int) -> Work | None:
    """See the manual, COM_STMT_EXECUTE."""
    statement_id = parse_statement_id(payload)
    prepared = session.statements.get(statement_id)
    if prepared is None:
        prepared = session.statements.find(statement_id, "mysqld_stmt_execute")
    session.command_text = prepared.sql
    if session.mesh.shows_statements:
        log_command(session)
    if prepared.long_data_too_large:
        prepared.long_data_too_large = False
        prepared.long_data.clear()
        raise MeshError(PACKET_TOO_LARGE)
    execute = parse_execute(
        payload,
        prepared.parameter_count,
        prepared.parameter_types,
        session.capabilities,
        prepared.long_data,
        session.encoding(),
    )
    prepared.parameter_types = execute.types
    if session.capabilities & _QUERY_ATTRIBUTES:
        session.attributes = execute.attributes
    if session.lexer_flags.recoded and execute.values:
        execute = recoded_execute(payload, execute, session.lexer_flags)
    native = sequence == 1
    if prepared.long_data:
        prepared.long_data.clear()
        session.given = None
        native = False
    if prepared.cursor is not None:
        close_cursor(session, prepared)
    database, plan, literals = look_up(session, prepared.text)
    mesh = session.mesh
    if mesh.filters:
        waiting = filtering.begin(session, database, plan, prepared.text)
        if waiting is not None:
            return _run_after(waiting, session, database, plan, literals, prepared, execute, sequence)
    elif mesh.observers and session.running is None:
        session.seen = database, plan, prepared.text
    if local.answers(plan):
        return _answer_locally(session, plan, prepared, execute, sequence)
    opens_cursor = execute.cursor_flags != 0 and _opens_cursor(execute, plan)
    if native and plan.direct is not None and mesh.relays_directly and not opens_cursor:
        found = plan.direct.prepared(literals, execute.values)
        if found is not None and _try_relay(session, database, plan, found, plan.direct.names, execute):
            return None
    make_sink = partial(_sink, session, prepared if opens_cursor else None, sequence)
    keeps = native and not _has_images(session, database, plan)
    call = Call(literals, session, execute.values, keeps, database.key_generators)
    try:
        bound = plan.bind(call)
    except KeysNeeded:
        return _run_numbered(session, database, plan, call, execute, make_sink)
    written_in = bound.parameters is not None and len(bound.shots) == 1
    if written_in or not (bound.keeps_parameters and relaying.relayable(session, database, plan, bound)):
        return _run(session, database, plan, bound, call, execute, make_sink)
    if session.mesh.shows_statements:
        log_shots(session, bound)
    shot = bound.shots[0]
    if not opens_cursor and _try_relay(
        session, database, plan, shot, bound.names, execute, bound.gives_id, bound.skips
    ):
        return None
    return _execute_on_shard(session, database, plan, bound, execute, prepared)


def _answer_locally(
    session: Session, plan: SessionStatement, prepared: PreparedStatement, execute: Execute, sequence: int
) -> Work:
    if isinstance(plan, CallProcedure):
        session.refuse_in_broken_transaction()
        return routines.call(session, plan, session.sink(sequence=sequence), 0, _way(session, execute))
    if prepared.parameter_count:
        _, found, _ = look_up(session, with_values(session, prepared.text, execute.values))
        if not local.answers(found):
            raise MeshError(INTERNAL, reason="a parameter changed the kind of a statement")
        plan = found
    if isinstance(plan, SelectInto) and execute.cursor_flags & _READ_ONLY:
        raise MeshError(CURSOR_INTO)
    opens_cursor = isinstance(plan, LocalRows) and execute.cursor_flags & _READ_ONLY != 0
    return local.answer(session, plan, _sink(session, prepared if opens_cursor else None, sequence))


async def _run_after(
    waiting: Awaitable[None],
    session: Session,
    database: Database,
    plan: Plan,
    literals: Sequence[object],
    prepared: PreparedStatement,
    execute: Execute,
    sequence: int,
) -> None:
    """A statement that a filter lets wait. Its rows are not relayed, and the mesh keeps those of a cursor."""
    await waiting
    if local.answers(plan):
        await _answer_locally(session, plan, prepared, execute, sequence)
        return
    keeps = not _has_images(session, database, plan)
    call = Call(literals, session, execute.values, keeps, database.key_generators)
    cursor_of = prepared if _opens_cursor(execute, plan) else None
    make_sink = partial(_sink, session, cursor_of, sequence)
    await _run_numbered(session, database, plan, call, execute, make_sink)


def _sink(
    session: Session, cursor_of: PreparedStatement | None, sequence: int, *, text: bool = True
) -> ResultSink:
    """Where the answer goes: to the client, or into the cursor of a statement. `text` tells that its rows are text ones."""
    if cursor_of is None:
        return session.sink(sequence=sequence, binary=text)
    sink = CursorSink(
        session.client,
        session.capabilities,
        cursor_of,
        session.mesh.limits,
        sequence=sequence,
        binary=text,
        as_mariadb=session.mesh.product is Product.MARIADB,
    )
    session.use_sink(sink)
    return sink


async def _run_numbered(
    session: Session,
    database: Database,
    plan: ShardPlan,
    call: Call,
    execute: Execute,
    make_sink: Callable[..., ResultSink],
) -> None:
    """An INSERT whose rows need more numbers than there are at hand."""
    bound = await execution.bind(session, database, plan, call)
    await _run(session, database, plan, bound, call, execute, make_sink)


async def _run(
    session: Session,
    database: Database,
    plan: ShardPlan,
    bound: BoundStatement,
    call: Call,
    execute: Execute,
    make_sink: Callable[..., ResultSink],
) -> None:
    """Run what is not relayed: executed where it is prepared, if it can be, without a cursor there."""
    if isinstance(bound.answer, _ROWS_AS_THEY_ARE) and execution.prepares(database, bound):
        # A merge that looks into rows gives text ones.
        exact = bound.written_in
        text = exact or (isinstance(bound.answer, RowMerge) and bound.answer.reads_rows)
        way: Execution = EXACT_READING if exact else _way(session, execute)
        await execution.run(session, database, plan, bound, make_sink(text=text), way=way)
        return
    if bound.keeps_parameters:
        call.keep_parameters = False
        bound = plan.bind(call)
    # A write whose values are in its text may return rows all the same.
    reads = plan.verb.changes_rows and returns(session, bound) and execution.can_prepare(database, bound)
    await execution.run(
        session, database, plan, bound, make_sink(), way=EXACT_READING if reads else None, prepared=True
    )


def _has_images(session: Session, database: Database, plan: ShardPlan) -> bool:
    """Whether a statement is written in text because its rows are read before and after: queries of them take other parameters."""
    return plan.verb.changes_rows and (session.transaction.compensator is not None or doubles(database, plan))


def _way(session: Session, execute: Execute) -> BinaryExecution:
    """How a statement is executed that is prepared somewhere else than a relay would."""
    own, encoding = replace(execute, cursor_flags=0), session.lexer_flags.encoding or "utf-8"

    def make(statement_id: int, parameters: Sequence[int] | None) -> bytes:
        if parameters is None or list(parameters) == list(range(len(own.values))):
            return forward_execute(own, statement_id)
        return make_execute(statement_id, [own.values[index] for index in parameters], encoding=encoding)

    return BinaryExecution(make)


def _try_relay(
    session: Session,
    database: Database,
    plan: ShardPlan,
    shot: tuple[str, bytes],
    names: Names,
    execute: Execute,
    gives_id: bool = False,
    skips: int = 0,
) -> bool:
    """Start relaying on a connection that is free right now and has the statement prepared. False when there is none.
    O(1)."""
    data_source, sql = shot
    connection, pinned = relaying.free_connection(session, database, plan, data_source)
    if connection is None:
        return False
    on_shard = connection.find_prepared(sql)
    if on_shard is None:
        if not pinned:
            connection.home.release(connection, session.now())
        return False
    packet = frame(forward_execute(execute, on_shard.statement_id), 0)
    session.relay.start(connection, packet, names, pinned, plan, gives_id, skips)
    return True


async def _execute_on_shard(
    session: Session,
    database: Database,
    plan: ShardPlan,
    bound: BoundStatement,
    execute: Execute,
    prepared: PreparedStatement,
) -> bool:
    """Prepare on the shard's connection if it is not yet, then relay. A cursor keeps the connection. Returns True: the
    relay ends the command."""
    session.refuse_in_broken_transaction()
    loan = Loan(session)
    try:
        await loan.take(database, plan, bound.shots, bound.answer)
        connection = loan.lanes[0].connection
        if not isinstance(connection, MySQLConnection):
            raise MeshError(INTERNAL, reason="a data source that cannot prepare was asked to")
        on_shard = await connection.prepare(bound.shots[0].sql)
    except (MeshError, ShardError) as error:
        loan.free()
        return await execution.lost_before_it_began(session, database, plan, bound, error)
    except BaseException:
        loan.free()
        raise
    if _opens_cursor(execute, plan):
        # The cursor's alone: whoever executed it again, in another statement of the same text, would replace its rows.
        connection.prepared.pop(bound.shots[0].sql, None)
        key = _cursor_key(database, bound.shots[0].data_source, connection, prepared)
        prepared.cursor = Cursor(connection, on_shard.statement_id, key)
        session.pins.setdefault(key, (connection, PinReason.CURSOR))
    packet = frame(forward_execute(execute, on_shard.statement_id), 0)
    keeps = loan.keeps(connection)
    session.relay.start(connection, packet, bound.names, keeps, plan, bound.gives_id, bound.skips)
    return True


def _cursor_key(
    database: Database, data_source: str, connection: MySQLConnection, prepared: PreparedStatement
) -> str:
    """What a cursor's connection is kept under. All statements of the session run on what it keeps under a data source's own key, but a
    replica takes no writes and need not have what others were given: it keeps the cursor alone."""
    key = database.connection_key(data_source)
    if connection.home is database.pools[data_source]:
        return key
    return f"{key} (cursor {prepared.statement_id})"


def _opens_cursor(execute: Execute, plan: ShardPlan) -> bool:
    """Whether there will be a cursor. Writes have none, whatever the client asks for: servers ignore the flag, and nothing
    needs to be pinned for it."""
    if not execute.cursor_flags & _READ_ONLY:
        return False
    return not plan.verb.changes_rows
