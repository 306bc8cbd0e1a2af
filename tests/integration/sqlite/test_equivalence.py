"""What the mesh over embedded SQLite files answers is what one MariaDB server answers.

Values, column names and types, affected rows, last insert ids and error numbers. What is refused instead stands in
docs/DIALECTS.md and below.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from pymysql.constants import FIELD_TYPE

from tests.plugins.equivalence import Answer, ask

if TYPE_CHECKING:
    from tests.integration.sqlite.conftest import Pair

pytestmark = pytest.mark.integration

READS = (
    "SELECT * FROM t_user ORDER BY user_id",
    "SELECT * FROM t_order ORDER BY order_id",
    "SELECT * FROM t_country ORDER BY code",
    "SELECT * FROM t_config ORDER BY name",
    "SELECT user_id, name FROM t_user WHERE user_id = 7",
    "SELECT user_id FROM t_user WHERE user_id IN (1, 2, 3, 99) ORDER BY 1",
    "SELECT user_id FROM t_user WHERE user_id BETWEEN 5 AND 9 ORDER BY user_id DESC",
    "SELECT user_id FROM t_user WHERE name LIKE 'USER 0%' ORDER BY user_id",
    "SELECT user_id FROM t_user WHERE name NOT LIKE '%1' AND user_id < 20 ORDER BY user_id",
    "SELECT user_id FROM t_user WHERE email IS NULL ORDER BY user_id",
    "SELECT user_id FROM t_user WHERE country <=> NULL ORDER BY user_id",
    "SELECT user_id FROM t_user WHERE country = 'de' ORDER BY user_id",
    "SELECT user_id FROM t_user WHERE country <> 'DE' ORDER BY user_id",
    "SELECT user_id FROM t_user WHERE balance > 300 ORDER BY balance, user_id",
    "SELECT user_id FROM t_user WHERE balance = '37.01' OR balance < -190 ORDER BY user_id",
    "SELECT user_id FROM t_user WHERE born > '1975-01-01' ORDER BY born, user_id",
    "SELECT user_id FROM t_user WHERE born > DATE'1975-01-01' ORDER BY born, user_id",
    "SELECT user_id FROM t_user WHERE created >= TIMESTAMP'2024-01-02 12:00:00' ORDER BY user_id",
    "SELECT user_id FROM t_user WHERE created >= TIMESTAMP'2024-01-02 12:00:00.000001' ORDER BY user_id",
    "SELECT user_id FROM t_user WHERE created >= '2024-01-02 12:00:00' ORDER BY user_id",
    "SELECT user_id FROM t_user WHERE NOT (user_id < 50 OR name = 'user 01') ORDER BY user_id",
    "SELECT user_id FROM t_user WHERE user_id % 7 = 3 XOR user_id > 55 ORDER BY user_id",
    "SELECT user_id FROM t_user WHERE name REGEXP '^user 0[1-3]$' ORDER BY user_id",
    "SELECT user_id FROM t_user WHERE (user_id, name) IN ((1, 'user 01'), (2, 'x')) ORDER BY user_id",
    "SELECT user_id FROM t_user ORDER BY country, user_id LIMIT 10",
    "SELECT user_id FROM t_user ORDER BY country DESC, user_id LIMIT 5 OFFSET 7",
    "SELECT user_id FROM t_user ORDER BY user_id LIMIT 3, 4",
    "SELECT user_id FROM t_user ORDER BY user_id LIMIT 0",
    "SELECT DISTINCT country FROM t_user ORDER BY country",
    "SELECT DISTINCT status FROM t_order WHERE status <> 'PAID' ORDER BY status",
    "SELECT COUNT(*) FROM t_order",
    "SELECT CAST(5 AS UNSIGNED), CAST('12' AS SIGNED), CAST(2.5 AS SIGNED), CAST(-2.5 AS SIGNED), CAST(NULL AS SIGNED)",
    "SELECT CAST(amount AS SIGNED), CAST(qty AS UNSIGNED), CAST(3.5e0 AS UNSIGNED) FROM t_order ORDER BY order_id",
    "SELECT CONVERT_TZ('2001-01-01 01:00:00', 'UTC', 'UTC') IS NOT NULL",
    "SELECT user_id, CONVERT_TZ(created, '+00:00', '-03:30') FROM t_user WHERE user_id < 9 ORDER BY user_id",
    "SELECT COUNT(note), COUNT(*), COUNT(qty) FROM t_order",
    "SELECT SUM(amount), MIN(amount), MAX(amount), AVG(amount) FROM t_order",
    "SELECT SUM(qty), MIN(qty), MAX(qty), AVG(qty) FROM t_order",
    "SELECT SUM(amount), AVG(qty), MIN(note), MAX(created) FROM t_order WHERE order_id < 0",
    "SELECT COUNT(DISTINCT user_id) FROM t_order",
    "SELECT user_id, COUNT(*), SUM(amount) FROM t_order GROUP BY user_id ORDER BY user_id",
    "SELECT country, COUNT(*) AS n FROM t_user GROUP BY country ORDER BY n DESC, country",
    "SELECT country, AVG(balance) FROM t_user GROUP BY country HAVING COUNT(*) > 10 ORDER BY country",
    "SELECT user_id, MAX(amount) AS m FROM t_order GROUP BY user_id HAVING m > 50 ORDER BY m DESC, user_id LIMIT 5",
    "SELECT YEAR(created) AS y, MONTH(created) AS m, COUNT(*) FROM t_user GROUP BY y, m ORDER BY y, m",
    "SELECT DATE(created) AS d, COUNT(*) FROM t_user GROUP BY d ORDER BY d",
    "SELECT CASE WHEN balance > 0 THEN 'rich' ELSE 'poor' END AS k, COUNT(*) FROM t_user GROUP BY k ORDER BY k",
    "SELECT u.user_id, c.name FROM t_user u JOIN t_country c ON u.country = c.code ORDER BY u.user_id",
    "SELECT u.user_id, c.name FROM t_user u LEFT JOIN t_country c ON u.country = c.code ORDER BY u.user_id",
    (
        "SELECT o.order_id, i.item_id, i.price FROM t_order o JOIN t_order_item i ON o.order_id = i.order_id "
        "AND o.user_id = i.user_id ORDER BY o.order_id, i.item_id LIMIT 20"
    ),
    (
        "SELECT c.continent, COUNT(*) FROM t_user u JOIN t_country c ON u.country = c.code GROUP BY c.continent "
        "ORDER BY c.continent"
    ),
    (
        "SELECT code, name FROM t_country WHERE code IN (SELECT code FROM t_country WHERE continent = 'europe') "
        "ORDER BY code"
    ),
    "SELECT name, (SELECT COUNT(*) FROM t_country) FROM t_country ORDER BY name",
    (
        "SELECT a.name, (SELECT MAX(b.name) FROM t_country b WHERE b.continent = a.continent) AS m FROM t_country a "
        "ORDER BY a.name"
    ),
    "SELECT name FROM t_country c WHERE EXISTS (SELECT 1 FROM t_config) ORDER BY name",
    "WITH e AS (SELECT UPPER(name) AS name FROM t_country WHERE continent = 'Europe') SELECT name FROM e ORDER BY name",
    "SELECT d.n FROM (SELECT COUNT(*) AS n FROM t_country) AS d",
    "SELECT name FROM t_country UNION ALL SELECT name FROM t_config ORDER BY name",
    "SELECT LENGTH(code) FROM t_country UNION SELECT 7 ORDER BY 1",
    "SELECT user_id, balance * 2, balance / 3, balance + 1, -balance FROM t_user WHERE user_id = 11",
    "SELECT user_id DIV 2, user_id % 3, user_id / 2, user_id * 1.5, user_id + 0.5e0 FROM t_user WHERE user_id = 11",
    "SELECT 7 & 3, 5 | 2, 6 ^ 3, 1 << 5, 64 >> 2, NULL & 1",
    "SELECT 1, 1.50, 'x', NULL, 1e3, -5, TRUE",
    "SELECT 1 = 1, NULL = 1, 'a' = 'A', 'a' < 'b', 1 IS NULL, 2 BETWEEN 1 AND 3",
    "SELECT CONCAT(name, '-', user_id), CONCAT_WS(',', name, email) FROM t_user WHERE user_id = 9",
    (
        "SELECT UPPER(name), LOWER(name), CHAR_LENGTH(name), LENGTH('ä'), LEFT(name, 3), RIGHT(name, 2) FROM t_user "
        "WHERE user_id = 9"
    ),
    (
        "SELECT SUBSTRING(name, 2, 3), TRIM('  a '), REPLACE(name, 'user', 'x'), REVERSE('abc'), LPAD('a', 3, '-') "
        "FROM t_user WHERE user_id = 9"
    ),
    (
        "SELECT LOCATE('s', name), INSTR(name, 'r'), HEX('az'), REPEAT('ab', 2), SUBSTRING_INDEX('a.b.c', '.', 2) "
        "FROM t_user WHERE user_id = 9"
    ),
    (
        "SELECT IFNULL(email, 'none'), COALESCE(NULL, email, 'x'), NULLIF(name, 'user 01') FROM t_user "
        "WHERE user_id IN (9, 18) ORDER BY user_id"
    ),
    "SELECT IF(user_id > 5, 'big', 'small'), CASE user_id WHEN 9 THEN 'nine' END FROM t_user WHERE user_id = 9",
    (
        "SELECT ROUND(balance), ROUND(balance, 1), FLOOR(balance), CEILING(balance), ABS(balance), TRUNCATE(balance, 1) "
        "FROM t_user WHERE user_id = 9"
    ),
    (
        "SELECT SIGN(balance), MOD(user_id, 4), POW(2, 3), SQRT(16), GREATEST(1, 5, 3), LEAST(2, 1) FROM t_user "
        "WHERE user_id = 9"
    ),
    (
        "SELECT YEAR(created), MONTH(created), DAY(created), HOUR(created), MINUTE(created), SECOND(created) "
        "FROM t_user WHERE user_id = 9"
    ),
    (
        "SELECT DATE(created), DATE_FORMAT(created, '%Y/%m/%d %H:%i'), DATEDIFF(created, born) FROM t_user "
        "WHERE user_id = 9"
    ),
    (
        "SELECT created + INTERVAL 1 DAY, DATE_SUB(created, INTERVAL 2 MONTH), born + INTERVAL 1 YEAR, LAST_DAY(born) "
        "FROM t_user WHERE user_id = 9"
    ),
    (
        "SELECT CAST(balance AS SIGNED), CAST(user_id AS CHAR), CAST('1.5' AS DECIMAL(5,2)), CAST('2024-01-02' AS DATE) "
        "FROM t_user WHERE user_id = 9"
    ),
    "SELECT CAST('12abc' AS DOUBLE), CONVERT('7', SIGNED), CAST(created AS CHAR) FROM t_user WHERE user_id = 8",
    "SELECT MD5('a'), SHA1('a'), CRC32('a'), FIELD('b', 'a', 'b'), ASCII('a')",
    "SELECT COUNT(*) AS `count`, user_id AS `my id` FROM t_order WHERE user_id = 4 GROUP BY user_id",
    "SELECT t_user.* FROM t_user WHERE user_id = 3",
    "SELECT order_id, amount FROM t_order WHERE user_id = 3 AND amount > 10.5 ORDER BY amount DESC, order_id",
    "SELECT order_id FROM t_order WHERE note LIKE '%\\%%' ORDER BY order_id",
    "SELECT order_id FROM t_order WHERE qty IS NULL OR qty > 5 ORDER BY order_id",
    "SELECT * FROM t_order WHERE user_id = 3 FOR UPDATE",
    "SELECT @@autocommit",
    "SELECT MIN(name), MAX(name) FROM t_user",
    "SELECT MIN(born), MAX(created) FROM t_user",
)

WRITES = (
    ("INSERT INTO t_country VALUES ('IT', 'Italy', 'Europe')",),
    ("INSERT INTO t_user (user_id, name) VALUES (101, 'a'), (102, 'b'), (103, 'c')",),
    ("INSERT INTO t_user (user_id, name, balance, born) VALUES (101, 'a', 1.005, '2024-2-3')",),
    ("INSERT INTO t_user (user_id, name, email) VALUES (101, 'ä', NULL), (102, '', DEFAULT)",),
    ("INSERT INTO t_user SET user_id = 101, name = 'set'",),
    ("INSERT IGNORE INTO t_country VALUES ('XX', 'new', NULL)",),
    ("INSERT INTO t_country VALUES ('DE', 'x', 'y') ON DUPLICATE KEY UPDATE name = VALUES(name)",),
    ("INSERT INTO t_country VALUES ('DE', 'Germany', 'Europe') ON DUPLICATE KEY UPDATE name = VALUES(name)",),
    ("INSERT INTO t_user (user_id, name) VALUES (5, 'x') ON DUPLICATE KEY UPDATE balance = balance + 1",),
    ("REPLACE INTO t_config VALUES ('new', '1')", "REPLACE INTO t_config VALUES ('new', '2')"),
    ("REPLACE INTO t_user (user_id, name) VALUES (5, 'r'), (500, 's')",),
    ("UPDATE t_user SET balance = balance + 1 WHERE user_id = 5",),
    ("UPDATE t_user SET name = 'user 05' WHERE user_id = 5",),
    (
        "INSERT INTO t_user (user_id, name, born, created) VALUES (101, 'a', DATE'2024-02-03', TIMESTAMP'2024-02-03 04:05:06')",
    ),
    (
        "UPDATE t_user SET born = TIMESTAMP'2024-02-03 00:00:00', name = DATE'2024-02-03', balance = 100. WHERE user_id = 5",
    ),
    ("UPDATE t_user SET balance = balance * 1.1, email = CONCAT(name, '@x') WHERE country = 'DE'",),
    ("UPDATE t_user SET country = NULL, born = '2000-01-01' WHERE user_id IN (1, 2, 3)",),
    ("UPDATE t_user SET balance = CASE WHEN balance < 0 THEN 0 ELSE balance END",),
    ("UPDATE t_order SET qty = qty + 1, note = NULL WHERE user_id = 3",),
    ("UPDATE t_order SET status = 'DONE' WHERE order_id < 0",),
    ("UPDATE t_country SET continent = UPPER(continent)",),
    ("DELETE FROM t_user WHERE user_id = 5",),
    ("DELETE FROM t_order WHERE amount > 50",),
    ("DELETE FROM t_order_item WHERE user_id = 3 AND item_id = 1",),
    ("DELETE FROM t_country",),
    ("TRUNCATE TABLE t_config",),
    ("START TRANSACTION", "UPDATE t_user SET name = 'x' WHERE user_id = 4", "ROLLBACK"),
    ("BEGIN", "DELETE FROM t_user WHERE user_id = 4", "SELECT * FROM t_user WHERE user_id = 4", "COMMIT"),
    (
        "BEGIN",
        "UPDATE t_user SET name = 'x' WHERE user_id = 4",
        "SAVEPOINT s",
        "DELETE FROM t_user WHERE user_id = 4",
        "ROLLBACK TO SAVEPOINT s",
        "RELEASE SAVEPOINT s",
        "COMMIT",
    ),
    ("SET autocommit = 0", "UPDATE t_user SET name = 'x' WHERE user_id = 4", "ROLLBACK"),
    ("CREATE TABLE IF NOT EXISTS t_country (code CHAR(2))",),
    (
        "ALTER TABLE t_country ADD COLUMN size INT",
        "SELECT * FROM t_country ORDER BY code",
        "ALTER TABLE t_country DROP COLUMN size",
    ),
    ("CREATE INDEX k_name ON t_country (name)", "DROP INDEX k_name ON t_country"),
)

ERRORS = (
    "INSERT INTO t_country VALUES ('DE', 'x', 'y')",
    "INSERT INTO t_user (user_id, name) VALUES (5, 'x')",
    "INSERT INTO t_user (user_id) VALUES (500)",
    "INSERT INTO t_user (user_id, name) VALUES (500, NULL)",
    "INSERT INTO t_user (user_id, name, country) VALUES (500, 'a', 'DEU')",
    "INSERT INTO t_user (user_id, name, balance) VALUES (500, 'a', 'x')",
    "INSERT INTO t_user (user_id, name, balance) VALUES (500, 'a', 99999999999)",
    "INSERT INTO t_user (user_id, name, born) VALUES (500, 'a', '2024-02-31')",
    "INSERT INTO t_user (user_id, name, nope) VALUES (500, 'a', 1)",
    "INSERT INTO t_country VALUES ('IT')",
    "UPDATE t_country SET code = 'DE' WHERE code = 'FR'",
    "UPDATE t_user SET name = NULL WHERE user_id = 4",
    "UPDATE t_user SET nope = 1 WHERE user_id = 4",
    "SELECT nope FROM t_user",
    "SELECT name FROM t_user u JOIN t_country c ON u.country = c.code",
    "SELECT * FROM nowhere",
    "SELECT x.user_id FROM t_user",
    "SELECT * FROM t_user ORDER BY nope",
    "CREATE TABLE t_country (a INT)",
    "DROP TABLE nowhere",
    "SELECT 9223372036854775807 + 1",
    "ROLLBACK TO SAVEPOINT nowhere",
    "SELECT @@no_such_variable",
)


KEYS = {
    "t_user": "user_id",
    "t_order": "order_id",
    "t_order_item": "order_id, item_id",
    "t_country": "code",
    "t_config": "name",
}


def same(pair: Pair, statement: str) -> None:
    """Runs a statement on both and compares what clients see."""
    mesh, plain = ask(pair.mesh, statement), ask(pair.plain, statement)
    assert mesh.error == plain.error, f"{statement}\nmesh:  {mesh.error} {mesh.text}\nplain: {plain.text}"
    assert shape(mesh) == shape(plain), statement
    assert mesh.rows == plain.rows, statement
    assert (mesh.affected, mesh.insert_id) == (plain.affected, plain.insert_id), statement


def shape(answer: Answer) -> list[tuple[str, str, int]]:
    """Names, tables and types of the columns. A computed integer is BIGINT here, as MySQL 8 has it; MariaDB
    narrows some to INT."""
    return [
        (
            column.name,
            column.table,
            FIELD_TYPE.LONGLONG
            if column.type_code == FIELD_TYPE.LONG and not column.org_table
            else column.type_code,
        )
        for column in answer.columns
    ]


@pytest.mark.parametrize("statement", READS)
def test_reads(sessions: Pair, statement: str) -> None:
    same(sessions, statement)


@pytest.mark.parametrize("statements", WRITES, ids=lambda statements: statements[0])
def test_writes(pair: Pair, statements: tuple[str, ...]) -> None:
    for statement in statements:
        same(pair, statement)
    for table, key in KEYS.items():
        same(pair, f"SELECT * FROM {table} ORDER BY {key}")


@pytest.mark.parametrize("statement", ERRORS)
def test_errors(sessions: Pair, statement: str) -> None:
    same(sessions, statement)
