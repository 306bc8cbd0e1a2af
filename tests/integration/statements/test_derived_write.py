"""Writes whose rows a query names first leave the rows, and say the numbers, that one server would."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.integration.statements.conftest import Twins
from tests.plugins.database_server import chosen_product
from tests.plugins.equivalence import ask
from tests.plugins.fix_mesh import Shop

pytestmark = pytest.mark.integration

TABLES = ("t_user", "t_order", "t_order_item", "t_country", "t_config", "t_types", "t_auto")

WRITES = """
DELETE FROM t_user ORDER BY balance DESC, user_id LIMIT 7
DELETE FROM t_user WHERE country = 'DE' ORDER BY user_id LIMIT 3
DELETE FROM t_user WHERE user_id > 1000 ORDER BY user_id LIMIT 3
UPDATE t_user SET name = UPPER(name), balance = balance * 2 WHERE country = 'FR' ORDER BY user_id LIMIT 5
UPDATE t_user SET name = 'late' ORDER BY created DESC LIMIT 4
UPDATE t_user u SET u.name = CONCAT(u.name, '?') ORDER BY u.user_id LIMIT 4
UPDATE t_order SET note = 'x' WHERE qty > 2 ORDER BY amount, order_id LIMIT 6
UPDATE t_order SET note = 'y' ORDER BY order_id
UPDATE t_order USE INDEX FOR ORDER BY (PRIMARY) SET note = 'z' ORDER BY order_id LIMIT 4
UPDATE t_user SET user_id = user_id + 1000 WHERE user_id IN (3, 4, 5)
UPDATE t_user SET user_id = user_id + 1000
UPDATE t_user SET user_id = 4001, name = 'moved', balance = balance + 1 WHERE user_id = 7
UPDATE t_user SET user_id = 9 WHERE user_id = 7
UPDATE t_user SET user_id = user_id + 4 WHERE user_id > 50 ORDER BY user_id DESC
UPDATE t_order SET user_id = user_id + 1, note = 'moved' WHERE status = 'NEW'
UPDATE t_order SET user_id = 3 WHERE order_id = 11
UPDATE t_types SET id = id + 100
UPDATE t_types SET id = id + 101 WHERE id < 6
UPDATE IGNORE t_user SET user_id = user_id + 1
UPDATE IGNORE t_user SET user_id = 2 WHERE user_id = 1
UPDATE IGNORE t_user SET user_id = user_id + 4, name = 'ignored' WHERE user_id > 55
UPDATE IGNORE t_order SET user_id = 7 WHERE qty = 3
UPDATE t_user SET balance = DEFAULT, user_id = user_id + 1000, email = DEFAULT WHERE user_id < 9
UPDATE t_user SET balance = DEFAULT, name = (SELECT MAX(name) FROM t_country) ORDER BY user_id LIMIT 3
UPDATE t_types SET id = NULL WHERE id = 3
UPDATE t_user SET balance = 1 WHERE name ORDER BY user_id LIMIT 3
UPDATE t_user SET balance = 1 WHERE 'text' ORDER BY user_id LIMIT 3
UPDATE t_user SET balance = 1 ORDER BY user_id LIMIT 0
UPDATE t_user SET balance = 1 WHERE user_id > 1000 ORDER BY user_id LIMIT 2
UPDATE t_user SET user_id = user_id + 1000 WHERE name
DELETE FROM t_user WHERE name + 1 ORDER BY user_id LIMIT 1000
INSERT INTO t_auto (id, n) SELECT user_id + 5000, 1 FROM t_user WHERE name
INSERT INTO t_auto (id, n) SELECT user_id + 5000, 1 FROM t_user WHERE born IN ('x', '2000-01-01')
INSERT INTO t_types (id, tiny) VALUES (-5, 3), (- 6, 1), (-70, -1)
INSERT INTO t_types (id, tiny) VALUES (1000 + 5, 3), (60 * 20, 1)
INSERT INTO t_types (id, tiny, word) VALUES (1000 + 5, DEFAULT, 'x'), (60 * 20, 1, DEFAULT), (7000, 2, NULL)
INSERT INTO t_types (id, tiny) VALUES (1000 + 5, DEFAULT), (60 * 20, DEFAULT)
INSERT INTO t_types (id, word) VALUES (ABS(-900), CONCAT('a', '%', 'b')), (CAST('901' AS SIGNED), 'ä%')
INSERT INTO t_types (id, tiny) VALUES (ABS(-900), 3), (901 + @unset, 4)
INSERT INTO t_types SET id = LENGTH('abc') + 800, word = UPPER('x')
INSERT INTO t_types (id, tiny) VALUES (2 + 1, 7) ON DUPLICATE KEY UPDATE tiny = VALUES(tiny) + 1, id = id
INSERT INTO t_user (user_id, name) VALUES (7, 'x') ON DUPLICATE KEY UPDATE user_id = user_id + 1002
INSERT INTO t_user (user_id, name) VALUES (7, 'x') ON DUPLICATE KEY UPDATE user_id = VALUES(user_id) + 1000, name = VALUES(name)
INSERT INTO t_user (user_id, name) VALUES (7000, 'x') ON DUPLICATE KEY UPDATE user_id = 9
INSERT INTO t_user (user_id, name) VALUES (7, 'x') ON DUPLICATE KEY UPDATE user_id = 9
INSERT INTO t_user (user_id, name) VALUES (7, NULL) ON DUPLICATE KEY UPDATE user_id = 1009
INSERT INTO t_user SET user_id = 7, name = 'x' ON DUPLICATE KEY UPDATE t_user.user_id = 3007, balance = balance + 7
INSERT INTO t_user (user_id, name) VALUES (7, 'a'), (8, 'b'), (9000, 'c'), (9000, 'd'), (10, 'user 10') ON DUPLICATE KEY UPDATE user_id = user_id + 1001, name = CONCAT(VALUES(name), name)
INSERT INTO t_user (user_id, name) VALUES (7, 'user 07'), (8, 'y') ON DUPLICATE KEY UPDATE user_id = VALUES(user_id) * 1, name = VALUES(name)
INSERT INTO t_user (user_id, name, email) SELECT user_id, 'z', email FROM t_user u WHERE user_id < 12 ON DUPLICATE KEY UPDATE user_id = t_user.user_id + 2000
INSERT INTO t_user (user_id, name) SELECT user_id, name FROM t_user u WHERE user_id = 5 ON DUPLICATE KEY UPDATE user_id = VALUES(user_id) + 1
INSERT INTO t_order (order_id, user_id, status, amount, note) VALUES (1, 10, 'NEW', 1.5, 'x'), (2, 15, 'y', 2, DEFAULT), (900, 15, 'y', 2, DEFAULT) ON DUPLICATE KEY UPDATE user_id = user_id + 1, amount = VALUES(amount)
INSERT INTO t_auto (id, n) VALUES (1, 1), (2, 2), (1, 3), (3, 4) ON DUPLICATE KEY UPDATE id = id + 1, n = n + 10
INSERT INTO t_types (id, tiny, word) VALUES (3, 300, 'x') ON DUPLICATE KEY UPDATE id = 1003
INSERT INTO t_types (id, tiny, word, y, day) VALUES (3, 3, 'x', 1999, '2024-02-30') ON DUPLICATE KEY UPDATE id = 1003
INSERT INTO t_types (id, day, word) VALUES (3, '2024-02-29', 5) ON DUPLICATE KEY UPDATE id = 1003, day = VALUES(day) + INTERVAL 1 DAY, word = VALUES(word)
REPLACE INTO t_types (id, tiny) VALUES (2 + 1, 7), (3 + 1, 8)
INSERT INTO t_types (id, tiny) VALUES (3, 7), (1000, 8) ON DUPLICATE KEY UPDATE id = LAST_INSERT_ID(id), tiny = 9
INSERT INTO t_auto (id, word, n) SELECT order_id + 5000, status, qty FROM t_order
INSERT INTO t_auto SELECT order_id + 5000, status, qty FROM t_order WHERE user_id < 6
INSERT INTO t_auto (id, word) SELECT 7000, 'one'
INSERT INTO t_auto (id, word) SELECT user_id, name FROM t_user WHERE user_id > 100000
INSERT IGNORE INTO t_auto (id, n) SELECT 1 + user_id % 5, user_id FROM t_user ORDER BY user_id
INSERT INTO t_auto (id, n) SELECT user_id, 1 FROM t_user ON DUPLICATE KEY UPDATE n = t_auto.n + 1
INSERT INTO t_user SELECT * FROM t_user u ON DUPLICATE KEY UPDATE name = CONCAT(name, 'x')
INSERT INTO t_user SELECT * FROM t_user u ON DUPLICATE KEY UPDATE name = 'x', balance = t_user.balance + VALUES(balance)
REPLACE INTO t_auto (id, word, n) SELECT user_id, name, 7 FROM t_user WHERE user_id < 20
INSERT INTO t_country (code, name) SELECT 'X1', name FROM t_user WHERE user_id = 5
INSERT INTO t_config SELECT CONCAT('c', user_id), email FROM t_user
INSERT INTO t_types SELECT id + 1000, tiny, utiny, small, medium, number, unumber, big, ubig, money, f, d, flag, day, clock, moment, stamp, y, fixed, word, bin, body, data, doc, kind, tags, latin, exact FROM t_types
INSERT INTO t_auto SET id = 8002, n = (SELECT user_id FROM t_user WHERE user_id = 9)
INSERT INTO t_auto (id, n, word) SELECT id + 100, kind, kind FROM t_types
INSERT INTO t_types (id, d, money, kind, flag) SELECT x.id + 100, tags, x.kind, kind, tags FROM t_types x
INSERT INTO t_auto (id, n) SELECT id, chosen FROM (SELECT id, kind AS chosen FROM t_types) x
UPDATE t_types SET id = id + 100, number = kind, big = tags, word = kind
UPDATE t_types x JOIN t_types y ON x.id = y.id + 1 SET x.number = y.kind, x.d = y.tags, x.tags = y.tags
"""

COMMITTED = """
UPDATE t_user SET user_id = user_id + 1001
DELETE FROM t_user ORDER BY balance DESC, user_id LIMIT 7
INSERT INTO t_auto (id, word, n) SELECT order_id + 5000, status, qty FROM t_order
INSERT INTO t_user (user_id, name) VALUES (7, 'a'), (8, 'b'), (9000, 'c') ON DUPLICATE KEY UPDATE user_id = user_id + 1001
"""

FEDERATED = """
DELETE FROM t_user WHERE user_id IN (SELECT user_id FROM t_order WHERE status = 'NEW')
DELETE FROM t_country WHERE code IN (SELECT country FROM t_user WHERE user_id < 9)
UPDATE t_user SET balance = 1 WHERE EXISTS (SELECT 1 FROM t_order WHERE status + 1)
UPDATE t_user u JOIN t_order o ON o.user_id = u.user_id SET u.balance = 1 WHERE u.born IN ('x', '2000-01-01')
UPDATE t_user SET balance = 1 WHERE user_id IN (SELECT user_id FROM t_order WHERE status)
DELETE FROM t_config WHERE EXISTS (SELECT 1 FROM t_user)
DELETE u FROM t_user u JOIN t_order o ON o.user_id = u.user_id WHERE o.status = 'PAID'
DELETE u, o FROM t_user u JOIN t_order o ON o.user_id = u.user_id WHERE o.qty = 3
DELETE FROM u USING t_user u LEFT JOIN t_order o ON o.user_id = u.user_id WHERE o.order_id IS NULL
UPDATE t_user u JOIN t_order o ON o.user_id = u.user_id SET u.name = o.status WHERE o.order_id IN (11, 12, 13)
UPDATE t_user u, t_country c SET u.name = c.name, u.balance = u.balance + 1 WHERE u.country = c.code AND u.user_id < 20
UPDATE t_user u JOIN t_order o ON o.user_id = u.user_id SET u.balance = 1, o.note = u.name WHERE o.order_id = 12
UPDATE t_user SET balance = (SELECT SUM(amount) FROM t_order o WHERE o.user_id = t_user.user_id) WHERE user_id < 12
UPDATE t_user SET name = 'big' WHERE balance > (SELECT AVG(amount) FROM t_order)
UPDATE t_country SET name = 'x' WHERE code IN (SELECT country FROM t_user WHERE user_id < 4)
INSERT INTO t_auto (id, word, n) SELECT u.user_id, MAX(o.status), COUNT(*) FROM t_user u JOIN t_order o ON o.user_id = u.user_id GROUP BY u.user_id
INSERT INTO t_auto (id, n) SELECT 9000, COUNT(*) FROM t_user UNION ALL SELECT 9001, COUNT(*) FROM t_order
INSERT INTO t_auto (id, n) VALUES (8000, (SELECT qty FROM t_order WHERE order_id = 11)), (8001, 5)
INSERT INTO t_auto (id, n) VALUES (9002, (SELECT MAX(qty) FROM t_order))
"""


def _lines(text: str) -> list[str]:
    return [line for line in text.splitlines() if line.strip()]


@pytest.fixture(scope="module")
def sessions(shop: Shop) -> Iterator[Twins]:
    """Two sessions whose transactions every test rolls back."""
    made = Twins(shop)
    yield made
    made.close()


@pytest.mark.parametrize("statement", _lines(WRITES + FEDERATED))
def test_a_derived_write_in_a_transaction_equals_one_server(sessions: Twins, statement: str) -> None:
    for connection in (sessions.mesh, sessions.plain):
        ask(connection, "BEGIN")
    try:
        mesh, plain = ask(sessions.mesh, statement), ask(sessions.plain, statement)
        assert (mesh.error, mesh.affected, mesh.insert_id) == (
            plain.error,
            plain.affected,
            plain.insert_id,
        ), mesh.text
        if sessions.shop.meshed:
            assert mesh.warnings == plain.warnings
        for table in TABLES:
            rows = ask(sessions.mesh, f"SELECT * FROM {table}").as_bag().rows
            assert rows == ask(sessions.plain, f"SELECT * FROM {table}").as_bag().rows, table
    finally:
        for connection in (sessions.mesh, sessions.plain):
            ask(connection, "ROLLBACK")


@pytest.mark.parametrize("statement", _lines(COMMITTED))
def test_a_derived_write_under_autocommit_equals_one_server(writing_twins: Twins, statement: str) -> None:
    mesh, plain = ask(writing_twins.mesh, statement), ask(writing_twins.plain, statement)
    assert (mesh.error, mesh.affected) == (plain.error, plain.affected), mesh.text
    writing_twins.same_rows_stored(*TABLES)


@pytest.mark.parametrize(
    "statement",
    [
        "INSERT INTO t_user (user_id) SELECT order_id + 1000 FROM t_order WHERE order_id < 0",
        "INSERT INTO t_user (user_id) SELECT order_id FROM t_order WHERE order_id DIV 0",
        "INSERT INTO t_user (user_id, nothing) SELECT order_id, 1 FROM t_order WHERE order_id < 0",
        "INSERT INTO t_user (user_id, name, name) SELECT order_id, 1, 2 FROM t_order WHERE order_id < 0",
        "INSERT INTO t_user (user_id, name) SELECT order_id, (SELECT 1 UNION SELECT 2), 3 FROM t_order",
        "INSERT INTO t_user SELECT * FROM t_order",
    ],
)
def test_the_form_of_a_write_is_looked_at_before_any_row(sessions: Twins, statement: str) -> None:
    # MySQL misses a value without a default when it writes a row.
    fails = chosen_product() != "MySQL" or not statement.startswith(
        "INSERT INTO t_user (user_id) SELECT order_id + 1000"
    )
    assert (sessions.same(statement).error is not None) is fails


@pytest.mark.parametrize("mode", ["", "STRICT_ALL_TABLES"])
@pytest.mark.parametrize(
    "statement",
    [
        (
            "INSERT INTO t_auto (id, n) WITH RECURSIVE c (k) AS (SELECT 1 UNION ALL SELECT k + 1 FROM c WHERE k < 800) "
            "SELECT k, IF(k = 700, 99999999999, 1) FROM c"
        ),
        "INSERT INTO t_auto (id, n) VALUES (1, 1), (1 + 1, 2), (1 + 2, 99999999999)",
    ],
)
def test_rows_are_numbered_as_one_server_does(sessions: Twins, statement: str, mode: str) -> None:
    for connection in (sessions.mesh, sessions.plain):
        ask(connection, f"SET sql_mode = '{mode}'")
        ask(connection, "BEGIN")
    try:
        answer = sessions.same(statement)
        assert (answer.error is not None) is bool(mode)
        sessions.same("SHOW WARNINGS")
    finally:
        for connection in (sessions.mesh, sessions.plain):
            ask(connection, "ROLLBACK")
            ask(connection, "SET sql_mode = DEFAULT")


@pytest.mark.parametrize("opening", ["SELECT 1", "BEGIN"])
def test_a_derived_write_that_fails_leaves_nothing_behind(writing_twins: Twins, opening: str) -> None:
    """Its first rows are written when the last one meets a key that exists."""
    ask(writing_twins.mesh, opening)
    ask(writing_twins.mesh, "UPDATE t_user SET name = 'kept' WHERE user_id = 1")
    ask(writing_twins.plain, "UPDATE t_user SET name = 'kept' WHERE user_id = 1")
    statement = "UPDATE t_user SET user_id = user_id + 1 WHERE user_id IN (1, 2, 3) ORDER BY user_id"
    assert ask(writing_twins.mesh, statement).error == 1062
    ask(writing_twins.mesh, "COMMIT")
    writing_twins.same_rows_stored("t_user")


def test_rows_are_not_carried_in_a_character_set_that_may_lose_them(sessions: Twins) -> None:
    statement = "INSERT INTO t_auto (id, word) SELECT user_id, name FROM t_user"
    with sessions.shop.target.connect(charset="latin1") as connection:
        answer = ask(connection, statement)
    assert (answer.error, "SET NAMES utf8mb4" in answer.text) == (1235, True)


def test_prepared_derived_writes_take_their_parameters(writing_twins: Twins) -> None:
    prepare = "PREPARE d FROM 'DELETE FROM t_user WHERE country = ? ORDER BY user_id LIMIT 3'"
    for connection in (writing_twins.mesh, writing_twins.plain):
        assert ask(connection, prepare).error is None
        ask(connection, "SET @country = 'FR'")
    mesh = ask(writing_twins.mesh, "EXECUTE d USING @country")
    assert mesh.affected == ask(writing_twins.plain, "EXECUTE d USING @country").affected == 3
    writing_twins.same_rows_stored("t_user")


def test_the_rows_of_a_write_are_not_limited(writing_twins: Twins) -> None:
    writing_twins.same("SET sql_select_limit = 2")
    for client in (writing_twins.mesh, writing_twins.plain):
        assert ask(client, "UPDATE t_user SET user_id = user_id + 1000").affected == 60
        ask(client, "INSERT INTO t_auto (id, word, n) SELECT order_id + 5000, status, qty FROM t_order")
    writing_twins.same_rows_stored("t_user", "t_auto")
    writing_twins.same("SELECT user_id FROM t_user ORDER BY user_id")


def test_safe_updates_refuse_what_no_server_can_check(fresh_shop: Shop) -> None:
    with fresh_shop.target.connect() as client:
        ask(client, "SET sql_safe_updates = ON")
        assert ask(client, "UPDATE t_user SET user_id = user_id + 1000").error == 1235
        ask(client, "SET sql_safe_updates = OFF")
        assert ask(client, "UPDATE t_user SET user_id = user_id + 1000").error is None
