"""Statements the session answers by itself: transactions, USE, SET, KILL, text PREPARE, the mesh's own tables.

Decides what each does to the session. Statements that reach shards are `session.statements.execution`'s.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from typing_extensions import TypeIs

from dbmesh.backend.connection import Product
from dbmesh.engine.prepared import TextExecution
from dbmesh.engine.warnings import ShardWarning
from dbmesh.errors import (
    DATABASE_ABSENT,
    DATABASE_EXISTS,
    EMPTY_QUERY,
    INTERNAL,
    SAVEPOINT_UNKNOWN,
    UNKNOWN_DATABASE,
    UNKNOWN_STATEMENT,
    WRONG_ARGUMENTS,
    XA_WRONG_STATE,
    MeshError,
    ShardError,
    not_supported,
)
from dbmesh.model import SqlValue
from dbmesh.planner.one_server import INFORMATION_SCHEMA
from dbmesh.planner.plan import Call, Plan, Verb
from dbmesh.planner.resolve import SYSTEM_SCHEMAS
from dbmesh.planner.session_plan import (
    Begin,
    CallProcedure,
    ChangeAccounts,
    Commit,
    CreateDatabase,
    CreateRoutine,
    Do,
    DropDatabase,
    DropRoutine,
    Flush,
    GetDiagnostics,
    Kill,
    LoadData,
    LocalRows,
    Nothing,
    OuterXa,
    Rollback,
    Savepoint,
    SelectInto,
    SessionStatement,
    SetForStatement,
    SetRole,
    SetVariables,
    ShowCreate,
    ShowCreateUser,
    ShowGrants,
    ShowMesh,
    ShowMeshProcesses,
    ShowProcessList,
    ShowReplicas,
    ShowRules,
    ShowSessions,
    ShowWarnings,
    SwitchMember,
    TextDeallocate,
    TextExecute,
    TextPrepare,
    Use,
)
from dbmesh.planner.template import quote_name
from dbmesh.session import filtering
from dbmesh.session.answering.diagnostics import remember_warnings
from dbmesh.session.answering.result_sink import ResultSink, system_column, text_column
from dbmesh.session.answering.session_track import schema_changed
from dbmesh.session.authority import accounts
from dbmesh.session.authority.rights import require_administrator, require_sight
from dbmesh.session.authority.visible import visible_names
from dbmesh.session.connections import Loan
from dbmesh.session.mesh import Database, RuleKeeper
from dbmesh.session.peers import kill_anywhere
from dbmesh.session.planning import count_parameters, look_up, with_texts, with_values
from dbmesh.session.prepared import PreparedStatement
from dbmesh.session.statements import administration, distsql, execution, routines
from dbmesh.session.statements.beginning import begin_hinted
from dbmesh.session.statements.describing import check_variables, describe_plan, is_found_out_later
from dbmesh.session.statements.diagnostics_items import get_diagnostics
from dbmesh.session.statements.load_data import load_data
from dbmesh.session.statements.outer_xa import outer_xa
from dbmesh.session.statements.overviews import (
    own_rows,
    process_columns,
    show_mesh_processes,
    show_process_list,
    show_replicas,
    show_sessions,
)
from dbmesh.session.statements.select_into import select_into
from dbmesh.session.statements.shown_warnings import show_warnings, warning_columns
from dbmesh.session.statements.variables import (
    operands_for_statement,
    set_variables,
    variables_for_statement,
)
from dbmesh.sql.user_values import value_of
from dbmesh.wire.constants import Status
from dbmesh.wire.packets import ColumnDefinition, OkPacket

if TYPE_CHECKING:
    from dbmesh.session.session import Session


def answers(plan: Plan) -> TypeIs[SessionStatement]:
    """Whether the session answers this plan by itself."""
    return type(plan) in _HANDLERS


async def answer(
    session: Session, statement: SessionStatement, sink: ResultSink, *, more: bool = False
) -> None:
    """Perform a session statement and write its answer. Raises MeshError or ShardError."""
    handler = _HANDLERS[type(statement)]
    if not isinstance(statement, (ShowWarnings, GetDiagnostics, Rollback, Commit, OuterXa)):
        session.refuse_in_broken_transaction()
    await handler(session, statement, sink, Status.MORE_RESULTS_EXISTS.value if more else 0)


def use(session: Session, name: str) -> None:
    """Make a logic database or a system schema the current one. Raises MeshError: UNKNOWN_DATABASE, and DATABASE_DENIED whether or not
    there is one where the account may not see it: what one may not use, one need not know of."""
    if name.lower() in SYSTEM_SCHEMAS:
        if name.lower() != INFORMATION_SCHEMA:
            require_administrator(session, name.lower())
        session.database = name.lower()
        return
    database = session.find_database(name)
    require_sight(session, name)
    if database is None:
        raise MeshError(UNKNOWN_DATABASE, database=name)
    session.database = database.name


def _ok(
    session: Session,
    sink: ResultSink,
    more: int,
    session_state: bytes = b"",
    *,
    info: bytes = b"",
    warnings: list[ShardWarning] | None = None,
) -> None:
    """The end of a statement that uses no table."""
    told = warnings or []
    remember_warnings(session, told)
    status = session.status | more
    sink.ok(OkPacket(status=status, warnings=len(told), info=info, session_state=session_state))


async def _begin(session: Session, statement: Begin, sink: ResultSink, more: int) -> None:
    isolation = session.transaction.isolation
    told = await session.end_transaction(commit=True)
    begin_hinted(session, statement.characteristics)
    session.transaction.isolation = isolation
    if "SNAPSHOT" in statement.characteristics.upper():
        if session.transaction.compensates:
            await session.end_transaction(commit=False)
            raise not_supported(
                "WITH CONSISTENT SNAPSHOT in a BASE transaction, whose reads are each for themselves",
                "add READ ONLY, or use type XA",
            )
        await _open_snapshot(session)
    _ok(session, sink, more, warnings=told)


async def _open_snapshot(session: Session) -> None:
    """WITH CONSISTENT SNAPSHOT begins everywhere at once, or not at all."""
    loan = Loan(session)
    try:
        await loan.take_for_snapshot(session.current_database())
    except (MeshError, ShardError):
        await session.end_transaction(commit=False)
        raise
    finally:
        loan.free()


async def _commit(session: Session, statement: Commit, sink: ResultSink, more: int) -> None:
    told = await _end(session, commit=True, chain=statement.chain)
    _ok(session, sink, more, warnings=told)
    if statement.release:
        session.client.close()


async def _rollback(session: Session, statement: Rollback, sink: ResultSink, more: int) -> None:
    told: list[ShardWarning] = []
    if statement.savepoint is not None:
        session.refuse_in_broken_transaction()
        # Writes that are committed already must be undone on all data sources or on none.
        session.committing = True
        try:
            known = await session.transaction.roll_back_to(statement.savepoint)
        except MeshError as error:
            # A part is not undone: the whole is, as far as that is possible.
            await session.end_transaction(commit=False)
            session.broken_transaction = str(error)
            raise
        finally:
            session.committing = False
        if not known:
            raise MeshError(SAVEPOINT_UNKNOWN, name=statement.savepoint)
    else:
        told = await _end(session, commit=False, chain=statement.chain)
    _ok(session, sink, more, warnings=told)
    if statement.release:
        session.client.close()


async def _end(session: Session, *, commit: bool, chain: bool) -> list[ShardWarning]:
    if session.transaction.outer is not None and session.broken_transaction is None:
        raise MeshError(XA_WRONG_STATE, state="ACTIVE")
    characteristics = session.transaction.characteristics
    isolation = session.transaction.isolation
    told = await session.end_transaction(commit=commit)
    if chain:
        session.transaction.begin(characteristics)
        session.transaction.isolation = isolation
    session.row_count = 0
    return told


async def _savepoint(session: Session, statement: Savepoint, sink: ResultSink, more: int) -> None:
    transaction = session.transaction
    if statement.release:
        if not await transaction.release_savepoint(statement.name):
            raise MeshError(SAVEPOINT_UNKNOWN, name=statement.name)
    elif transaction.open or not session.autocommit:
        # Outside a transaction a savepoint is gone at once, as on one server.
        await transaction.savepoint(statement.name)
    _ok(session, sink, more)


async def _set(session: Session, statement: SetVariables, sink: ResultSink, more: int) -> None:
    changes, told = await set_variables(session, statement)
    session.row_count = 0
    _ok(session, sink, more, changes, warnings=told)


async def _set_for_statement(
    session: Session, statement: SetForStatement, sink: ResultSink, more: int
) -> None:
    async with variables_for_statement(session, statement.assignments):
        await _run_with_variables(session, statement.statement, (), sink, more=bool(more))


async def _use(session: Session, statement: Use, sink: ResultSink, more: int) -> None:
    use(session, statement.database)
    _ok(session, sink, more, schema_changed(session.database or ""))


async def _kill(session: Session, statement: Kill, sink: ResultSink, more: int) -> None:
    await kill_anywhere(session, statement.id, query=statement.query)
    _ok(session, sink, more)


async def _text_prepare(session: Session, statement: TextPrepare, sink: ResultSink, more: int) -> None:
    async with operands_for_statement(session, statement.assigned):
        text = _prepared_text(session, statement)
    sql = text.encode("utf-8", "surrogateescape")
    # A name that cannot be given to the new statement has lost the old one too.
    session.text_statements.pop(statement.name.lower(), None)
    count = count_parameters(session, text)
    try:
        database, plan, literals = look_up(session, text)
    except MeshError as error:
        if not is_found_out_later(error, text):
            raise
    else:
        if not answers(plan):
            await describe_plan(session, database, plan, literals, count)
    session.text_statements[statement.name.lower()] = PreparedStatement(0, sql, text, count)
    _ok(session, sink, more, info=b"Statement prepared")


def _prepared_text(session: Session, statement: TextPrepare) -> str:
    text: SqlValue = statement.text
    if statement.variable is not None:
        text = _value_of(session.state.user_variable(statement.variable))
    if not isinstance(text, str):
        raise MeshError(WRONG_ARGUMENTS, command="PREPARE")
    if not text.strip():
        raise MeshError(EMPTY_QUERY)
    return text


async def _text_execute(session: Session, statement: TextExecute, sink: ResultSink, more: int) -> None:
    prepared = session.text_statements.get(statement.name.lower())
    async with operands_for_statement(session, statement.assigned):
        if statement.immediate is not None:
            text = _prepared_text(session, statement.immediate)
            count = count_parameters(session, text)
        elif prepared is not None:
            text, count = prepared.text, prepared.parameter_count
        else:
            raise MeshError(UNKNOWN_STATEMENT, id=statement.name, command="EXECUTE")
        if len(statement.variables) != count:
            raise MeshError(WRONG_ARGUMENTS, command="EXECUTE")
        await _run_with_variables(session, text, statement.variables, sink, more=bool(more), prepared=True)


async def _run_with_variables(
    session: Session, text: str, names: Sequence[str], sink: ResultSink, *, more: bool, prepared: bool = False
) -> None:
    """Run a statement with user variables for its `?`. Where it can be, it is executed with these variables on the data
    sources too, so that its columns are those of an EXECUTE; else their values are written in."""
    database, plan, literals = look_up(session, text)
    async with filtering.within(session, database, plan, text):
        await _run_planned(session, database, plan, literals, text, names, sink, more=more, prepared=prepared)


async def _run_planned(
    session: Session,
    database: Database,
    plan: Plan,
    literals: Sequence[object],
    text: str,
    names: Sequence[str],
    sink: ResultSink,
    *,
    more: bool,
    prepared: bool,
) -> None:
    if answers(plan):
        if names:
            if isinstance(plan, CallProcedure):
                # The procedure may assign to them.
                text = with_texts(session, text, ["@" + quote_name(name, quoted=True) for name in names])
            else:
                values = [_value_of(session.state.user_variable(name)) for name in names]
                text = with_values(session, text, values)
            _, plan, _ = look_up(session, text)
            if not answers(plan):
                raise MeshError(INTERNAL, reason="a parameter changed the kind of a statement")
        await answer(session, plan, sink, more=more)
        return
    check_variables(plan, names)
    parameters = [_value_of(session.state.user_variable(name)) for name in names]
    keeps = bool(names) and plan.verb is Verb.SELECT
    call = Call(literals, session, parameters, keeps, database.key_generators)
    bound = await execution.bind(session, database, plan, call)
    way = None
    if keeps and execution.prepares(database, bound):
        way = TextExecution(names, no_backslash_escapes=session.lexer_flags.no_backslash_escapes)
    elif keeps:
        call.keep_parameters = False
        bound = await execution.bind(session, database, plan, call)
    await execution.run(session, database, plan, bound, sink, more=more, way=way, prepared=prepared)


def _value_of(literal: str | None) -> SqlValue:
    return None if literal is None else value_of(literal)


async def _text_deallocate(session: Session, statement: TextDeallocate, sink: ResultSink, more: int) -> None:
    if session.text_statements.pop(statement.name.lower(), None) is None:
        raise MeshError(UNKNOWN_STATEMENT, id=statement.name, command="DEALLOCATE PREPARE")
    _ok(session, sink, more)


async def _local_rows(session: Session, statement: LocalRows, sink: ResultSink, more: int) -> None:
    session.warnings = []
    rows: Sequence[Sequence[str | None]] = statement.rows
    if session.checked is not None:
        rows = visible_names(session.checked, statement)
    session.found_rows = len(rows)
    own_rows(session, sink, local_columns(statement), rows, more)


def told_columns(session: Session, statement: SessionStatement) -> list[ColumnDefinition]:
    """The columns that a statement of the session's own answers with, as far as they are known before it runs."""
    if isinstance(statement, ShowGrants):
        statement = accounts.grants(session, statement)
    elif isinstance(statement, ShowCreateUser):
        statement = accounts.created_user(session, statement)
    if isinstance(statement, LocalRows):
        return local_columns(statement)
    if isinstance(statement, ShowWarnings):
        return warning_columns(statement)
    if isinstance(statement, ShowCreate):
        return routines.show_create_columns(session.mesh.product, statement.kind)
    return process_columns(statement) if isinstance(statement, ShowProcessList) else []


def local_columns(statement: LocalRows) -> list[ColumnDefinition]:
    """The definitions of a result set the planner knows."""
    if not statement.origins:
        return [text_column(title) for title in statement.columns]
    return [
        system_column(title, statement.table, name, width)
        if statement.table
        else text_column(title, width, nullable=False)
        for title, (name, width) in zip(statement.columns, statement.origins, strict=False)
    ]


async def _show_grants(session: Session, statement: ShowGrants, sink: ResultSink, more: int) -> None:
    await _local_rows(session, accounts.grants(session, statement), sink, more)


async def _show_create_user(session: Session, statement: ShowCreateUser, sink: ResultSink, more: int) -> None:
    await _local_rows(session, accounts.created_user(session, statement), sink, more)


def _keeper(session: Session) -> RuleKeeper:
    keeper = session.mesh.keeper
    if keeper is None:
        raise not_supported("CREATE and DROP DATABASE without a store", "name one in mode.repository")
    return keeper


async def _create_database(session: Session, statement: CreateDatabase, sink: ResultSink, more: int) -> None:
    keeper = _keeper(session)
    await session.end_transaction(commit=True)
    session.warnings = []
    exists = MeshError(DATABASE_EXISTS, database=statement.name)
    affected = 1
    if session.mesh.database(statement.name) is None:
        await keeper.create_database(session.current_database(), statement.name, statement.options)
    elif statement.if_not_exists:
        session.warnings = [ShardWarning("Note", exists.number, str(exists))]
        affected = int(session.mesh.product is Product.MYSQL)
    else:
        raise exists
    session.row_count = affected
    sink.ok(OkPacket(affected_rows=affected, status=session.status | more, warnings=len(session.warnings)))


async def _drop_database(session: Session, statement: DropDatabase, sink: ResultSink, more: int) -> None:
    keeper = _keeper(session)
    await session.end_transaction(commit=True)
    session.warnings = []
    absent = MeshError(DATABASE_ABSENT, database=statement.name)
    database = session.mesh.database(statement.name)
    tables = 0
    if database is not None:
        tables = len(database.catalog.tables)
        await keeper.drop_database(database)
        if (session.database or "").lower() == statement.name.lower():
            session.database = None
    elif statement.if_exists:
        session.warnings = [ShardWarning("Note", absent.number, str(absent))]
    else:
        raise absent
    session.row_count = tables
    sink.ok(OkPacket(affected_rows=tables, status=session.status | more, warnings=len(session.warnings)))


async def _nothing(session: Session, statement: Nothing, sink: ResultSink, more: int) -> None:
    del statement
    if not session.command_text.strip():
        raise MeshError(EMPTY_QUERY)
    _ok(session, sink, more)


_HANDLERS: Mapping[type, Callable[[Session, Any, ResultSink, int], Awaitable[None]]] = {
    Begin: _begin,
    Commit: _commit,
    Rollback: _rollback,
    OuterXa: outer_xa,
    Savepoint: _savepoint,
    SetVariables: _set,
    SetForStatement: _set_for_statement,
    Use: _use,
    Kill: _kill,
    TextPrepare: _text_prepare,
    TextExecute: _text_execute,
    TextDeallocate: _text_deallocate,
    ShowWarnings: show_warnings,
    GetDiagnostics: get_diagnostics,
    LocalRows: _local_rows,
    ShowProcessList: show_process_list,
    ShowMeshProcesses: show_mesh_processes,
    ShowReplicas: show_replicas,
    ShowRules: distsql.show_rules,
    ShowMesh: distsql.show_mesh,
    SwitchMember: distsql.switch_member,
    ShowSessions: show_sessions,
    LoadData: load_data,
    SelectInto: select_into,
    CreateDatabase: _create_database,
    DropDatabase: _drop_database,
    Nothing: _nothing,
    Do: routines.do,
    CallProcedure: routines.call,
    Flush: administration.flush,
    ShowGrants: _show_grants,
    ShowCreateUser: _show_create_user,
    ChangeAccounts: accounts.change_accounts,
    SetRole: accounts.set_role,
    CreateRoutine: routines.create,
    DropRoutine: routines.drop,
    ShowCreate: routines.show_create,
}
