"""The clock in statements of several data nodes: one moment for the whole statement, as on one server."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Iterator
from typing import Any

import pymysql
import pytest

from tests.plugins.equivalence import ask
from tests.plugins.fix_mesh import Shop

pytestmark = pytest.mark.integration

SIX_ROWS = "INSERT INTO t_auto (id, n) VALUES (1, 1), (2, 2), (3, 3), (4, 4), (5, 5), (6, 6)"


@pytest.fixture
def own(own_shop: Callable[..., Shop]) -> Shop:
    """A shop of its own: tables are changed."""
    shop = own_shop()
    if not shop.meshed:
        pytest.skip("one server has one clock")
    return shop


@pytest.fixture
def client(own: Shop) -> Iterator[pymysql.Connection[Any]]:
    """A session whose t_auto has six rows on four nodes, and a column that takes the time by itself."""
    with own.target.connect() as connection:
        ask(connection, SIX_ROWS)
        added = ask(
            connection,
            "ALTER TABLE t_auto ADD COLUMN made DATETIME(6) DEFAULT CURRENT_TIMESTAMP(6) "
            "ON UPDATE CURRENT_TIMESTAMP(6)",
        )
        assert added.error is None, added.text
        yield connection


def _moments(connection: pymysql.Connection[Any], column: str = "made") -> set[datetime.datetime]:
    return {row[0] for row in ask(connection, f"SELECT {column} FROM t_auto").rows}


def test_default_and_on_update_give_all_rows_of_a_statement_one_time(
    client: pymysql.Connection[Any],
) -> None:
    [altered] = _moments(client)
    assert ask(client, "UPDATE t_auto SET n = n + 1").affected == 6
    [updated] = _moments(client)
    ask(client, "DELETE FROM t_auto")
    assert ask(client, SIX_ROWS).affected == 6
    [inserted] = _moments(client)
    ask(client, SIX_ROWS + " ON DUPLICATE KEY UPDATE n = n + 5")
    [again] = _moments(client)
    assert altered < updated < inserted < again


def test_a_read_tells_one_time(client: pymysql.Connection[Any]) -> None:
    assert len(_moments(client, "NOW(6)")) == 1
    assert len(ask(client, "SELECT DISTINCT UTC_TIMESTAMP(6) AS moment FROM t_auto").rows) == 1
    ask(client, "PREPARE asked FROM 'SELECT CURRENT_TIMESTAMP(6), n FROM t_auto WHERE n > ?'")
    ask(client, "SET @least = 0")
    rows = ask(client, "EXECUTE asked USING @least").rows
    assert (len(rows), len({row[0] for row in rows})) == (6, 1)


def test_inside_a_transaction_too(client: pymysql.Connection[Any]) -> None:
    ask(client, "BEGIN")
    [first] = _moments(client, "NOW(6)")
    assert ask(client, "UPDATE t_auto SET made = NOW(6)").affected == 6
    [second] = _moments(client)
    [third] = _moments(client, "NOW(6)")
    ask(client, "COMMIT")
    assert first < second < third


def test_a_broadcast_table_holds_the_same_time_everywhere(client: pymysql.Connection[Any], own: Shop) -> None:
    ask(client, "ALTER TABLE t_country ADD COLUMN made DATETIME(6) DEFAULT CURRENT_TIMESTAMP(6)")
    for statement in (
        "INSERT INTO t_country (code, name) VALUES ('IT', 'Italy')",
        "UPDATE t_country SET made = NOW(6) WHERE code = 'IT'",
    ):
        answer = ask(client, statement)
        assert (answer.error, answer.affected) == (None, 1), answer.text
        found = [
            server.execute(f"SELECT made FROM shop_ds_{number}.t_country WHERE code = 'IT'")
            for number, server in enumerate(own.sources)
        ]
        assert found[0] == found[1], statement


def test_the_clock_goes_on_afterwards(client: pymysql.Connection[Any]) -> None:
    """No connection keeps the moment of a statement that is over."""
    [then] = _moments(client, "NOW(6)")
    for key in range(1, 7):
        [(now,)] = ask(client, f"SELECT NOW(6) FROM t_auto WHERE id = {key}").rows
        assert now > then


def test_a_time_the_session_has_set_holds(client: pymysql.Connection[Any]) -> None:
    ask(client, "SET time_zone = '+00:00', timestamp = 86400")
    assert _moments(client, "NOW(6)") == {datetime.datetime(1970, 1, 2)}
    ask(client, "SET timestamp = DEFAULT")
    [now] = _moments(client, "NOW(6)")
    assert now.year > 1970
