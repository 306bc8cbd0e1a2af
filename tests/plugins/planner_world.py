"""A small sharded database for planner tests: four nodes on two data sources, one table of every kind."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from dbmesh.model import Catalog, ColumnFamily, ColumnSchema, DataNode, SqlValue, TableSchema
from dbmesh.planner.context import PlanContext
from dbmesh.planner.plan import BoundStatement, Call
from dbmesh.planner.session_view import SessionValues
from dbmesh.rules.algorithms.mod import Mod
from dbmesh.rules.ruleset import (
    BroadcastTable,
    DataSourceConfig,
    KeyGeneratorConfig,
    RuleSet,
    ShardedTable,
    Strategy,
)
from dbmesh.sql.fingerprint import fingerprint
from dbmesh.sql.lexer import DEFAULT, LexerFlags
from dbmesh.sql.statement import Statement

NO_STRATEGY = Strategy("none")


def integer(name: str, *, auto_increment: bool = False) -> ColumnSchema:
    return ColumnSchema(name, "bigint(20)", ColumnFamily.INTEGER, auto_increment=auto_increment)


def text(name: str) -> ColumnSchema:
    return ColumnSchema(name, "varchar(50)", ColumnFamily.TEXT, collation="utf8mb4_general_ci")


def by_modulo(column: str, count: int) -> Strategy:
    return Strategy("standard", (column,), Mod(count), "modulo")


def four_nodes(table: str) -> tuple[DataNode, ...]:
    return tuple(DataNode(f"ds_{number // 2}", f"{table}_{number}") for number in range(4))


def sharded(name: str, column: str = "user_id", key: str | None = None) -> ShardedTable:
    return ShardedTable(
        name,
        four_nodes(name),
        NO_STRATEGY,
        by_modulo(column, 4),
        key_column=key,
        key_generator="snow" if key else None,
    )


def pair() -> ShardedTable:
    nodes = tuple(DataNode(f"ds_{source}", f"t_pair_{table}") for source in range(2) for table in range(2))
    return ShardedTable("t_pair", nodes, by_modulo("a", 2), by_modulo("b", 2))


def broadcast(name: str) -> BroadcastTable:
    return BroadcastTable(name, (DataNode("ds_0", name), DataNode("ds_1", name)))


SOURCES = {
    name: DataSourceConfig(name, "mysql", "127.0.0.1", 3306, "shop", "root") for name in ("ds_0", "ds_1")
}

RULES = RuleSet(
    database="shop",
    revision=1,
    data_sources=SOURCES,
    tables={
        "t_order": sharded("t_order", key="order_id"),
        "t_order_item": sharded("t_order_item"),
        "t_log": sharded("t_log"),
        "t_key": sharded("t_key", "id", key="id"),
        "t_pair": pair(),
        "t_country": broadcast("t_country"),
        "t_unit": broadcast("t_unit"),
    },
    binding_groups=(("t_order", "t_order_item"),),
    default_single_source="ds_0",
    key_generators={"snow": KeyGeneratorConfig("SNOWFLAKE")},
)

DATABASES = {"shop": RULES, "other": replace(RULES, database="other", tables={})}

CATALOG = Catalog(
    {
        schema.name: schema
        for schema in (
            TableSchema("t_order", (integer("order_id"), integer("user_id"), text("status")), ("order_id",)),
            TableSchema("t_order_item", (integer("item_id"), integer("order_id"), integer("user_id"))),
            TableSchema("t_log", (integer("id", auto_increment=True), integer("user_id"), text("line"))),
            TableSchema("t_key", (integer("id"), text("name")), ("id",)),
            TableSchema("t_pair", (integer("a"), integer("b"), text("c"))),
            TableSchema("t_country", (text("code"), text("name"))),
            TableSchema("t_unit", (integer("id", auto_increment=True), text("name"))),
            TableSchema("t_config", (text("name"), text("value"))),
            TableSchema("t_plain", (integer("id", auto_increment=True), text("name"))),
            TableSchema("t_far", (integer("id"), text("name"))),
        )
    },
    {
        "t_config": DataNode("ds_0", "t_config"),
        "t_plain": DataNode("ds_0", "t_plain"),
        "t_far": DataNode("ds_1", "t_far"),
    },
)


@dataclass
class Counter:
    """Generates 1000, 1001, …"""

    numbers: Iterator[int] = field(default_factory=lambda: iter(range(1000, 1_000_000)))

    def next_key(self) -> int:
        return next(self.numbers)

    def number(self, given: Sequence[object]) -> list[int | None]:
        return [self.next_key() if value is None else None for value in given]


SESSION = SessionValues("shop", "ann@localhost", "ann@%", 7, 42, 3, 1)


def context_of(
    sql: str,
    *,
    rules: RuleSet = RULES,
    catalog: Catalog = CATALOG,
    database: str | None = "shop",
    flags: LexerFlags = DEFAULT,
    databases: Mapping[str, RuleSet] | None = None,
) -> PlanContext:
    found = fingerprint(sql, flags)
    statement = Statement(found.shape, flags)
    return PlanContext(
        statement,
        rules,
        catalog,
        literals=found.literals,
        database=database,
        databases=databases or DATABASES,
    )


def call_of(sql: str, parameters: tuple[SqlValue, ...] = (), *, keep_parameters: bool = False) -> Call:
    return Call(
        fingerprint(sql).literals,
        SESSION,
        parameters,
        keep_parameters=keep_parameters,
        key_generators={"snow": Counter()},
    )


def shots_of(bound: BoundStatement) -> list[str]:
    """Every shot as `data source: SQL`."""
    return [f"{shot.data_source}: {shot.sql.decode()}" for shot in bound.shots]
