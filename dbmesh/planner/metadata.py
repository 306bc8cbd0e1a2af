"""SHOW, DESCRIBE and EXPLAIN: what a database looks like, in logic names only.

Decides who answers: the mesh itself where it knows the rows, else one data node whose answer gets its names turned
back. Knows nothing of sessions; statements about them are read elsewhere.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from dbmesh.errors import NO_DATABASE, UNKNOWN_DATABASE, MeshError, not_supported
from dbmesh.planner.context import PlanContext
from dbmesh.planner.ddl_places import table_at
from dbmesh.planner.ddl_reading import NamePlace, read_place
from dbmesh.planner.explain import explain
from dbmesh.planner.information_schema import tables_of_one_source
from dbmesh.planner.lexemes import Kind, LexemeReader
from dbmesh.planner.metadata_filter import ShowFilter, read_filter
from dbmesh.planner.names import logic_names
from dbmesh.planner.one_place import OnePlacePlan
from dbmesh.planner.plan import (
    Answer,
    BoundStatement,
    LocalRows,
    Plan,
    Relay,
    RenameValues,
    RowMerge,
    ShardPlan,
    Verb,
)
from dbmesh.planner.resolve import resolve
from dbmesh.planner.route import build_router
from dbmesh.planner.template import TableName
from dbmesh.planner.text_plan import TextPlan, TextShot, names_of
from dbmesh.planner.tree_names import rename_references
from dbmesh.sql.literals import literal_text
from dbmesh.sql.parse import parse

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
    """The plan of a SHOW, DESCRIBE, DESC or EXPLAIN statement, None for any other.

    Raises MeshError: PARSE_ERROR, NO_DATABASE, UNKNOWN_DATABASE, UNKNOWN_TABLE, NOT_SUPPORTED.
    """
    reader = LexemeReader(context.statement.readable)
    word = reader.peek().word
    if word in ("DESCRIBE", "DESC", "EXPLAIN"):
        return _plan_describe(context, reader)
    if word != "SHOW":
        return None
    reader.take()
    if reader.accept_any("GLOBAL", "SESSION", "LOCAL") or reader.peek().word in _SERVER_WORDS:
        return _as_it_is(context)
    if reader.looks_at("FUNCTION", "STATUS") or reader.looks_at("PROCEDURE", "STATUS"):
        return _as_it_is(context)
    return _Shows(context, reader).plan()


def _as_it_is(context: PlanContext) -> ShardPlan:
    """The client's text for the first data source: it tells of the server, not of tables."""
    return _one_shot(context, next(iter(context.rule_set.data_sources)), Relay())


def _one_shot(context: PlanContext, source: str, answer: Answer) -> ShardPlan:
    shot = TextShot(source, context.edits().build().frame(()))
    names = names_of(context.rule_set.database, ())
    return TextPlan(Verb.SHOW, (), (shot,), answer, names, reads_only=True, opens_transaction=False)


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
            (("TABLE", "STATUS"), self._table_status),
            (("COLUMNS",), lambda: self._of_table(Relay())),
            (("FIELDS",), lambda: self._of_table(Relay())),
            (("INDEX",), lambda: self._of_table(RenameValues((0,)))),
            (("INDEXES",), lambda: self._of_table(RenameValues((0,)))),
            (("KEYS",), lambda: self._of_table(RenameValues((0,)))),
            (("CREATE", "TABLE"), self._create_table),
            (("CREATE", "VIEW"), self._create_table),
            (("CREATE", "DATABASE"), self._create_database),
            (("CREATE", "SCHEMA"), self._create_database),
            (("TRIGGERS",), self._triggers),
        )
        for words, plan in readers:
            if reader.accept(*words):
                return plan()
        raise not_supported(
            f"SHOW {reader.peek().text.upper()}", "ask the data source itself, or query information_schema"
        )

    def _databases(self) -> Plan:
        kept = read_filter(self.context, self.reader)
        return _listed(("Database",), [(name,) for name in ("information_schema", *self._names())], kept)

    def _names(self) -> list[str]:
        return sorted(rule_set.database for rule_set in self.context.databases.values())

    def _tables(self, *, full: bool) -> Plan:
        self._current()
        kept = read_filter(self.context, self.reader)
        title = f"Tables_in_{self.context.rule_set.database}"
        titles = (title, "Table_type") if full else (title,)
        names = sorted(schema.name for schema in self.context.catalog.tables.values())
        return _listed(titles, [(name, "BASE TABLE") if full else (name,) for name in names], kept)

    def _current(self) -> None:
        """[FROM | IN database], which must be the one being planned for: only its catalog is at hand."""
        if self.reader.accept_any("FROM", "IN") is not None:
            found = self._known(self.reader.expect_name().value)
            if found != self.context.rule_set.database:
                raise not_supported(f"this SHOW for another database ('{found}')", "USE that database first")
        elif self.context.database is None:
            raise MeshError(NO_DATABASE)

    def _known(self, name: str) -> str:
        """The database's name as configured. Raises MeshError(UNKNOWN_DATABASE)."""
        found = self.context.databases.get(name.lower())
        if found is None:
            raise MeshError(UNKNOWN_DATABASE, database=name)
        return found.database

    def _table_status(self) -> Plan:
        self._current()
        kept = read_filter(self.context, self.reader)
        source, actual = tables_of_one_source(self.context)
        names = [own for own, logic in actual.items() if kept is None or kept.keeps(("Name",), (logic,))]
        listed = ", ".join([literal_text(name) for name in names]) or "NULL"
        edits = self.context.edits()
        edits.replace(
            self.context.statement.shape.start,
            len(self.context.statement.text),
            f"SHOW TABLE STATUS WHERE Name IN ({listed})",
        )
        shot = TextShot(source, edits.build().frame(()))
        rules = [self.context.rule_set.table(logic) or logic for logic in actual.values()]
        return TextPlan(
            Verb.SHOW,
            (),
            (shot,),
            RenameValues((0,)),
            names_of(self.context.rule_set.database, rules),
            reads_only=True,
            opens_transaction=False,
        )

    def _of_table(self, answer: Answer) -> Plan:
        """COLUMNS and INDEX: FROM | IN table [FROM | IN database] [LIKE | WHERE]."""
        reader = self.reader
        if reader.accept_any("FROM", "IN") is None:
            raise reader.error()
        place = read_place(reader)
        if reader.looks_at("FROM") or reader.looks_at("IN"):
            reader.take()
            database = reader.expect_name()
            place = NamePlace(place.name, place.start, database.end, database.value)
        return _of_table(self.context, place, answer)

    def _create_table(self) -> Plan:
        place = read_place(self.reader)
        self.reader.expect_end()
        return _of_table(self.context, place, RenameValues((0, 1)))

    def _create_database(self) -> Plan:
        reader = self.reader
        reader.accept("IF", "NOT", "EXISTS")
        name = reader.expect_name().value
        reader.expect_end()
        known = self._known(name)
        own = known.replace("`", "``")
        return LocalRows(("Database", "Create Database"), ((known, f"CREATE DATABASE `{own}`"),))

    def _triggers(self) -> Plan:
        """Only tables without a rule have triggers; every data source that holds some is asked."""
        self._current()
        if not self.reader.at_end:
            raise not_supported(
                "SHOW TRIGGERS with LIKE or WHERE", "use SHOW TRIGGERS, or query information_schema"
            )
        by_source: dict[str, list[str]] = {}
        for node in self.context.catalog.single_nodes.values():
            by_source.setdefault(node.data_source, []).append(node.table)
        shots: list[TextShot] = []
        for source, tables in by_source.items() or [(next(iter(self.context.rule_set.data_sources)), [""])]:
            edits = self.context.edits()
            listed = ", ".join([literal_text(table) for table in tables])
            edits.replace(
                self.context.statement.shape.start,
                len(self.context.statement.text),
                f"SHOW TRIGGERS WHERE `Table` IN ({listed})",
            )
            shots.append(TextShot(source, edits.build().frame(())))
        return TextPlan(
            Verb.SHOW,
            (),
            tuple(shots),
            Relay() if len(shots) == 1 else RowMerge(),
            names_of(self.context.rule_set.database, ()),
            reads_only=True,
            opens_transaction=False,
        )


def _listed(titles: tuple[str, ...], rows: Sequence[tuple[str, ...]], kept: ShowFilter | None) -> LocalRows:
    """Rows the filter keeps; LIKE shows its pattern in the first title, as MySQL does."""
    chosen = tuple(row for row in rows if kept is None or kept.keeps(titles, row))
    if kept is not None and kept.like is not None:
        titles = (f"{titles[0]} ({kept.like})", *titles[1:])
    return LocalRows(titles, chosen)


def _of_table(context: PlanContext, place: NamePlace, answer: Answer) -> ShardPlan:
    """The client's text for the first data node of one table."""
    table = table_at(context, place)
    edits = context.edits()
    edits.replace(place.start, place.end, TableName(0, quoted=True))
    node = table.nodes[0]
    shot = TextShot(node.data_source, edits.build().frame((node.table,)))
    # A table's definition names the tables its foreign keys refer to.
    names = names_of(context.rule_set.database, context.rule_set.tables.values())
    return TextPlan(
        Verb.SHOW, (table.name,), (shot,), answer, names, reads_only=True, opens_transaction=False
    )


def _plan_describe(context: PlanContext, reader: LexemeReader) -> ShardPlan:
    """DESCRIBE table [column], or EXPLAIN of a statement."""
    reader.take()
    document = False
    while True:
        if reader.accept("FORMAT", "="):
            document = reader.take().value.upper() != "TRADITIONAL"
        elif reader.accept("ANALYZE"):
            raise not_supported("EXPLAIN ANALYZE (it runs the statement)", "use EXPLAIN")
        elif reader.accept_any("EXTENDED", "PARTITIONS") is None:
            break
    if reader.looks_at("FOR"):
        raise not_supported("EXPLAIN FOR CONNECTION", "use EXPLAIN with the statement itself")
    if reader.peek().word not in _EXPLAINED and not reader.looks_at("("):
        place = read_place(reader)
        if not reader.at_end and reader.peek().kind not in (Kind.WORD, Kind.QUOTED, Kind.STRING):
            raise reader.error()
        return _of_table(context, place, Relay())
    start = reader.peek().start
    text = context.statement.readable
    tree = parse(" " * start + text[start:])
    scopes = resolve(context, tree)
    template = rename_references(context, scopes, tree).build()
    return OnePlacePlan(
        Verb.SHOW,
        tuple(dict.fromkeys(reference.table.name for reference in scopes.references)),
        build_router(context, scopes),
        template,
        logic_names(context, scopes),
        "EXPLAIN",
        answer=RenameValues((0,) if document else (2,)),
        any_target=True,
        reads_only=True,
        opens_transaction=False,
    )


def preview_text(statement: str) -> str | None:
    """The statement inside PREVIEW …, None for any other statement."""
    reader = LexemeReader(statement)
    if not reader.accept("PREVIEW") or reader.at_end:
        return None
    return reader.rest()


def preview_rows(bound: BoundStatement) -> LocalRows:
    """The answer of PREVIEW, as ShardingSphere titles it: each shot's data source and SQL."""
    rows = tuple((data_source, sql) for data_source, sql, _ in explain(bound))
    return LocalRows(("data_source_name", "actual_sql"), rows)
