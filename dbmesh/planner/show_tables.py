"""SHOW TABLES, TABLE STATUS, INDEX, TRIGGERS … as queries over information_schema, where their rows come from.

Decides the columns, their titles and the order (manual, "SHOW Statements"), so that LIKE and WHERE are the server's own
work and numbers add up over data nodes. Knows no rows.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from dbmesh.planner.context import PlanContext
from dbmesh.planner.information_schema import SystemPlan, SystemReference, merge_node, temporary_name
from dbmesh.planner.lexemes import LexemeReader
from dbmesh.planner.plan import Verb
from dbmesh.planner.system_tables import SYSTEM_TABLES
from dbmesh.planner.template import Frame, Segment, Template, quote_name
from dbmesh.sql.literals import literal_text

_STATUS = (
    "TABLE_NAME AS `Name`, ENGINE AS `Engine`, VERSION AS `Version`, ROW_FORMAT AS `Row_format`, TABLE_ROWS AS `Rows`, "
    "AVG_ROW_LENGTH AS `Avg_row_length`, DATA_LENGTH AS `Data_length`, MAX_DATA_LENGTH AS `Max_data_length`, "
    "INDEX_LENGTH AS `Index_length`, DATA_FREE AS `Data_free`, AUTO_INCREMENT AS `Auto_increment`, "
    "CREATE_TIME AS `Create_time`, UPDATE_TIME AS `Update_time`, CHECK_TIME AS `Check_time`, "
    "TABLE_COLLATION AS `Collation`, CHECKSUM AS `Checksum`, CREATE_OPTIONS AS `Create_options`, "
    "TABLE_COMMENT AS `Comment`"
    "/*M! , MAX_INDEX_LENGTH AS `Max_index_length`, TEMPORARY AS `Temporary` */"
)
_INDEX = (
    "TABLE_NAME AS `Table`, NON_UNIQUE AS `Non_unique`, INDEX_NAME AS `Key_name`, SEQ_IN_INDEX AS `Seq_in_index`, "
    "COLUMN_NAME AS `Column_name`, COLLATION AS `Collation`, CARDINALITY AS `Cardinality`, SUB_PART AS `Sub_part`, "
    "PACKED AS `Packed`, NULLABLE AS `Null`, INDEX_TYPE AS `Index_type`, COMMENT AS `Comment`, "
    "INDEX_COMMENT AS `Index_comment`/*M!100600 , IGNORED AS `Ignored` *//*!80013 , IS_VISIBLE AS `Visible`, "
    "EXPRESSION AS `Expression` */"
)
_DEFAULT = "NULLIF(TRIM(BOTH '''' FROM COLUMN_DEFAULT), 'NULL') AS `Default`"
"""MariaDB's has a text in quotes, and NULL as a word."""
_COLUMNS = (
    "COLUMN_NAME AS `Field`, COLUMN_TYPE AS `Type`, IS_NULLABLE AS `Null`, COLUMN_KEY AS `Key`, "
    f"{_DEFAULT}, EXTRA AS `Extra`"
)
_FULL_COLUMNS = (
    "COLUMN_NAME AS `Field`, COLUMN_TYPE AS `Type`, COLLATION_NAME AS `Collation`, IS_NULLABLE AS `Null`, COLUMN_KEY AS `Key`, "
    f"{_DEFAULT}, EXTRA AS `Extra`, PRIVILEGES AS `Privileges`, COLUMN_COMMENT AS `Comment`"
)
_TRIGGERS = (
    "TRIGGER_NAME AS `Trigger`, EVENT_MANIPULATION AS `Event`, EVENT_OBJECT_TABLE AS `Table`, "
    "ACTION_STATEMENT AS `Statement`, ACTION_TIMING AS `Timing`, CREATED AS `Created`, SQL_MODE AS `sql_mode`, "
    "DEFINER AS `Definer`, CHARACTER_SET_CLIENT AS `character_set_client`, "
    "COLLATION_CONNECTION AS `collation_connection`, DATABASE_COLLATION AS `Database Collation`"
)
_ROUTINES = (
    "ROUTINE_SCHEMA AS `Db`, ROUTINE_NAME AS `Name`, ROUTINE_TYPE AS `Type`, "
    "/*!90000 EXTERNAL_LANGUAGE AS `Language`, */ DEFINER AS `Definer`, "
    "LAST_ALTERED AS `Modified`, CREATED AS `Created`, SECURITY_TYPE AS `Security_type`, "
    "ROUTINE_COMMENT AS `Comment`, CHARACTER_SET_CLIENT AS `character_set_client`, "
    "COLLATION_CONNECTION AS `collation_connection`, DATABASE_COLLATION AS `Database Collation`"
)
_EVENTS = (
    "EVENT_SCHEMA AS `Db`, EVENT_NAME AS `Name`, DEFINER AS `Definer`, TIME_ZONE AS `Time zone`, EVENT_TYPE AS `Type`, "
    "EXECUTE_AT AS `Execute at`, INTERVAL_VALUE AS `Interval value`, INTERVAL_FIELD AS `Interval field`, "
    "STARTS AS `Starts`, ENDS AS `Ends`, STATUS AS `Status`, ORIGINATOR AS `Originator`, "
    "CHARACTER_SET_CLIENT AS `character_set_client`, COLLATION_CONNECTION AS `collation_connection`, "
    "DATABASE_COLLATION AS `Database Collation`"
)


_TITLED = re.compile(r"(\w+) AS `([^`]+)`")


@dataclass(frozen=True, slots=True)
class ShowQuery:
    """One kind of SHOW. `like` is the title LIKE looks at, `order` the titles its rows are ordered by, '' where they come
    in the order of information_schema; `where` restricts it further, `tail` is SQL behind all."""

    system_table: str
    items: str
    like: str
    order: str = ""
    where: str = ""
    tail: str = ""


TABLE_STATUS = ShowQuery("TABLES", _STATUS, "Name", "Name")
# MySQL's information_schema lists indexes by name, its SHOW INDEX the unique ones first.
INDEX = ShowQuery(
    "STATISTICS",
    _INDEX,
    "Key_name",
    tail=" /*!80000 ORDER BY Key_name <> 'PRIMARY', Non_unique, Key_name, Seq_in_index */",
)
COLUMNS = ShowQuery("COLUMNS", _COLUMNS, "Field")
FULL_COLUMNS = ShowQuery("COLUMNS", _FULL_COLUMNS, "Field")
TRIGGERS = ShowQuery("TRIGGERS", _TRIGGERS, "Table", "Table")
EVENTS = ShowQuery("EVENTS", _EVENTS, "Name", "Name")
PROCEDURES = ShowQuery("ROUTINES", _ROUTINES, "Name", "Name", "ROUTINE_TYPE = 'PROCEDURE'")
FUNCTIONS = ShowQuery("ROUTINES", _ROUTINES, "Name", "Name", "ROUTINE_TYPE = 'FUNCTION'")


def tables_query(database: str, pattern: str | None, *, full: bool) -> ShowQuery:
    """SHOW [FULL] TABLES of a database; `pattern` is its LIKE, which the title repeats."""
    title = f"Tables_in_{database}" + ("" if pattern is None else f" ({pattern})")
    quoted = quote_name(title, quoted=True)
    items = f"TABLE_NAME AS {quoted}" + (", TABLE_TYPE AS `Table_type`" if full else "")
    return ShowQuery("TABLES", items, title, title)


def plan_show(
    context: PlanContext,
    reader: LexemeReader,
    query: ShowQuery,
    database: str | None,
    table: str | None = None,
) -> SystemPlan:
    """The plan of a SHOW of which [LIKE 'pattern' | WHERE condition] is left to read. `database` None: of all databases.

    Raises MeshError: PARSE_ERROR, NOT_SUPPORTED.
    """
    definition = SYSTEM_TABLES[query.system_table]
    conditions = [query.where] if query.where else []
    if database is not None:
        conditions.append(f"{definition.schema} = {literal_text(database)}")
    if table is not None:
        conditions.append(f"{definition.table} = {literal_text(table)}")
    kept = _kept(context, reader, query)

    def over(source: str) -> Frame:
        inner = f"SELECT {query.items} FROM {source}"
        if conditions:
            inner += f" WHERE {' AND '.join(conditions)}"
        order = f" ORDER BY {quote_name(query.order, quoted=True)}" if query.order else ""
        segments = (f"SELECT * FROM ({inner}) AS {query.system_table}", *kept, order, query.tail)
        return Template(segments, context.flags).frame(())

    return SystemPlan(
        (SystemReference(query.system_table, database, table),),
        merge_node(context),
        over(temporary_name(0)),
        over(f"information_schema.{query.system_table}"),
        context.flags,
        {title: column for column, title in _TITLED.findall(query.items)},
        verb=Verb.SHOW,
    )


def _kept(context: PlanContext, reader: LexemeReader, query: ShowQuery) -> tuple[Segment, ...]:
    if reader.at_end:
        return ()
    edits = context.edits()
    if reader.accept("LIKE"):
        pattern = reader.take()
        reader.expect_end()
        title = quote_name(query.like, quoted=True)
        return (f" WHERE {title} LIKE ", *edits.between(pattern.start, pattern.end))
    if not reader.accept("WHERE") or reader.at_end:
        raise reader.error()
    # A comment at the end must not swallow the bracket.
    return (" WHERE (", *edits.between(reader.peek().start, reader.lexemes[-1].end), "\n)")
