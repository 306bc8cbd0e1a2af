"""Where a DDL statement goes: the nodes of the table it is about, and what its foreign tables are called there.

Decides actual names per node. Knows no SQL.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from dbmesh.errors import UNKNOWN_TABLE, MeshError, not_supported
from dbmesh.model import DataNode
from dbmesh.planner.catalog import is_single
from dbmesh.planner.context import PlanContext
from dbmesh.planner.ddl_reading import NamePlace
from dbmesh.planner.elsewhere import check_database, database_of
from dbmesh.rules.ruleset import BroadcastTable, ShardedTable, TableRule

MOST_NAME = 64
"""Characters of the longest identifier (manual, "Identifier Length Limits")."""


@dataclass(frozen=True, slots=True)
class DdlTable:
    """The table a DDL statement is about: its rule, or None, and every node of it."""

    name: str
    rule: TableRule | None
    nodes: tuple[DataNode, ...]

    @property
    def crowded(self) -> bool:
        """Whether several nodes share a data source, so that names unique per schema would collide."""
        return len({node.data_source for node in self.nodes}) < len(self.nodes)


def default_source(context: PlanContext) -> str:
    """The data source of tables nobody wrote a rule for."""
    return context.rule_set.default_single_source or next(iter(context.rule_set.data_sources))


def table_at(context: PlanContext, place: NamePlace, *, new: bool = False) -> DdlTable:
    """The table named at `place`; with `new` it need not exist yet.

    Raises MeshError: UNKNOWN_TABLE, NO_DATABASE, InAnotherDatabase.
    """
    check_database(context, place.database, place.name)
    return beside_at(context, place, new=new)


def beside_at(context: PlanContext, place: NamePlace, *, new: bool = False) -> DdlTable:
    """As `table_at`, of a table that is only read or referred to: it may be of any database being planned for."""
    database = database_of(context, place.database, place.name)
    key = context.rule_set.key(database, place.name)
    rule = context.rule_set.table(key)
    if rule is not None:
        return DdlTable(rule.name, rule, rule.nodes)
    node = context.catalog.single_nodes.get(key)
    if node is None and not new:
        raise MeshError(UNKNOWN_TABLE, database=database, table=place.name)
    return DdlTable(place.name, None, (node or DataNode(default_source(context), place.name),))


def check_single(context: PlanContext, data_source: str, name: str) -> None:
    """A table without a rule may get this name there: else it would be made and never be found. Raises
    MeshError(NOT_SUPPORTED)."""
    if not is_single(context.rule_set, data_source, name):
        raise not_supported(
            f"a table '{name}' on '{data_source}', which the rule !SINGLE does not list",
            f"add '{data_source}.{name}' or '{data_source}.*' to its tables",
        )


def foreign_name(context: PlanContext, table: DdlTable, number: int, place: NamePlace) -> str:
    """The actual name of the table a foreign key of node `number` refers to.

    Raises MeshError(NOT_SUPPORTED) when its rows are not beside the node's own.
    """
    here = table.nodes[number]
    # Without a database the table is beside the one that refers to it, whatever the current database is.
    own = replace(place, database=place.database or context.rule_set.database)
    elsewhere = database_of(context, own.database, own.name) != context.rule_set.database
    if place.name.lower() == table.name.lower() and not elsewhere:
        return here.table
    # A table of this database may yet be made.
    other = beside_at(context, own, new=not elsewhere)
    if isinstance(other.rule, ShardedTable):
        group = context.rule_set.binding_group(table.name) or ()
        if other.rule.name.lower() in group and len(other.nodes) == len(table.nodes):
            return other.nodes[number].table
    elif isinstance(other.rule, BroadcastTable):
        for node in other.nodes:
            if node.data_source == here.data_source:
                return node.table
    elif other.nodes[0].data_source == here.data_source and len(table.nodes) == 1:
        return other.nodes[0].table
    raise not_supported(
        f"a foreign key from '{table.name}' to '{place.name}', whose rows are on other data nodes",
        "bind both tables, make the other a broadcast table, or leave the foreign key out",
    )


def is_check(context: PlanContext, table: DdlTable, symbol: NamePlace) -> bool:
    """Whether a constraint's name is that of a CHECK, as far as is known: of no foreign key that servers have."""
    schema = context.catalog.table(table.name)
    foreign = () if schema is None else map(str.lower, schema.foreign_keys)
    own = {symbol.name.lower(), symbol_name(table, 0, symbol).lower()}
    return symbol.may_be_check and own.isdisjoint(foreign)


def symbol_name(table: DdlTable, number: int, place: NamePlace) -> str:
    """A constraint's name on node `number`: names of foreign keys are unique per schema, and MySQL's checks, so nodes that
    share one add the actual table's name. A name taken from SHOW CREATE TABLE has it already."""
    if not table.crowded:
        return place.name
    name = f"{plain_symbol(table, place)}_{table.nodes[number].table}"
    if len(name) <= MOST_NAME:
        return name
    if place.may_be_check:
        # MariaDB needs no other, and MySQL will say what is wrong.
        return plain_symbol(table, place)
    raise not_supported(
        f"the constraint name '{place.name}' (with the actual table's name it is too long)",
        "choose a shorter name",
    )


def plain_symbol(table: DdlTable, place: NamePlace) -> str:
    """A constraint's name without what `symbol_name` adds."""
    name = place.name
    for node in table.nodes:
        name = name.removesuffix(f"_{node.table}")
    return name


def check_keeps_triggers(context: PlanContext, table: DdlTable) -> None:
    """A table whose actual tables get other names has no triggers: where several nodes share a data source, these are
    called after them. Raises MeshError(NOT_SUPPORTED)."""
    schema = context.catalog.table(table.name)
    if table.crowded and schema is not None and schema.guarded:
        raise not_supported(
            f"another name or key for '{table.name}', which has triggers",
            "drop them, and create them again afterwards",
        )
