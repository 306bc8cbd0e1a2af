"""The shop: one logic database of every kind of table, as a planner without servers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from dbmesh.model import VIEW_PREFIX, Catalog, ColumnFamily, ColumnSchema, DataNode, SqlValue, TableSchema
from dbmesh.planner.cache import PlanCache
from dbmesh.planner.plan import BoundStatement, Call
from dbmesh.planner.planner import Planner
from dbmesh.planner.session_view import SessionValues
from dbmesh.rules.algorithms.hash_mod import HashMod
from dbmesh.rules.algorithms.mod import Mod
from dbmesh.rules.ruleset import BroadcastTable, DataSourceConfig, RuleSet, ShardedTable, Strategy
from dbmesh.sql.lexer import DEFAULT, LexerFlags

_PEOPLE = ("t_person", "t_passport")
_CODES = ("t_code", "t_label")
_FAMILIES = {
    "bigint": ColumnFamily.INTEGER,
    "decimal": ColumnFamily.DECIMAL,
    "varchar": ColumnFamily.TEXT,
    "exact": ColumnFamily.TEXT,
    "datetime": ColumnFamily.TEMPORAL,
    "enum": ColumnFamily.ENUM,
    "json": ColumnFamily.JSON,
    "bit": ColumnFamily.BIT,
}


def _table(name: str, *columns: str) -> TableSchema:
    schemas: list[ColumnSchema] = []
    for column in columns:
        label, kind = column.split(":")
        family = _FAMILIES[kind]
        collation = "utf8mb4_general_ci" if family in (ColumnFamily.TEXT, ColumnFamily.ENUM) else None
        if kind == "exact":
            collation = "utf8mb4_bin"
        schemas.append(ColumnSchema(label, kind, family, collation=collation))
    return TableSchema(name, tuple(schemas), tuple(schema.name for schema in schemas[:1]))


def _sharded(name: str, column: str, shards: int = 4, auditors: tuple[str, ...] = ()) -> ShardedTable:
    nodes = tuple(DataNode(f"ds_{number % 2}", f"{name}_{number}") for number in range(shards))
    strategy = Strategy("standard", (column,), Mod(shards), "mod")
    return ShardedTable(name, nodes, Strategy("none"), strategy, auditors=auditors)


def _named(name: str) -> ShardedTable:
    """A table sharded by the text column `name`."""
    nodes = tuple(DataNode(f"ds_{number % 2}", f"{name}_{number}") for number in range(2))
    return ShardedTable(name, nodes, Strategy("none"), Strategy("standard", ("name",), HashMod(2), "hash"))


def make_shop() -> Planner:
    """Orders and items bound by user_id, users by id, logs audited; a country list on both data sources."""
    both = ("ds_0", "ds_1")
    sources = {name: DataSourceConfig(name, "mysql", "127.0.0.1", 3306, name, "root") for name in both}
    tables = {
        "t_order": _sharded("t_order", "user_id"),
        "t_order_item": _sharded("t_order_item", "user_id"),
        "t_user": _sharded("t_user", "id"),
        "t_log": _sharded("t_log", "user_id", auditors=("DML_SHARDING_CONDITIONS",)),
        "t_person": _named("t_person"),
        "t_passport": _named("t_passport"),
        "t_code": _named("t_code"),
        "t_label": _named("t_label"),
        "t_country": BroadcastTable("t_country", tuple(DataNode(name, "t_country") for name in both)),
    }
    rules = RuleSet("shop", 1, sources, tables, (("t_order", "t_order_item"), _PEOPLE, _CODES))
    order = ("order_id:bigint", "user_id:bigint", "status:varchar", "amount:decimal", "created:datetime")
    schemas = {
        "t_order": _table("t_order", *order, "kind:enum", "doc:json", "flags:bit", "country:varchar"),
        "t_order_item": _table(
            "t_order_item",
            "item_id:bigint",
            "order_id:bigint",
            "user_id:bigint",
            "sku:varchar",
            "quantity:bigint",
        ),
        "t_user": _table("t_user", "id:bigint", "name:varchar", "country:varchar"),
        "t_log": _table("t_log", "id:bigint", "user_id:bigint", "line:varchar"),
        "t_country": _table("t_country", "code:varchar", "title:varchar"),
        "t_person": _table("t_person", "name:varchar", "age:bigint"),
        "t_passport": _table("t_passport", "name:varchar", "number:bigint"),
        "t_code": _table("t_code", "name:exact", "age:bigint"),
        "t_label": _table("t_label", "name:exact", "number:bigint"),
        "t_config": _table("t_config", "k:varchar", "v:varchar"),
    }
    schemas |= {name: replace(_table(name, *columns), definition=query) for name, columns, query in _VIEWS}
    nodes = {name: DataNode("ds_0", VIEW_PREFIX + name) for name, _, _ in _VIEWS}
    views = {name: query for name, _, query in _VIEWS}
    catalog = Catalog(schemas, {"t_config": DataNode("ds_0", "t_config"), **nodes}, views)
    return Planner(rules, catalog, {"shop": rules})


_VIEWS: tuple[tuple[str, tuple[str, ...], str | None], ...] = (
    (
        "v_big",
        ("order_id:bigint", "user_id:bigint", "amount:decimal"),
        ("select `shop`.`t_order`.`order_id` AS `order_id`,`shop`.`t_order`.`user_id` AS `user_id`,"
        "`shop`.`t_order`.`amount` AS `amount` from `shop`.`t_order` where `shop`.`t_order`.`amount` > 100"),
    ),
    (
        "v_named",
        ("number:bigint", "buyer:bigint", "name:varchar"),
        ("select `o`.`order_id` AS `number`,`o`.`user_id` AS `buyer`,`u`.`name` AS `name` from (`shop`.`v_big` `o` join "
        "`shop`.`t_user` `u` on(`u`.`id` = `o`.`user_id`))"),
    ),
    ("v_sums", ("user_id:bigint", "total:decimal"), ("select `shop`.`t_order`.`user_id` AS `user_id`,"
     "sum(`shop`.`t_order`.`amount`) AS `total` from `shop`.`t_order` group by `shop`.`t_order`.`user_id`")),
    ("v_lost", (), None),
)  # fmt: skip


@pytest.fixture(scope="session")
def shop() -> Planner:
    """The shop's planner."""
    return make_shop()


Binder = Callable[..., BoundStatement]


def bind_statement(
    planner: Planner,
    sql: str,
    *parameters: SqlValue,
    keep: bool = False,
    flags: LexerFlags = DEFAULT,
    session: SessionValues | None = None,
) -> BoundStatement:
    """Plan and bind one statement as a session in `shop` would."""
    plan, literals = PlanCache(planner).lookup(sql, "shop", flags)
    call = Call(literals, session or SessionValues("shop"), parameters=parameters, keep_parameters=keep)
    bound: BoundStatement = plan.bind(call)  # type: ignore[union-attr]
    return bound


@pytest.fixture
def bind(shop: Planner) -> Binder:
    """`bind(sql, *parameters)` in the shop."""

    def run(sql: str, *parameters: SqlValue, **options: object) -> BoundStatement:
        return bind_statement(shop, sql, *parameters, **options)  # type: ignore[arg-type]

    return run
