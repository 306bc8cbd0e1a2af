"""Transactions that touch one data source behave as on one server."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.plugins.equivalence import ask
from tests.plugins.fix_mesh import Shop

if TYPE_CHECKING:
    from tests.integration.statements.conftest import Twins

pytestmark = pytest.mark.integration

SCRIPTS = {
    "commit": ["BEGIN", "INSERT INTO t_auto VALUES (2, 'a', 1)", "COMMIT", "SELECT * FROM t_auto"],
    "rollback": ["BEGIN", "INSERT INTO t_auto VALUES (2, 'a', 1)", "ROLLBACK", "SELECT * FROM t_auto"],
    "start transaction": ["START TRANSACTION", "DELETE FROM t_user WHERE user_id = 4", "ROLLBACK"],
    "sees its own write": [
        "BEGIN",
        "UPDATE t_user SET name = 'z' WHERE user_id = 4",
        "SELECT name FROM t_user WHERE user_id = 4",
        "SELECT COUNT(*) FROM t_user WHERE name = 'z'",
        "ROLLBACK",
        "SELECT name FROM t_user WHERE user_id = 4",
    ],
    "autocommit off": [
        "SET autocommit = 0",
        "INSERT INTO t_auto VALUES (4, 'a', 1)",
        "ROLLBACK",
        "INSERT INTO t_auto VALUES (8, 'b', 1)",
        "COMMIT",
        "SET autocommit = 1",
        "SELECT * FROM t_auto ORDER BY id",
    ],
    "turning autocommit on commits": [
        "SET autocommit = 0",
        "INSERT INTO t_auto VALUES (4, 'a', 1)",
        "SET autocommit = 1",
        "ROLLBACK",
        "SELECT * FROM t_auto",
    ],
    "savepoint": [
        "BEGIN",
        "INSERT INTO t_auto VALUES (4, 'a', 1)",
        "SAVEPOINT here",
        "INSERT INTO t_auto VALUES (8, 'b', 1)",
        "ROLLBACK TO SAVEPOINT here",
        "COMMIT",
        "SELECT * FROM t_auto ORDER BY id",
    ],
    "a failed statement leaves the others": [
        "BEGIN",
        "INSERT INTO t_auto VALUES (4, 'a', 1)",
        "INSERT INTO t_auto VALUES (4, 'b', 1)",
        "COMMIT",
        "SELECT * FROM t_auto ORDER BY id",
    ],
    "begin commits what was open": [
        "BEGIN",
        "INSERT INTO t_auto VALUES (4, 'a', 1)",
        "BEGIN",
        "ROLLBACK",
        "SELECT * FROM t_auto",
    ],
    "over two data sources": [
        "BEGIN",
        "INSERT INTO t_auto VALUES (4, 'a', 1)",
        "SAVEPOINT first",
        "INSERT INTO t_auto VALUES (5, 'b', 1), (6, 'c', 1)",
        "UPDATE t_user SET name = 'z' WHERE user_id IN (4, 5)",
        "SELECT * FROM t_auto ORDER BY id",
        "ROLLBACK TO first",
        "INSERT INTO t_auto VALUES (7, 'd', 1)",
        "COMMIT",
        "SELECT * FROM t_auto ORDER BY id",
    ],
    "rolled back on two data sources": [
        "BEGIN",
        "INSERT INTO t_auto VALUES (4, 'a', 1), (5, 'b', 1)",
        "DELETE FROM t_user WHERE user_id IN (4, 5)",
        "ROLLBACK",
        "SELECT * FROM t_auto",
    ],
    "a statement that fails on two data sources": [
        "BEGIN",
        "INSERT INTO t_auto VALUES (4, 'a', 1), (5, 'b', 1)",
        "INSERT INTO t_auto VALUES (6, 'a', 1), (7, 'b', 1), (5, 'c', 1)",
        "COMMIT AND CHAIN",
        "INSERT INTO t_auto VALUES (8, 'a', 1), (9, 'b', 1)",
        "ROLLBACK",
        "SELECT * FROM t_auto ORDER BY id",
    ],
    "two data sources with a snapshot": [
        "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ",
        "START TRANSACTION WITH CONSISTENT SNAPSHOT",
        "SELECT COUNT(*) FROM t_auto",
        "INSERT INTO t_auto VALUES (4, 'a', 1), (5, 'b', 1)",
        "COMMIT",
        "SELECT * FROM t_auto ORDER BY id",
    ],
    "read only on two data sources": [
        "START TRANSACTION READ ONLY",
        "SELECT COUNT(*) FROM t_auto",
        "INSERT INTO t_auto VALUES (4, 'a', 1), (5, 'b', 1)",
        "COMMIT",
    ],
    "autocommit off on two data sources": [
        "SET autocommit = 0",
        "INSERT INTO t_auto VALUES (4, 'a', 1), (5, 'b', 1)",
        "COMMIT",
        "INSERT INTO t_auto VALUES (6, 'a', 1), (7, 'b', 1)",
        "ROLLBACK",
        "SET autocommit = 1",
        "SELECT * FROM t_auto ORDER BY id",
    ],
    "characteristics inside a transaction": [
        "BEGIN",
        "SET TRANSACTION ISOLATION LEVEL READ COMMITTED",
        "INSERT INTO t_auto VALUES (4, 'a', 1)",
        "SET TRANSACTION READ ONLY",
        "INSERT INTO t_auto VALUES (5, 'b', 1)",
        "COMMIT",
        "SELECT * FROM t_auto ORDER BY id",
    ],
    "read only": ["START TRANSACTION READ ONLY", "INSERT INTO t_auto VALUES (4, 'a', 1)", "COMMIT"],
    "isolation": [
        "SET TRANSACTION ISOLATION LEVEL READ COMMITTED",
        "BEGIN",
        "SELECT * FROM t_auto",
        "COMMIT",
    ],
}


@pytest.mark.parametrize("name", SCRIPTS)
def test_a_script_equals_one_server(writing_twins: Twins, name: str) -> None:
    for statement in SCRIPTS[name]:
        writing_twins.same(statement)
    writing_twins.same_rows_stored("t_auto", "t_user")


def test_an_uncommitted_row_is_seen_by_nobody_else(fresh_shop: Shop) -> None:
    with fresh_shop.target.connect() as writer, fresh_shop.target.connect() as reader:
        ask(writer, "BEGIN")
        ask(writer, "INSERT INTO t_auto VALUES (5, 'a', 1)")
        assert ask(reader, "SELECT * FROM t_auto WHERE id = 5").rows == ()
        ask(writer, "COMMIT")
        assert ask(reader, "SELECT id FROM t_auto WHERE id = 5").rows == ((5,),)


def test_a_lock_wait_timeout_reaches_the_client(fresh_shop: Shop) -> None:
    with fresh_shop.target.connect() as one, fresh_shop.target.connect() as other:
        ask(one, "BEGIN")
        ask(one, "UPDATE t_user SET name = 'held' WHERE user_id = 8")
        ask(other, "SET innodb_lock_wait_timeout = 1")
        ask(other, "BEGIN")
        answer = ask(other, "UPDATE t_user SET name = 'wanted' WHERE user_id = 8")
        assert answer.error == 1205
        ask(other, "ROLLBACK")
        ask(one, "ROLLBACK")


@pytest.mark.parametrize("transaction", ["", "BEGIN"])
def test_a_write_that_fails_on_one_shard_leaves_nothing_on_the_others(
    fresh_shop: Shop, transaction: str
) -> None:
    with fresh_shop.target.connect() as client:
        ask(client, "INSERT INTO t_auto VALUES (7, 'taken', 1)")
        if transaction:
            ask(client, transaction)
        answer = ask(client, "INSERT INTO t_auto VALUES (4, 'a', 1), (5, 'b', 1), (6, 'c', 1), (7, 'd', 1)")
        assert answer.error == 1062
        if transaction:
            ask(client, "COMMIT")
        assert ask(client, "SELECT id FROM t_auto").rows == ((7,),)


# Each fails on the last of four data nodes only.
FAILS_ON_ONE_NODE = {
    "UPDATE t_auto SET n = n + 1": 1264,
    "DELETE FROM t_auto WHERE n + 9223372036854775806 > 0": 1690,
    "REPLACE INTO t_auto VALUES (4, 'a', 1), (5, 'b', 1), (6, 'c', 1), (7, 'd', 99999999999)": 1264,
    "INSERT INTO t_auto VALUES (4, 'a', 1), (5, 'b', 1), (7, 'd', 1) ON DUPLICATE KEY UPDATE n = n + 1": 1264,
}


@pytest.mark.parametrize(("statement", "number"), FAILS_ON_ONE_NODE.items())
def test_every_kind_of_write_is_all_or_nothing(fresh_shop: Shop, statement: str, number: int) -> None:
    rows = ((4, "4", 1), (5, "5", 1), (6, "6", 1), (7, "7", 2_147_483_647))
    with fresh_shop.target.connect() as client:
        ask(client, "INSERT INTO t_auto VALUES (4, '4', 1), (5, '5', 1), (6, '6', 1), (7, '7', 2147483647)")
        answer = ask(client, statement)
        assert answer.error == number, answer.text
        assert ask(client, "SELECT * FROM t_auto ORDER BY id").rows == rows


def test_a_local_write_of_several_data_sources_says_that_it_was_not_atomic(fresh_shop: Shop) -> None:
    with fresh_shop.target.connect() as client:
        assert ask(client, "SET dbmesh_transaction_type = 'LOCAL'").error is None
        assert ask(client, "INSERT INTO t_auto VALUES (4, 'a', 1), (6, 'b', 1)").warnings == 0
        assert ask(client, "INSERT INTO t_auto VALUES (8, 'a', 1), (9, 'b', 1)").warnings == 1
        (level, number, text) = ask(client, "SHOW WARNINGS").rows[0]
        assert (level, number) == ("Warning", 1196)
        assert "not atomic" in str(text)
