"""The tables of information_schema: which rows several data sources have of each, and how those rows become one server's.

Decides what each column means to a mesh (a schema, a table, a number that adds up). Knows no rows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from types import MappingProxyType

from dbmesh.model import Catalog, DataNode
from dbmesh.rules.ruleset import BroadcastTable, RuleSet

SHARED_TABLES = frozenset(
    [
        "ENGINES",
        "CHARACTER_SETS",
        "COLLATIONS",
        "COLLATION_CHARACTER_SET_APPLICABILITY",
        "PLUGINS",
        "ALL_PLUGINS",
        "KEYWORDS",
        "SQL_FUNCTIONS",
        "GLOBAL_VARIABLES",
        "SESSION_VARIABLES",
        "SYSTEM_VARIABLES",
        "GLOBAL_STATUS",
        "SESSION_STATUS",
    ]
)
"""Tables that name no table of the user's: any data source answers for the mesh."""


class Combined(Enum):
    """How a column of several data nodes' rows becomes one value. NULL counts as nothing."""

    SUM = "sum"
    LEAST = "least"
    GREATEST = "greatest"


_SIZES: Mapping[str, Combined] = MappingProxyType(
    {
        **dict.fromkeys(("TABLE_ROWS", "DATA_LENGTH", "INDEX_LENGTH", "DATA_FREE"), Combined.SUM),
        **dict.fromkeys(("AUTO_INCREMENT", "UPDATE_TIME", "CHECK_TIME"), Combined.GREATEST),
        "CREATE_TIME": Combined.LEAST,
    }
)


@dataclass(frozen=True, slots=True)
class SystemTable:
    """One table of information_schema.

    * `schema`: the column with the schema its rows are about; `table`: the column with the table, '' where rows are
      about none.
    * `schemas`, `tables`: the other columns that name schemas and tables; `texts`: columns whose SQL names them.
    * `key`: columns that tell the rows of one table (or schema) apart.
    * `combined`: columns that several data nodes have a part of; all others are the first node's.
    * `source`: what to read instead of the table itself where that does not tell enough; columns behind the table's own
      are dropped.
    * `lists_itself`: whether information_schema's own tables have rows there.
    * `of_accounts`: its rows are about the mesh's accounts, and no data source has them.
    """

    schema: str = "TABLE_SCHEMA"
    table: str = "TABLE_NAME"
    schemas: tuple[str, ...] = ()
    tables: tuple[str, ...] = ()
    texts: tuple[str, ...] = ()
    key: tuple[str, ...] = ()
    combined: Mapping[str, Combined] = field(default_factory=dict)
    lists_itself: bool = False
    source: str = ""
    of_accounts: bool = False


SYSTEM_TABLES: Mapping[str, SystemTable] = MappingProxyType(
    {
        "SCHEMATA": SystemTable("SCHEMA_NAME", "", lists_itself=True),
        "TABLES": SystemTable(combined=_SIZES, lists_itself=True),
        "COLUMNS": SystemTable(key=("COLUMN_NAME",), lists_itself=True),
        "STATISTICS": SystemTable(
            schemas=("INDEX_SCHEMA",),
            key=("INDEX_NAME", "SEQ_IN_INDEX"),
            combined={"CARDINALITY": Combined.SUM},
        ),
        "PARTITIONS": SystemTable(key=("PARTITION_NAME", "SUBPARTITION_NAME"), combined=_SIZES),
        "KEY_COLUMN_USAGE": SystemTable(
            schemas=("CONSTRAINT_SCHEMA", "REFERENCED_TABLE_SCHEMA"),
            tables=("REFERENCED_TABLE_NAME",),
            key=("CONSTRAINT_NAME", "COLUMN_NAME", "ORDINAL_POSITION"),
        ),
        "TABLE_CONSTRAINTS": SystemTable(
            schemas=("CONSTRAINT_SCHEMA",), key=("CONSTRAINT_NAME", "CONSTRAINT_TYPE")
        ),
        "REFERENTIAL_CONSTRAINTS": SystemTable(
            "CONSTRAINT_SCHEMA",
            schemas=("UNIQUE_CONSTRAINT_SCHEMA",),
            tables=("REFERENCED_TABLE_NAME",),
            key=("CONSTRAINT_NAME",),
        ),
        # MySQL's has no TABLE_NAME, which only MySQL is told to add.
        "CHECK_CONSTRAINTS": SystemTable(
            "CONSTRAINT_SCHEMA",
            key=("CONSTRAINT_NAME",),
            source=(
                "(SELECT c.* /*!80000 , t.TABLE_NAME */ FROM information_schema.CHECK_CONSTRAINTS AS c /*!80000 JOIN "
                "information_schema.TABLE_CONSTRAINTS AS t ON t.CONSTRAINT_SCHEMA = c.CONSTRAINT_SCHEMA AND "
                "t.CONSTRAINT_NAME = c.CONSTRAINT_NAME AND t.CONSTRAINT_TYPE = 'CHECK' */) AS checks"
            ),
        ),
        "VIEWS": SystemTable(texts=("VIEW_DEFINITION",)),
        "TRIGGERS": SystemTable(
            "EVENT_OBJECT_SCHEMA", "EVENT_OBJECT_TABLE", schemas=("TRIGGER_SCHEMA",), key=("TRIGGER_NAME",)
        ),
        "ROUTINES": SystemTable("ROUTINE_SCHEMA", "", key=("ROUTINE_NAME", "ROUTINE_TYPE")),
        "PARAMETERS": SystemTable(
            "SPECIFIC_SCHEMA", "", key=("SPECIFIC_NAME", "ROUTINE_TYPE", "ORDINAL_POSITION")
        ),
        "EVENTS": SystemTable("EVENT_SCHEMA", "", key=("EVENT_NAME",)),
        **dict.fromkeys(
            (
                "USER_PRIVILEGES",
                "SCHEMA_PRIVILEGES",
                "TABLE_PRIVILEGES",
                "COLUMN_PRIVILEGES",
                "APPLICABLE_ROLES",
                "ENABLED_ROLES",
            ),
            SystemTable("", "", of_accounts=True),
        ),
    }
)


@dataclass(frozen=True, slots=True)
class SystemNode:
    """What an actual table is to the logic database: a node of `logic`; `first` describes it, `counts` tells that its rows
    are among the table's."""

    logic: str
    first: bool
    counts: bool
    suffix: str = ""


def system_nodes(rule_set: RuleSet, catalog: Catalog) -> Mapping[str, Mapping[str, SystemNode]]:
    """Data source → actual table → what it is. Tables nobody found are left out. O(data nodes)."""
    found: dict[str, dict[str, SystemNode]] = {source: {} for source in rule_set.data_sources}
    for key, schema in catalog.tables.items():
        if schema.temporary:
            continue
        rule = rule_set.table(key)
        nodes = rule.nodes if rule is not None else (catalog.single_nodes[key],)
        for number, node in enumerate(nodes):
            counts = number == 0 or not isinstance(rule, BroadcastTable)
            suffix = name_suffix(nodes, node)
            found[node.data_source][node.table] = SystemNode(schema.name, number == 0, counts, suffix)
    return found


def name_suffix(nodes: Sequence[DataNode], node: DataNode) -> str:
    """What foreign keys and checks carry behind their name on a node: nodes that share a data source add the actual table's
    name there."""
    return f"_{node.table}" if len({other.data_source for other in nodes}) < len(nodes) else ""
