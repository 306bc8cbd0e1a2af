"""DDL through the mesh reaches every data node and is seen under logic names."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.plugins.equivalence import ask
from tests.plugins.fix_mesh import Shop

pytestmark = pytest.mark.integration


@pytest.fixture
def own(own_shop: Callable[..., Shop]) -> Shop:
    """A shop of its own: tables are changed."""
    shop = own_shop()
    if not shop.meshed:
        pytest.skip("one server has no data nodes")
    return shop


def _columns(shop: Shop, source: int, table: str) -> list[str]:
    rows: list[tuple[Any, ...]] = shop.sources[source].execute(
        f"SELECT COLUMN_NAME FROM information_schema.COLUMNS WHERE TABLE_SCHEMA = 'shop_ds_{source}' "
        f"AND TABLE_NAME = '{table}' ORDER BY ORDINAL_POSITION"
    )
    return [row[0] for row in rows]


def test_tables_are_altered_dropped_and_created_on_all_data_nodes(own: Shop) -> None:
    nodes = [(0, "t_auto_0"), (1, "t_auto_1"), (0, "t_auto_2"), (1, "t_auto_3")]
    with own.target.connect() as connection:
        for statement, expected in (
            ("ALTER TABLE t_auto ADD COLUMN extra VARCHAR(10) DEFAULT 'x'", ["id", "word", "n", "extra"]),
            ("CREATE INDEX k_extra ON t_auto (extra)", ["id", "word", "n", "extra"]),
            ("DROP INDEX k_extra ON t_auto", ["id", "word", "n", "extra"]),
            ("ALTER TABLE t_auto DROP COLUMN extra", ["id", "word", "n"]),
            ("DROP TABLE t_auto", []),
            ("CREATE TABLE t_auto (id BIGINT PRIMARY KEY, z INT)", ["id", "z"]),
            ("DROP TABLE IF EXISTS t_auto", []),
            ("CREATE TABLE IF NOT EXISTS t_auto (id BIGINT PRIMARY KEY, y INT)", ["id", "y"]),
        ):
            answer = ask(connection, statement)
            assert (answer.error, answer.text) == (None, ""), statement
            assert [_columns(own, *node) for node in nodes] == [expected] * 4, statement
        assert ask(connection, "INSERT INTO t_auto VALUES (1, 1), (2, 2), (3, 3), (4, 4)").affected == 4
        assert len(ask(connection, "SELECT * FROM t_auto").rows) == 4, "the new columns are known at once"


def test_notes_of_every_data_node_are_told_once(own: Shop) -> None:
    with own.target.connect() as connection, connection.cursor() as cursor:
        for statement, notes in (
            ("CREATE TABLE IF NOT EXISTS t_auto (id BIGINT PRIMARY KEY)", ["Table 't_auto' already exists"]),
            ("DROP TABLE t_auto", []),
            ("DROP TABLE IF EXISTS t_auto", ["Unknown table 'shop.t_auto'"]),
            ("DROP TABLE t_country", []),
            (
                "DROP TABLE IF EXISTS t_auto, t_country, missing",
                ["Unknown table 'shop.t_auto,shop.t_country,shop.missing'"],
            ),
        ):
            answer = ask(connection, statement)
            cursor.execute("SHOW WARNINGS")
            assert [row[2] for row in cursor.fetchall()] == notes, statement
            assert answer.warnings == len(notes), statement


def test_a_broadcast_table_changes_everywhere_and_a_single_table_in_its_place(own: Shop) -> None:
    with own.target.connect() as connection:
        assert ask(connection, "ALTER TABLE t_country ADD COLUMN area INT").error is None
        assert "area" in _columns(own, 0, "t_country")
        assert "area" in _columns(own, 1, "t_country")
        assert ask(connection, "ALTER TABLE t_config ADD COLUMN comment TEXT").error is None
        assert "comment" in _columns(own, 0, "t_config")
        assert _columns(own, 1, "t_config") == []
        assert len(ask(connection, "SELECT * FROM t_config").columns) == 3
