"""COM_STMT_EXECUTE: run a prepared statement with bound values.

A statement of one shard is prepared on the shard's connection and executed there, its binary rows relayed. Any other
has its values written into the SQL, runs as text, and its rows are turned into binary ones on the way to the client.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from dbmesh.backend.mysql import MySQLConnection
from dbmesh.errors import INTERNAL, PACKET_TOO_LARGE, UNKNOWN_STATEMENT, MeshError, ShardError, not_supported
from dbmesh.planner.plan import BoundStatement, Call, PinReason, ShardPlan, Verb
from dbmesh.session import execution, local
from dbmesh.session.connections import Loan, source_key
from dbmesh.session.mesh import Database
from dbmesh.session.planning import look_up
from dbmesh.session.prepared import Cursor, PreparedStatement
from dbmesh.session.statement_log import log_command, log_shots
from dbmesh.wire.commands import Execute, forward_execute, parse_execute
from dbmesh.wire.constants import CursorFlag
from dbmesh.wire.framing import frame

if TYPE_CHECKING:
    from dbmesh.session.session import Session, Work

_READ_ONLY = CursorFlag.READ_ONLY.value


def stmt_execute(session: Session, payload: bytes, sequence: int) -> Work | None:
    """See the manual, COM_STMT_EXECUTE."""
    statement_id = int.from_bytes(payload[1:5], "little")
    prepared = session.statements.get(statement_id)
    if prepared is None:
        raise MeshError(UNKNOWN_STATEMENT, id=statement_id, command="mysqld_stmt_execute")
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
        session.encoding,
    )
    prepared.parameter_types = execute.types
    long_data_sent = bool(prepared.long_data)
    if long_data_sent:
        prepared.long_data.clear()
    if prepared.cursor is not None:
        session.close_cursor(prepared)
    database = session.current_database
    plan, literals = look_up(session, database, prepared.text)
    if local.answers(plan):
        if prepared.parameter_count:
            raise not_supported("parameters in this statement", "write the values into its text")
        return local.answer(session, plan, session.sink(sequence=sequence, binary=True))
    native = sequence == 1 and not long_data_sent
    call = Call(literals, session, execute.values, native, database.key_generators)
    bound = plan.bind(call)
    if not (bound.keeps_parameters and execution.relayable(session, database, plan, bound)):
        if bound.keeps_parameters:
            call.keep_parameters = False
            bound = plan.bind(call)
        return execution.run(session, database, plan, bound, session.sink(sequence=sequence, binary=True))
    if session.mesh.shows_statements:
        log_shots(session, bound)
    if _opens_cursor(execute, plan):
        return _execute_on_shard(session, database, plan, bound, payload, execute, prepared)
    shot = bound.shots[0]
    connection, pinned = execution.free_connection(session, database, plan, shot.data_source)
    if connection is not None:
        on_shard = connection.prepared.get(shot.sql)
        if on_shard is not None:
            packet = frame(forward_execute(payload, execute, on_shard.statement_id), 0)
            session.relay.start(connection, packet, bound.names, pinned=pinned)
            return None
        if not pinned:
            connection.home.release(connection, session.now())
    return _execute_on_shard(session, database, plan, bound, payload, execute, prepared)


async def _execute_on_shard(
    session: Session,
    database: Database,
    plan: ShardPlan,
    bound: BoundStatement,
    payload: bytes,
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
        raise await execution.settled(session, database, bound, error) from error
    except BaseException:
        loan.free()
        raise
    if _opens_cursor(execute, plan):
        # The cursor's alone: whoever executed it again, in another statement of the same text, would replace its rows.
        connection.prepared.pop(bound.shots[0].sql, None)
        key = source_key(database, bound.shots[0].data_source)
        prepared.cursor = Cursor(connection, on_shard.statement_id, key)
        session.pins.setdefault(key, (connection, PinReason.CURSOR))
    packet = frame(forward_execute(payload, execute, on_shard.statement_id), 0)
    session.relay.start(connection, packet, bound.names, pinned=loan.keeps(connection))
    return True


def _opens_cursor(execute: Execute, plan: ShardPlan) -> bool:
    """Whether the data source will hold a cursor. Writes have none, whatever the client asks for: servers ignore the
    flag, and nothing needs to be pinned for it."""
    writes = plan.verb in (Verb.INSERT, Verb.REPLACE, Verb.UPDATE, Verb.DELETE)
    return bool(execute.cursor_flags & _READ_ONLY) and not writes
