"""What MySQL's manual says of statements holds on the embedded data source."""

from __future__ import annotations

import datetime
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest

from dbmesh.backend.sqlite.database import Database, Rows
from dbmesh.backend.transpile.answers import Done
from dbmesh.errors import MeshError, ShardError
from dbmesh.model import ColumnFamily
from dbmesh.wire.constants import ColumnFlag, ColumnType
from dbmesh.wire.values import decode_text_row

NOW = datetime.datetime(2025, 1, 2, 3, 4, 5, 678_900)


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    opened = Database(str(tmp_path / "ds.db"), lambda: NOW, Random(1))
    opened.run(
        "CREATE TABLE t (id INT NOT NULL AUTO_INCREMENT PRIMARY KEY, name VARCHAR(10) NOT NULL, "
        "money DECIMAL(10,2), made DATETIME DEFAULT CURRENT_TIMESTAMP, UNIQUE KEY u_name (name)) "
        "ENGINE=InnoDB DEFAULT CHARSET=utf8mb4"
    )
    opened.run("INSERT INTO t (name, money) VALUES ('Ada', 1.005), ('bob', '2.50'), ('Émil', NULL)")
    yield opened
    opened.close()


def rows(database: Database, sql: str) -> list[list[str | None]]:
    answer = database.run(sql)
    assert isinstance(answer, Rows)
    found = [decode_text_row(row) for batch in answer.batches for row in batch]
    return [[None if value is None else value.decode() for value in row] for row in found]


def done(database: Database, sql: str) -> Done:
    answer = database.run(sql)
    assert isinstance(answer, Done)
    return answer


@pytest.mark.parametrize(
    ("expression", "printed"),
    [
        ("7/2", "3.5000"),
        ("1/0", None),
        ("1/3", "0.3333"),
        ("5 DIV 2", "2"),
        ("-7 % 3", "-1"),
        ("0.1 + 0.2", "0.3"),
        ("ROUND(2.5)", "3"),
        ("ROUND(1.255, 2)", "1.26"),
        ("'a' = 'A'", "1"),
        ("'a ' = 'a'", "1"),
        ("'ä' = 'A'", "1"),
        ("'a' < 'B'", "1"),
        ("1 = '1x'", "1"),
        ("NULL <=> NULL", "1"),
        ("NULL = NULL", None),
        ("'Abc' LIKE 'a_C'", "1"),
        ("'a%c' LIKE 'a\\\\%c'", "1"),
        ("CONCAT('a', 1, 2.50)", "a12.50"),
        ("CONCAT('a', NULL)", None),
        ("CONCAT_WS(',', 'a', NULL, 'b')", "a,b"),
        ("SUBSTRING_INDEX('www.mysql.com', '.', -2)", "mysql.com"),
        ("SUBSTRING('Quadratically', -5, 3)", "cal"),
        ("LPAD('hi', 4, '??')", "??hi"),
        ("LOCATE('BAR', 'foobarbar', 5)", "7"),
        ("FIELD('b', 'a', 'B')", "2"),
        ("GREATEST(2, 9, 4)", "9"),
        ("HEX('abc')", "616263"),
        ("MD5('testing')", "ae2b1fca515949e5d54fb22b8ed95575"),
        ("NOW()", "2025-01-02 03:04:05"),
        ("CURDATE()", "2025-01-02"),
        ("DATE_ADD('2024-01-31', INTERVAL 1 MONTH)", "2024-02-29"),
        ("DATEDIFF('2024-03-01', '2024-02-01')", "29"),
        ("DATE_FORMAT('2009-10-04 22:23:00', '%W %M %Y')", "Sunday October 2009"),
        ("UNIX_TIMESTAMP('1970-01-02')", "86400"),
        ("CAST('12.345' AS DECIMAL(10,2))", "12.35"),
        ("IF(1 > 2, 'a', 'b')", "b"),
        ("IF(0, FOUND_ROWS(), 7)", "7"),
        ("COALESCE(NULL, 3)", "3"),
        ("@@autocommit", "1"),
    ],
)
def test_expressions(database: Database, expression: str, printed: str | None) -> None:
    assert rows(database, f"SELECT {expression}") == [[printed]]


def test_columns_are_named_by_their_source_text(database: Database) -> None:
    answer = database.run("SELECT 1+1, COUNT( * ), name AS n, max(money) FROM t")
    assert isinstance(answer, Rows)
    assert [column.name for column in answer.columns] == [b"1+1", b"COUNT( * )", b"n", b"max(money)"]


def test_definitions_of_plain_columns(database: Database) -> None:
    answer = database.run("SELECT id, name, money FROM t AS x")
    assert isinstance(answer, Rows)
    number, text, money = answer.columns
    assert number.type == ColumnType.LONG
    assert number.flags & ColumnFlag.PRIMARY_KEY
    assert number.flags & ColumnFlag.AUTO_INCREMENT
    assert (number.table, number.org_table) == (b"x", b"t")
    assert (text.type, text.length, text.character_set) == (ColumnType.VAR_STRING, 40, 45)
    assert (money.type, money.decimals, money.length) == (ColumnType.NEWDECIMAL, 2, 12)


def test_types_do_not_depend_on_rows(database: Database) -> None:
    full = database.run("SELECT SUM(money), AVG(money), COUNT(*), MAX(name) FROM t")
    empty = database.run("SELECT SUM(money), AVG(money), COUNT(*), MAX(name) FROM t WHERE id < 0")
    assert isinstance(full, Rows)
    assert isinstance(empty, Rows)
    assert full.columns == empty.columns
    assert [column.type for column in full.columns[:2]] == [ColumnType.NEWDECIMAL] * 2
    assert [column.decimals for column in full.columns[:2]] == [2, 6]


def test_sums_of_decimals_are_exact(database: Database) -> None:
    database.run("CREATE TABLE d (v DECIMAL(20,2))")
    database.run("INSERT INTO d VALUES " + ", ".join(["(0.10)"] * 1000) + ", (12345678901234567.89)")
    assert rows(database, "SELECT SUM(v), AVG(v) FROM d") == [
        ["12345678901234667.89", "12333345555678.988901"]
    ]


def test_text_compares_without_case_accents_and_padding(database: Database) -> None:
    assert rows(database, "SELECT id FROM t WHERE name = 'ADA  '") == [["1"]]
    assert rows(database, "SELECT name FROM t WHERE name IN ('EMIL', 'x')") == [["Émil"]]
    assert rows(database, "SELECT name FROM t ORDER BY name DESC") == [["Émil"], ["bob"], ["Ada"]]
    with pytest.raises(ShardError, match="Duplicate entry 'ADA' for key 'u_name'") as caught:
        database.run("INSERT INTO t (name) VALUES ('ADA')")
    assert (caught.value.number, caught.value.sqlstate) == (1062, "23000")


def test_texts_and_numbers_compare_as_numbers(database: Database) -> None:
    assert rows(database, "SELECT id FROM t WHERE id = '2abc'") == [["2"]]
    assert rows(database, "SELECT id FROM t WHERE money = 2.5") == [["2"]]
    assert rows(database, "SELECT id FROM t WHERE money > 1 AND money < '2.6'") == [["1"], ["2"]]


def test_dates_compare_as_moments(database: Database) -> None:
    database.run("UPDATE t SET made = '2024-05-01' WHERE id = 1")
    assert rows(database, "SELECT id FROM t WHERE made = '2024-5-1'") == [["1"]]
    assert rows(database, "SELECT id FROM t WHERE made <= '2024-05-01'") == [["1"]]
    with pytest.raises(ShardError) as caught:
        database.run("SELECT id FROM t WHERE made = 'soon'")
    assert caught.value.number == 1525


def test_insert_answers_the_first_generated_id(database: Database) -> None:
    answer = done(database, "INSERT INTO t (name) VALUES ('c'), ('d')")
    assert (answer.affected_rows, answer.last_insert_id) == (2, 4)
    assert answer.info == "Records: 2  Duplicates: 0  Warnings: 0"
    assert rows(database, "SELECT LAST_INSERT_ID()") == [["4"]]


def test_on_duplicate_key_update_counts_one_two_or_nothing(database: Database) -> None:
    assert (
        done(database, "INSERT INTO t (name) VALUES ('n') ON DUPLICATE KEY UPDATE money = 1").affected_rows
        == 1
    )
    changed = done(
        database,
        "INSERT INTO t (name, money) VALUES ('ada', 3) ON DUPLICATE KEY UPDATE money = VALUES(money)",
    )
    assert (changed.affected_rows, changed.last_insert_id) == (2, 1)
    same = done(
        database,
        "INSERT INTO t (name, money) VALUES ('ada', 3) ON DUPLICATE KEY UPDATE money = VALUES(money)",
    )
    assert same.affected_rows == 0


def test_update_counts_changed_rows_unless_asked_for_matched_ones(database: Database) -> None:
    answer = done(database, "UPDATE t SET money = 2.50")
    assert (answer.affected_rows, answer.info) == (2, "Rows matched: 3  Changed: 2  Warnings: 0")
    database.found_rows = True
    assert done(database, "UPDATE t SET money = 2.50").affected_rows == 3


def test_replace_counts_deleted_rows(database: Database) -> None:
    assert done(database, "REPLACE INTO t (id, name) VALUES (1, 'bob')").affected_rows == 3
    assert rows(database, "SELECT id, name FROM t ORDER BY id") == [["1", "bob"], ["3", "Émil"]]


def test_insert_ignore_leaves_duplicates_out(database: Database) -> None:
    assert done(database, "INSERT IGNORE INTO t (name) VALUES ('ada'), ('new')").affected_rows == 1


def test_update_and_delete_take_order_and_limit(database: Database) -> None:
    assert done(database, "DELETE FROM t ORDER BY id DESC LIMIT 1").affected_rows == 1
    assert rows(database, "SELECT id FROM t ORDER BY id") == [["1"], ["2"]]


@pytest.mark.parametrize(
    ("sql", "number"),
    [
        ("INSERT INTO t (id, name) VALUES (1, 'z')", 1062),
        ("INSERT INTO t (name) VALUES (NULL)", 1048),
        ("INSERT INTO t (money) VALUES (1)", 1364),
        ("INSERT INTO t (name) VALUES ('longer than ten')", 1406),
        ("INSERT INTO t (name, money) VALUES ('q', 123456789.00)", 1264),
        ("INSERT INTO t (name, money) VALUES ('q', 'x')", 1366),
        ("INSERT INTO t (name, made) VALUES ('q', '2024-02-30')", 1292),
        ("INSERT INTO t (name) VALUES ('a', 'b')", 1136),
        ("SELECT nope FROM t", 1054),
        ("SELECT id FROM t a JOIN t b ON a.id = b.id", 1052),
        ("SELECT * FROM missing", 1146),
        ("CREATE TABLE t (a INT)", 1050),
        ("DROP TABLE missing", 1051),
        ("SELECT @@nope", 1193),
        ("SELECT FROM WHERE", 1064),
        ("SELECT 9223372036854775807 + 1", 1690),
    ],
)
def test_errors_have_mysqls_numbers(database: Database, sql: str, number: int) -> None:
    with pytest.raises((ShardError, MeshError)) as caught:
        database.run(sql)
    assert caught.value.number == number


@pytest.mark.parametrize(
    ("sql", "found"),
    [
        ("WITH c AS (SELECT id, name FROM t), d (n) AS (SELECT COUNT(*) FROM c) SELECT n FROM d", [["3"]]),
        ("WITH t AS (SELECT 7 AS id) SELECT (SELECT MAX(id) FROM t), id FROM t", [["7", "7"]]),
        (
            "SELECT b.name, (SELECT COUNT(*) FROM t WHERE t.id <= b.id) FROM t b WHERE b.id = 2",
            [["bob", "2"]],
        ),
        ("SELECT id FROM t WHERE money = (SELECT MIN(money) FROM t)", [["1"]]),
        ("SELECT (SELECT money FROM t ORDER BY id DESC LIMIT 1)", [[None]]),
        (
            "SELECT 6 & 3, 6 | 3, 6 ^ 3, 1 << 4, 16 >> 2, 1 << 64, NULL & 1",
            [["2", "7", "5", "16", "4", "0", None]],
        ),
        ("SELECT -1 & 255, '7x' & 3, 1.5 | 0", [["255", "3", "2"]]),
        (
            "SELECT COLLATION(name), COLLATION(id), CHAR_LENGTH(UUID()) FROM t LIMIT 1",
            [["utf8mb4_general_ci", "binary", "36"]],
        ),
        (
            "SELECT COUNT(DISTINCT CONCAT(CAST(COLLATION(name) AS BINARY), ':', WEIGHT_STRING(name))) FROM t",
            [["3"]],
        ),
    ],
)
def test_queries(database: Database, sql: str, found: list[list[str | None]]) -> None:
    assert rows(database, sql) == found


def test_describe_does_not_need_parameters(database: Database) -> None:
    columns = database.describe(
        "SELECT id, money + ? AS more FROM t WHERE name = ? ORDER BY id LIMIT ? OFFSET ?"
    )
    assert [column.name for column in columns] == [b"id", b"more"]
    with pytest.raises(MeshError):
        database.run("SELECT id FROM t WHERE name = ?")


def test_tables_of_another_program_are_not_there(database: Database, tmp_path: Path) -> None:
    other = sqlite3.connect(tmp_path / "ds.db")
    other.execute("CREATE TABLE foreign_table (a INTEGER)")
    other.commit()
    other.close()
    with pytest.raises(ShardError) as caught:
        database.run("SELECT a FROM foreign_table")
    assert caught.value.number == 1146
    assert "foreign_table" not in database.tables()


def test_a_duplicate_entry_is_named_beside_computed_values(database: Database) -> None:
    with pytest.raises(ShardError, match="Duplicate entry '1' for key 'PRIMARY'"):
        database.run("INSERT INTO t (id, name, made) VALUES (1, 'z', NOW())")
    with pytest.raises(ShardError, match="Duplicate entry 'ADA' for key 'u_name'"):
        database.run("INSERT INTO t (name, money) VALUES ('ADA', 1 + 1)")


def test_foreign_keys_are_checked(database: Database) -> None:
    database.run("CREATE TABLE child (id INT PRIMARY KEY, t_id INT, FOREIGN KEY (t_id) REFERENCES t (id))")
    done(database, "INSERT INTO child VALUES (1, 1), (2, NULL)")
    for sql in ("INSERT INTO child VALUES (3, 99)", "UPDATE child SET t_id = 99 WHERE id = 1"):
        with pytest.raises(ShardError) as caught:
            database.run(sql)
        assert caught.value.number == 1452
    with pytest.raises(ShardError) as caught:
        database.run("DELETE FROM t WHERE id = 1")
    assert caught.value.number == 1451


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT ROW_NUMBER() OVER () FROM t",
        "WITH RECURSIVE c AS (SELECT 1 AS a UNION ALL SELECT a + 1 FROM c) SELECT a FROM c",
        "WITH c AS (SELECT RAND() AS a) SELECT x.a = y.a FROM c x JOIN c y",
        "SELECT * FROM t RIGHT JOIN t AS b ON t.id = b.id",
        "SELECT * FROM t NATURAL JOIN t AS b",
        "SELECT ~1",
        "SELECT -1 | 1",
        "SELECT 1 << 63",
        "SELECT CAST('12:00' AS TIME) < CAST('13:00' AS TIME)",
        "SELECT id FROM t ORDER BY CAST('12:00' AS TIME)",
        "SELECT id, COUNT(*) FROM t GROUP BY id WITH ROLLUP",
        "SELECT (SELECT id FROM t)",
        "SELECT (SELECT COUNT(*) FROM t GROUP BY id)",
        "SELECT name, (SELECT EXISTS (SELECT COUNT(*) FROM t) FROM t AS b) FROM t",
        "SELECT COUNT(DISTINCT id, name) FROM t",
        "SELECT GROUP_CONCAT(name) FROM t",
        "SELECT JSON_EXTRACT('{}', '$.a')",
        "SELECT * FROM information_schema.tables",
        "UPDATE t SET money = 1, name = money",
        "UPDATE t JOIN t AS b ON t.id = b.id SET t.money = 1",
        "CREATE TABLE x (a ENUM('x'))",
        "CREATE TABLE x (a BIT(3))",
        "CREATE TABLE x (a VARCHAR(5) COLLATE utf8mb4_unicode_ci)",
        "CREATE TABLE x (a INT, b INT AUTO_INCREMENT, PRIMARY KEY (a, b))",
        "CREATE TABLE x (a VARCHAR(50), KEY k (a(10)))",
        "CREATE TABLE x AS SELECT 1",
        "CREATE TEMPORARY TABLE x (a INT)",
        "ALTER TABLE t MODIFY name VARCHAR(20)",
        "REPLACE INTO t (name) SELECT name FROM t",
        "SELECT name FROM t UNION SELECT name FROM t",
    ],
)
def test_what_is_not_exact_is_refused(database: Database, sql: str) -> None:
    with pytest.raises(MeshError) as caught:
        database.run(sql)
    assert caught.value.number == 1235


def test_transactions_and_savepoints(database: Database) -> None:
    database.run("START TRANSACTION")
    database.run("INSERT INTO t (name) VALUES ('one')")
    database.run("SAVEPOINT `s`")
    database.run("INSERT INTO t (name) VALUES ('two')")
    database.run("ROLLBACK TO SAVEPOINT `s`")
    assert database.in_transaction
    database.run("COMMIT")
    assert rows(database, "SELECT COUNT(*) FROM t") == [["4"]]
    database.run("START TRANSACTION READ ONLY")
    with pytest.raises(ShardError) as caught:
        database.run("DELETE FROM t")
    assert caught.value.number == 1792
    database.run("ROLLBACK")


def test_a_failed_statement_leaves_its_transaction_as_it_was(database: Database) -> None:
    database.run("BEGIN")
    database.run("INSERT INTO t (name) VALUES ('one')")
    with pytest.raises(ShardError):
        database.run("INSERT INTO t (name) VALUES ('two'), ('one')")
    database.run("COMMIT")
    assert rows(database, "SELECT name FROM t WHERE id > 3") == [["one"]]


def test_another_connection_sees_changed_tables(database: Database, tmp_path: Path) -> None:
    other = Database(str(tmp_path / "ds.db"), lambda: NOW, Random(1))
    assert rows(other, "SELECT COUNT(*) FROM t") == [["3"]]
    database.run("ALTER TABLE t ADD COLUMN extra INT NOT NULL DEFAULT 7")
    assert rows(other, "SELECT extra FROM t LIMIT 1") == [["7"]]
    other.close()


def test_metadata(database: Database) -> None:
    assert rows(database, "DESCRIBE t")[0] == ["id", "int(11)", "NO", "PRI", None, "auto_increment"]
    assert rows(database, "SHOW TABLES") == [["t"]]
    assert [row[2] for row in rows(database, "SHOW INDEX FROM t")] == ["PRIMARY", "u_name"]
    [[_, text]] = rows(database, "SHOW CREATE TABLE t")
    assert text is not None
    database.run("DROP TABLE t")
    database.run(text)
    assert rows(database, "SHOW CREATE TABLE t") == [["t", text]]


def test_catalog(database: Database) -> None:
    table = database.tables()["t"]
    assert table.primary_key == ("id",)
    assert table.unique_keys == (("name",),)
    name = table.column("name")
    assert name is not None
    assert (name.family, name.collation, name.nullable) == (ColumnFamily.TEXT, "utf8mb4_general_ci", False)
