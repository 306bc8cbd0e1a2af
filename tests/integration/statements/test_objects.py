"""Sequences, routines, triggers, views and tables made of others, compared with one server."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.plugins.database_server import chosen_product
from tests.plugins.fix_mesh import Shop
from tests.plugins.fix_two_databases import Pair
from tests.plugins.mesh import Mesh

pytestmark = pytest.mark.integration


@pytest.fixture
def pair(two_databases: Mesh, shop: Shop) -> Iterator[Pair]:
    """A session in `here`, where `account` is sharded and every other table is single."""
    sessions = Pair(two_databases, shop, "here")
    yield sessions
    sessions.close()


def test_a_sequence_is_one_for_all_tables(pair: Pair) -> None:
    if chosen_product() == "MySQL":
        pytest.skip("MySQL has no sequences")
    for statement in (
        "CREATE SEQUENCE numbers START WITH 5 INCREMENT BY 5",
        "CREATE SEQUENCE IF NOT EXISTS numbers",
        "CREATE SEQUENCE numbers",
        "SELECT NEXT VALUE FOR numbers",
        "SELECT NEXTVAL(numbers), NEXT VALUE FOR here.numbers AS b",
        "CREATE TABLE single (id BIGINT PRIMARY KEY DEFAULT (NEXT VALUE FOR numbers), name VARCHAR(10))",
        "INSERT INTO single (name) VALUES ('a'), ('b')",
        "INSERT INTO single VALUES (NEXT VALUE FOR numbers, 'c'), (NEXTVAL(numbers), 'd')",
        "UPDATE single SET id = NEXTVAL(numbers) WHERE name = 'a'",
        "SELECT id, name, NEXT VALUE FOR numbers FROM single ORDER BY name LIMIT 1",
        "SELECT * FROM single ORDER BY name",
        "CREATE TABLE account (id BIGINT NOT NULL PRIMARY KEY, name VARCHAR(20))",
        "INSERT INTO account VALUES (NEXT VALUE FOR numbers, 'x')",
        "INSERT INTO account VALUES (NEXT VALUE FOR numbers, 'y'), (NEXT VALUE FOR numbers, 'z')",
        "INSERT INTO account SELECT NEXT VALUE FOR numbers, name FROM single ORDER BY name",
        "SELECT * FROM account ORDER BY id",
        "SELECT SETVAL(numbers, 200)",
        "ALTER SEQUENCE numbers INCREMENT BY 1",
        "SELECT NEXT VALUE FOR numbers",
        "SHOW CREATE SEQUENCE numbers",
        "SHOW FULL TABLES",
        "SELECT TABLE_NAME, TABLE_TYPE FROM information_schema.TABLES WHERE TABLE_SCHEMA = 'here'",
        "SELECT minimum_value, increment FROM numbers",
        "SELECT NEXT VALUE FOR nothing",
        "DROP TABLE account, single",
        "DROP SEQUENCE numbers",
        "DROP SEQUENCE IF EXISTS numbers",
        "DROP SEQUENCE numbers",
    ):
        pair.same(statement)
    assert "which one connection remembers" in pair.refused("SELECT PREVIOUS VALUE FOR numbers")
