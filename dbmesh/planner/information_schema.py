"""information_schema as one server's: its tables are loaded with logic names, and the client's statement runs over them.

Decides which tables of system schemas can be asked for, what a statement's conditions leave to be read, and its final text.
Which rows there are is found out when it runs.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase

from sqlglot import exp

from dbmesh.errors import not_supported
from dbmesh.planner.context import PlanContext
from dbmesh.planner.names import session_answers
from dbmesh.planner.one_server import DESCRIBES_ONE, INFORMATION_SCHEMA, instead_of, only_server
from dbmesh.planner.plan import BoundStatement, Call, Names, PinReason, Relay, ShardPlan, Shot, Verb
from dbmesh.planner.resolve import system_tables
from dbmesh.planner.scans import SystemFederation, SystemScan
from dbmesh.planner.select_names import keep_column_names
from dbmesh.planner.session_values import SESSION_FUNCTIONS, SessionValue
from dbmesh.planner.system_tables import SHARED_TABLES, SYSTEM_TABLES
from dbmesh.planner.template import Edits, Frame, quote_name, slot_value
from dbmesh.planner.text_plan import TextPlan, TextShot
from dbmesh.sql.lexer import LexerFlags
from dbmesh.sql.shape import Slot, SlotKind

_HARMLESS = (
    "mysql.help_*",
    "mysql.time_zone*",
    "performance_schema.session_variables",
    "performance_schema.global_variables",
    "performance_schema.session_status",
    "performance_schema.global_status",
)
"""Tables of other system schemas that are the same on every data source, or as little the mesh's as SHOW STATUS is."""

_OWN_SHOW = {"PROCESSLIST": "use SHOW PROCESSLIST"}

Wanted = str | Slot | SessionValue | None
"""What a condition leaves of a schema's or a table's name: None for any."""


@dataclass(frozen=True, slots=True)
class SystemReference:
    """One place of a statement that names a table of information_schema."""

    system_table: str
    schema: Wanted = None
    name: Wanted = None

    def bind(self, number: int, call: Call, flags: LexerFlags) -> SystemScan:
        """What to read for the values of a call."""
        schema, name = _value(self.schema, call, flags), _value(self.name, call, flags)
        return SystemScan(temporary_name(number), self.system_table, schema, name)


@dataclass(frozen=True, slots=True)
class SystemPlan:
    """A `ShardPlan` over tables of information_schema. `as_written` is the statement over one data source's own, whose
    columns are the same; `titles` as in `SystemFederation`."""

    references: tuple[SystemReference, ...]
    merge_node: str
    final: Frame
    as_written: Frame
    flags: LexerFlags
    titles: Mapping[str, str] = field(default_factory=dict)
    verb: Verb = Verb.SELECT
    tables: tuple[str, ...] = (INFORMATION_SCHEMA,)
    reads_only: bool = True
    from_replica: bool = False
    repeatable: bool = False
    opens_transaction: bool = False
    implicit_commit: bool = False
    pin: PinReason | None = None
    calculates_found_rows: bool = False
    reads_clock: bool = False
    keeps_warnings: bool = False
    direct: None = None

    def bind(self, call: Call) -> BoundStatement:
        """Scans and final statement. Raises MeshError for values out of range."""
        scans = tuple(
            reference.bind(number, call, self.flags) for number, reference in enumerate(self.references)
        )
        final = self.final.render(call.literals, call)
        names = Names(INFORMATION_SCHEMA, {scan.table: scan.system_table for scan in scans})
        return BoundStatement((), SystemFederation(self.merge_node, scans, final, self.titles), names)

    def prototype(self, literals: Sequence[object] = ()) -> Shot:
        """The statement over one data source's information_schema."""
        return Shot(self.merge_node, self.as_written.prototype(literals))


def temporary_name(number: int) -> str:
    """The temporary table of a place: MySQL cannot open one twice in a statement, so each has its own."""
    return f"dbmesh_s{number + 1}"


def plan_information_schema(context: PlanContext) -> ShardPlan:
    """The plan of a query over system schemas only.

    Raises MeshError(NOT_SUPPORTED): tables of the user's beside them, system tables that tell of one data source.
    """
    places = tuple(_places(context))
    unqualified = [
        (table.this.meta["start"], f"{schema}.")
        for table, schema in system_tables(context, context.statement.tree)
        if not table.db
    ]
    as_written = _as_written(context, unqualified)
    if not places:
        shot = TextShot(merge_node(context), as_written)
        names = Names(INFORMATION_SCHEMA, {})
        return TextPlan(
            Verb.SELECT,
            (INFORMATION_SCHEMA,),
            (shot,),
            Relay(),
            names,
            reads_only=True,
            opens_transaction=False,
        )
    edits = context.edits()
    session_answers(context, edits)
    loaded = {table.this.meta["start"] for table in places}
    for start, prefix in unqualified:
        if start not in loaded:
            edits.insert(start, prefix)
    for number, table in enumerate(places):
        start, end = (table.args.get("db") or table.this).meta["start"], table.this.meta["end"] + 1
        written = context.statement.text[table.this.meta["start"] : end]
        edits.replace(start, end, temporary_name(number) + ("" if table.alias else f" AS {written}"))
    for column in context.statement.tree.find_all(exp.Column):
        database = column.args.get("db")
        if isinstance(database, exp.Identifier) and database.name.lower() == INFORMATION_SCHEMA:
            edits.replace(database.meta["start"], column.args["table"].meta["start"])
    keep_column_names(context, edits)
    _keep_capitals(context, edits)
    references = tuple(_reference(context, table) for table in places)
    return SystemPlan(
        references,
        merge_node(context),
        edits.build().frame(()),
        as_written,
        context.flags,
    )


def _as_written(context: PlanContext, unqualified: Sequence[tuple[int, str]]) -> Frame:
    """The statement over one data source, where no system schema is the current one."""
    edits = context.edits()
    session_answers(context, edits)
    for start, prefix in unqualified:
        edits.insert(start, prefix)
    return edits.build().frame(())


def _keep_capitals(context: PlanContext, edits: Edits) -> None:
    """MySQL titles a column of information_schema in capitals, MariaDB as the client spells it. A temporary table's columns are titled
    as they are spelled on both, so MySQL alone is told: MariaDB skips this kind of comment."""
    for select in context.statement.tree.find_all(exp.Select):
        source = select.args.get("from_")
        joins: Sequence[exp.Join] = select.args.get("joins") or ()
        tables = [part.this for part in (source, *joins) if part is not None]
        if not tables or any(
            not isinstance(table, exp.Table)
            or (table.db or context.system_schema or "").lower() != INFORMATION_SCHEMA
            for table in tables
        ):
            continue
        for item in select.expressions:
            if isinstance(item, exp.Column) and isinstance(item.this, exp.Identifier):
                title = quote_name(item.name.upper(), quoted=True)
                edits.insert(item.this.meta["end"] + 1, f" /*!80000 AS {title} */")


def merge_node(context: PlanContext) -> str:
    """The data source that answers for the mesh. Raises MeshError(NOT_SUPPORTED) when it has no information_schema."""
    source, config = next(iter(context.rule_set.data_sources.items()))
    if config.kind != "mysql":
        raise not_supported(
            f"information_schema over {config.kind} data sources",
            "use SHOW TABLES, SHOW COLUMNS and DESCRIBE",
        )
    return source


def _places(context: PlanContext) -> Iterator[exp.Table]:
    """The places to be loaded. Raises MeshError(NOT_SUPPORTED) for tables nobody can answer for."""
    tree = context.statement.tree
    common = {expression.alias.lower() for expression in tree.find_all(exp.CTE)}
    for table in tree.find_all(exp.Table):
        if not isinstance(table.this, exp.Identifier) or (not table.db and table.name.lower() in common):
            continue
        schema, name = (table.db or context.system_schema or "").lower(), table.name.upper()
        if schema == INFORMATION_SCHEMA and name in SYSTEM_TABLES:
            yield table
        elif schema == INFORMATION_SCHEMA and name not in SHARED_TABLES:
            instead = _OWN_SHOW.get(name, DESCRIBES_ONE)
            raise not_supported(f"information_schema.{name}", instead)
        elif schema != INFORMATION_SCHEMA and not is_harmless(schema, table.name):
            if not schema or schema in context.databases:
                raise not_supported(
                    "tables of the database and system tables in one statement", "ask one at a time"
                )
            if only_server(context) is None:
                raise not_supported(f"{schema}.{table.name}", instead_of(schema, table.name))


def is_harmless(schema: str, table: str) -> bool:
    """Whether anybody may read this table of a system schema."""
    name = f"{schema}.{table}".lower()
    return schema == INFORMATION_SCHEMA or any(fnmatchcase(name, pattern) for pattern in _HARMLESS)


# ---------------------------------------------------------------------------------------------- conditions


def _reference(context: PlanContext, table: exp.Table) -> SystemReference:
    name = table.name.upper()
    definition = SYSTEM_TABLES[name]
    schema: Wanted = None
    wanted: Wanted = None
    for column, value in _conditions(context, table):
        if column == definition.schema:
            schema = value
        elif column == definition.table:
            wanted = value
    return SystemReference(name, schema, wanted)


def _conditions(context: PlanContext, table: exp.Table) -> Iterator[tuple[str, Wanted]]:
    """`column = value` under the AND of the WHERE that stands over the table: no other rows of it can matter."""
    holder = table.parent
    select = holder.parent if isinstance(holder, exp.From | exp.Join) else None
    where = select.args.get("where") if isinstance(select, exp.Select) else None
    if not isinstance(select, exp.Select) or not isinstance(where, exp.Where):
        return
    alone = not select.args.get("joins")
    conditions: Sequence[exp.Expr] = (
        list(where.this.flatten()) if isinstance(where.this, exp.And) else [where.this]
    )
    for condition in conditions:
        if not isinstance(condition, exp.EQ) or not isinstance(condition.this, exp.Column):
            continue
        qualifier = condition.this.table.lower()
        if qualifier == (table.alias or table.name).lower() or (alone and not qualifier):
            value = _constant(context, condition.expression)
            if value is not None:
                yield condition.this.name.upper(), value


def _constant(context: PlanContext, node: exp.Expr) -> Wanted:
    if isinstance(node, exp.CurrentSchema) and not node.args.get("this"):
        return SESSION_FUNCTIONS["DATABASE"]
    slot = context.statement.slot(node)
    return slot if slot is not None and (slot.parameter or slot.kind is SlotKind.STRING) else None


def _value(wanted: Wanted, call: Call, flags: LexerFlags) -> str | None:
    """The name as text; None where the value is no text, which MySQL compares by other rules."""
    if isinstance(wanted, SessionValue):
        return call.session.database
    value = slot_value(wanted, call, flags) if isinstance(wanted, Slot) else wanted
    return value if isinstance(value, str) else None


def same_name(name: str, wanted: str | None) -> bool:
    """Whether a name may equal the wanted one for a server: letters by case, and what an accent folds, is left open."""
    if wanted is None or not (name.isascii() and wanted.isascii()):
        return True
    return name.lower() == wanted.rstrip(" ").lower()
