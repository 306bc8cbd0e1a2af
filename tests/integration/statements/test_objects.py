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


def test_routines_and_triggers(pair: Pair) -> None:
    for statement in (
        "CREATE TABLE single (id BIGINT PRIMARY KEY, name VARCHAR(10), changed INT DEFAULT 0)",
        "CREATE TABLE account (id BIGINT NOT NULL PRIMARY KEY, name VARCHAR(20))",
        "INSERT INTO account VALUES (1, 'a'), (2, 'b'), (3, 'c'), (4, 'd')",
        (
            "CREATE PROCEDURE fill(IN n INT, IN what VARCHAR(10)) BEGIN DECLARE i INT DEFAULT 0; WHILE i < n DO "
            "INSERT INTO single (id, name) VALUES (i, what); SET i = i + 1; END WHILE; SELECT COUNT(*) FROM single; END"
        ),
        "CREATE PROCEDURE fill() SELECT 1",
        "CALL fill(3, 'x')",
        "SELECT * FROM single ORDER BY id",
        "CREATE FUNCTION twice(n BIGINT) RETURNS BIGINT DETERMINISTIC RETURN n * 2",
        "CREATE FUNCTION here.biggest() RETURNS BIGINT READS SQL DATA BEGIN RETURN (SELECT MAX(id) FROM single); END",
        "SELECT id, twice(id) FROM account WHERE twice(id) > 3 ORDER BY id",
        "SELECT name, twice(id) + 1 FROM account WHERE id = 3",
        "SELECT COUNT(*), SUM(twice(a.id)) FROM account a JOIN account b ON a.id = b.id + 1",
        "SELECT biggest(), twice(biggest()) FROM single LIMIT 1",
        (
            "CREATE TRIGGER told BEFORE UPDATE ON single FOR EACH ROW BEGIN SET NEW.changed = OLD.changed + 1; "
            "SET NEW.name = UPPER(NEW.name); END"
        ),
        "UPDATE single SET name = 'y' WHERE id = 2",
        "SELECT * FROM single WHERE id = 2",
        (
            "SELECT ROUTINE_NAME, ROUTINE_TYPE, ROUTINE_SCHEMA FROM information_schema.ROUTINES "
            "WHERE ROUTINE_SCHEMA = 'here' ORDER BY 1"
        ),
        (
            "SELECT TRIGGER_NAME, EVENT_OBJECT_SCHEMA, EVENT_OBJECT_TABLE FROM information_schema.TRIGGERS "
            "WHERE TRIGGER_SCHEMA = 'here'"
        ),
        "DROP TRIGGER told",
        "DROP TRIGGER told",
        "DROP TRIGGER IF EXISTS told",
        "CREATE EVENT e ON SCHEDULE EVERY 1 HOUR STARTS '2026-01-01 00:00:00' DO DELETE FROM single",
        "CREATE EVENT e ON SCHEDULE EVERY 1 HOUR DO DELETE FROM single",
        "CREATE EVENT IF NOT EXISTS e ON SCHEDULE EVERY 1 HOUR DO DELETE FROM single",
        (
            "CREATE EVENT here.f ON SCHEDULE AT '2036-01-01 00:00:00' DO BEGIN DELETE FROM single; "
            "UPDATE single SET name = 'x'; END"
        ),
        "ALTER EVENT e ON SCHEDULE EVERY 2 HOUR STARTS '2026-01-01 00:00:00' COMMENT 'why' DISABLE",
        "ALTER EVENT here.f RENAME TO moved",
        "ALTER EVENT moved DO UPDATE single SET n = 1",
        "ALTER EVENT f ENABLE",
        "ALTER EVENT moved RENAME TO f",
        "SHOW EVENTS",
        "SHOW CREATE EVENT e",
        "SELECT EVENT_NAME, EVENT_DEFINITION FROM information_schema.EVENTS WHERE EVENT_SCHEMA = 'here' ORDER BY 1",
        "SHOW CREATE EVENT g",
        "DROP EVENT e",
        "DROP EVENT here.f",
        "DROP EVENT f",
        "DROP EVENT IF EXISTS f",
        "ALTER FUNCTION twice COMMENT 'doubled'",
        "ALTER PROCEDURE fill SQL SECURITY INVOKER",
        "ALTER PROCEDURE filled COMMENT 'no'",
        "SELECT ROUTINE_COMMENT, SECURITY_TYPE FROM information_schema.ROUTINES WHERE ROUTINE_SCHEMA = 'here' ORDER BY 1, 2",
        "DROP FUNCTION twice",
        "DROP FUNCTION biggest",
        "DROP FUNCTION biggest",
        "DROP PROCEDURE fill",
        "DROP PROCEDURE IF EXISTS fill",
        "DROP PROCEDURE fill",
        "SELECT twice(1)",
    ):
        pair.same(statement)
    for refused in (
        "CREATE PROCEDURE sums() SELECT SUM(id) FROM account",
        "CREATE EVENT e ON SCHEDULE EVERY 1 HOUR DO DELETE FROM account",
    ):
        assert "names 'account', which is sharded" in pair.refused(refused)
    for table in ("account", "single"):
        pair.same(f"DROP TABLE {table}")


def test_a_table_is_made_of_a_query(pair: Pair) -> None:
    for statement in (
        "CREATE TABLE account (id BIGINT NOT NULL PRIMARY KEY, name VARCHAR(20) NOT NULL DEFAULT 'x')",
        "CREATE TABLE single (id INT UNSIGNED PRIMARY KEY, price DECIMAL(9,2), day DATE, t TIMESTAMP(3) NULL)",
        "INSERT INTO account VALUES (1, 'a'), (2, 'b'), (3, 'c'), (4, 'd')",
        "INSERT INTO single VALUES (1, 1.5, '2024-02-29', NOW()), (2, NULL, NULL, NULL)",
        "CREATE TABLE one AS SELECT * FROM account ORDER BY id",
        "CREATE TABLE one AS SELECT * FROM account",
        "CREATE TABLE IF NOT EXISTS one AS SELECT 7 AS id FROM account",
        (
            "CREATE TABLE two (id BIGINT DEFAULT 3, more VARCHAR(7) DEFAULT '%s', PRIMARY KEY (id)) COMMENT 'x' "
            "AS SELECT a.id, COUNT(*) AS n, MAX(name) AS name, SUM(price) + 1.25 FROM account a LEFT JOIN single s "
            "ON s.id = a.id GROUP BY a.id HAVING COUNT(*) < 5"
        ),
        "CREATE TABLE three (SELECT name, day, price FROM single JOIN account USING (id) WHERE id <> 2)",
        "CREATE TABLE four IGNORE WITH x AS (SELECT COUNT(*) AS c FROM account) SELECT c FROM x",
        "CREATE TABLE five LIKE single",
        *(f"SHOW CREATE TABLE {name}" for name in ("one", "two", "three", "four", "five")),
        *(f"SELECT * FROM {name} ORDER BY 1" for name in ("one", "two", "three", "four", "five")),
        "RENAME TABLE five TO six, four TO five",
        "RENAME TABLE five TO tmp, six TO five, tmp TO six",
        "RENAME TABLE six TO five",
        "RENAME TABLE none TO some",
        "RENAME TABLE six TO tmp, six TO six2",
        "SHOW TABLES",
        "RENAME TABLE five TO tmp, six TO five, here.tmp TO here.six",
        "SELECT * FROM five",
        "ANALYZE TABLE five, six",
        "CHECK TABLE five",
        "CHECK TABLE five, account, single QUICK",
        "ANALYZE TABLE account",
        "OPTIMIZE TABLE account, five",
        "OPTIMIZE LOCAL TABLE five",
        "SHOW CREATE PROCEDURE nothing",
        "DROP TABLE one, two, three, five, six, account, single",
    ):
        pair.same(statement)


def test_partitions_and_checksums(pair: Pair) -> None:
    for statement in (
        (
            "CREATE TABLE parted (id BIGINT NOT NULL PRIMARY KEY, word VARCHAR(9), n INT) PARTITION BY RANGE (id) "
            "(PARTITION p0 VALUES LESS THAN (100), PARTITION p1 VALUES LESS THAN MAXVALUE)"
        ),
        "INSERT INTO parted VALUES (1, 'a', 1), (2, 'b', 2), (3, 'c', NULL), (104, 'd', 4), (205, 'e', 5)",
        "CHECKSUM TABLE parted",
        "CHECKSUM TABLE parted QUICK",
        "REPAIR TABLE parted",
        "SELECT * FROM parted PARTITION (p0) ORDER BY id",
        "SELECT * FROM parted PARTITION (p0, p1) AS a ORDER BY a.id DESC",
        "SELECT parted.id FROM parted PARTITION (`p1`) WHERE parted.id > 2 ORDER BY id",
        "SELECT COUNT(*), MAX(word) FROM parted PARTITION(p1)",
        "SELECT * FROM parted PARTITION (p1) WHERE id = 3",
        "SELECT * FROM parted PARTITION (p9) ORDER BY id",
        "UPDATE parted PARTITION (p0) SET n = n + 10",
        "UPDATE parted PARTITION (p0) SET n = n + 10 ORDER BY id LIMIT 2",
        "INSERT INTO parted PARTITION (p0) (id, n) VALUES (5, 1), (6, 2)",
        "INSERT INTO parted PARTITION (p0) (id, n) VALUES (500, 1), (6, 2)",
        "DELETE FROM parted PARTITION (p1)",
        "DELETE FROM parted PARTITION (p0) ORDER BY id LIMIT 1",
        "SELECT * FROM parted ORDER BY id",
        "CHECKSUM TABLE parted EXTENDED",
        "DROP TABLE parted",
    ):
        pair.same(statement)


def test_what_tells_of_schemas(pair: Pair) -> None:
    for statement in (
        "SHOW CREATE DATABASE here",
        "SHOW CREATE SCHEMA IF NOT EXISTS here",
        "SHOW COLUMNS FROM information_schema.ENGINES",
        "SHOW INDEX FROM ENGINES FROM information_schema",
        "SHOW CREATE TABLE information_schema.ENGINES",
    ):
        pair.same(statement)


def test_views_of_sharded_tables(pair: Pair) -> None:
    # To MySQL a view's columns are the view's own, to the mesh as to MariaDB those of its table.
    same = pair.same_rows if chosen_product() == "MySQL" else pair.same
    for statement in (
        "CREATE TABLE account (id BIGINT NOT NULL PRIMARY KEY, name VARCHAR(20) DEFAULT 'x', age INT)",
        "CREATE TABLE single (k VARCHAR(20), n INT)",
        "INSERT INTO account VALUES (1, 'a', 10), (2, 'b', 20), (3, 'it''s', 30), (4, 'd', 40), (5, 'e', NULL)",
        "INSERT INTO single VALUES ('a', 1), ('it''s', 2)",
        r"CREATE VIEW old AS SELECT id, age, UPPER(name) FROM account WHERE name <> 'it''s \\ x' AND age > 15",
        "CREATE VIEW uncached AS SELECT SQL_NO_CACHE id, name FROM account",
        "SELECT * FROM uncached WHERE id > 2 ORDER BY id",
        "DROP VIEW uncached",
        "CREATE VIEW old AS SELECT 1",
        "CREATE VIEW joined (id, label, n) AS SELECT a.id, a.name, s.n FROM account a LEFT JOIN single s ON s.k = a.name",
        "CREATE VIEW ages AS SELECT age DIV 20 AS twenties, COUNT(*) FROM account GROUP BY 1",
        "CREATE VIEW both_views AS SELECT old.id, joined.label FROM old JOIN joined USING (id)",
        (
            "CREATE ALGORITHM=MERGE SQL SECURITY INVOKER VIEW here.checked AS SELECT * FROM account WHERE age < 35 "
            "WITH LOCAL CHECK OPTION"
        ),
        "CREATE VIEW account AS SELECT * FROM single",
        "CREATE OR REPLACE VIEW account AS SELECT * FROM single",
        "CREATE TABLE old (id INT)",
        "SELECT * FROM old",
        "SELECT * FROM old WHERE id = 3",
        "SELECT x.id, x.age + 1 AS y FROM old x WHERE x.age > 20 ORDER BY y DESC LIMIT 1",
        "SELECT here.old.id FROM here.old",
        "SELECT COUNT(*), SUM(age) FROM old",
        "SELECT old.id, s.n FROM old JOIN single s ON s.n = old.id",
        "SELECT * FROM joined ORDER BY n, id",
        "SELECT label, SUM(n) FROM joined GROUP BY label ORDER BY label",
        "SELECT * FROM ages ORDER BY 1",
        "SELECT * FROM both_views ORDER BY id",
        "SELECT * FROM checked WHERE id IN (1, 2, 4) ORDER BY id",
        "WITH c AS (SELECT * FROM old) SELECT * FROM c JOIN old ON c.id = old.id",
        "SELECT name FROM account WHERE id IN (SELECT id FROM old WHERE age < 35) ORDER BY 1",
        "INSERT INTO single SELECT name, age FROM account WHERE id IN (SELECT id FROM old WHERE id < 3)",
        "SELECT * FROM single ORDER BY n",
        "CREATE VIEW few AS SELECT k, n + 1 AS m FROM single WHERE n < 3",
        "SELECT * FROM few ORDER BY m",
        "SELECT a.id, few.m FROM account a JOIN few ON few.k = a.name ORDER BY a.id",
        "SELECT id FROM account WHERE name IN (SELECT k FROM few) ORDER BY id",
        "WITH few AS (SELECT 1 AS m) SELECT few.m, (SELECT MAX(m) FROM here.few) FROM few JOIN account ON id = 1",
        "WITH old AS (SELECT 7 AS id) SELECT old.id, x.id FROM old JOIN here.old x ORDER BY x.id",
        "DROP VIEW few",
        "CREATE TABLE copy AS SELECT * FROM old",
        "SELECT * FROM copy ORDER BY id",
        *(f"SHOW CREATE VIEW {view}" for view in ("old", "joined", "ages", "both_views", "checked")),
        "SHOW CREATE TABLE joined",
        "DESCRIBE old",
        "SHOW FULL COLUMNS FROM ages",
        "SHOW TABLES",
        "SHOW TABLES LIKE '%old%'",
        "SELECT TABLE_NAME, TABLE_TYPE FROM information_schema.TABLES WHERE TABLE_SCHEMA = 'here' ORDER BY 1",
        "SELECT * FROM information_schema.VIEWS WHERE TABLE_SCHEMA = 'here' ORDER BY TABLE_NAME",
        "SELECT TABLE_NAME, COLUMN_NAME, COLUMN_TYPE FROM information_schema.COLUMNS WHERE TABLE_SCHEMA = 'here' ORDER BY 1, 2",
        "DROP TABLE old",
        "ALTER TABLE old ADD x INT",
        "TRUNCATE old",
        "DROP VIEW account",
        "DROP VIEW nothing",
        "ALTER VIEW nothing AS SELECT * FROM account",
        "CREATE OR REPLACE VIEW ages AS SELECT id FROM account",
        "SELECT * FROM ages ORDER BY id",
        "ALTER VIEW ages AS SELECT id + 1 FROM account",
        "SELECT * FROM ages ORDER BY 1",
        "RENAME TABLE ages TO years",
        "SELECT * FROM years ORDER BY 1",
        "SELECT * FROM ages",
        "ALTER TABLE account DROP COLUMN age",
        "SELECT * FROM old",
        "SELECT * FROM joined ORDER BY id",
        "DESCRIBE old",
        "ALTER TABLE account ADD COLUMN age INT DEFAULT 16",
        "SELECT * FROM old ORDER BY id",
        "DROP TABLE account",
        "SELECT * FROM joined",
        "SHOW TABLES",
        "DROP VIEW nothing, years",
        "SELECT * FROM years",
        "DROP VIEW IF EXISTS nothing",
        "DROP VIEW old, joined, both_views, checked",
        "SHOW TABLES",
        "DROP TABLE single, copy",
    ):
        same(statement)


def test_triggers_of_sharded_tables(pair: Pair) -> None:
    for statement in (
        "CREATE TABLE account (id BIGINT NOT NULL PRIMARY KEY, name VARCHAR(40), age INT, seen DATETIME)",
        "CREATE TRIGGER up BEFORE INSERT ON account FOR EACH ROW SET NEW.name = UPPER(NEW.name), NEW.age = COALESCE(NEW.age, 7)",
        "CREATE TRIGGER up BEFORE INSERT ON account FOR EACH ROW SET NEW.name = 'x'",
        "CREATE TRIGGER IF NOT EXISTS up BEFORE INSERT ON account FOR EACH ROW SET NEW.name = 'x'",
        (
            "CREATE TRIGGER limited BEFORE INSERT ON here.account FOR EACH ROW FOLLOWS up BEGIN DECLARE d INT DEFAULT 3; "
            "SET NEW.age = NEW.age + d; IF NEW.age > 100 THEN SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'too old'; END IF; END"
        ),
        "CREATE TRIGGER changed BEFORE UPDATE ON account FOR EACH ROW SET NEW.name = CONCAT(OLD.name, '>', NEW.name)",
        "INSERT INTO account (id, name, age) VALUES (1, 'a', 1), (2, 'b', 2), (3, 'c', NULL), (4, 'it''s', 4)",
        "SELECT id, name, age FROM account ORDER BY id",
        "INSERT INTO account (id, name, age) VALUES (6, 'f', 1), (7, 'g', 98)",
        "UPDATE account SET name = 'n' WHERE age > 4",
        "REPLACE INTO account (id, name) VALUES (1, 'r')",
        "INSERT INTO account (id, name) VALUES (2, 'z') ON DUPLICATE KEY UPDATE name = 'dup'",
        "SELECT id, name, age FROM account ORDER BY id",
        (
            "SELECT TRIGGER_NAME, EVENT_MANIPULATION, EVENT_OBJECT_TABLE, ACTION_ORDER, ACTION_STATEMENT, ACTION_TIMING FROM "
            "information_schema.TRIGGERS WHERE TRIGGER_SCHEMA = 'here' ORDER BY 1"
        ),
        "DROP TRIGGER up",
        "DROP TRIGGER up",
        "DROP TRIGGER account_0",
        "CREATE TRIGGER timed BEFORE UPDATE ON account FOR EACH ROW SET NEW.seen = NOW()",
        "UPDATE account SET age = 1",
        "SELECT COUNT(*), COUNT(DISTINCT seen) FROM account",
        "DROP TABLE account",
        "SELECT TRIGGER_NAME FROM information_schema.TRIGGERS WHERE TRIGGER_SCHEMA = 'here'",
    ):
        pair.same(statement)


def test_rows_read_through_views_are_locked_as_on_one_server(
    pair: Pair, two_databases: Mesh, shop: Shop
) -> None:
    other = Pair(two_databases, shop, "here")
    try:
        for statement in (
            "CREATE TABLE account (id BIGINT NOT NULL PRIMARY KEY, age INT)",
            "INSERT INTO account VALUES (1, 10), (2, 20), (3, 30)",
            "CREATE VIEW old AS SELECT id, age FROM account WHERE age > 5",
            "CREATE VIEW both_views AS SELECT id FROM old WHERE age < 99",
            "CREATE VIEW grouped AS SELECT age, COUNT(*) AS n FROM account GROUP BY age",
        ):
            pair.same(statement)
        for query in (
            "SELECT * FROM old WHERE id = 1 FOR UPDATE",
            "SELECT v.id FROM both_views v WHERE id = 1 LOCK IN SHARE MODE",
            "SELECT * FROM old ORDER BY id FOR UPDATE",
            "SELECT COUNT(*) FROM grouped FOR UPDATE",
            "SELECT * FROM old WHERE id = 1",
        ):
            pair.same("BEGIN")
            pair.same_rows(query)
            for number in (1, 2):
                other.same(f"SELECT id FROM account WHERE id = {number} FOR UPDATE NOWAIT")
            pair.same("ROLLBACK")
        pair.same("DROP VIEW grouped, both_views, old")
        pair.same("DROP TABLE account")
    finally:
        other.close()


def test_writes_through_views_of_sharded_tables(pair: Pair) -> None:
    for statement in (
        "CREATE TABLE account (id BIGINT NOT NULL PRIMARY KEY, age INT, name VARCHAR(20) DEFAULT 'x')",
        "INSERT INTO account VALUES (1, 10, 'a'), (2, 20, 'b'), (3, 30, 'c'), (4, 40, 'd'), (5, 50, 'e')",
        "CREATE VIEW old AS SELECT id, age FROM account WHERE age > 15 AND name <> 'it''s'",
        "CREATE VIEW old_few AS SELECT * FROM old WHERE id < 5",
        "CREATE VIEW every AS SELECT * FROM account",
        "INSERT INTO old VALUES (6, 60), (7, 5)",
        "INSERT INTO here.old (age, id) VALUES (70, 8)",
        "INSERT INTO old_few SELECT id + 100, age FROM account WHERE id < 3",
        "INSERT INTO old SET id = 11, age = 110",
        "INSERT INTO old VALUES (6, 1) ON DUPLICATE KEY UPDATE age = VALUES(age) + old.age",
        "REPLACE INTO old VALUES (6, 66)",
        "REPLACE INTO every (id, age) VALUES (5, 55)",
        "SELECT * FROM account ORDER BY id",
        "UPDATE old SET age = age + 1 WHERE id IN (2, 3, 7)",
        "UPDATE here.old SET old.age = old.age + 1 WHERE here.old.id = 2 OR old.id = 6",
        "UPDATE old o SET o.age = 17 WHERE o.id = 8",
        "UPDATE old SET age = age + 1",
        "UPDATE old_few SET age = 33 ORDER BY id LIMIT 1",
        "SELECT * FROM account ORDER BY id",
        "DELETE FROM old WHERE id = 6 OR age = 33",
        "DELETE FROM old_few WHERE old_few.age > 0 ORDER BY id LIMIT 1",
        "SELECT * FROM account ORDER BY id",
        "DELETE FROM old",
        "SELECT * FROM account ORDER BY id",
        "CREATE TABLE beside (id INT PRIMARY KEY, n INT)",
        "INSERT INTO beside VALUES (1, 1), (2, 2), (3, 3)",
        "INSERT INTO account (id, age) VALUES (1, 10), (2, 20), (3, 30), (4, 40) ON DUPLICATE KEY UPDATE age = 20",
        "CREATE VIEW called AS SELECT id AS number, age AS years FROM account WHERE age > 15",
        "INSERT INTO called VALUES (21, 21), (22, 22)",
        "INSERT INTO called (years, number) SELECT id, n + 30 FROM beside",
        "INSERT INTO called SET number = 21, years = 1 ON DUPLICATE KEY UPDATE years = years + VALUES(years)",
        "UPDATE called SET years = years + 1, called.number = number + 20 WHERE called.number = 22",
        "UPDATE called c SET c.years = 50 WHERE c.number IN (SELECT b.id FROM beside b) ORDER BY c.number LIMIT 1",
        "DELETE FROM called WHERE years = 50",
        "UPDATE old JOIN beside b ON old.id = b.id SET old.age = b.n + 90, b.n = 7",
        "UPDATE beside b JOIN called c ON c.number = b.id SET b.n = c.years",
        "UPDATE every LEFT JOIN beside b ON every.id = b.id SET age = 5 WHERE b.id IS NULL AND every.id < 30",
        "DELETE old FROM old JOIN beside ON old.id = beside.id WHERE beside.id = 3",
        "DELETE beside FROM old JOIN beside ON old.id = beside.id",
        "SELECT * FROM account ORDER BY id",
        "SELECT * FROM beside ORDER BY id",
        "CREATE VIEW sums AS SELECT age, COUNT(*) AS n FROM account GROUP BY age",
        "CREATE VIEW distinct_ages AS SELECT DISTINCT age FROM account",
        "UPDATE sums SET n = 1",
        "DELETE FROM sums",
        "INSERT INTO sums VALUES (1, 2)",
        "UPDATE distinct_ages SET age = 1",
        "UPDATE sums s JOIN beside b ON s.n = b.id SET b.n = s.age",
        "DROP TABLE beside",
        "DROP VIEW old, old_few, every, called, sums, distinct_ages",
    ):
        pair.same(statement)
    pair.same("CREATE VIEW checked AS SELECT * FROM account WHERE age < 100 WITH CHECK OPTION")
    assert "which has a CHECK OPTION" in pair.refused("UPDATE checked SET age = 200")
    pair.same("DELETE FROM checked WHERE id = 7")
    pair.same("DROP VIEW checked")
    pair.same("DROP TABLE account")
