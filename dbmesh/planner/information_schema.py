"""information_schema with logic names: each of its tables becomes a derived table over the real one.

Decides which rows show (one node per logic table, on one data source that has a node of every table) and what their
names read as. Columns are those MySQL 8 and MariaDB 10.5 share. Numbers such as TABLE_ROWS are the one node's own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from sqlglot import exp

from dbmesh.errors import MeshError, not_supported
from dbmesh.planner.context import PlanContext
from dbmesh.planner.names import session_answers
from dbmesh.planner.plan import Answer, Relay, RowMerge, ShardPlan, Verb
from dbmesh.planner.template import Edits, Frame, quote_name
from dbmesh.planner.text_plan import TextPlan, TextShot, names_of
from dbmesh.sql.literals import literal_text

_SHARED = (
    "ENGINES CHARACTER_SETS COLLATIONS COLLATION_CHARACTER_SET_APPLICABILITY PLUGINS KEYWORDS SQL_FUNCTIONS "
    "GLOBAL_VARIABLES SESSION_VARIABLES SYSTEM_VARIABLES GLOBAL_STATUS SESSION_STATUS"
)
"""Tables that name no table of the user's: they pass as they are."""

# `@` before a column: a schema, shown as the logic database; `#`: a table, shown by its logic name.
_COLUMNS: Mapping[str, tuple[str, str]] = {
    "TABLES": (
        "TABLE_NAME",
        (
            "TABLE_CATALOG @TABLE_SCHEMA #TABLE_NAME TABLE_TYPE ENGINE VERSION ROW_FORMAT TABLE_ROWS AVG_ROW_LENGTH "
            "DATA_LENGTH MAX_DATA_LENGTH INDEX_LENGTH DATA_FREE AUTO_INCREMENT CREATE_TIME UPDATE_TIME CHECK_TIME "
            "TABLE_COLLATION CHECKSUM CREATE_OPTIONS TABLE_COMMENT"
        ),
    ),
    "COLUMNS": (
        "TABLE_NAME",
        (
            "TABLE_CATALOG @TABLE_SCHEMA #TABLE_NAME COLUMN_NAME ORDINAL_POSITION COLUMN_DEFAULT IS_NULLABLE DATA_TYPE "
            "CHARACTER_MAXIMUM_LENGTH CHARACTER_OCTET_LENGTH NUMERIC_PRECISION NUMERIC_SCALE DATETIME_PRECISION "
            "CHARACTER_SET_NAME COLLATION_NAME COLUMN_TYPE COLUMN_KEY EXTRA PRIVILEGES COLUMN_COMMENT "
            "GENERATION_EXPRESSION"
        ),
    ),
    "STATISTICS": (
        "TABLE_NAME",
        (
            "TABLE_CATALOG @TABLE_SCHEMA #TABLE_NAME NON_UNIQUE @INDEX_SCHEMA INDEX_NAME SEQ_IN_INDEX COLUMN_NAME COLLATION "
            "CARDINALITY SUB_PART PACKED NULLABLE INDEX_TYPE COMMENT INDEX_COMMENT"
        ),
    ),
    "KEY_COLUMN_USAGE": (
        "TABLE_NAME",
        (
            "CONSTRAINT_CATALOG @CONSTRAINT_SCHEMA CONSTRAINT_NAME TABLE_CATALOG @TABLE_SCHEMA #TABLE_NAME COLUMN_NAME "
            "ORDINAL_POSITION POSITION_IN_UNIQUE_CONSTRAINT @REFERENCED_TABLE_SCHEMA #REFERENCED_TABLE_NAME "
            "REFERENCED_COLUMN_NAME"
        ),
    ),
    "TABLE_CONSTRAINTS": (
        "TABLE_NAME",
        "CONSTRAINT_CATALOG @CONSTRAINT_SCHEMA CONSTRAINT_NAME @TABLE_SCHEMA #TABLE_NAME CONSTRAINT_TYPE",
    ),
    "REFERENTIAL_CONSTRAINTS": (
        "TABLE_NAME",
        (
            "CONSTRAINT_CATALOG @CONSTRAINT_SCHEMA CONSTRAINT_NAME UNIQUE_CONSTRAINT_CATALOG @UNIQUE_CONSTRAINT_SCHEMA "
            "UNIQUE_CONSTRAINT_NAME MATCH_OPTION UPDATE_RULE DELETE_RULE #TABLE_NAME #REFERENCED_TABLE_NAME"
        ),
    ),
    # MariaDB's form: MySQL's has no TABLE_NAME, so that a MySQL data source answers error 1054 here.
    "CHECK_CONSTRAINTS": (
        "TABLE_NAME",
        "CONSTRAINT_CATALOG @CONSTRAINT_SCHEMA #TABLE_NAME CONSTRAINT_NAME LEVEL CHECK_CLAUSE",
    ),
    "VIEWS": (
        "TABLE_NAME",
        (
            "TABLE_CATALOG @TABLE_SCHEMA #TABLE_NAME VIEW_DEFINITION CHECK_OPTION IS_UPDATABLE DEFINER SECURITY_TYPE "
            "CHARACTER_SET_CLIENT COLLATION_CONNECTION"
        ),
    ),
    "PARTITIONS": (
        "TABLE_NAME",
        (
            "TABLE_CATALOG @TABLE_SCHEMA #TABLE_NAME PARTITION_NAME SUBPARTITION_NAME PARTITION_ORDINAL_POSITION "
            "SUBPARTITION_ORDINAL_POSITION PARTITION_METHOD SUBPARTITION_METHOD PARTITION_EXPRESSION "
            "SUBPARTITION_EXPRESSION PARTITION_DESCRIPTION TABLE_ROWS"
        ),
    ),
    "TRIGGERS": (
        "EVENT_OBJECT_TABLE",
        (
            "TRIGGER_CATALOG @TRIGGER_SCHEMA TRIGGER_NAME EVENT_MANIPULATION EVENT_OBJECT_CATALOG @EVENT_OBJECT_SCHEMA "
            "#EVENT_OBJECT_TABLE ACTION_ORDER ACTION_CONDITION ACTION_STATEMENT ACTION_ORIENTATION ACTION_TIMING CREATED "
            "SQL_MODE DEFINER CHARACTER_SET_CLIENT COLLATION_CONNECTION DATABASE_COLLATION"
        ),
    ),
}


def plan_information_schema(context: PlanContext) -> ShardPlan:
    """The plan of a SELECT over system schemas only.

    Raises MeshError(NOT_SUPPORTED): tables of the user's beside them, tables of information_schema not listed here,
    a statement that needs tables of several data sources at once.
    """
    places = _places(context)
    shots = tuple(TextShot(source, _frame(context, actual)) for source, actual in places)
    names = names_of(context.rule_set.database, ())
    answer: Answer = Relay() if len(shots) == 1 else RowMerge()
    return TextPlan(Verb.SELECT, (), shots, answer, names, reads_only=True)


def _frame(context: PlanContext, actual: Mapping[str, str]) -> Frame:
    """The statement over derived tables that show these tables only."""
    tree = context.statement.tree
    edits = context.edits()
    session_answers(context, edits)
    common = {expression.alias.lower() for expression in tree.find_all(exp.CTE)}
    for table in tree.find_all(exp.Table):
        if not isinstance(table.this, exp.Identifier) or (not table.db and table.name.lower() in common):
            continue
        if not table.db:
            raise not_supported(
                "tables of the database and system tables in one statement", "ask one at a time"
            )
        if table.db.lower() != "information_schema":
            continue
        text = _derived(context, table.name.upper(), actual)
        if text is not None:
            start = table.args["db"].meta["start"]
            alias = "" if table.alias else f" AS {quote_name(table.name, quoted=True)}"
            edits.replace(start, table.this.meta["end"] + 1, text + alias)
    for column in tree.find_all(exp.Column):
        database = column.args.get("db")
        if isinstance(database, exp.Identifier) and database.name.lower() == "information_schema":
            edits.replace(database.meta["start"], column.args["table"].meta["start"])
    for select in tree.find_all(exp.Select):
        _keep_case(edits, select)
    return edits.build().frame(())


def _keep_case(edits: Edits, select: exp.Select) -> None:
    """MariaDB titles a column of information_schema as the client spells it, MySQL 8 in capitals. A derived table has
    capitals on both, so MariaDB alone is told the spelling: only it reads this kind of comment."""
    for item in select.expressions:
        if isinstance(item, exp.Column) and isinstance(item.this, exp.Identifier):
            edits.insert(item.this.meta["end"] + 1, f" /*M! AS {quote_name(item.name, quoted=True)} */")


def _places(context: PlanContext) -> Sequence[tuple[str, Mapping[str, str]]]:
    """Data sources to ask and the tables each shows: one for all where possible, the one of the only table asked for,
    or several whose rows simply follow each other."""
    tree = context.statement.tree
    about_tables = any(
        table.db.lower() == "information_schema" and table.name.upper() in _COLUMNS
        for table in tree.find_all(exp.Table)
    )
    if not about_tables:
        return [(next(iter(context.rule_set.data_sources)), {})]
    for source in context.rule_set.data_sources:
        actual = _tables_on(context, source)
        if actual is not None:
            return [(source, actual)]
    spread = _spread(context)
    named = _named_table(context, tree)
    if named is not None:
        return [
            (source, actual) for source, actual in spread.items() if named in map(str.lower, actual.values())
        ][:1] or [next(iter(spread.items()))]
    if not _adds_up(tree):
        raise _spread_refused()
    return list(spread.items())


def _spread(context: PlanContext) -> dict[str, dict[str, str]]:
    """Data source → the tables whose first node it holds."""
    spread: dict[str, dict[str, str]] = {}
    for key, schema in context.catalog.tables.items():
        rule = context.rule_set.table(key)
        node = rule.nodes[0] if rule is not None else context.catalog.single_nodes[key]
        spread.setdefault(node.data_source, {})[node.table] = schema.name
    return spread


def _named_table(context: PlanContext, tree: exp.Expression) -> str | None:
    """The table of `WHERE table_name = '…' AND …` over one system table, in lower case; pins the literal."""
    where = tree.args.get("where")
    if len(list(tree.find_all(exp.Table))) != 1 or not isinstance(where, exp.Where):
        return None
    conditions = list(where.this.flatten()) if isinstance(where.this, exp.And) else [where.this]
    for condition in conditions:
        if isinstance(condition, exp.EQ) and condition.this.name.lower() == "table_name":
            slot = context.statement.slot(condition.expression)
            if slot is not None and not slot.parameter:
                return str(context.literal(slot)).lower()
    return None


def _adds_up(tree: exp.Expression) -> bool:
    """Whether the answers of several data sources, one behind the other, are the answer."""
    parts = ("joins", "group", "order", "limit", "offset", "distinct", "having", "windows", "with_")
    return (
        isinstance(tree, exp.Select)
        and len(list(tree.find_all(exp.Table))) == 1
        and not any(tree.args.get(part) for part in parts)
        and tree.find(exp.AggFunc, exp.Window, exp.Subquery) is None
    )


def _spread_refused() -> MeshError:
    return not_supported(
        "this statement about tables while no data source holds a part of every table",
        "add WHERE table_name = '…', leave out ORDER BY, or use SHOW COLUMNS and SHOW CREATE TABLE",
    )


def tables_of_one_source(context: PlanContext) -> tuple[str, Mapping[str, str]]:
    """A data source with a node of every existing table, and there: actual name → logic name. Raises
    MeshError(NOT_SUPPORTED) when there is none."""
    for source in context.rule_set.data_sources:
        actual = _tables_on(context, source)
        if actual is not None:
            return source, actual
    raise _spread_refused()


def _tables_on(context: PlanContext, source: str) -> Mapping[str, str] | None:
    actual: dict[str, str] = {}
    for key, schema in context.catalog.tables.items():
        rule = context.rule_set.table(key)
        nodes = rule.nodes if rule is not None else (context.catalog.single_nodes[key],)
        here = next((node for node in nodes if node.data_source == source), None)
        if here is None:
            return None
        actual[here.table] = schema.name
    return actual


def _derived(context: PlanContext, table: str, actual: Mapping[str, str]) -> str | None:
    """The derived table in place of an information_schema table; None when it may pass as it is."""
    if table in _SHARED.split():
        return None
    database = literal_text(context.rule_set.database)
    if table == "SCHEMATA":
        return (
            f"(SELECT CATALOG_NAME, {database} AS SCHEMA_NAME, DEFAULT_CHARACTER_SET_NAME, DEFAULT_COLLATION_NAME, "
            "SQL_PATH FROM information_schema.SCHEMATA WHERE SCHEMA_NAME = DATABASE())"
        )
    if table not in _COLUMNS:
        raise not_supported(
            f"information_schema.{table}",
            "ask the data source itself, or use the SHOW statement of that name",
        )
    key, columns = _COLUMNS[table]
    shown = ", ".join([_column(column, database, actual) for column in columns.split()])
    schema = next(column[1:] for column in columns.split() if column[0] == "@")
    listed = ", ".join([literal_text(name) for name in actual]) or "NULL"
    return f"(SELECT {shown} FROM information_schema.{table} WHERE {schema} = DATABASE() AND {key} IN ({listed}))"


def _column(column: str, database: str, actual: Mapping[str, str]) -> str:
    name = column.lstrip("@#")
    if column[0] == "@":
        return f"IF({name} = DATABASE(), {database}, {name}) AS {name}"
    renamed = {own: logic for own, logic in actual.items() if own != logic}
    if column[0] != "#" or not renamed:
        return name
    cases = " ".join(
        [f"WHEN {literal_text(own)} THEN {literal_text(logic)}" for own, logic in renamed.items()]
    )
    return f"CASE {name} {cases} ELSE {name} END AS {name}"
