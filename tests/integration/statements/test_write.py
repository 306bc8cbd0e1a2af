"""Writes through the mesh leave the rows, and say the numbers, that one server would."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.plugins.database_server import chosen_product
from tests.plugins.equivalence import ask
from tests.plugins.fix_mesh import Shop

if TYPE_CHECKING:
    from tests.integration.statements.conftest import Twins

pytestmark = pytest.mark.integration

# Every statement touches one data source, so nothing but one server's own warnings may be counted.
ONE_SOURCE = """
INSERT INTO t_user (user_id, name) VALUES (1000, 'a')
INSERT INTO t_user SET user_id = 1000, name = 'a'
INSERT INTO t_user (name, user_id) VALUES ('a', 1000), ('b', 1002)
INSERT INTO t_user VALUES (1000, 'a', NULL, 'DE', 1.5, '2000-01-01', '2024-01-01 00:00:00')
INSERT INTO t_user (user_id, name) VALUES (1, 'twice')
INSERT IGNORE INTO t_user (user_id, name) VALUES (1, 'twice')
INSERT INTO t_user (user_id, name) VALUES (1, 'new') ON DUPLICATE KEY UPDATE name = VALUES(name)
INSERT INTO t_user (user_id, name) VALUES (1, 'new') ON DUPLICATE KEY UPDATE name = CONCAT(name, '!'), balance = 0
REPLACE INTO t_user (user_id, name) VALUES (1, 'replaced')
REPLACE INTO t_user (user_id, name) VALUES (1000, 'new')
INSERT INTO t_user (user_id, name) VALUES (1000, NULL)
INSERT INTO t_user (user_id, no_such_column) VALUES (1000, 1)
INSERT INTO t_user (user_id, name) VALUES (1000)
INSERT INTO t_user (user_id, name) VALUES (1000, 'a', 'b')
UPDATE t_user SET name = 'changed' WHERE user_id = 5
UPDATE t_user SET name = 'user 05' WHERE user_id = 5
UPDATE t_user SET balance = balance + 1, name = UPPER(name) WHERE user_id IN (5, 7, 9)
UPDATE t_user u SET u.name = 'changed' WHERE u.user_id = 5 AND u.country = 'FR'
UPDATE t_user SET name = 'changed' WHERE user_id = 999
UPDATE t_order SET note = 'seen' WHERE user_id = 8
DELETE FROM t_user WHERE user_id = 5
DELETE FROM t_user WHERE user_id IN (5, 7, 9, 999)
DELETE FROM t_user WHERE user_id = 999
DELETE FROM t_order WHERE user_id = 8 AND status = 'PAID'
INSERT INTO t_config VALUES ('a', 'b'), ('c', 'd')
UPDATE t_config SET value = 'light' WHERE name = 'theme'
DELETE FROM t_config
INSERT INTO t_order (order_id, user_id, status, amount) VALUES (1000, 8, 'NEW', 1.005)
INSERT INTO t_order (order_id, user_id, status, amount) VALUES (1000, 8, 'NEW', 1), (1001, 8, 'NEW', 2)
"""

# Rows on both data sources that fail differently: the first one's error is told.
FAILS_ON_BOTH = """
INSERT INTO t_user (user_id, name) VALUES (2, 'twice'), (1001, NULL)
INSERT INTO t_user (user_id, name) VALUES (1001, NULL), (2, 'twice')
INSERT INTO t_user (user_id, name) VALUES (1001, 'a'), (2, 'twice'), (1003, NULL), (1004, NULL)
INSERT INTO t_user (user_id, name) VALUES (1001, 'a'), (2, 'twice'), (1003, REPEAT('x', 1000)), (1004, nothing)
"""

# These reach both data sources, and are committed as one.
MANY_SOURCES = """
INSERT INTO t_user (user_id, name) VALUES (1000, 'a'), (1001, 'b'), (1002, 'c'), (1003, 'd')
INSERT INTO t_user (user_id, name) VALUES (1000, 'a'), (1, 'x') ON DUPLICATE KEY UPDATE name = VALUES(name)
REPLACE INTO t_user (user_id, name) VALUES (1, 'a'), (2, 'b'), (1003, 'c')
INSERT IGNORE INTO t_user (user_id, name) VALUES (1, 'a'), (2, 'b'), (1003, 'c')
INSERT IGNORE INTO t_user (user_id, born) VALUES (1000, 'x'), (1001, 'y'), (1002, '2000-01-01'), (1003, 'z')
UPDATE t_user SET balance = balance + 1
UPDATE t_user SET name = 'x' WHERE country = 'DE'
UPDATE t_user SET name = 'x' WHERE user_id BETWEEN 10 AND 20
UPDATE t_order SET note = 'x', qty = qty + 1 WHERE status = 'NEW'
DELETE FROM t_user WHERE country = 'DE'
DELETE FROM t_order WHERE amount > 25
DELETE FROM t_user WHERE born > 'x' OR name = 'user 05'
DELETE FROM t_order
INSERT INTO t_country VALUES ('IT', 'Italy', 'Europe')
UPDATE t_country SET continent = 'America' WHERE code = 'BR'
DELETE FROM t_country WHERE code = 'JP'
"""

TABLES = ("t_user", "t_order", "t_country", "t_config")


def _lines(text: str) -> list[str]:
    return text.strip().splitlines()


@pytest.mark.parametrize("statement", _lines(ONE_SOURCE + FAILS_ON_BOTH))
def test_a_write_on_one_data_source_or_none_equals_one_server(writing_twins: Twins, statement: str) -> None:
    writing_twins.same(statement)
    writing_twins.same_rows_stored(*TABLES)


def test_a_split_insert_fails_with_the_error_of_its_first_bad_row(writing_twins: Twins) -> None:
    statement = (
        "INSERT INTO t_user (user_id, name) VALUES (1001, 'a'), (1002, 'b'), (1003, NULL), (2, 'twice')"
    )
    if chosen_product() == "MySQL" and writing_twins.shop.meshed:
        # MySQL does not tell which row has failed: the first of those that went with it stands for it.
        assert ask(writing_twins.mesh, statement).error == 1062
        assert ask(writing_twins.plain, statement).error == 1048
    else:
        assert writing_twins.same(statement).error == 1048
    writing_twins.same_rows_stored(*TABLES)


@pytest.mark.parametrize("statement", _lines(MANY_SOURCES))
def test_a_write_on_many_data_sources_equals_one_server(writing_twins: Twins, statement: str) -> None:
    mesh, plain = ask(writing_twins.mesh, statement), ask(writing_twins.plain, statement)
    # What is no date is an error to MySQL where MariaDB warns.
    fails = chosen_product() == "MySQL" and statement.startswith("DELETE") and "born > 'x'" in statement
    assert (mesh.error, plain.error) == ((1292, 1292) if fails else (None, None)), mesh.text
    assert mesh.affected == plain.affected
    if writing_twins.shop.meshed and not fails:
        assert mesh.warnings == plain.warnings
        assert ask(writing_twins.mesh, "SHOW WARNINGS").rows == ask(writing_twins.plain, "SHOW WARNINGS").rows
    writing_twins.same_rows_stored(*TABLES)


def test_a_thousand_rows_are_split_and_all_arrive(writing_twins: Twins) -> None:
    values = ", ".join(f"({n}, 'word {n}', {n % 10})" for n in range(10_000, 11_000))
    answer = ask(writing_twins.mesh, f"INSERT INTO t_auto (id, word, n) VALUES {values}")
    assert (answer.error, answer.affected) == (None, 1000)
    ask(writing_twins.plain, f"INSERT INTO t_auto (id, word, n) VALUES {values}")
    writing_twins.same_rows_stored("t_auto")
    writing_twins.same("SELECT n, COUNT(*), MIN(id), MAX(word) FROM t_auto GROUP BY n ORDER BY n")


def test_generated_keys_are_distinct_and_last_insert_id_names_the_first(fresh_shop: Shop) -> None:
    if not fresh_shop.meshed:
        pytest.skip("the plain table has no generated key")
    with fresh_shop.target.connect() as connection, connection.cursor() as cursor:
        assert cursor.execute("INSERT INTO t_auto (word) VALUES ('a'), ('b'), ('c'), ('d'), ('e')") == 5
        first = cursor.lastrowid
        cursor.execute("SELECT LAST_INSERT_ID()")
        assert cursor.fetchone() == (first,)
        cursor.execute("SELECT id, word FROM t_auto ORDER BY id")
        rows = cursor.fetchall()
        assert [word for _key, word in rows] == list("abcde")
        assert rows[0][0] == first
        assert len({key for key, _word in rows}) == 5


def test_truncate_empties_every_data_node(fresh_shop: Shop) -> None:
    with fresh_shop.target.connect() as connection, connection.cursor() as cursor:
        cursor.execute("TRUNCATE TABLE t_order_item")
    if fresh_shop.meshed:
        assert fresh_shop.on_shards("t_order_item") == []


def test_a_failed_row_on_one_shard_is_an_error_with_logic_names(fresh_shop: Shop) -> None:
    with fresh_shop.target.connect() as connection:
        answer = ask(connection, "INSERT INTO t_user (user_id, name, email) VALUES (1, 'x', 'y')")
        assert answer.error == 1062
        assert "t_user_" not in answer.text
        answer = ask(connection, "SELECT t_user.nope FROM t_user WHERE user_id = 1")
        assert answer.error == 1054
        assert "t_user_1" not in answer.text
        assert "t_user.nope" in answer.text
