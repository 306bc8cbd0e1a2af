"""The demo's shop: the same every time, whole, and accepted by the loader."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal

import pytest
import sqlglot
from sqlglot import exp

from dbmesh.cli import demo_data
from dbmesh.rules.loader import load_configuration

Row = Mapping[str, str]


@pytest.fixture(scope="module")
def tables() -> Mapping[str, Sequence[Row]]:
    """Every row of the seed, by table."""
    found: dict[str, list[Row]] = {}
    for statement in demo_data.seed_statements():
        tree = sqlglot.parse_one(statement, dialect="mysql")
        columns = [column.name for column in tree.this.expressions]
        rows = tree.expression.expressions
        assert len(rows) <= demo_data.ROWS_PER_INSERT
        for row in rows:
            values = [cell.name for cell in row.expressions]
            found.setdefault(tree.this.this.name, []).append(dict(zip(columns, values, strict=True)))
    return found


def test_the_seed_is_always_the_same() -> None:
    assert list(demo_data.seed_statements()) == list(demo_data.seed_statements())


def test_every_table_has_rows(tables: Mapping[str, Sequence[Row]]) -> None:
    created = {sqlglot.parse_one(sql, dialect="mysql").find(exp.Table).name for sql in demo_data.SCHEMA}  # type: ignore[union-attr]
    assert set(tables) == created
    assert len(tables["t_user"]) == demo_data.USERS
    assert len(tables["t_order"]) == demo_data.ORDERS


def test_references_are_whole(tables: Mapping[str, Sequence[Row]]) -> None:
    users = {row["user_id"] for row in tables["t_user"]}
    countries = {row["code"] for row in tables["t_country"]}
    orders = {row["order_id"]: row for row in tables["t_order"]}
    assert {row["country"] for row in tables["t_user"]} <= countries
    assert {row["user_id"] for row in orders.values()} <= users
    assert {row["order_id"] for row in tables["t_order_item"]} == set(orders)
    for item in tables["t_order_item"]:
        assert item["user_id"] == orders[item["order_id"]]["user_id"], "binding tables lie together"


def test_amounts_are_the_sums_of_their_items(tables: Mapping[str, Sequence[Row]]) -> None:
    sums: dict[str, Decimal] = {}
    for item in tables["t_order_item"]:
        price = int(item["quantity"]) * Decimal(item["price"])
        sums[item["order_id"]] = sums.get(item["order_id"], Decimal(0)) + price
    assert sums == {row["order_id"]: Decimal(row["amount"]) for row in tables["t_order"]}


@pytest.mark.parametrize(
    "urls", [("sqlite:it's/ds_0.db", "sqlite:b.db"), {"ds_0": "sqlite:a", "ds_1": "sqlite:b"}]
)
def test_the_loader_accepts_the_configuration(urls: Sequence[str] | Mapping[str, str]) -> None:
    configuration = load_configuration(demo_data.configuration_files(urls), lambda kind, name: None)
    assert list(configuration.databases) == ["shop"]


@pytest.mark.parametrize("tables", [2, 4])
def test_orders_and_their_items_have_as_many_tables_as_asked_for(tables: int) -> None:
    files = demo_data.configuration_files(["sqlite:a", "sqlite:b"])
    sources = "  ds_0: {url: 'sqlite:a'}\n  ds_1: {url: 'sqlite:b'}\n"
    files["database-shop.yaml"] = demo_data.database_file(sources, tables)
    rules = load_configuration(files, lambda kind, name: None).databases["shop"]
    for name in ("t_order", "t_order_item"):
        table = rules.table(name)
        assert table is not None
        assert len(table.nodes) == 2 * tables


def test_a_shop_has_as_many_orders_as_asked_for() -> None:
    few = [sql for sql in demo_data.seed_statements(3) if sql.startswith("INSERT INTO t_order ")]
    assert len(few) == 1
    assert few[0].count("), (") == 2
