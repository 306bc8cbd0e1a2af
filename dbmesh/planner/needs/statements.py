"""Which privileges any statement needs.

Decides which module reads which statement. What nobody reads needs SUPER, so that a new form is closed until it is listed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from sqlglot import exp

from dbmesh.planner import session_plan as own
from dbmesh.planner.context import PlanContext
from dbmesh.planner.ddl_reading import NamePlace, read_place
from dbmesh.planner.information_schema import is_harmless
from dbmesh.planner.lexemes import Kind, LexemeReader, split_lexemes
from dbmesh.planner.needs.bodies import body_needs
from dbmesh.planner.needs.definitions import UNKNOWN, definition_needs
from dbmesh.planner.needs.need import Need
from dbmesh.planner.needs.reads import Reading
from dbmesh.planner.needs.writes import delete_needs, insert_needs, update_needs
from dbmesh.planner.one_server import INFORMATION_SCHEMA, SERVER_SCHEMAS, SHOWN
from dbmesh.planner.phases import first_word
from dbmesh.planner.plan import Plan
from dbmesh.planner.resolve import SYSTEM_SCHEMAS
from dbmesh.planner.write import parse_write
from dbmesh.rules.privileges import Privilege

_DATA = frozenset(("SELECT", "WITH", "TABLE", "VALUES", "INSERT", "REPLACE", "UPDATE", "DELETE"))
_EXPLAINS = frozenset(("EXPLAIN", "DESCRIBE", "DESC", "ANALYZE"))


def statement_needs(context: PlanContext, plan: Plan | None) -> Iterable[Need]:
    """What a statement needs. `plan` is its plan, None where it could not be planned. Raises MeshError for one that cannot be read."""
    word = first_word(context)
    if plan is not None and isinstance(plan, own.SessionStatement) and not isinstance(plan, own.LocalRows):
        return _session_needs(context, plan)
    if word in _DATA:
        return _data_needs(context, word)
    if word in _EXPLAINS:
        return _explain_needs(context)
    if word == "SHOW":
        return _show_needs(context)
    return definition_needs(context)


def _data_needs(context: PlanContext, word: str) -> Iterator[Need]:
    if word in ("INSERT", "REPLACE"):
        yield from insert_needs(context)
        return
    text = context.statement.readable
    tree = context.statement.tree if word not in ("UPDATE", "DELETE", "WITH") else parse_write(text)
    reading = Reading(context, tree, split_lexemes(text))
    if isinstance(tree, exp.Update):
        yield from update_needs(reading, tree)
    elif isinstance(tree, exp.Delete):
        yield from delete_needs(reading, tree)
    elif isinstance(tree, exp.Query | exp.Values):
        reading.read_columns()
        yield from reading.needs()
    else:
        yield UNKNOWN


# ---------------------------------------------------------------------------------------------- SHOW, EXPLAIN


def _explain_needs(context: PlanContext) -> Iterator[Need]:
    """EXPLAIN needs what the statement needs, DESCRIBE what SHOW COLUMNS does."""
    reader = LexemeReader(context.statement.readable)
    analyzes = reader.take().word == "ANALYZE"
    if analyzes and reader.peek().word in ("TABLE", "TABLES", "LOCAL", "NO_WRITE_TO_BINLOG"):
        yield from definition_needs(context)
        return
    while True:
        if reader.accept("FORMAT", "="):
            reader.take()
        elif reader.accept_any("ANALYZE", "EXTENDED", "PARTITIONS") is None:
            break
    if reader.peek().word in _DATA or reader.looks_at("("):
        yield from statement_needs(context.of_part(reader.peek().start), None)
        return
    yield from _description_needs(context, read_place(reader))


def _show_needs(context: PlanContext) -> Iterator[Need]:
    """What names a table needs a privilege on it; lists show what the account may see, and need nothing."""
    reader = LexemeReader(context.statement.readable)
    reader.take()
    while reader.accept_any("EXTENDED", "FULL") is not None:
        pass
    if any(reader.looks_at(word) for word, _, _ in SHOWN):
        yield UNKNOWN
    elif reader.accept_any("COLUMNS", "FIELDS", "INDEX", "INDEXES", "KEYS") is not None:
        reader.accept_any("FROM", "IN")
        place = read_place(reader)
        if reader.accept_any("FROM", "IN") is not None:
            name = reader.expect_name()
            place = NamePlace(place.name, place.start, name.end, name.value)
        yield from _description_needs(context, place)
    elif reader.accept("CREATE"):
        kind = reader.take().word
        if kind in ("TABLE", "SEQUENCE", "VIEW"):
            place = read_place(reader)
            yield from _description_needs(context, place)
            if kind == "VIEW" and (database := _database(context, place)) not in SYSTEM_SCHEMAS:
                yield Need(Privilege.SELECT, database, place.name)
                yield Need(Privilege.SHOW_VIEW, database, place.name)
        elif kind in ("DATABASE", "SCHEMA"):
            reader.accept("IF", "NOT", "EXISTS")
            yield Need(Privilege.SELECT, reader.expect_name().value.lower(), described=True)
        else:
            yield UNKNOWN
    else:
        yield from _list_needs(reader)


def _list_needs(reader: LexemeReader) -> Iterator[Need]:
    """What SHOW TABLES FROM database and its like need: any privilege there."""
    while not reader.at_end:
        if reader.take().word in ("FROM", "IN") and reader.peek().kind in (Kind.WORD, Kind.QUOTED):
            schema = reader.take().value.lower()
            if schema in SERVER_SCHEMAS:
                yield Need(Privilege.SELECT, schema, of_server=True)
            elif schema != INFORMATION_SCHEMA:
                yield Need(Privilege.SELECT, schema, described=True)


def _database(context: PlanContext, place: NamePlace) -> str:
    return (place.database or context.system_schema or context.database or "").lower()


def _description_needs(context: PlanContext, place: NamePlace) -> Iterator[Need]:
    """Any privilege on the whole table: the answer tells of every column."""
    database = _database(context, place)
    if database in SYSTEM_SCHEMAS:
        if not is_harmless(database, place.name):
            yield Need(Privilege.SELECT, database, place.name, of_server=True)
    elif (database, place.name.lower()) not in context.settings.temporary:
        yield Need(Privilege.SELECT, database, place.name, described=True)


# ---------------------------------------------------------------------------------------------- what sessions do


def _session_needs(context: PlanContext, statement: own.SessionStatement) -> Iterator[Need]:
    needs = _OWN.get(type(statement))
    if needs is not None:
        yield from needs(context, statement)
    elif type(statement) not in _FREE:
        yield UNKNOWN


def _here(context: PlanContext, database: str | None) -> str:
    return (database or context.database or context.rule_set.database).lower()


def _call(context: PlanContext, statement: own.CallProcedure) -> Iterator[Need]:
    yield Need(Privilege.EXECUTE, _here(context, statement.database), routine=statement.name)


def _show_rules(context: PlanContext, statement: own.ShowRules) -> Iterator[Need]:
    yield Need(Privilege.SELECT, _here(context, statement.database))


def _of_mesh(context: PlanContext, statement: own.ShowMesh | own.SwitchMember) -> Iterator[Need]:
    del context, statement
    yield UNKNOWN


def _create_routine(context: PlanContext, statement: own.CreateRoutine) -> Iterator[Need]:
    database = _here(context, statement.database)
    yield Need(Privilege.EVENT if statement.kind == "EVENT" else Privilege.CREATE_ROUTINE, database)
    yield from body_needs(context, database, statement.body)


def _drop_routine(context: PlanContext, statement: own.DropRoutine) -> Iterator[Need]:
    database = _here(context, statement.database)
    of_table = {"EVENT": Privilege.EVENT, "TRIGGER": Privilege.TRIGGER}.get(statement.kind)
    if of_table is not None:
        yield Need(of_table, database)
    else:
        yield Need(Privilege.ALTER_ROUTINE, database, routine=statement.name)


def _show_create(context: PlanContext, statement: own.ShowCreate) -> Iterator[Need]:
    database = _here(context, statement.database)
    of_table = {"EVENT": Privilege.EVENT, "TRIGGER": Privilege.TRIGGER}.get(statement.kind)
    yield Need(of_table or Privilege.ALTER_ROUTINE, database)


def _create_database(context: PlanContext, statement: own.CreateDatabase) -> Iterator[Need]:
    yield Need(Privilege.CREATE, statement.name.lower())


def _drop_database(context: PlanContext, statement: own.DropDatabase) -> Iterator[Need]:
    yield Need(Privilege.DROP, statement.name.lower())


def _load_data(context: PlanContext, statement: own.LoadData) -> Iterator[Need]:
    database = _here(context, statement.database)
    table = statement.table
    assigned = [name for name, _ in statement.assigned]
    columns: tuple[str, ...] | None = None
    if statement.fields is not None:
        columns = (*(one.name for one in statement.fields if not one.variable), *assigned)
    else:
        schema = context.catalog.table(context.rule_set.key(database, table))
        if schema is not None:
            columns = tuple(column.name for column in schema.visible_columns)
    yield Need(Privilege.INSERT, database, table, columns)
    if statement.replaces:
        yield Need(Privilege.DELETE, database, table)
    words = [part for _, parts in statement.assigned for part in parts if isinstance(part, str)]
    if any(word.upper() in ("SELECT", "TABLE", "WITH", "LOAD_FILE") for word in words):
        yield UNKNOWN


_OWN: Mapping[type, Callable[[PlanContext, Any], Iterator[Need]]] = {
    own.CallProcedure: _call,
    own.ShowRules: _show_rules,
    own.ShowMesh: _of_mesh,
    own.SwitchMember: _of_mesh,
    own.CreateRoutine: _create_routine,
    own.DropRoutine: _drop_routine,
    own.ShowCreate: _show_create,
    own.CreateDatabase: _create_database,
    own.DropDatabase: _drop_database,
    own.LoadData: _load_data,
}
_FREE = frozenset(
    (
        own.Begin,
        own.Commit,
        own.Rollback,
        own.Savepoint,
        own.SetVariables,
        own.SetForStatement,
        own.Use,
        own.Kill,
        own.TextPrepare,
        own.TextExecute,
        own.TextDeallocate,
        own.ShowWarnings,
        own.GetDiagnostics,
        own.ShowMeshProcesses,
        own.ShowProcessList,
        own.ShowSessions,
        own.ShowReplicas,
        own.OuterXa,
        own.Do,
        own.Flush,
        own.ShowGrants,
        own.ShowCreateUser,
        own.ChangeAccounts,
        own.SetRole,
        own.SelectInto,
        own.Nothing,
    )
)
"""Statements that read no table by themselves: what they run is planned, and asked about, as a statement of its own, and who
may SET GLOBAL, FLUSH, KILL, USE or change accounts the session decides."""
