"""DDL of tables nobody wrote a rule for, in a database with `autoShard`.

Decides which of them are sharded and by what, and what the client is told of those that are not.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from dbmesh.errors import TABLE_EXISTS, MeshError, not_supported
from dbmesh.planner.context import PlanContext
from dbmesh.planner.ddl_nodes import is_numbered, plan_everywhere
from dbmesh.planner.ddl_places import DdlTable, beside_at, check_single, table_at
from dbmesh.planner.ddl_reading import CreateTable
from dbmesh.planner.elsewhere import database_of
from dbmesh.planner.foreign_keys import (
    declared_by_create,
    drop_foreign_keys,
    foreign_warning,
    keeps_foreign_key,
    outside,
)
from dbmesh.planner.lexemes import LexemeReader
from dbmesh.planner.table_definition import (
    ColumnText,
    ForeignKey,
    Index,
    TableDefinition,
    read_definition,
)
from dbmesh.planner.text_plan import TextPlan
from dbmesh.rules.auto_tables import algorithm_for, built, make_table
from dbmesh.rules.ruleset import DeclaredKeys, MadeTable, RuleChange


@dataclass(frozen=True, slots=True)
class NewTable:
    """A table CREATE TABLE makes under `autoShard`: where it goes, what the rules become, what the client is told, and
    the foreign keys its servers do not get."""

    table: DdlTable
    change: RuleChange
    warnings: tuple[str, ...]
    dropped: tuple[ForeignKey, ...]
    definition: TableDefinition | None


def definition_of(reader: LexemeReader) -> TableDefinition | None:
    """The definition behind the name in a CREATE TABLE; None for one without."""
    while not reader.at_end and not reader.looks_at("("):
        if reader.peek().word in ("LIKE", "AS", "SELECT"):
            return None
        reader.take()
    following = reader.peek(1).word
    return None if reader.at_end or following in ("LIKE", "SELECT", "WITH") else read_definition(reader)


def new_table(
    context: PlanContext, read: CreateTable, table: DdlTable, definition: TableDefinition | None, start: int
) -> NewTable:
    """How a table without a rule, or with one made for it, is created; `start` is its AUTO_INCREMENT option."""
    made = _copied(context, read) if read.like is not None else _made(context, table, definition)
    known = context.rule_set.made.get(table.name.lower())
    if known is not None:
        return _again(context, read, table, known, made, definition, start)
    if made is None or table.name.lower() in context.catalog.single_nodes:
        dropped = _dropped(context, table, definition)
        warnings = (*_foreign_warnings(table.name, dropped), *_key_warnings(context, table.name, definition))
        change = RuleChange(declared=_declared(context, read, table, dropped, definition))
        return NewTable(table, change, warnings, dropped, definition)
    rule = built(made, context.rule_set.own_sources)
    placed = DdlTable(rule.name, rule, rule.nodes)
    dropped = _dropped(context, placed, definition)
    warnings = _foreign_warnings(rule.name, dropped)
    numbering = ((rule.name, start),) if rule.key_generator is not None else ()
    declared = declared_by_create(context, rule.name, dropped, definition)
    return NewTable(placed, RuleChange((made,), (), numbering, declared), warnings, dropped, definition)


def _again(
    context: PlanContext,
    read: CreateTable,
    table: DdlTable,
    known: MadeTable,
    made: MadeTable | None,
    definition: TableDefinition | None,
    start: int,
) -> NewTable:
    """CREATE TABLE of a table that has been made: IF NOT EXISTS asks every server, OR REPLACE keeps the rule."""
    if not read.if_not_exists and not read.replaces:
        raise MeshError(TABLE_EXISTS, table=table.name)
    if read.replaces and (made is None or made.section != known.section):
        raise not_supported(
            f"CREATE OR REPLACE TABLE '{table.name}' with another primary key",
            "drop the table, then create it",
        )
    numbering = ((table.name, start),) if read.replaces and is_numbered(context, table) else ()
    dropped = _dropped(context, table, definition)
    declared = _declared(context, read, table, dropped, definition)
    return NewTable(table, RuleChange(numbering=numbering, declared=declared), (), dropped, definition)


def _made(context: PlanContext, table: DdlTable, definition: TableDefinition | None) -> MadeTable | None:
    column = None if definition is None else definition.key_column
    if definition is None or column is None or any(_reasons_to_stay(context, definition)):
        return None
    algorithm = algorithm_of(context, column, definition.collation)
    if algorithm is None:
        return None
    numbered = next((one.name for one in definition.columns if one.automatic), None)
    return make_table(context.rule_set, table.name, column.name, algorithm, numbered=numbered)


def algorithm_of(context: PlanContext, column: ColumnText, collation: str = "") -> str | None:
    """The algorithm a column's rows are placed by, MOD or HASH_MOD; `collation` is that of columns that name none."""
    exact = context.rule_set.exact_text_keys
    return algorithm_for(column.type, column.collation or collation, exact_text=exact)


def _copied(context: PlanContext, read: CreateTable) -> MadeTable | None:
    """CREATE TABLE … LIKE takes the rule of its pattern."""
    assert read.like is not None
    pattern = beside_at(context, read.like)
    if (
        read.like.database is not None
        and database_of(context, read.like.database, pattern.name) != context.rule_set.database
    ):
        return None
    made = context.rule_set.made.get(pattern.name.lower())
    return None if made is None else replace(made, name=read.table.name)


def _declared(
    context: PlanContext,
    read: CreateTable,
    table: DdlTable,
    dropped: Sequence[ForeignKey],
    definition: TableDefinition | None,
) -> tuple[DeclaredKeys, ...]:
    """What is declared afterwards; a table that IF NOT EXISTS leaves alone keeps its keys."""
    known = table.rule is not None or table.name.lower() in context.catalog.single_nodes
    if known and read.if_not_exists:
        return ()
    return declared_by_create(context, table.name, dropped, definition)


def _dropped(
    context: PlanContext, table: DdlTable, definition: TableDefinition | None
) -> tuple[ForeignKey, ...]:
    keys = definition.foreign_keys if definition is not None else ()
    return tuple(key for key in keys if not keeps_foreign_key(context, table, key))


def _foreign_warnings(name: str, dropped: Sequence[ForeignKey]) -> tuple[str, ...]:
    return tuple(foreign_warning(name, key) for key in dropped)


def _unseen_keys(definition: TableDefinition) -> Iterator[Index]:
    """Unique keys that several nodes could each hold: they do not contain the column the table would be sharded by."""
    first = (definition.primary_key or ("",))[0].lower()
    return (
        index for index in definition.indexes if index.unique and first not in map(str.lower, index.columns)
    )


def _key_warnings(context: PlanContext, name: str, definition: TableDefinition | None) -> tuple[str, ...]:
    if definition is None or not definition.primary_key:
        return ()
    return tuple(f"dbmesh: '{name}' is not sharded: {why}" for why in _reasons_to_stay(context, definition))


def _reasons_to_stay(context: PlanContext, definition: TableDefinition) -> Iterator[str]:
    """Why a table with a primary key is left whole, as far as a client should be told."""
    for index in _unseen_keys(definition):
        yield (
            f"its unique key ({', '.join(index.columns)}) could not be kept over several data nodes, since it does not "
            f"contain '{(definition.primary_key or ('',))[0]}'"
        )
    column = definition.key_column
    if column is not None and (column.computed or column.defaults):
        yield f"the server makes the values of '{column.name}'"
    elif column is not None and algorithm_of(context, column, definition.collation) is None:
        yield f"equal values of '{column.name}' can be written in several ways"
    if definition.calls_sequence:
        yield "a sequence is on one data node"


def plan_auto_table(context: PlanContext, read: CreateTable, table: DdlTable) -> TextPlan:
    """CREATE TABLE of a table without a rule in a database with `autoShard`."""
    reader = LexemeReader(context.statement.readable)
    definition = definition_of(reader)
    new = new_table(context, read, table, definition, first_number(context, reader))
    if new.table.rule is None:
        check_single(context, table.nodes[0].data_source, table.name)
    edits = context.edits()
    if definition is not None:
        drop_foreign_keys(edits, reader, new.dropped, definition)
    references = (*outside(read.references, new.dropped), *([read.like] if read.like is not None else []))
    like = table_at(context, read.like) if read.like is not None and new.table.rule is not None else None
    symbols = outside(read.symbols, new.dropped)
    plan = plan_everywhere(context, new.table, read.table, references, symbols, edits=edits, like=like)
    return replace(plan, change=new.change, warnings=new.warnings)


def first_number(context: PlanContext, reader: LexemeReader) -> int:
    """The table option AUTO_INCREMENT = n behind where the reader stands; 1 without it."""
    slots = {slot.start: slot for slot in context.statement.shape.slots}
    while not reader.at_end:
        if reader.accept("AUTO_INCREMENT"):
            reader.accept("=")
            slot = slots.get(reader.peek().start)
            value = context.literal(slot) if slot is not None else None
            return value if isinstance(value, int) else 1
        reader.take()
    return 1
