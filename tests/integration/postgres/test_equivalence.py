"""What the mesh over PostgreSQL data sources answers is what one MariaDB server answers.

Values, column names and types, affected rows, last insert ids and error numbers, for the statements of the embedded data
source's test and some more. What is refused instead stands in REFUSED and in docs/DIALECTS.md.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.integration.sqlite.test_equivalence import ERRORS, KEYS, READS, WRITES, same
from tests.plugins.equivalence import ask

if TYPE_CHECKING:
    from tests.integration.postgres.conftest import Pair

pytestmark = pytest.mark.integration

MORE_READS = (
    # By code points: case, accents and trailing spaces count, in every place where texts meet.
    "SELECT DISTINCT status FROM t_order ORDER BY status",
    "SELECT status, COUNT(*) FROM t_order GROUP BY status ORDER BY status DESC",
    "SELECT DISTINCT note FROM t_order ORDER BY note",
    "SELECT COUNT(DISTINCT note), MIN(note), MAX(status) FROM t_order",
    "SELECT product, COUNT(*) FROM t_order_item GROUP BY product ORDER BY product",
    "SELECT DISTINCT product FROM t_order_item WHERE product > 'a' ORDER BY product",
    "SELECT order_id FROM t_order WHERE status BETWEEN 'NEW' AND 'PAID' ORDER BY order_id LIMIT 9",
    "SELECT order_id FROM t_order WHERE note = 'note 3' ORDER BY order_id",
    "SELECT order_id FROM t_order WHERE note IN ('note 3', 'note 4 ', 'NOTE 7') ORDER BY order_id",
    "SELECT order_id, UPPER(note), LOWER(status) FROM t_order ORDER BY LOWER(status), order_id LIMIT 12",
    "SELECT UPPER('straße äöü'), LOWER('ÄÖÜ İ'), LENGTH('äß€'), CHAR_LENGTH('äß€'), 'a' = 'A', 'a' = 'a '",
    "SELECT name FROM t_country UNION SELECT name FROM t_config ORDER BY name DESC",
    "SELECT 'a' UNION SELECT 'A' UNION SELECT 'a' ORDER BY 1",
    "SELECT code FROM t_country WHERE code = 'DE ' OR code > 'FR' ORDER BY code",
    "SELECT CONCAT('[', code, ']'), LENGTH(code) FROM t_country ORDER BY code",
    # NULL is the lowest value.
    "SELECT note, order_id FROM t_order WHERE user_id IN (1, 8, 15) ORDER BY note DESC, order_id",
    "SELECT qty, SUM(amount) FROM t_order GROUP BY qty ORDER BY qty",
    "SELECT f.name, c.code FROM t_config f RIGHT JOIN t_country c ON f.value = c.code ORDER BY c.code",
    # Exact numbers keep MySQL's digits.
    "SELECT 1 / 3, 2 / 3 * 3, 10 DIV 3, -10 DIV 3, 10 % 3, -10 % 3, 5.5 % 2, 1 / 0, 5 DIV 0, 7 % 0",
    "SELECT AVG(qty), AVG(amount), SUM(qty) / COUNT(*) FROM t_order WHERE user_id = 8 AND order_id = 1",
    "SELECT amount / 3, amount * amount, amount - 1.005, ROUND(amount / 7, 3), -amount FROM t_order WHERE user_id = 8 ORDER BY 1",
    "SELECT AVG(balance) / 7, SUM(balance) / 3 * 3, AVG(balance / 7), COUNT(balance > 2), SUM(balance > 2) FROM t_user WHERE user_id = 8",
    "SELECT ROUND(2.5), ROUND(-2.5), ROUND(1.005, 2), TRUNCATE(-1.999, 2), FLOOR(-1.5), CEILING(-1.5), ROUND(2.5e0)",
    "SELECT 2147483647 + 1, 3000000000 * 2, CAST(-1 AS UNSIGNED) > 0",
    "SELECT user_id = 1, user_id IS NULL, NOT user_id, user_id AND 0, NULL OR 1, 5 XOR 0 FROM t_user WHERE user_id = 1",
    "SELECT user_id FROM t_user WHERE user_id < 9 AND user_id - 3 ORDER BY user_id",
    "SELECT IF(balance, 'yes', 'no'), COALESCE(email, 0), CASE WHEN 1 THEN 2.50 ELSE 1 END FROM t_user WHERE user_id = 7",
    "SELECT GREATEST(1, 3), LEAST(3, 2.5), NULLIF(1, 1), IFNULL(NULL, 'x'), 1 <=> NULL, NULL <=> NULL",
    # Dates.
    "SELECT born, DAYOFWEEK(born), WEEKDAY(born), DAYOFYEAR(born), QUARTER(born), LAST_DAY(born) FROM t_user WHERE user_id = 8",
    "SELECT DATE_FORMAT(created, '%d.%m.%y um %H:%i:%s'), UNIX_TIMESTAMP(created) FROM t_user WHERE user_id = 8",
    "SELECT born - INTERVAL 1 MONTH, created + INTERVAL 90 MINUTE, created - INTERVAL 1 YEAR FROM t_user WHERE user_id = 8",
    "SELECT user_id FROM t_user WHERE created < '2024-01-01 05:00:00' AND born < '1971-01-01' ORDER BY user_id",
    "SELECT user_id FROM t_user WHERE born = '1970-06-14' OR born IN ('1970-11-20', '1971-01-01') ORDER BY user_id",
    # Subqueries and derived tables.
    "SELECT code, (SELECT name FROM t_config WHERE name = 'theme') FROM t_country ORDER BY code",
    "SELECT d.c, d.n FROM (SELECT continent AS c, COUNT(*) AS n FROM t_country GROUP BY continent) d ORDER BY d.n, d.c",
    "SELECT code FROM t_country WHERE name NOT IN (SELECT name FROM t_config) ORDER BY code",
    "SELECT order_id FROM t_order WHERE user_id = 8 ORDER BY order_id LIMIT 2, 3",
    "SELECT user_id FROM t_user WHERE user_id = 4 LOCK IN SHARE MODE",
    "SELECT code FROM t_country WHERE (code, name) IN (SELECT code, name FROM t_country WHERE code > 'F') ORDER BY 1",
)
MORE_WRITES = (
    ("UPDATE t_country c JOIN t_config f ON f.name = 'theme' SET c.name = f.value WHERE c.code = 'DE'",),
    ("UPDATE t_order SET amount = amount / 3 WHERE user_id = 8",),
    ("UPDATE t_order SET amount = amount, qty = qty WHERE user_id = 8",),
    ("UPDATE t_user SET born = created WHERE user_id = 8",),
    ("UPDATE t_config SET value = 'x' ORDER BY name LIMIT 1",),
    ("DELETE FROM t_config ORDER BY name DESC LIMIT 1",),
    ("INSERT INTO t_config SELECT code, name FROM t_country",),
    (
        "INSERT INTO t_country VALUES ('aa ', 'trailing  ', NULL)",
        "SELECT LENGTH(code), LENGTH(name) FROM t_country ORDER BY code",
    ),
    (
        "INSERT INTO t_config VALUES ('quote', 'it''s \\\\ \"x\" %'), ('ü', '😀')",
        "SELECT * FROM t_config ORDER BY name",
    ),
    ("REPLACE INTO t_country VALUES ('DE', 'Germany', 'Europe')",),
    ("REPLACE INTO t_config VALUES ('a', '1'), ('b', '2'), ('a', '3'), ('theme', 'x'), ('a', '3')",),
    ("REPLACE INTO t_country (code, name) VALUES ('BR', 'Brazil'), ('FR', 'France'), ('QQ', 'q')",),
    ("INSERT IGNORE INTO t_config VALUES ('theme', 'x'), ('other', 'y')",),
    # A failed statement leaves the transaction as it was.
    (
        "BEGIN",
        "INSERT INTO t_config VALUES ('one', '1')",
        "INSERT INTO t_config VALUES ('two', '2'), ('one', '1')",
        "SELECT nope FROM t_config",
        "SELECT * FROM t_config ORDER BY name",
        "COMMIT",
    ),
    (
        "BEGIN",
        "SAVEPOINT a",
        "DELETE FROM t_config WHERE name = 'theme'",
        "SAVEPOINT b",
        "DELETE FROM t_config",
        "ROLLBACK TO b",
        "SELECT COUNT(*) FROM t_config",
        "ROLLBACK TO a",
        "SELECT COUNT(*) FROM t_config",
        "RELEASE SAVEPOINT b",
        "COMMIT",
    ),
)
REFUSED = frozenset(
    {
        "SELECT user_id FROM t_user WHERE name REGEXP '^user 0[1-3]$' ORDER BY user_id",
        "SELECT CONVERT_TZ('2001-01-01 01:00:00', 'UTC', 'UTC') IS NOT NULL",
        "SELECT user_id, CONVERT_TZ(created, '+00:00', '-03:30') FROM t_user WHERE user_id < 9 ORDER BY user_id",
        "SELECT 7 & 3, 5 | 2, 6 ^ 3, 1 << 5, 64 >> 2, NULL & 1",
        (
            "SELECT LOCATE('s', name), INSTR(name, 'r'), HEX('az'), REPEAT('ab', 2), SUBSTRING_INDEX('a.b.c', '.', 2) "
            "FROM t_user WHERE user_id = 9"
        ),
        "SELECT MD5('a'), SHA1('a'), CRC32('a'), FIELD('b', 'a', 'b'), ASCII('a')",
    }
)
NOT_TRANSLATED = (
    "UPDATE IGNORE t_config SET value = 'x'",
    "INSERT INTO t_config VALUES ('a', '1'), ('a', '2') ON DUPLICATE KEY UPDATE value = 'b'",
    "SELECT user_id FROM t_user WHERE user_id = 4 AND balance = 'abc'",
    "SELECT ROW_NUMBER() OVER (ORDER BY code) FROM t_country",
    "SELECT continent, COUNT(*) FROM t_country GROUP BY continent WITH ROLLUP",
    "SELECT GROUP_CONCAT(code) FROM t_country",
    "SELECT name COLLATE utf8mb4_general_ci FROM t_country",
    "SELECT code FROM t_country WHERE name = 5",
    "SELECT code FROM t_country WHERE name LIKE code",
    "REPLACE INTO t_config SELECT code, name FROM t_country",
    "CREATE TABLE t_ci (a VARCHAR(10) COLLATE utf8mb4_general_ci)",
    "CREATE TABLE t_set (a SET('x'))",
)


@pytest.mark.parametrize("statement", [text for text in (*READS, *MORE_READS) if text not in REFUSED])
def test_reads(sessions: Pair, statement: str) -> None:
    same(sessions, statement)


@pytest.mark.parametrize(
    "statements",
    [each for each in (*WRITES, *MORE_WRITES) if each[0] not in REFUSED],
    ids=lambda statements: statements[0],
)
def test_writes(pair: Pair, statements: tuple[str, ...]) -> None:
    for statement in statements:
        same(pair, statement)
    for table, key in KEYS.items():
        same(pair, f"SELECT * FROM {table} ORDER BY {key}")


@pytest.mark.parametrize("statement", ERRORS)
def test_errors(sessions: Pair, statement: str) -> None:
    same(sessions, statement)


@pytest.mark.parametrize("statement", [*sorted(REFUSED), *NOT_TRANSLATED])
def test_refused(sessions: Pair, statement: str) -> None:
    assert ask(sessions.mesh, statement).error == 1235
