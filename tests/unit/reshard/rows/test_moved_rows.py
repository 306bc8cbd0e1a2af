"""A row that is copied goes where a client's row of the same values goes."""

from __future__ import annotations

import datetime
from dataclasses import replace
from decimal import Decimal

import pytest

from dbmesh.errors import NOT_SUPPORTED, MeshError
from dbmesh.model import ColumnFamily, ColumnSchema, DataNode, TableSchema
from dbmesh.planner.images import Row
from dbmesh.reshard.rows.moved_rows import moved_rows
from dbmesh.rules.loader import load_configuration
from dbmesh.rules.ruleset import BroadcastTable, ShardedTable, SingleTable

_COLUMNS = (
    ColumnSchema("id", "bigint(20)", ColumnFamily.INTEGER, nullable=False),
    ColumnSchema("price", "decimal(10,2)", ColumnFamily.DECIMAL),
    ColumnSchema("name", "varchar(20)", ColumnFamily.TEXT, collation="utf8mb4_bin"),
    ColumnSchema("word", "varchar(20)", ColumnFamily.TEXT, collation="latin1_bin"),
    ColumnSchema("day", "date", ColumnFamily.TEMPORAL),
    ColumnSchema("raw", "varbinary(20)", ColumnFamily.BINARY),
    ColumnSchema("moment", "timestamp", ColumnFamily.TEMPORAL),
)
_SCHEMA = TableSchema("t", _COLUMNS, primary_key=("id",))
_ROW: Row = (b"7", b"12.50", "né".encode(), b"\xe4", b"2024-05-06", b"\x00\xff", b"1700000000")


def _rule(column: str) -> ShardedTable:
    text = f"""\
databaseName: shop
dataSources:
  ds_0: {{url: 'mysql://h:1/a', username: u, password: p}}
rules:
- !SHARDING
  tables:
    t:
      actualDataNodes: ds_0.t_${{0..3}}
      tableStrategy: {{standard: {{shardingColumn: {column}, shardingAlgorithmName: by_hash}}}}
  shardingAlgorithms:
    by_hash: {{type: HASH_MOD, props: {{sharding-count: 4}}}}
"""
    configuration = load_configuration(
        {
            "global.yaml": "authority:\n  users:\n  - {user: root@%, password: root}\n",
            "database-shop.yaml": text,
        },
        lambda kind, name: None,
    )
    rule = configuration.databases["shop"].table("t")
    assert isinstance(rule, ShardedTable)
    return rule


@pytest.mark.parametrize("column", ["id", "price", "name", "word", "day"])
def test_rows_are_placed_by_the_value_a_client_would_have_written(column: str) -> None:
    """HASH_MOD hashes what a key is, not how it was written: so does the rule when it is asked by the value itself."""
    written = dict(
        zip(
            ("id", "price", "name", "word", "day"),
            (7, Decimal("12.5"), "né", "ä", datetime.date(2024, 5, 6)),
            strict=True,
        )
    )
    rule = _rule(column)
    placed = moved_rows(_SCHEMA, SingleTable("t", DataNode("ds_0", "t")), rule).by_node([_ROW])
    router = rule.point_router()
    assert router is not None
    assert placed == {router(written[column]): [_ROW]}


def test_all_rows_go_to_every_node_of_a_broadcast_table() -> None:
    nodes = (DataNode("ds_0", "t"), DataNode("ds_1", "t"))
    moved = moved_rows(_SCHEMA, _rule("id"), BroadcastTable("t", nodes))
    assert moved.by_node([_ROW]) == {nodes[0]: [_ROW], nodes[1]: [_ROW]}
    assert moved.by_node([]) == {}


def test_rows_are_walked_by_the_primary_key_and_told_apart_by_both_sides_columns() -> None:
    moved = moved_rows(_SCHEMA, _rule("day"), _rule("name"))
    assert moved.walked.key_of(_ROW) == (b"7",)
    assert moved.identity.key_of(_ROW) == (b"7", b"2024-05-06", "né".encode())


def test_what_does_not_say_where_a_row_belongs_is_refused() -> None:
    """What a moment is called depends on a session's time zone, and Swedish ä is no other table's letter."""
    unknown = replace(_COLUMNS[3], name="odd", collation="dec8_bin")
    schema = replace(_SCHEMA, columns=(*_COLUMNS, unknown))
    for column in ("moment", "odd"):
        with pytest.raises(MeshError) as raised:
            moved_rows(schema, SingleTable("t", DataNode("ds_0", "t")), _rule(column))
        assert raised.value.kind is NOT_SUPPORTED, column


def test_a_row_without_a_key_has_no_place() -> None:
    moved = moved_rows(_SCHEMA, SingleTable("t", DataNode("ds_0", "t")), _rule("id"))
    with pytest.raises(MeshError):
        moved.by_node([(None, *_ROW[1:])])
