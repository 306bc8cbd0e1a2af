"""DDL: the client's own text on every data node of a table, with actual names.

Decides which nodes run it and what is refused because several nodes could not do it alike. Tables without a rule live
on one data source, and so does everything made of them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from dbmesh.errors import NOT_SUPPORTED, MeshError, not_supported
from dbmesh.model import DataNode
from dbmesh.planner.auto_changes import plan_alter_made, plan_index_made
from dbmesh.planner.auto_tables import plan_auto_table
from dbmesh.planner.context import PlanContext
from dbmesh.planner.ddl_database import plan_database
from dbmesh.planner.ddl_nodes import is_numbered, names_of_tables, plan_everywhere
from dbmesh.planner.ddl_places import (
    DdlTable,
    check_single,
    table_at,
)
from dbmesh.planner.ddl_queries import BY_HAND, plan_create_view, plan_from_query
from dbmesh.planner.ddl_reading import (
    CreateTable,
    NamePlace,
    TableList,
    read_alter_table,
    read_create_table,
    read_drop_table,
    read_index_table,
    read_maintenance,
    read_place,
    read_truncate,
)
from dbmesh.planner.foreign_keys import alter_keys
from dbmesh.planner.lexemes import LexemeReader
from dbmesh.planner.plan import CountMerge, PinReason, Plan, Relay, ShardPlan, TableReports, Verb
from dbmesh.planner.query_table import plan_query_table
from dbmesh.planner.rename_tables import plan_rename_tables
from dbmesh.planner.template import Edits, TableName
from dbmesh.planner.text_plan import TextPlan, TextShot
from dbmesh.planner.triggers import plan_create_trigger
from dbmesh.planner.views import NamesView
from dbmesh.rules.declared_keys import without_tables
from dbmesh.rules.joint import schemas_of
from dbmesh.rules.ruleset import BroadcastTable, RuleChange, ShardedTable


def plan_ddl(context: PlanContext) -> Plan | None:
    """The plan of a DDL or table maintenance statement, None when it is neither.

    Raises MeshError: PARSE_ERROR, UNKNOWN_TABLE, NOT_SUPPORTED.
    """
    reader = LexemeReader(context.statement.readable)
    word = reader.peek().word
    if word in ("CREATE", "ALTER", "DROP"):
        kind = object_kind(reader)
        planner = _PLANNERS.get((word, kind))
        if kind in ("DATABASE", "SCHEMA") and word != "ALTER" and context.rule_set.needs_no_rules:
            return plan_database(LexemeReader(context.original_text, flags=context.flags))
        if planner is None:
            raise not_supported(f"{word} {kind}", _REFUSED.get(kind, BY_HAND))
        return planner(context, reader)
    if word == "TRUNCATE":
        table = table_at(context, place := read_truncate(reader))
        numbering = ((table.name, 1),) if is_numbered(context, table) else ()
        return replace(plan_everywhere(context, table, place), change=RuleChange(numbering=numbering))
    if word == "RENAME":
        return _plan_rename(context, reader)
    if word in ("ANALYZE", "OPTIMIZE", "CHECK", "REPAIR"):
        return _plan_maintenance(context, reader)
    if word == "CHECKSUM":
        return _plan_checksum(context, reader)
    return None


_REFUSED = {
    "DATABASE": "logic databases are configuration: write a database-*.yaml file",
    "SCHEMA": "logic databases are configuration: write a database-*.yaml file",
}
_OBJECTS = frozenset(
    ("TABLE", "TABLES", "INDEX", "VIEW", "TRIGGER", "DATABASE", "SCHEMA", "PROCEDURE", "FUNCTION", "SEQUENCE")
)


def object_kind(reader: LexemeReader) -> str:
    """What CREATE, ALTER or DROP is about: the first such word, past OR REPLACE, UNIQUE, DEFINER = … and the like."""
    for ahead in range(1, 24):
        word = reader.peek(ahead).word
        if word in _OBJECTS:
            return "TABLE" if word == "TABLES" else word
    return reader.peek(1).text.upper()


def _plan_create_table(context: PlanContext, reader: LexemeReader) -> ShardPlan:
    read = read_create_table(reader)
    table = table_at(context, read.table, new=True)
    if read.unions:
        raise not_supported("CREATE TABLE … UNION (the MERGE engine)", "use a view or query the tables")
    if read.temporary:
        return _plan_create_temporary(context, read, table)
    if read.selects:
        return _plan_table_of_query(context, read.table, table)
    made = table.name.lower() in context.rule_set.made
    if made or (table.rule is None and context.rule_set.auto_shards):
        return plan_auto_table(context, read, table)
    if table.rule is not None and (read.like is not None or (read.selects and not read.columns)):
        raise not_supported(
            f"CREATE TABLE … LIKE or AS SELECT for '{table.name}', which has a rule", "write its columns"
        )
    if table.rule is None:
        check_single(context, table.nodes[0].data_source, table.name)
    if isinstance(table.rule, ShardedTable):
        columns = {column.lower() for column in read.columns}
        missing = [column for column in table.rule.sharding_columns if column not in columns]
        if missing:
            raise not_supported(
                f"CREATE TABLE '{table.name}' without its sharding column '{missing[0]}'",
                "add the column, or change the table's rule",
            )
    references = (*read.references, *([read.like] if read.like is not None else []))
    return plan_everywhere(context, table, read.table, references, read.symbols)


def _plan_create_temporary(context: PlanContext, read: CreateTable, table: DdlTable) -> ShardPlan:
    """A table of this session alone, on one connection of one data source; the session keeps the connection."""
    known = context.catalog.table(table.name)
    if table.rule is not None or (known is not None and not known.temporary):
        raise not_supported(
            f"a temporary table with the name of the table '{table.name}'", "choose another name"
        )
    references = read.references
    if read.like is not None:
        like = table_at(context, read.like)
        if like.rule is not None:
            raise not_supported(
                f"a temporary table like '{like.name}', which has a rule", "write its columns"
            )
        table = replace(table, nodes=(replace(like.nodes[0], table=table.name),))
        references = (*references, read.like)
    if read.selects:
        plan = plan_from_query(context, read.table, temporary=True)
    else:
        plan = plan_everywhere(context, table, read.table, references, read.symbols)
    source = plan.shots[0].data_source
    if context.rule_set.data_sources[source].kind != "mysql":
        raise not_supported(f"a temporary table on '{source}'", "use a derived table in the query")
    return replace(
        plan,
        opens_transaction=True,
        implicit_commit=False,
        pin=PinReason.TEMPORARY_TABLE,
        makes_temporary=DataNode(source, table.name),
    )


def _plan_table_of_query(context: PlanContext, place: NamePlace, table: DdlTable) -> ShardPlan:
    try:
        return plan_from_query(context, place)
    except MeshError as refusal:
        if refusal.kind is not NOT_SUPPORTED or table.rule is not None or isinstance(refusal, NamesView):
            raise
        return plan_query_table(context, place, table, refusal)


def _plan_sequence(context: PlanContext, reader: LexemeReader) -> ShardPlan:
    """A sequence (MariaDB) is one object on one data source, whoever takes its numbers."""
    if reader.looks_at("CREATE", "TEMPORARY"):
        raise not_supported("a temporary sequence", "make it without TEMPORARY")
    new = reader.looks_at("CREATE")
    while not reader.accept("SEQUENCE"):
        reader.take()
    if not reader.accept("IF", "NOT", "EXISTS"):
        reader.accept("IF", "EXISTS")
    place = read_place(reader)
    table = table_at(context, place, new=True)
    if table.rule is not None:
        raise not_supported(f"a sequence with the name of the table '{table.name}'", "choose another name")
    if new:
        check_single(context, table.nodes[0].data_source, table.name)
    return plan_everywhere(context, table, place)


def _plan_alter_table(context: PlanContext, reader: LexemeReader) -> ShardPlan:
    read = read_alter_table(reader)
    table = table_at(context, read.table)
    if read.exchanges:
        raise not_supported("ALTER TABLE … EXCHANGE PARTITION", "copy the rows")
    made = context.rule_set.made.get(table.name.lower())
    if made is not None:
        return plan_alter_made(context, read, table, made)
    if isinstance(table.rule, ShardedTable):
        for column in read.gone:
            if column.lower() in table.rule.sharding_columns:
                raise not_supported(
                    f"dropping or renaming the sharding column '{column}' of '{table.name}'",
                    "change the table's rule first",
                )
    if read.renamed_to is not None:
        if table.rule is not None:
            raise not_supported(f"renaming '{table.name}', which has a rule", "change the rule's table name")
        if table_at(context, read.renamed_to, new=True).rule is not None:
            raise not_supported(
                f"renaming a table to '{read.renamed_to.name}', which has a rule", "choose another name"
            )
        check_single(context, table.nodes[0].data_source, read.renamed_to.name)
    keys = alter_keys(context, read, table) if table.rule is None and context.rule_set.auto_shards else None
    edits = None if keys is None else keys.edits
    references, symbols = (read.references, read.symbols) if keys is None else (keys.references, keys.symbols)
    # A table without a rule has one node, so its constraints keep their names and the new name may pass as one more.
    symbols = symbols if read.renamed_to is None else (*symbols, read.renamed_to)
    plan = plan_everywhere(context, table, read.table, references, symbols, edits=edits)
    if keys is None:
        return plan
    return replace(plan, change=RuleChange(declared=keys.declared), warnings=keys.warnings)


def _plan_rename(context: PlanContext, reader: LexemeReader) -> ShardPlan:
    if not (reader.looks_at("RENAME", "TABLE") or reader.looks_at("RENAME", "TABLES")):
        raise not_supported(f"RENAME {reader.peek(1).text.upper()}", BY_HAND)
    return plan_rename_tables(context, reader)


def _plan_drop_table(context: PlanContext, reader: LexemeReader) -> ShardPlan:
    others = reader.peek(1).word in ("VIEW", "SEQUENCE")
    read = read_drop_table(reader)
    tables = [table_at(context, place, new=True) for place in read.tables]
    if others:
        tables = [replace(table, rule=None, nodes=_dropped_nodes(context, table)) for table in tables]
    elif read.temporary:
        ruled = next((table for table in tables if table.rule is not None), None)
        if ruled is not None:
            raise not_supported(f"DROP TEMPORARY TABLE of the logic table '{ruled.name}'", "use DROP TABLE")
    by_source = _actual_tables(tables)
    edits_of = _list_edits(context, read)
    shots = tuple(
        TextShot(source, edits_of(len(names)).build().frame(names)) for source, names in by_source.items()
    )
    gone = tuple(t.name for t in tables if t.rule is not None and t.name.lower() in context.rule_set.made)
    numbering = tuple((table.name, 1) for table in tables if is_numbered(context, table))
    return TextPlan(
        Verb.DDL,
        tuple(table.name for table in tables),
        shots,
        Relay() if len(shots) == 1 else CountMerge(),
        names_of_tables(context, tables),
        opens_transaction=False,
        implicit_commit=not read.temporary,
        drops=() if others else tuple(table.name for table in tables),
        change=RuleChange((), gone, numbering, without_tables(context.rule_set, [t.name for t in tables])),
        announced=any(table.name.lower() in context.catalog.views for table in tables),
    )


def _dropped_nodes(context: PlanContext, table: DdlTable) -> tuple[DataNode, ...]:
    """Where a view or sequence is dropped: of a table, the first node's server tells that it is none."""
    schema = context.catalog.table(table.name)
    return table.nodes if schema is not None and schema.definition is not None else table.nodes[:1]


def _actual_tables(tables: Sequence[DdlTable]) -> Mapping[str, list[str]]:
    """Data source → the actual tables there, in the order the client named their logic tables."""
    by_source: dict[str, list[str]] = {}
    for table in tables:
        for node in table.nodes:
            by_source.setdefault(node.data_source, []).append(node.table)
    return by_source


def _list_edits(context: PlanContext, read: TableList) -> Callable[[int], Edits]:
    """Makes edits that put a list of that many actual tables in place of the written list."""
    start, end = read.span

    def edits_for(count: int) -> Edits:
        edits = context.edits()
        segments: list[str | TableName] = []
        for index in range(count):
            segments += ([", "] if index else []) + [TableName(index, quoted=True)]
        edits.replace(start, end, *segments)
        return edits

    return edits_for


def _plan_maintenance(context: PlanContext, reader: LexemeReader) -> ShardPlan:
    read = read_maintenance(reader)
    tables = [table_at(context, place) for place in read.tables]
    plan = _plan_reports(context, read, tables, Verb.DDL)
    return replace(plan, opens_transaction=False, implicit_commit=True)


def _plan_checksum(context: PlanContext, reader: LexemeReader) -> ShardPlan:
    """A table's checksum is a sum over its rows (MySQL manual, "CHECKSUM TABLE Statement"), whatever data node has them. All
    data nodes of a broadcast table have the same."""
    read = read_maintenance(reader)
    found = [table_at(context, place) for place in read.tables]
    tables = [
        replace(table, nodes=table.nodes[:1]) if isinstance(table.rule, BroadcastTable) else table
        for table in found
    ]
    return replace(_plan_reports(context, read, tables, Verb.SHOW, sums=True), reads_only=True)


def _plan_reports(
    context: PlanContext, read: TableList, tables: Sequence[DdlTable], verb: Verb, *, sums: bool = False
) -> TextPlan:
    edits_for = _list_edits(context, read)
    shots = tuple(
        TextShot(source, edits_for(len(names)).build().frame(names))
        for source, names in _actual_tables(tables).items()
    )
    logic = names_of_tables(context, tables)
    logic = replace(logic, schemas=schemas_of((context.rule_set, *context.databases.values())))
    titles = tuple(_qualified(context, *pair) for pair in zip(read.tables, tables, strict=True))
    return TextPlan(verb, tuple(table.name for table in tables), shots, TableReports(titles, sums), logic)


def _qualified(context: PlanContext, place: NamePlace, table: DdlTable) -> str:
    return f"{place.database or context.rule_set.database}.{table.name}"


def _plan_index(context: PlanContext, reader: LexemeReader) -> ShardPlan:
    place = read_index_table(reader)
    table = table_at(context, place)
    made = context.rule_set.made.get(table.name.lower())
    if made is not None:
        return plan_index_made(context, place, table, made)
    return plan_everywhere(context, table, place)


_PLANNERS: Mapping[tuple[str, str], Callable[[PlanContext, LexemeReader], ShardPlan]] = {
    ("CREATE", "TABLE"): _plan_create_table,
    ("CREATE", "INDEX"): _plan_index,
    ("CREATE", "VIEW"): plan_create_view,
    ("ALTER", "VIEW"): plan_create_view,
    ("CREATE", "TRIGGER"): plan_create_trigger,
    ("ALTER", "TABLE"): _plan_alter_table,
    ("DROP", "TABLE"): _plan_drop_table,
    ("DROP", "VIEW"): _plan_drop_table,
    ("CREATE", "SEQUENCE"): _plan_sequence,
    ("ALTER", "SEQUENCE"): _plan_sequence,
    ("DROP", "SEQUENCE"): _plan_drop_table,
    ("DROP", "INDEX"): _plan_index,
}
