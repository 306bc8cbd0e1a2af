"""Statements about stored routines: they run on the one data source that has the routine.

Decides which one that is, and what becomes of the connection: nobody knows which variables a procedure has set.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from dbmesh.backend.connection import Connection, Product
from dbmesh.backend.mysql import MySQLConnection
from dbmesh.backend.state import forgetting
from dbmesh.engine.collect import Result, collect
from dbmesh.engine.prepared import BinaryExecution
from dbmesh.engine.warnings import ShardWarning, fetch_warnings
from dbmesh.errors import (
    INTERNAL,
    MERGE_LIMIT,
    UNKNOWN_DATABASE,
    UNKNOWN_EVENT,
    UNKNOWN_ROUTINE,
    MeshError,
    ShardError,
    not_supported,
)
from dbmesh.planner.derived.literals import literal_writers, row_literals
from dbmesh.planner.lexemes import split_lexemes
from dbmesh.planner.plan import BoundStatement, Names, PinReason, Relay, Verb
from dbmesh.planner.routines import ProcedureUse, check_procedure, homes, may_define
from dbmesh.planner.session_plan import (
    CallProcedure,
    CreateRoutine,
    Do,
    DropRoutine,
    SessionStatement,
    ShowCreate,
)
from dbmesh.planner.template import Template, quote_name
from dbmesh.planner.text_plan import TextPlan, TextShot
from dbmesh.session import filtering
from dbmesh.session.answering.diagnostics import remember_warnings
from dbmesh.session.answering.errors import logic_text
from dbmesh.session.answering.result_sink import ResultSink, text_column
from dbmesh.session.connections import Loan
from dbmesh.session.mesh import Database
from dbmesh.session.planning import look_up
from dbmesh.session.reading import lexer_flags
from dbmesh.session.statements import execution
from dbmesh.session.statements.derived import RowsInMemory
from dbmesh.session.statements.doubled import refuse_altering
from dbmesh.session.statements.system_tables import Reading
from dbmesh.session.statements.triggers import ask, drop_trigger, show_create_trigger
from dbmesh.session.user_variables import assigned, read_variables
from dbmesh.sql.literals import literal_text
from dbmesh.wire.constants import Capability, Status
from dbmesh.wire.packets import ColumnDefinition, OkPacket
from dbmesh.wire.values import encode_text_row

if TYPE_CHECKING:
    from dbmesh.session.session import Session


async def do(session: Session, statement: Do, sink: ResultSink, more: int) -> None:
    """DO: the expressions as a SELECT whose row nobody sees. Raises MeshError or ShardError."""
    query = f"SELECT {statement.expressions}"
    database, plan, literals = look_up(session, query)
    if isinstance(plan, SessionStatement):
        raise not_supported("this expression in DO", "run it as a SELECT")
    bound = plan.bind(execution.make_call(session, database, literals))
    async with filtering.within(session, database, plan, query):
        await execution.fetch(session, database, plan, bound, RowsInMemory(session.mesh.limits))
    session.row_count = 0
    remember_warnings(session, [], keeps=plan.keeps_warnings)
    sink.ok(OkPacket(status=session.status | more))


async def show_create(session: Session, statement: ShowCreate, sink: ResultSink, more: int) -> None:
    """SHOW CREATE PROCEDURE, FUNCTION, EVENT or TRIGGER, as its data source says it. Raises MeshError or ShardError."""
    database = _database(session, statement.database)
    if statement.kind == "TRIGGER":
        await show_create_trigger(session, database, statement.name, sink, more)
        return
    try:
        source = await _only_source(session, database, statement.kind, statement.name)
    except MeshError as error:
        if error.kind is not UNKNOWN_ROUTINE:
            raise
        # As a server words it, the database is left out here.
        raise MeshError(UNKNOWN_ROUTINE, routine=statement.kind, name=statement.name) from error
    shown = await _show_create(session, database, source, statement.kind, statement.name)
    sink.use_names(_names(database))
    sink.columns(shown.columns)
    sink.rows([encode_text_row(row) for row in shown.rows])
    session.warnings = []
    sink.end_rows(session.status | more, 0)


def show_create_columns(product: Product, kind: str) -> list[ColumnDefinition]:
    """What PREPARE tells of SHOW CREATE: MariaDB knows its columns beforehand for PROCEDURE and FUNCTION alone, MySQL for none."""
    if product is Product.MYSQL or kind not in ("PROCEDURE", "FUNCTION"):
        return []
    kind = kind.capitalize()
    return [
        text_column(kind, 64, nullable=False),
        text_column("sql_mode", 256, nullable=False),
        text_column(f"Create {kind}", 1024),
        text_column("character_set_client", 32, nullable=False),
        text_column("collation_connection", 64, nullable=False),
        text_column("Database Collation", 64, nullable=False),
    ]


async def create(session: Session, statement: CreateRoutine, sink: ResultSink, more: int) -> None:
    """CREATE or ALTER PROCEDURE, FUNCTION or EVENT, on every data source it belongs on or on none. Raises MeshError or
    ShardError."""
    database = _database(session, statement.database)
    refuse_altering(session, database, (), (statement.body,))
    there = await _sources(session, database, statement.kind, statement.name)
    if statement.alters:
        if not there:
            raise _unknown(database, statement.kind, statement.name)
        belongs = homes(statement, database.rule_set, database.catalog)
        words = [lexeme.word for lexeme in split_lexemes(statement.body, statement.flags)]
        if "DO" in words and set(belongs) != set(there):
            raise not_supported(
                f"the event '{statement.name}' on tables of another data source",
                "drop it and create it again",
            )
    wanted = there or homes(statement, database.rule_set, database.catalog)
    undo = None if statement.alters else DropRoutine(statement.kind, None, statement.name, True)
    await _define(session, database, wanted, statement.text, undo)
    sink.ok(OkPacket(status=session.status | more, warnings=len(session.warnings)))


async def drop(session: Session, statement: DropRoutine, sink: ResultSink, more: int) -> None:
    """DROP PROCEDURE, FUNCTION, EVENT or TRIGGER, wherever it is. Raises MeshError or ShardError."""
    database = _database(session, statement.database)
    if statement.kind == "TRIGGER":
        await drop_trigger(session, database, statement, sink, more=bool(more))
        return
    sources = await _sources(session, database, statement.kind, statement.name)
    if not sources and not statement.if_exists:
        raise _unknown(database, statement.kind, statement.name)
    await _define(session, database, sources or [next(iter(database.pools))], _drop_text(statement), None)
    sink.ok(OkPacket(status=session.status | more, warnings=len(session.warnings)))


def _drop_text(statement: DropRoutine) -> str:
    exists = "IF EXISTS " if statement.if_exists else ""
    return f"DROP {statement.kind} {exists}{quote_name(statement.name, quoted=True)}"


async def _define(
    session: Session, database: Database, sources: Sequence[str], sql: str, undo: DropRoutine | None
) -> None:
    """Run a definition on each data source; when one fails, `undo` on those before it."""
    told = await session.end_transaction(commit=True)
    frame = Template((sql,), session.lexer_flags).frame(())
    done: list[str] = []
    try:
        for source in sources:
            plan = TextPlan(
                Verb.OTHER, (), (TextShot(source, frame),), Relay(), _names(database), opens_transaction=False
            )
            await _run(session, database, plan, plan.bind(execution.make_call(session, database, ())))
            done.append(source)
    except BaseException:
        # Also when it is killed between two of them.
        if undo is not None:
            with session.uninterrupted():
                for source in done:
                    await ask(session, database, source, _drop_text(undo))
        raise
    session.row_count = 0
    session.warnings += told


async def call(
    session: Session,
    statement: CallProcedure,
    sink: ResultSink,
    more: int,
    way: BinaryExecution | None = None,
) -> None:
    """CALL: every result set, then the OK packet. User variables get what OUT parameters are, and what the
    procedure assigns to them; executed in a `way` that is a
    prepared statement's, its `?` are a result set of their own. Raises MeshError or ShardError."""
    if session.transaction.compensates and (session.transaction.open or not session.autocommit):
        raise not_supported("CALL in a BASE transaction, which could not undo it", "use type XA")
    database = _database(session, statement.database)
    source = await _only_source(session, database, "PROCEDURE", statement.name)
    use = await _use(session, database, source, statement.name)
    sql = f"CALL {quote_name(statement.name, quoted=True)}{statement.arguments}"
    frame = Template((sql,), session.lexer_flags).frame(())
    pin = PinReason.DYNAMIC_SQL if use.dynamic else None
    plan = TextPlan(Verb.OTHER, (), (TextShot(source, frame),), Relay(), _names(database), pin=pin)
    bound = plan.bind(execution.make_call(session, database, ()))
    given = await _assigned(session, database, source, statement) if statement.variables else ()
    known = [name for name, _ in session.state.user_variables] if use.dynamic else []
    assigns = tuple(dict.fromkeys((*sorted(use.variables), *(name.lower() for name in given), *known)))
    session.given = None
    results = await _run(session, database, plan, bound, way, assigns)
    if use.dynamic and (use.defines or "?" in sql or may_define(sql)):
        await session.mesh.reload(database)
    _write(session, results, sink, more, _names(database))


async def _use(session: Session, database: Database, source: str, name: str) -> ProcedureUse:
    """What a procedure and those it calls use. Raises MeshError(NOT_SUPPORTED), also for one they call that is elsewhere;
    one that is nowhere the server will miss itself, should it get there."""
    use = ProcedureUse(calls=frozenset((name,)))
    seen: set[str] = set()
    while waiting := {one for one in use.calls if one.lower() not in seen}:
        for one in sorted(waiting):
            seen.add(one.lower())
            if len(seen) > 1 and not await _sources(session, database, "PROCEDURE", one):
                continue
            if await _only_source(session, database, "PROCEDURE", one) != source:
                raise not_supported(
                    f"CALL of a procedure that calls '{one}', which is on another data source",
                    "keep both where the tables of both are",
                )
            shown = await _show_create(session, database, source, "PROCEDURE", one)
            text = shown.rows[0][2] if shown.rows else None
            if text is None:
                raise not_supported(
                    "CALL of a procedure whose text the data source does not show",
                    "give the data source's account the right to see it",
                )
            body = text.decode("utf-8", "surrogateescape")
            use = use.with_called(check_procedure(body, database.rule_set, database.catalog))
    return use


async def _assigned(
    session: Session, database: Database, source: str, statement: CallProcedure
) -> tuple[str, ...]:
    """The user variables among the arguments that stand for OUT and INOUT parameters."""
    shown = await ask(
        session,
        database,
        source,
        "SELECT ORDINAL_POSITION - 1 FROM information_schema.PARAMETERS WHERE SPECIFIC_SCHEMA = DATABASE() AND "
        f"SPECIFIC_NAME = {literal_text(statement.name)} AND ROUTINE_TYPE = 'PROCEDURE' AND PARAMETER_MODE <> 'IN'",
    )
    outs = {int(row[0] or b"0") for row in shown.rows}
    return tuple(name for place, name in statement.variables if place in outs)


def _write(session: Session, results: Sequence[_Result], sink: ResultSink, more: int, names: Names) -> None:
    following = Status.MORE_RESULTS_EXISTS.value
    if not session.capabilities & Capability.PS_MULTI_RESULTS:
        results = [result for result in results if not result[2].status & _OUT_PARAMETERS]
    for number, (columns, rows, ok) in enumerate(results):
        sink.use_names(names)
        last = number == len(results) - 1
        status = session.status | (more if last else following) | ok.status & _OUT_PARAMETERS
        if columns:
            sink.use_status(status)
            sink.columns(columns)
            sink.rows(rows)
            sink.end_rows(status, ok.warnings)
        else:
            session.row_count = ok.affected_rows
            sink.ok(OkPacket(ok.affected_rows, ok.last_insert_id, status, ok.warnings, ok.info))


# ---------------------------------------------------------------------------------------------- where it is


def _database(session: Session, name: str | None) -> Database:
    """The logic database named, or the current one. Raises MeshError(UNKNOWN_DATABASE)."""
    if name is None:
        return session.current_database()
    found = session.find_database(name)
    if found is None or not session.privileges.sees_database(found.name):
        raise MeshError(UNKNOWN_DATABASE, database=name)
    return found


def _names(database: Database) -> Names:
    return Names(database.name, {})


async def _only_source(session: Session, database: Database, kind: str, name: str) -> str:
    """The data source that has a routine. Raises MeshError: UNKNOWN_ROUTINE, NOT_SUPPORTED for several, which only a function that needs no tables is made on."""
    sources = await _sources(session, database, kind, name)
    if not sources:
        raise _unknown(database, kind, name)
    if len(sources) > 1 and kind != "FUNCTION":
        raise not_supported(
            f"the {kind.lower()} '{name}', which exists on {' and '.join(sources)}",
            "drop all but one of them",
        )
    return sources[0]


def _unknown(database: Database, kind: str, name: str) -> MeshError:
    if kind == "EVENT":
        return MeshError(UNKNOWN_EVENT, name=name)
    return MeshError(UNKNOWN_ROUTINE, routine=kind, name=f"{database.name}.{name}")


async def _sources(session: Session, database: Database, kind: str, name: str) -> list[str]:
    """The data sources that have a routine or an event."""
    if kind == "EVENT":
        where = f"EVENTS WHERE EVENT_SCHEMA = DATABASE() AND EVENT_NAME = {literal_text(name)}"
    else:
        where = (
            f"ROUTINES WHERE ROUTINE_SCHEMA = DATABASE() AND ROUTINE_NAME = {literal_text(name)} "
            f"AND ROUTINE_TYPE = '{kind}'"
        )
    sql = f"SELECT 1 FROM information_schema.{where}"
    return [
        source
        for source, config in database.rule_set.data_sources.items()
        if config.kind == "mysql" and (await ask(session, database, source, sql)).rows
    ]


async def _show_create(session: Session, database: Database, source: str, kind: str, name: str) -> Result:
    return await ask(session, database, source, f"SHOW CREATE {kind} {quote_name(name, quoted=True)}")


# ---------------------------------------------------------------------------------------------- results

_OUT_PARAMETERS = Status.PS_OUT_PARAMS.value

_Result = tuple[Sequence[ColumnDefinition], list[bytes], OkPacket]


class _Results:
    """Receives every result of a CALL, within the limits of a merge and those of the client's statement."""

    def __init__(self, connection: Connection, session: Session) -> None:
        self.results: list[_Result] = []
        self.future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._connection = connection
        self._limits = session.mesh.limits
        self._limit = None if session.running is None else session.running.limit
        self._columns: Sequence[ColumnDefinition] = ()
        self._rows: list[bytes] = []
        self._size = 0
        self._count = 0

    def columns(self, columns: Sequence[ColumnDefinition]) -> None:
        """A result set begins."""
        self._columns = columns

    def rows(self, rows: list[bytes]) -> None:
        """Its rows."""
        self._rows += rows
        self._count += len(rows)
        self._size += sum(map(len, rows))
        if self._count > self._limits.max_rows or self._size > self._limits.max_bytes:
            self._stop(
                MeshError(MERGE_LIMIT, limit=f"{self._limits.max_rows} rows", setting="merge-max-rows")
            )
        elif self._limit is not None:
            try:
                self._limit.count(rows)
            except MeshError as error:
                self._stop(error)

    def _stop(self, error: MeshError) -> None:
        self.failed(error)
        self._connection.abort()

    def done(self, ok: OkPacket, *, more: bool) -> None:
        """A result ends."""
        self.results.append((self._columns, self._rows, ok))
        self._columns, self._rows = (), []
        if not more and not self.future.done():
            self.future.set_result(None)

    def failed(self, error: Exception) -> None:
        """The CALL has failed, or its connection was lost."""
        if not self.future.done():
            self.future.set_exception(error)


async def _run(
    session: Session,
    database: Database,
    plan: TextPlan,
    bound: BoundStatement,
    way: BinaryExecution | None = None,
    assigns: Sequence[str] = (),
) -> list[_Result]:
    loan = Loan(session)
    try:
        await loan.take(database, plan, bound.shots, bound.answer)
        [lane] = loan.lanes
        connection = lane.connection
        receiver = _Results(connection, session)
        session.announce(Reading(connection))
        before = await _settings(session, connection) if plan.pin is not None else {}
        await _send(connection, lane.shots[0].sql, way, receiver)
        try:
            try:
                await receiver.future
                session.warnings = await _warnings(connection, receiver.results[-1][2], database, plan)
            finally:
                # What a failed procedure has assigned stays so.
                if assigns and connection.usable:
                    await _take_over(session, connection, assigns)
                if before and connection.usable:
                    await _follow(session, database, connection, before)
        finally:
            if not loan.keeps(connection):
                connection.abort()
        return receiver.results
    except (MeshError, ShardError) as error:
        raise await execution.settled(session, database, bound, error) from error
    finally:
        session.announce(None)
        loan.free()


async def _send(connection: Connection, sql: bytes, way: BinaryExecution | None, receiver: _Results) -> None:
    if way is None:
        connection.query(sql, receiver)
        return
    if not isinstance(connection, MySQLConnection):
        raise MeshError(INTERNAL, reason="a data source that has no procedures was asked to call one")
    connection.execute((await way.prepare(connection, sql, None)).payload, receiver)


async def _take_over(session: Session, connection: Connection, names: Sequence[str]) -> None:
    """The session's variables become what the procedure has assigned to them. The connection may be kept, by a transaction, and used by
    others after that."""
    known = connection.state
    connection.state = forgetting(known, names)
    values = await read_variables(connection, names, session.lexer_flags)
    for name, value in zip(names, values, strict=True):
        session.state = assigned(session.state, name, value)
        known = known.with_user_variable(name, session.state.user_variable(name))
    connection.state = known


_SETTINGS = (
    *("autocommit", "sql_mode", "sql_select_limit", "time_zone"),
    *("character_set_client", "character_set_connection", "character_set_results", "collation_connection"),
)
"""Variables by which the mesh reads statements and answers; all others only the connection needs to know."""


async def _settings(session: Session, connection: Connection) -> Mapping[str, str]:
    """The `_SETTINGS` of a connection, as SQL literals."""
    listed = ", ".join(f"@@session.{name}" for name in _SETTINGS)
    shown = await collect(connection, f"SELECT {listed}".encode())
    values = row_literals(literal_writers(shown.columns, session.lexer_flags), shown.rows[0])
    return dict(zip(_SETTINGS, values, strict=True))


async def _follow(
    session: Session, database: Database, connection: Connection, before: Mapping[str, str]
) -> None:
    """What dynamic SQL has changed on the session's connection becomes the session's. Raises MeshError when it has begun a
    transaction: nobody would end it."""
    if connection.in_transaction and not session.transaction.open:
        del session.pins[database.connection_key(connection.data_source)]
        connection.abort()
        raise not_supported(
            "CALL of a procedure that leaves a transaction open (rolled back)", "send BEGIN before CALL"
        )
    for name, value in (await _settings(session, connection)).items():
        if value == before[name]:
            continue
        if name == "autocommit":
            session.autocommit = value != "0"
        followed = None if name == "autocommit" and session.autocommit else value
        session.state = session.state.with_variable(name, followed)
        connection.state = connection.state.with_variable(name, followed)
    session.lexer_flags = lexer_flags(session.state)


async def _warnings(
    connection: Connection, ok: OkPacket, database: Database, plan: TextPlan
) -> list[ShardWarning]:
    if not ok.warnings:
        return []
    schema = database.sources[plan.shots[0].data_source].database
    return [
        ShardWarning(warning.level, warning.number, logic_text(warning.message, plan.names, schema))
        for warning in await fetch_warnings(connection)
    ]
