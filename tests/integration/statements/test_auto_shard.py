"""Tables nobody wrote a rule for, sharded by their primary key when they are created."""

from __future__ import annotations

from pathlib import Path
from threading import Thread

import mysql.connector
import pymysql
import pytest

from tests.plugins.auto_mesh import SHARDS, AutoMesh
from tests.plugins.database_server import chosen_product
from tests.plugins.equivalence import ask
from tests.plugins.fix_auto_mesh import Run
from tests.plugins.mesh import Mesh
from tests.plugins.processes import wait_until
from tests.plugins.raw_client import BASIC, DEPRECATE_EOF, Failure, RawClient


def test_rows_of_a_new_table_are_spread_over_the_shards(auto: AutoMesh, run: Run) -> None:
    run("CREATE TABLE customer (id INT AUTO_INCREMENT PRIMARY KEY, name VARCHAR(40) NOT NULL) ENGINE=InnoDB")
    assert auto.tables() == {f"ds_{n % 2}.customer_{n}" for n in range(SHARDS)}
    for number in range(10):
        run("INSERT INTO customer (name) VALUES (%s)", f"name {number}")
    assert [row[0] for row in run("SELECT id FROM customer ORDER BY id")] == list(range(1, 11))
    assert auto.counts("customer") == [2, 3, 3, 2]
    assert run("SELECT name FROM customer WHERE id = 7") == [("name 6",)]
    assert run("CHECK TABLE customer") == [("app.customer", "check", "status", "OK")]
    assert run("SELECT LAST_INSERT_ID()") == [(10,)]
    run("INSERT INTO customer (name) VALUES ('a'), ('b'), ('c')")
    assert run("SELECT LAST_INSERT_ID()") == [(11,)]
    assert run("SELECT id FROM customer WHERE name = 'c'") == [(13,)]
    run("INSERT INTO customer VALUES (100, 'explicit'), (NULL, 'next'), (0, 'after')")
    assert run("SELECT id FROM customer WHERE id > 13 ORDER BY id") == [(100,), (101,), (102,)]
    run("TRUNCATE customer")
    run("INSERT INTO customer (name) VALUES ('first again')")
    assert run("SELECT id FROM customer") == [(1,)]
    run("ALTER TABLE customer AUTO_INCREMENT = 50")
    run("INSERT INTO customer (name) VALUES ('fifty')")
    assert run("SELECT id FROM customer ORDER BY id") == [(1,), (50,)]


NUMBERED = """
CREATE TABLE a (id INT AUTO_INCREMENT PRIMARY KEY, w VARCHAR(20))
INSERT INTO a (w) VALUES ('a'), ('b'), ('c')
INSERT INTO a VALUES (NULL, 'd'), (0, 'e'), (DEFAULT, 'f')
INSERT INTO a (id, w) VALUES (100, 'given')
INSERT INTO a (w) VALUES ('after it')
INSERT INTO a (id, w) VALUES (NULL, 'm'), (200, 'n'), (NULL, 'o')
INSERT INTO a (id, w) VALUES (-5, 'below')
INSERT INTO a (w) VALUES ('after that')
SET sql_mode = CONCAT(@@sql_mode, ',NO_AUTO_VALUE_ON_ZERO')
INSERT INTO a (id, w) VALUES (0, 'zero')
INSERT INTO a (id, w) VALUES (NULL, 'null')
SET sql_mode = DEFAULT
INSERT INTO a (id, w) VALUES (200, 'there') ON DUPLICATE KEY UPDATE w = 'there'
INSERT INTO a (id, w) VALUES (500 + 1, 'computed')
INSERT INTO a (id, w) SELECT 600, 'selected'
INSERT INTO a (w) SELECT 'numbered'
UPDATE a SET id = 900 WHERE w = 'm'
ALTER TABLE a AUTO_INCREMENT = 1000
INSERT INTO a (w) VALUES ('thousand')
SET auto_increment_increment = 10, auto_increment_offset = 3
INSERT INTO a (w) VALUES ('i1'), ('i2')
SET auto_increment_increment = DEFAULT, auto_increment_offset = DEFAULT
TRUNCATE a
INSERT INTO a (w) VALUES ('again')
CREATE TABLE b (k INT PRIMARY KEY, id INT AUTO_INCREMENT, v INT, KEY (id))
INSERT INTO b (k, v) VALUES (1, 1), (2, 2)
CREATE TABLE whole (id INT AUTO_INCREMENT, w VARCHAR(20), KEY (id))
INSERT INTO whole (w) VALUES ('q'), ('r')
INSERT INTO whole VALUES (50, 'q'), (60, 'r')
INSERT INTO whole (id) VALUES (NULL)
INSERT INTO whole SET id = 0
"""


def test_numbers_are_given_as_by_one_server(auto: AutoMesh) -> None:
    server = auto.servers[0]
    server.execute("DROP DATABASE IF EXISTS numbers", "CREATE DATABASE numbers")
    with auto.connect() as mesh, server.connect("numbers") as plain:
        for statement in NUMBERED.strip().splitlines():
            answers = [ask(connection, statement) for connection in (mesh, plain)]
            assert answers[0].error is None, answers[0].text
            assert answers[0].insert_id == answers[1].insert_id, statement
            asked = ["SELECT LAST_INSERT_ID()"]
            asked += [f"SELECT * FROM {name} ORDER BY 1, 2" for name in ("a", "b", "whole")]
            for question in asked:
                rows = [ask(connection, question).rows for connection in (mesh, plain)]
                assert rows[0] == rows[1], f"{question} after {statement}"
    server.execute("DROP DATABASE numbers")


CONVERTED = """
CREATE TABLE i (k TINYINT PRIMARY KEY)
INSERT INTO i VALUES (5.4), ('6.5'), (-0.5), (2.5e0), (' 7 ')
INSERT INTO i VALUES (300)
INSERT INTO i VALUES ('9 lives')
INSERT IGNORE INTO i VALUES (126), (300), (127), ('300'), (-999), ('9 lives')
UPDATE IGNORE i SET k = 130 WHERE k = 6
UPDATE IGNORE i SET k = 300 WHERE k = 127
UPDATE IGNORE i SET k = '127 lives' WHERE k = 127
UPDATE i SET k = 300 WHERE k = 127
CREATE TABLE t (k VARCHAR(4) COLLATE utf8mb4_bin PRIMARY KEY)
INSERT IGNORE INTO t VALUES ('abcdef'), ('abcd'), ('x    '), ('x')
INSERT INTO t VALUES ('efghi')
CREATE TABLE m (k DECIMAL(6, 2) PRIMARY KEY)
INSERT INTO m VALUES (1.505), ('2.504'), (-0.001), (7.999)
INSERT IGNORE INTO m VALUES (99999), (9999.99), (1.51)
CREATE TABLE d (k DATE PRIMARY KEY)
INSERT INTO d VALUES (20240131), ('20240201'), ('24-2-2'), ('2024/03/01'), ('2024-03-03 10:00:00'), (690304)
INSERT INTO d VALUES ('2024-03-01')
CREATE TABLE c (k DATETIME PRIMARY KEY)
INSERT INTO c VALUES (20240131101112), ('240131101113'), ('2024-01-31')
CREATE TABLE h (k INT PRIMARY KEY, hidden INT DEFAULT 3 INVISIBLE, v INT)
INSERT INTO h VALUES (1, 2), ('2', 3)
INSERT INTO h SELECT k + 10, v FROM h
REPLACE INTO h SELECT * FROM h
"""
KEYS = {
    "i": ("126", "127", "-128", "5", "7", "9"),
    "t": ("'abcd'", "'x'"),
    "m": ("1.51", "9999.99", "0", "8"),
    "d": ("'2024-01-31'", "'2024-02-02'", "'2024-03-01'", "'2024-03-03'", "'2069-03-04'"),
    "c": ("'2024-01-31 10:11:12'", "'2024-01-31 10:11:13'", "'2024-01-31'"),
}


def test_a_row_lies_where_the_key_it_stores_belongs(auto: AutoMesh) -> None:
    server = auto.servers[0]
    server.execute("DROP DATABASE IF EXISTS converted", "CREATE DATABASE converted")
    asked = [f"SELECT k FROM {name} WHERE k = {key}" for name, keys in KEYS.items() for key in keys]
    asked += [f"SELECT k FROM {name} ORDER BY k" for name in KEYS]
    asked += ["SELECT * FROM h ORDER BY k", "SELECT k, hidden, v FROM h ORDER BY k"]
    asked.append("SELECT a.*, b.v FROM h AS a JOIN h AS b ON a.v = b.v AND a.k < b.k ORDER BY a.k, b.k")
    with auto.connect() as mesh, server.connect("converted") as plain:
        for statement in CONVERTED.strip().splitlines():
            answers = [ask(connection, statement) for connection in (mesh, plain)]
            told = [(answer.error, answer.affected) for answer in answers]
            assert told[0] == told[1], statement
        for question in asked:
            rows = [ask(connection, question).rows for connection in (mesh, plain)]
            assert rows[0] == rows[1], question
    server.execute("DROP DATABASE converted")


def test_rules_and_numbers_survive_a_restart(auto: AutoMesh, run: Run) -> None:
    run("CREATE TABLE note (id BIGINT NOT NULL AUTO_INCREMENT, text VARCHAR(40), PRIMARY KEY (id))")
    run("INSERT INTO note (text) VALUES ('a'), ('b'), ('c'), ('d'), ('e')")
    run.connection.close()  # type: ignore[attr-defined]
    auto.mesh.stop_cleanly()
    auto.mesh.start()
    with auto.connect() as again, again.cursor() as cursor:
        cursor.execute("INSERT INTO note (text) VALUES ('f')")
        assert cursor.lastrowid == 6
        cursor.execute("SELECT COUNT(*), MAX(id) FROM note")
        assert cursor.fetchall() == ((6, 6),)
    assert sum(auto.counts("note")) == 6
    auto.kill()
    auto.mesh.start()
    with auto.connect() as again, again.cursor() as cursor:
        cursor.execute("INSERT INTO note (text) VALUES ('g')")
        assert cursor.lastrowid > 6


def test_a_text_key_is_hashed_and_a_table_without_key_is_single(auto: AutoMesh, run: Run) -> None:
    run("CREATE TABLE code (code CHAR(8) COLLATE utf8mb4_bin PRIMARY KEY, n INT)")
    run("CREATE TABLE log (line VARCHAR(80))")
    for number in range(16):
        run("INSERT INTO code VALUES (%s, %s)", f"c{number}", number)
    assert sum(auto.counts("code")) == 16
    assert min(auto.counts("code")) > 0
    for rows in ("(NULL, 1)", "('new', 1), (NULL, 2)"):
        with pytest.raises(pymysql.err.IntegrityError, match="Column 'code' cannot be null"):
            run(f"INSERT INTO code VALUES {rows}")
    run("INSERT INTO log VALUES ('x')")
    assert "ds_0.log" in auto.tables()
    assert run("SELECT n FROM code WHERE code = 'c3'") == [(3,)]


@pytest.mark.parametrize(
    ("definition", "why"),
    [
        (
            "id CHAR(36) COLLATE utf8mb4_bin PRIMARY KEY DEFAULT (UUID())",
            "the server makes the values of 'id'",
        ),
        ("id DATETIME(6) DEFAULT NOW(6), PRIMARY KEY (id)", "the server makes the values of 'id'"),
        ("id VARCHAR(20) PRIMARY KEY", "equal values of 'id' can be written in several ways"),
    ],
)
def test_a_table_whose_keys_only_a_server_knows_stays_whole(
    auto: AutoMesh, run: Run, definition: str, why: str
) -> None:
    run(f"CREATE TABLE t ({definition}, n INT)")
    assert why in run("SHOW WARNINGS")[0][2]
    assert auto.tables() == {"ds_0.t"}
    if "DEFAULT" in definition:
        run("INSERT INTO t (n) VALUES (1)")
        run("INSERT INTO t (n) VALUES (2)")
        assert run("SELECT n FROM t ORDER BY n") == [(1,), (2,)]
        return
    run("INSERT INTO t VALUES ('a', 1)")
    # MySQL's own collation tells trailing spaces apart.
    for equal in ("A", "á") if chosen_product() == "MySQL" else ("A", "a ", "á"):
        with pytest.raises(pymysql.err.IntegrityError, match="Duplicate entry"):
            run(f"INSERT INTO t VALUES ('{equal}', 2)")


_BREAKS = (
    (
        "ALTER TABLE t ADD CONSTRAINT pair UNIQUE (a, b), ADD COLUMN note VARCHAR(9) DEFAULT 'x'",
        "unique key (a, b)",
    ),
    ("CREATE UNIQUE INDEX one ON t (a)", "unique key (a)"),
    ("ALTER TABLE t ADD c INT UNIQUE", "unique key (c)"),
    (
        "ALTER TABLE t DROP PRIMARY KEY, MODIFY id INT, ADD PRIMARY KEY (a)",
        "primary key would not contain 'id'",
    ),
    ("ALTER TABLE t MODIFY id VARCHAR(20)", "whose type would change"),
    ("ALTER TABLE t MODIFY id INT NOT NULL", "the numbers of 'id'"),
    ("ALTER TABLE t DROP COLUMN id", "would be gone"),
)


@pytest.mark.parametrize(("change", "why"), _BREAKS)
def test_a_change_no_rule_can_hold_makes_an_empty_table_whole(
    auto: AutoMesh, run: Run, change: str, why: str
) -> None:
    run("CREATE TABLE t (id INT AUTO_INCREMENT PRIMARY KEY, a INT NOT NULL, b INT)")
    run("INSERT INTO t (a, b) VALUES (1, 1), (2, 2), (3, 3)")
    before = auto.tables()
    with pytest.raises(
        pymysql.err.NotSupportedError, match="which has rows on several data nodes"
    ) as refused:
        run(change)
    assert why in str(refused.value)
    assert auto.tables() == before
    run("INSERT INTO t (a, b) VALUES (4, 4)")
    run("DELETE FROM t")
    run(change)
    assert "'t' is no longer sharded: " in run("SHOW WARNINGS")[0][2]
    assert auto.tables() == {"ds_0.t"}
    run(
        "INSERT INTO t (a, b) VALUES (1, 1)"
        if "MODIFY" not in change
        else "INSERT INTO t (id, a, b) VALUES (1, 1, 1)"
    )
    assert run("SELECT a, b FROM t") == [(1, 1)]
    assert "dbmesh_empty" not in run("SHOW CREATE TABLE t")[0][1]
    assert "'t'" not in auto.command("rules", "show").stdout


def test_a_row_on_any_node_keeps_a_table_from_becoming_whole(auto: AutoMesh, run: Run) -> None:
    """A name of a constraint is one for all tables of a schema to MySQL, and several nodes share one."""
    run("CREATE TABLE t (id INT AUTO_INCREMENT PRIMARY KEY, a INT NOT NULL)")
    run("INSERT INTO t (a) VALUES (1), (2), (3), (4)")
    refused = 0
    for kept in (1, 2, 3, 4):
        run(f"DELETE FROM t WHERE a <> {kept}")
        if auto.counts("t")[0] == 0:
            with pytest.raises(pymysql.err.NotSupportedError, match="which has rows on several data nodes"):
                run("ALTER TABLE t ADD UNIQUE (a)")
            refused += 1
        run("DELETE FROM t")
        run("INSERT INTO t (a) VALUES (1), (2), (3), (4)")
    assert refused == 3


def test_a_mistake_in_such_a_change_leaves_the_table_as_it_was(auto: AutoMesh, run: Run) -> None:
    run("CREATE TABLE t (id INT AUTO_INCREMENT PRIMARY KEY, a INT)")
    before = auto.tables()
    with pytest.raises(pymysql.err.OperationalError, match="Key column 'none' doesn't exist"):
        run("ALTER TABLE t ADD UNIQUE (none)")
    assert auto.tables() == before
    run("INSERT INTO t (a) VALUES (1), (2), (3), (4)")
    assert auto.counts("t") == [1, 1, 1, 1]


@pytest.mark.parametrize(
    "change",
    [
        "ALTER TABLE t CHANGE id number INT AUTO_INCREMENT",
        "ALTER TABLE t RENAME COLUMN id TO number, ADD z INT",
    ],
)
def test_a_rule_follows_the_new_name_of_its_column(auto: AutoMesh, run: Run, change: str) -> None:
    run("CREATE TABLE t (id INT AUTO_INCREMENT PRIMARY KEY, a INT)")
    run("INSERT INTO t (a) VALUES (1), (2), (3), (4)")
    run(change)
    run("INSERT INTO t (a) VALUES (5)")
    assert run("SELECT a FROM t WHERE number = 5") == [(5,)]
    assert "shardingColumn: number" in auto.command("rules", "show").stdout
    assert auto.counts("t") == [1, 2, 1, 1]


def test_a_unique_key_with_the_sharding_column_leaves_the_table_sharded(auto: AutoMesh, run: Run) -> None:
    run("CREATE TABLE t (id INT AUTO_INCREMENT PRIMARY KEY, a INT)")
    run("ALTER TABLE t ADD UNIQUE both_keys (a, id), MODIFY id BIGINT AUTO_INCREMENT, MODIFY a BIGINT")
    run("INSERT INTO t (a) VALUES (1), (2), (3), (4)")
    assert auto.counts("t") == [1, 1, 1, 1]


def test_drop_and_create_again(auto: AutoMesh, run: Run) -> None:
    run("CREATE TABLE t (id INT AUTO_INCREMENT PRIMARY KEY)")
    run("INSERT INTO t VALUES (NULL), (NULL)")
    run("DROP TABLE t")
    assert auto.tables() == set()
    with pytest.raises(pymysql.err.ProgrammingError, match="doesn't exist"):
        run("SELECT * FROM t")
    run("CREATE TABLE t (name VARCHAR(20) COLLATE utf8mb4_bin PRIMARY KEY)")
    run("INSERT INTO t VALUES ('a')")
    assert run("SELECT * FROM t") == [("a",)]
    with pytest.raises(pymysql.err.OperationalError, match="already exists"):
        run("CREATE TABLE t (id INT PRIMARY KEY)")
    run("CREATE TABLE IF NOT EXISTS t (id INT PRIMARY KEY)")


@pytest.mark.parametrize("sql", ["RENAME TABLE old TO new", "ALTER TABLE old RENAME TO new"])
def test_a_renamed_table_takes_its_rule_along(auto: AutoMesh, run: Run, sql: str) -> None:
    run("CREATE TABLE old (id INT AUTO_INCREMENT PRIMARY KEY, v INT)")
    run("INSERT INTO old (v) VALUES (1), (2), (3), (4), (5)")
    run(sql)
    assert auto.tables() == {f"ds_{n % 2}.new_{n}" for n in range(SHARDS)}
    run("INSERT INTO new (v) VALUES (6)")
    assert run("SELECT id, v FROM new ORDER BY id") == [(n, n) for n in range(1, 7)]
    assert run("SHOW TABLES") == [("new",)]


def test_names_of_tables_are_exchanged(auto: AutoMesh, run: Run) -> None:
    run("CREATE TABLE a (id INT AUTO_INCREMENT PRIMARY KEY, v INT)")
    run("CREATE TABLE b (code INT PRIMARY KEY)")
    run("CREATE TABLE c (line TEXT)")
    run("INSERT INTO a (v) VALUES (1), (2), (3), (4)")
    run("INSERT INTO b VALUES (10), (11)")
    run("RENAME TABLE a TO tmp, b TO a, tmp TO b, c TO d")
    assert run("SELECT code FROM a WHERE code = 11") == [(11,)]
    run("INSERT INTO b (v) VALUES (5)")
    assert run("SELECT id, v FROM b WHERE id = 5") == [(5, 5)]
    assert run("SHOW TABLES") == [("a",), ("b",), ("d",)]
    assert "shardingColumn: code" in auto.command("rules", "show").stdout.split("    b:\n")[0]


def test_a_table_like_another_is_sharded_as_it_is(auto: AutoMesh, run: Run) -> None:
    run("CREATE TABLE a (id INT AUTO_INCREMENT PRIMARY KEY, v INT)")
    run("CREATE TABLE b LIKE a")
    run("INSERT INTO b (v) VALUES (1), (2), (3), (4)")
    assert auto.counts("b") == [1, 1, 1, 1]
    assert run("SELECT COUNT(*) FROM a") == [(0,)]


def test_a_table_with_another_unique_key_stays_whole(auto: AutoMesh, run: Run) -> None:
    run("CREATE TABLE tag (id INT AUTO_INCREMENT PRIMARY KEY, name VARCHAR(20) UNIQUE)")
    assert "is not sharded: its unique key (name)" in run("SHOW WARNINGS")[0][2]
    run("INSERT INTO tag (name) VALUES ('a'), ('b')")
    run("INSERT IGNORE INTO tag (name) VALUES ('b'), ('c')")
    assert run("SELECT name FROM tag ORDER BY id") == [("a",), ("b",), ("c",)]
    run("CREATE TABLE pair (id INT PRIMARY KEY, other INT, UNIQUE (id, other))")
    assert run("SHOW WARNINGS") == []
    run("DROP TABLE tag")
    run("DROP TABLE pair")


def test_foreign_keys_become_indexes_and_the_client_is_warned(auto: AutoMesh, run: Run) -> None:
    run("CREATE TABLE author (id INT AUTO_INCREMENT PRIMARY KEY, name VARCHAR(20))")
    run(
        "CREATE TABLE book (id INT AUTO_INCREMENT PRIMARY KEY, author_id INT NOT NULL, "
        "CONSTRAINT book_author FOREIGN KEY (author_id) REFERENCES author (id) ON DELETE CASCADE)"
    )
    assert "is shown and not enforced" in run("SHOW WARNINGS")[0][2]
    run("INSERT INTO author (name) VALUES ('ann'), ('ben')")
    run("INSERT INTO book (author_id) VALUES (1), (2), (2)")
    assert run("SELECT a.name, COUNT(*) FROM author a JOIN book b ON b.author_id = a.id GROUP BY a.name") == [
        ("ann", 1),
        ("ben", 2),
    ]
    assert {row[2] for row in run("SHOW INDEX FROM book")} == {"PRIMARY", "book_author"}
    run(
        "ALTER TABLE book ADD COLUMN second_id INT, ADD CONSTRAINT s FOREIGN KEY (second_id) REFERENCES author (id)"
    )
    assert {row[2] for row in run("SHOW INDEX FROM book")} == {"PRIMARY", "book_author", "s"}


def test_a_create_that_fails_everywhere_leaves_nothing(auto: AutoMesh, run: Run) -> None:
    with pytest.raises(pymysql.err.MySQLError):
        run("CREATE TABLE bad (id INT PRIMARY KEY, v INT DEFAULT 'no number')")
    run("CREATE TABLE bad (id INT PRIMARY KEY, v INT)")
    run("INSERT INTO bad VALUES (1, 1)")
    assert run("SELECT * FROM bad") == [(1, 1)]


def test_a_database_is_made_over_the_same_servers_and_dropped(auto: AutoMesh, run: Run) -> None:
    for server in auto.servers:
        server.execute("DROP DATABASE IF EXISTS other")
    run("CREATE DATABASE other CHARACTER SET latin1 COLLATE latin1_bin")
    assert run("SHOW DATABASES LIKE 'o%'") == [("other",)]
    with pytest.raises(pymysql.err.ProgrammingError, match="database exists"):
        run("CREATE DATABASE other")
    run("CREATE DATABASE IF NOT EXISTS other")
    run("USE other")
    run("CREATE TABLE t (id INT AUTO_INCREMENT PRIMARY KEY, name VARCHAR(10))")
    run("INSERT INTO t (name) VALUES ('a'), ('b'), ('c'), ('d')")
    for number in range(SHARDS):
        server = auto.servers[number % 2]
        assert server.execute(f"SELECT COUNT(*) FROM other.t_{number}") == [(1,)]
        [(_, definition)] = server.execute(f"SHOW CREATE TABLE other.t_{number}")
        assert "latin1_bin" in definition
    run.connection.close()  # type: ignore[attr-defined]
    auto.mesh.stop_cleanly()
    auto.mesh.start()
    with auto.mesh.connect("other") as again, again.cursor() as cursor:
        cursor.execute("SELECT id, name FROM t ORDER BY id")
        assert cursor.fetchall() == ((1, "a"), (2, "b"), (3, "c"), (4, "d"))
        cursor.execute("CREATE DATABASE beside_other")
        cursor.execute("UPDATE t SET name = 'z'")
        cursor.execute("DROP DATABASE other")
        cursor.execute("CREATE DATABASE other")
        cursor.execute("USE other")
        cursor.execute("CREATE TABLE t (id INT PRIMARY KEY, name VARCHAR(10))")
        cursor.execute("INSERT INTO t VALUES (1, 'a'), (2, 'b'), (3, 'c')")
        cursor.execute("DROP DATABASE other")
        cursor.execute("DROP DATABASE beside_other")
        cursor.execute("SELECT DATABASE()")
        assert cursor.fetchall() == ((None,),)
        with pytest.raises(pymysql.err.OperationalError, match="Unknown database"):
            cursor.execute("USE other")
        with pytest.raises(pymysql.err.OperationalError, match="database doesn't exist"):
            cursor.execute("DROP DATABASE other")
        cursor.execute("DROP DATABASE IF EXISTS other")
        with pytest.raises(pymysql.err.NotSupportedError, match="which the configuration names"):
            cursor.execute("DROP DATABASE app")
    for server in auto.servers:
        assert server.execute("SHOW DATABASES LIKE 'other'") == []


def test_rows_come_by_primary_key_where_no_order_is_asked_for(run: Run) -> None:
    run("CREATE TABLE word (b VARCHAR(9), a INT, note INT, PRIMARY KEY (b, a))")
    run(
        "INSERT INTO word VALUES ('x', 3, 1), ('Y', 1, 2), ('x', 2, 3), ('w', 1, 4), ('a', 9, 5), ('z', 0, 6)"
    )
    by_key = [("a", 9, 5), ("w", 1, 4), ("x", 2, 3), ("x", 3, 1), ("Y", 1, 2), ("z", 0, 6)]
    assert run("SELECT * FROM word") == by_key
    assert run("SELECT note FROM word w WHERE a > 0 LIMIT 1, 3") == [(4,), (3,), (1,)]
    assert run("SELECT a,(b)FROM word WHERE a=0") == [(0, "z")]
    assert run("SELECT a, b FROM word HAVING a < 3 FOR UPDATE") == [(1, "w"), (2, "x"), (1, "Y"), (0, "z")]
    assert sorted(run("SELECT * FROM word ORDER BY NULL")) == sorted(by_key)


def test_values_of_a_client_that_speaks_latin1_are_the_same_text(auto: AutoMesh, run: Run) -> None:
    run("CREATE TABLE town (name VARCHAR(20) COLLATE utf8mb4_bin PRIMARY KEY, note VARCHAR(20))")
    names = ["Köln", "Évora", "Ærø", "ó", "Malmö"]
    latin = mysql.connector.connect(
        host=auto.mesh.host,
        port=auto.mesh.port,
        user="root",
        password="root",
        database="app",
        charset="latin1",
        use_pure=True,
        ssl_disabled=True,
        autocommit=True,
    )
    cursor = latin.cursor(prepared=True)
    cursor.execute(
        "INSERT INTO town VALUES (?, ?), (?, ?), (?, ?)", [t for name in names[:3] for t in (name, name)]
    )
    plain = latin.cursor()
    plain.execute(f"INSERT INTO town VALUES ('{names[3]}', '{names[3]}'), ('{names[4]}', '{names[4]}')")
    assert sorted(run("SELECT name, note FROM town")) == sorted((name, name) for name in names)
    for name in names:
        assert run("SELECT note FROM town WHERE name = %s", name) == [(name,)]
        cursor.execute("SELECT note FROM town WHERE name = ?", (name,))
        assert cursor.fetchall() == [(name,)]
        plain.execute(f"SELECT note FROM town WHERE name = '{name}'")
        assert plain.fetchall() == [(name,)]
    latin.close()


def test_what_a_session_has_set_changes_nothing_of_what_is_known_of_tables(auto: AutoMesh, run: Run) -> None:
    # Of this client's kind are the connections on which the mesh itself reads what tables are like.
    with RawClient(auto.mesh.host, auto.mesh.port, BASIC | DEPRECATE_EOF) as client:
        client.log_in(database="app")
        for statement in (
            "SET NAMES gbk, sql_select_limit = 1",
            "CREATE TABLE food (海豚 INT PRIMARY KEY, price INT)",
            "INSERT INTO food VALUES (1, 7), (2, 8)",
        ):
            assert not isinstance(client.query(statement.encode("gbk")), Failure), statement
    assert run("SELECT price, 海豚 FROM food ORDER BY 海豚") == [(7, 1), (8, 2)]


def test_columns_that_are_invisible_are_meant_where_they_are_named(run: Run) -> None:
    run("CREATE TABLE t (id INT PRIMARY KEY, v INT, h INT DEFAULT 5 INVISIBLE)")
    run("INSERT INTO t VALUES (1, 2), (2, 3), (3, 4)")
    run("INSERT INTO t (id, v, h) VALUES (4, 5, 7)")
    run("INSERT INTO t SELECT id + 10, v FROM t")
    assert run("SELECT * FROM t WHERE id < 5 ORDER BY id") == [(1, 2), (2, 3), (3, 4), (4, 5)]
    assert run("SELECT id, h FROM t WHERE v = 5 ORDER BY id") == [(4, 7), (14, 5)]
    joined = "SELECT a.*, b.h FROM t a JOIN (SELECT * FROM t) c ON c.v = a.id JOIN t b ON b.id = c.id WHERE a.id = 4"
    assert run(joined) == [(4, 5, 5), (4, 5, 5)]


def test_names_with_back_quotes(run: Run) -> None:
    run("CREATE TABLE `a``b` (id INT PRIMARY KEY, `c``d` INT)")
    run("INSERT INTO `a``b` VALUES (1, 1), (2, 2), (3, 3)")
    assert run("SELECT SUM(`c``d`) FROM `a``b`") == [(6,)]
    assert run("SHOW CREATE TABLE `a``b`")[0][1].startswith("CREATE TABLE `a``b` (\n  `id` int")


def test_the_insert_id_of_given_numbers_is_the_last_rows(run: Run) -> None:
    run("CREATE TABLE t (id INT AUTO_INCREMENT PRIMARY KEY, v INT)")
    with run.connection.cursor() as cursor:  # type: ignore[attr-defined]
        for numbers in ((910, 908), (920, 921, 922, 923, 930, 926), (941, 942, 943)):
            cursor.execute("INSERT INTO t VALUES " + ", ".join(f"({number}, 1)" for number in numbers))
            assert cursor.lastrowid == numbers[-1]


@pytest.mark.parametrize("auto", ["embedded", "etcd"], indirect=True)
def test_a_second_process_sees_what_the_first_changes(auto: AutoMesh, run: Run, tmp_path: Path) -> None:
    run("CREATE TABLE old (id INT AUTO_INCREMENT PRIMARY KEY, v INT)")
    second = Mesh(auto.mesh.configuration, tmp_path / "second.log").start()
    try:
        with second.connect("app") as connection, connection.cursor() as cursor:

            def answers(sql: str) -> object:
                try:
                    cursor.execute(sql)
                except pymysql.err.MySQLError as error:
                    return error.args[0]
                return tuple(cursor.fetchall())

            run("CREATE TABLE t (id INT AUTO_INCREMENT PRIMARY KEY, v INT)")
            run("DROP TABLE old")
            wait_until(lambda: answers("SHOW TABLES") == (("t",),), 20, "the new table")
            assert answers("INSERT INTO t (v) VALUES (1), (2), (3), (4)") == ()
            assert auto.counts("t") == [1, 1, 1, 1]
            run("INSERT INTO t (v) VALUES (5)")
            assert answers("SELECT COUNT(*), COUNT(DISTINCT id) FROM t") == ((5, 5),)
            run("CREATE VIEW seen AS SELECT app.v FROM t AS app WHERE id < 3")
            wait_until(lambda: answers("SELECT COUNT(*) FROM seen") == ((2,),), 20, "the new view")
            run("CREATE OR REPLACE VIEW seen AS SELECT v FROM t")
            wait_until(lambda: answers("SELECT COUNT(*) FROM seen") == ((5,),), 20, "the view replaced")
            run("DROP VIEW seen")
            wait_until(lambda: answers("SELECT COUNT(*) FROM seen") == 1146, 20, "the end of the view")
            run("ALTER TABLE t CHANGE id number INT AUTO_INCREMENT, ADD w INT DEFAULT 7")
            wait_until(lambda: answers("SELECT w FROM t WHERE number = 2") == ((7,),), 20, "the new columns")
            assert answers("INSERT INTO t (v) VALUES (6)") == ()
            run("ALTER TABLE t ADD CONSTRAINT up FOREIGN KEY (v) REFERENCES t (number)")
            wait_until(
                lambda: "`up` FOREIGN" in str(answers("SHOW CREATE TABLE t")), 20, "the new foreign key"
            )
            run("CREATE DATABASE more")
            wait_until(
                lambda: answers("CREATE TABLE more.x (id INT PRIMARY KEY)") == (), 20, "the new database"
            )
            wait_until(lambda: run("SHOW TABLES FROM more") == [("x",)], 20, "the table of the other process")
            assert answers("DROP DATABASE more") == ()
            wait_until(lambda: ("more",) not in run("SHOW DATABASES"), 20, "the end of the database")
            run("DROP TABLE t")
            wait_until(lambda: answers("SELECT * FROM t") == 1146, 20, "the end of the table")
        second.stop_cleanly()
    finally:
        if second.running:
            second.stop()


def test_numbers_of_two_processes_are_given_once_though_one_truncates(
    auto: AutoMesh, run: Run, tmp_path: Path
) -> None:
    run("CREATE TABLE t (id INT AUTO_INCREMENT PRIMARY KEY, v INT)")
    second = Mesh(auto.mesh.configuration, tmp_path / "second.log").start()
    try:
        with second.connect("app") as connection, connection.cursor() as cursor:
            cursor.execute("INSERT INTO t (v) VALUES (1)")
            run("INSERT INTO t (v) VALUES (1)")
            run("TRUNCATE TABLE t")
            # The second has the rest of its block; the first must not come to it, whatever it numbers.
            cursor.execute("INSERT INTO t (v) VALUES (2), (2), (2)")
            run("INSERT INTO t (v) VALUES " + ", ".join(["(1)"] * 1500))
            cursor.execute("INSERT INTO t (v) VALUES (3), (3), (3)")
            assert run("SELECT COUNT(*), COUNT(DISTINCT id) FROM t") == [(1506, 1506)]
        second.stop_cleanly()
    finally:
        if second.running:
            second.stop()


@pytest.mark.parametrize("auto", ["embedded", "etcd"], indirect=True)
def test_numbers_of_a_table_are_given_once_though_another_process_gives_its_name_to_another(
    auto: AutoMesh, run: Run, tmp_path: Path
) -> None:
    for name in ("a", "b"):
        run(f"CREATE TABLE {name} (k INT PRIMARY KEY, id INT AUTO_INCREMENT, KEY (id))")
    second = Mesh(auto.mesh.configuration, tmp_path / "second.log").start()
    try:
        with second.connect("app") as connection, connection.cursor() as cursor:
            cursor.execute("INSERT INTO a (k) VALUES (1)")
            run("INSERT INTO b (k) VALUES (11), (12), (13), (14)")
            run("DROP TABLE a")
            run("RENAME TABLE b TO a")

            def tables() -> object:
                cursor.execute("SHOW TABLES")
                return cursor.fetchall()

            wait_until(lambda: tables() == (("a",),), 20, "the second to have heard of it")
            cursor.execute("INSERT INTO a (k) VALUES (21), (22), (23)")
            assert run("SELECT COUNT(*), COUNT(DISTINCT id) FROM a") == [(7, 7)]
        second.stop_cleanly()
    finally:
        if second.running:
            second.stop()


def test_a_number_that_is_given_while_a_table_is_truncated_is_given_once(auto: AutoMesh, run: Run) -> None:
    run("CREATE TABLE b (k INT PRIMARY KEY, id INT AUTO_INCREMENT, KEY (id))")
    run("INSERT INTO b (k) VALUES (1), (4)")
    holder = auto.servers[1].connect("app", autocommit=False)
    with holder.cursor() as cursor:
        # A transaction that has read one of its tables holds up what becomes of it.
        cursor.execute("SELECT * FROM b_1")
    truncating = Thread(target=run, args=("TRUNCATE TABLE b",))
    truncating.start()
    first = auto.servers[0]
    wait_until(lambda: not first.execute("SELECT * FROM b_0", database="app"), 20, "the first to be empty")
    with auto.connect() as writer, writer.cursor() as cursor:
        cursor.execute("BEGIN")
        cursor.execute("INSERT INTO b (k) VALUES (8)")
        holder.close()
        truncating.join()
        run("INSERT INTO b (k) VALUES (12), (16), (20), (24)")
        cursor.execute("COMMIT")
    assert run("SELECT COUNT(*), COUNT(DISTINCT id) FROM b") == [(5, 5)]
    run("TRUNCATE TABLE b")
    run("INSERT INTO b (k) VALUES (1)")
    assert run("SELECT id FROM b") == [(1,)]


@pytest.mark.parametrize(
    ("kind", "most"), [("TINYINT", 127), ("INT", 2147483647), ("BIGINT UNSIGNED", 18446744073709551615)]
)
def test_a_number_that_the_column_does_not_take_keeps_nobody_from_being_numbered(
    run: Run, kind: str, most: int
) -> None:
    run(f"CREATE TABLE t (id {kind} AUTO_INCREMENT PRIMARY KEY, v INT)")
    run("INSERT INTO t (v) VALUES (1)")
    with pytest.raises(pymysql.err.DataError, match="Out of range"):
        run(f"INSERT INTO t VALUES ({most + 1}, 1)")
    run("INSERT INTO t (v) VALUES (2)")
    run(f"INSERT INTO t VALUES ({most - 2}, 3), (NULL, 4)")
    assert run("SELECT id FROM t ORDER BY id") == [(1,), (2,), (most - 2,), (most - 1,)]


def test_numbers_are_leased_for_who_has_every_connection(auto: AutoMesh, tmp_path: Path) -> None:
    auto.mesh.stop_cleanly()
    rules = tmp_path / "rules" / "database-app.yaml"
    one = "maxPoolSize: 1, minPoolSize: 0, connectionTimeoutMilliseconds: 3000}"
    rules.write_text(rules.read_text().replace("}\n", f", {one}\n", 2))
    auto.mesh.start()
    with auto.connect() as client, client.cursor() as cursor:
        cursor.execute("CREATE TABLE t (id INT AUTO_INCREMENT PRIMARY KEY, v INT)")
        cursor.execute("BEGIN")
        cursor.execute("SELECT COUNT(*) FROM t FOR UPDATE")
        cursor.execute("INSERT INTO t (v) VALUES (1), (2), (3), (4)")
        cursor.execute("COMMIT")
        cursor.execute("SELECT id, v FROM t ORDER BY id")
        assert cursor.fetchall() == ((1, 1), (2, 2), (3, 3), (4, 4))
