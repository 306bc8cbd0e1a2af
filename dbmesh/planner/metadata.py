"""SHOW and DESCRIBE: what a database looks like, in logic names only. EXPLAIN of a statement is read here.

Decides who answers: the mesh itself where it knows the rows, else one data node whose answer gets its names turned
back. Knows nothing of sessions; statements about them are read elsewhere.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from dbmesh.errors import NO_DATABASE, UNKNOWN_DATABASE, MeshError, not_supported
from dbmesh.planner.context import PlanContext
from dbmesh.planner.ddl_places import table_at
from dbmesh.planner.ddl_reading import NamePlace, read_place
from dbmesh.planner.explain import explain
from dbmesh.planner.explained import ExplainForm, plan_explain, read_form
from dbmesh.planner.foreign_keys import constraint_line
from dbmesh.planner.lexemes import Kind, LexemeReader
from dbmesh.planner.metadata_filter import ShowFilter, read_filter, read_text
from dbmesh.planner.one_server import INFORMATION_SCHEMA, SERVER_SCHEMAS, SHOWN, plan_of_server
from dbmesh.planner.plan import (
    Answer,
    BoundStatement,
    LinkStatus,
    Names,
    Plan,
    Relay,
    RenameValues,
    ShardPlan,
    Verb,
    WithOwnVariables,
)
from dbmesh.planner.routines import has_one_place
from dbmesh.planner.session_plan import LocalRows
from dbmesh.planner.show_tables import (
    COLUMNS,
    EVENTS,
    FULL_COLUMNS,
    FUNCTIONS,
    INDEX,
    PROCEDURES,
    TABLE_STATUS,
    TRIGGERS,
    ShowQuery,
    plan_show,
    tables_query,
)
from dbmesh.planner.system_tables import name_suffix
from dbmesh.planner.template import TableName, quote_name
from dbmesh.planner.text_plan import TextPlan, TextShot, names_of
from dbmesh.rules.joint import schemas_of
from dbmesh.sql.literals import literal_text

_SERVER_WORDS = frozenset(
    (
        "VARIABLES",
        "STATUS",
        "COLLATION",
        "CHARSET",
        "ENGINES",
        "PLUGINS",
        "PRIVILEGES",
        "CHARACTER",
        "STORAGE",
    )
)
_EXPLAINED = frozenset(("SELECT", "WITH", "INSERT", "REPLACE", "UPDATE", "DELETE", "(", "TABLE"))


def plan_metadata(context: PlanContext) -> Plan | None:
    """The plan of a SHOW, DESCRIBE, DESC, EXPLAIN or ANALYZE statement, None for any other.

    Raises MeshError: PARSE_ERROR, NO_DATABASE, UNKNOWN_DATABASE, UNKNOWN_TABLE, NOT_SUPPORTED.
    """
    reader = LexemeReader(context.statement.readable)
    word = reader.peek().word
    if word in ("DESCRIBE", "DESC", "EXPLAIN", "ANALYZE"):
        return _plan_describe(context, reader)
    if word != "SHOW":
        return None
    reader.take()
    scope = reader.accept_any("GLOBAL", "SESSION", "LOCAL")
    if scope != "GLOBAL" and reader.peek().word == "STATUS":
        return _as_it_is(context, LinkStatus())
    if scope != "GLOBAL" and reader.accept("VARIABLES"):
        return _as_it_is(context, _with_own_variables(context, reader))
    if scope is not None or reader.peek().word in _SERVER_WORDS:
        return _as_it_is(context)
    return _Shows(context, reader).plan()


def _with_own_variables(context: PlanContext, reader: LexemeReader) -> Answer:
    """A condition that servers alone can read is about their variables."""
    try:
        kept = read_filter(context, reader)
    except MeshError:
        return Relay()
    known = kept is None or kept.column is None or kept.column.lower() in ("variable_name", "value")
    return WithOwnVariables(kept) if known else Relay()


def _as_it_is(context: PlanContext, answer: Answer | None = None) -> ShardPlan:
    """The client's text for the first data source: it tells of the server, not of tables."""
    return _one_shot(context, next(iter(context.rule_set.data_sources)), answer or Relay())


def _one_shot(context: PlanContext, source: str, answer: Answer) -> ShardPlan:
    shot = TextShot(source, context.edits().build().frame(()))
    names = names_of(context.rule_set, ())
    return TextPlan(
        Verb.SHOW, (INFORMATION_SCHEMA,), (shot,), answer, names, reads_only=True, opens_transaction=False
    )


class _Shows:
    """Plans the SHOW statements about databases and tables."""

    def __init__(self, context: PlanContext, reader: LexemeReader) -> None:
        self.context = context
        self.reader = reader

    def plan(self) -> Plan:
        reader = self.reader
        full = bool(reader.accept("EXTENDED")) | bool(reader.accept("FULL"))
        readers: tuple[tuple[tuple[str, ...], Callable[[], Plan]], ...] = (
            (("DATABASES",), self._databases),
            (("SCHEMAS",), self._databases),
            (("TABLES",), lambda: self._tables(full=full)),
            (("TABLE", "STATUS"), lambda: self._listed_by_server(TABLE_STATUS)),
            (("COLUMNS",), lambda: self._columns(full=full)),
            (("FIELDS",), lambda: self._columns(full=full)),
            (("INDEX",), self._index),
            (("INDEXES",), self._index),
            (("KEYS",), self._index),
            (("CREATE", "TABLE"), self._create_table),
            (("CREATE", "VIEW"), self._create_table),
            (("CREATE", "SEQUENCE"), self._create_table),
            (("CREATE", "DATABASE"), self._create_database),
            (("CREATE", "SCHEMA"), self._create_database),
            (("TRIGGERS",), lambda: self._listed_by_server(TRIGGERS)),
            (("EVENTS",), lambda: self._listed_by_server(EVENTS)),
            (("PROCEDURE", "STATUS"), lambda: self._routines(PROCEDURES)),
            (("FUNCTION", "STATUS"), lambda: self._routines(FUNCTIONS)),
        )
        for words, plan in readers:
            if reader.accept(*words):
                return plan()
        for word, what, instead in SHOWN:
            if reader.looks_at(word):
                return plan_of_server(self.context, what, instead)
        raise not_supported(
            f"SHOW {reader.peek().text.upper()}", "ask the data source itself, or query information_schema"
        )

    def _databases(self) -> Plan:
        kept = read_filter(self.context, self.reader)
        listed = _listed(("Database",), [(name,) for name in ("information_schema", *self._names())], kept)
        return replace(listed, table="SCHEMATA", origins=(("SCHEMA_NAME", 64),))

    def _names(self) -> list[str]:
        return sorted(rule_set.database for rule_set in self.context.databases.values())

    def _tables(self, *, full: bool) -> Plan:
        """The catalog's names where that is all that is asked for; types and conditions are the server's, and names too where
        tables may be made without the mesh."""
        if self._names_server_schema():
            return plan_of_server(self.context, "SHOW TABLES of the server's own schemas")
        database = self._database()
        current = database == self.context.rule_set.database
        by_mesh = any(config.kind != "mysql" for config in self.context.rule_set.data_sources.values())
        others = has_one_place(self.context.rule_set, self.context.catalog)
        if current and (by_mesh or not (full or others or self.reader.looks_at("WHERE"))):
            kept = read_filter(self.context, self.reader)
            title = f"Tables_in_{database}"
            titles = (title, "Table_type") if full else (title,)
            schemas = self.context.catalog.tables.values()
            names = sorted(schema.name for schema in schemas if not schema.temporary)
            listed = _listed(titles, [(name, "BASE TABLE") if full else (name,) for name in names], kept)
            origins = (("TABLE_NAME", 73), ("TABLE_TYPE", 64))
            return replace(listed, table="TABLE_NAMES", origins=origins, database=database)
        pattern = None
        if self.reader.looks_at("LIKE"):
            position = self.reader.position
            self.reader.take()
            pattern = read_text(self.context, self.reader)
            self.reader.position = position
        return plan_show(self.context, self.reader, tables_query(database, pattern, full=full), database)

    def _database(self) -> str:
        """[FROM | IN database], else the current one. Raises MeshError: UNKNOWN_DATABASE, NO_DATABASE."""
        if self.reader.accept_any("FROM", "IN") is not None:
            name = self.reader.expect_name().value
            return INFORMATION_SCHEMA if name.lower() == INFORMATION_SCHEMA else self._known(name)
        if self.context.database is None:
            raise MeshError(NO_DATABASE)
        return self.context.rule_set.database

    def _names_server_schema(self) -> bool:
        """Whether FROM | IN a schema of the server itself follows."""
        reader = self.reader
        return reader.peek().word in ("FROM", "IN") and reader.peek(1).value.lower() in SERVER_SCHEMAS

    def _known(self, name: str) -> str:
        """The database's name as configured. Raises MeshError(UNKNOWN_DATABASE)."""
        found = self.context.databases.get(name.lower())
        if found is None:
            raise MeshError(UNKNOWN_DATABASE, database=name)
        return found.database

    def _listed_by_server(self, query: ShowQuery) -> Plan:
        """[FROM | IN database] [LIKE | WHERE] over information_schema."""
        if self._names_server_schema():
            return plan_of_server(self.context, "this SHOW of the server's own schemas")
        return plan_show(self.context, self.reader, query, self._database())

    def _routines(self, query: ShowQuery) -> Plan:
        return plan_show(self.context, self.reader, query, None)

    def _index(self) -> Plan:
        """Several data nodes' cardinalities add up; of one node the server's own answer is as good."""
        place = self._place()
        if _is_servers(place) or _is_described_by_any(place):
            return _of_table(self.context, place, Relay())
        table = table_at(self.context, place)
        if (len(table.nodes) == 1 and encrypted_table(self.context, place) is None) or any(
            config.kind != "mysql" for config in self.context.rule_set.data_sources.values()
        ):
            return _of_table(self.context, place, RenameValues((0,)))
        return plan_show(self.context, self.reader, INDEX, self.context.rule_set.database, table.name)

    def _columns(self, *, full: bool) -> Plan:
        """FROM | IN table [FROM | IN database] [LIKE | WHERE]. Of encrypted columns the mesh alone knows."""
        place = self._place()
        name = encrypted_table(self.context, place)
        if name is None:
            return _of_table(self.context, place, Relay())
        query = FULL_COLUMNS if full else COLUMNS
        return plan_show(self.context, self.reader, query, self.context.rule_set.database, name)

    def _place(self) -> NamePlace:
        reader = self.reader
        if reader.accept_any("FROM", "IN") is None:
            raise reader.error()
        place = read_place(reader)
        if reader.looks_at("FROM") or reader.looks_at("IN"):
            reader.take()
            database = reader.expect_name()
            place = NamePlace(place.name, place.start, database.end, database.value)
        return place

    def _create_table(self) -> Plan:
        place = read_place(self.reader)
        self.reader.expect_end()
        return _of_table(self.context, place, RenameValues((0, 1)))

    def _create_database(self) -> Plan:
        reader = self.reader
        reader.accept("IF", "NOT", "EXISTS")
        name = reader.expect_name()
        reader.expect_end()
        known = self._known(name.value)
        first = next(iter(self.context.rule_set.data_sources.values()))
        if first.kind != "mysql" or known != self.context.rule_set.database:
            rows = ((known, f"CREATE DATABASE {quote_name(known, quoted=True)}"),)
            return LocalRows(("Database", "Create Database"), rows, origins=(("", 64), ("", 1024)))
        edits = self.context.edits()
        edits.replace(name.start, name.end, quote_name(first.database, quoted=True))
        shot = TextShot(first.name, edits.build().frame(()))
        names = Names(known, {first.database: known})
        plan = TextPlan(Verb.SHOW, (), (shot,), RenameValues((0, 1)), names, reads_only=True)
        return replace(plan, opens_transaction=False)


def _listed(titles: tuple[str, ...], rows: Sequence[tuple[str, ...]], kept: ShowFilter | None) -> LocalRows:
    """Rows the filter keeps; LIKE shows its pattern in the first title, as MySQL does."""
    chosen = tuple(row for row in rows if kept is None or kept.keeps(titles, row))
    if kept is not None and kept.like is not None:
        titles = (f"{titles[0]} ({kept.like})", *titles[1:])
    return LocalRows(titles, chosen)


def encrypted_table(context: PlanContext, place: NamePlace) -> str | None:
    """The name of a table of the current logic database that has encrypted columns, None for every other one."""
    if place.database is not None and place.database.lower() != context.rule_set.database.lower():
        return None
    found = context.rule_set.encrypted.get(place.name.lower())
    return None if found is None else table_at(context, place).name


def _is_servers(place: NamePlace) -> bool:
    return place.database is not None and place.database.lower() in SERVER_SCHEMAS


def _is_described_by_any(place: NamePlace) -> bool:
    return place.database is not None and place.database.lower() == INFORMATION_SCHEMA


def _of_table(context: PlanContext, place: NamePlace, answer: Answer) -> ShardPlan:
    """The client's text for the first data node of one table."""
    if _is_servers(place):
        return plan_of_server(context, f"{place.database}.{place.name}")
    if _is_described_by_any(place):
        return _as_it_is(context)
    table = table_at(context, place)
    edits = context.edits()
    edits.replace(place.start, place.end, TableName(0, quoted=True))
    node = table.nodes[0]
    if isinstance(answer, RenameValues):
        declared = context.rule_set.declared.get(table.name.lower())
        lines = tuple(map(constraint_line, declared.keys)) if declared is not None else ()
        encrypted = context.rule_set.encrypted.get(table.name.lower())
        answer = replace(
            answer, suffix=name_suffix(table.nodes, node), constraints=lines, encrypted=encrypted
        )
    shot = TextShot(node.data_source, edits.build().frame((node.table,)))
    # A table's definition names the tables its foreign keys refer to.
    names = names_of(context.rule_set, context.rule_set.tables.values())
    catalog = context.catalog
    views = {str(catalog.single_nodes[key].table): catalog.tables[key].name for key in catalog.views}
    schemas = schemas_of((context.rule_set, *context.databases.values()))
    names = replace(names, tables={**names.tables, **views}, schemas=schemas)
    return TextPlan(
        Verb.SHOW, (table.name,), (shot,), answer, names, reads_only=True, opens_transaction=False
    )


def _plan_describe(context: PlanContext, reader: LexemeReader) -> ShardPlan | None:
    """DESCRIBE table [column], or EXPLAIN of a statement; None for ANALYZE TABLE, which is maintenance."""
    runs = reader.take().word == "ANALYZE"
    if runs and reader.peek().word in ("TABLE", "TABLES", "LOCAL", "NO_WRITE_TO_BINLOG"):
        return None
    form = ExplainForm.ROWS
    while True:
        if reader.accept("FORMAT", "="):
            form = read_form(reader.take().value)
        elif reader.accept("ANALYZE"):
            # MySQL's, which has no other form by default.
            runs, form = True, ExplainForm.TREE
        elif reader.accept_any("EXTENDED", "PARTITIONS") is None:
            break
    if reader.looks_at("FOR"):
        raise not_supported("EXPLAIN FOR CONNECTION", "use EXPLAIN with the statement itself")
    if reader.peek().word in _EXPLAINED or reader.looks_at("("):
        return plan_explain(context, reader.peek().start, form, runs=runs)
    place = read_place(reader)
    if not reader.at_end and reader.peek().kind not in (Kind.WORD, Kind.QUOTED, Kind.STRING):
        raise reader.error()
    name = encrypted_table(context, place)
    if name is not None:
        query = COLUMNS
        if not reader.at_end:
            pattern = read_text(context, reader) if reader.peek().kind is Kind.STRING else reader.take().value
            reader.expect_end()
            query = replace(COLUMNS, where=f"COLUMN_NAME LIKE {literal_text(pattern)}")
        return plan_show(context, reader, query, context.rule_set.database, name)
    return _of_table(context, place, Relay())


def preview_text(statement: str) -> str | None:
    """The statement inside PREVIEW …, None for any other statement."""
    reader = LexemeReader(statement)
    if not reader.accept("PREVIEW") or reader.at_end:
        return None
    return reader.rest()


def preview_rows(bound: BoundStatement) -> LocalRows:
    """The answer of PREVIEW, as ShardingSphere titles it: each shot's data source and SQL; and how answers are merged."""
    return LocalRows(("data_source_name", "actual_sql", "answer"), explain(bound))
