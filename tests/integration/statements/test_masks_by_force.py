"""A single table with a masked column, which its data source would read by its own name: every way known to get at the secret.

No answer, no error and no warning contains it, nor the salt of its mask.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pymysql
import pytest

from tests.plugins import shop as shop_data
from tests.plugins.equivalence import ask
from tests.plugins.fix_mesh import MeshFactory, Shop

SECRET, SALT = "TOPSECRET", "pepper"
_RULE = """\
- !MASK
  tables:
    t_config: {columns: {value: {maskAlgorithm: chosen}}, exempt: root}
  maskAlgorithms:
    chosen: ALGORITHM
"""
_DIGEST = f"{{type: MD5, props: {{salt: {SALT}}}}}"
_COVER = "{type: MASK_FIRST_N_LAST_M, props: {first-n: 90, last-m: 90, replace-char: '*'}}"
"""For servers without MD5(), which is in a component of MySQL from 9.6 on."""
_STATEMENTS = """
SELECT value FROM t_config
SELECT * FROM t_config
TABLE t_config
SELECT * FROM T_CONFIG
SELECT * FROM `t_config`
SELECT VALUE FROM shop.t_config
SELECT * FROM shop_0.t_config
WITH T_CONFIG AS (SELECT 1) SELECT * FROM t_config
WITH x AS (SELECT * FROM t_config) SELECT * FROM x
(SELECT * FROM t_config) UNION (SELECT * FROM t_config)
SELECT (SELECT value FROM t_config LIMIT 1)
SELECT 1 FROM t_config WHERE value = 'TOPSECRET'
SELECT * FROM (t_config)
SELECT * FROM t_config USE INDEX (PRIMARY)
SELECT /*+ NO_MERGE() */ * FROM t_config
SELECT * FROM t_config /*! FORCE INDEX (PRIMARY) */
/*! SELECT * FROM t_config */
SELECT /*! * FROM t_config */
SELECT * FROM /*!40000 t_config */
SELECT * FROM t_config LIMIT 1 INTO @a
SELECT @a
SELECT value FROM t_config INTO @a
SELECT @a := value FROM t_config
SET @b = (SELECT value FROM t_config LIMIT 1)
SELECT @b
SET STATEMENT max_statement_time=10 FOR SELECT * FROM t_config
SET SESSION sql_mode = (SELECT value FROM t_config LIMIT 1)
SET SESSION foo = (SELECT value FROM t_config LIMIT 1)
SET SESSION transaction_isolation = (SELECT value FROM t_config LIMIT 1)
DO (SELECT value FROM t_config LIMIT 1) + 1
SHOW WARNINGS
EXECUTE IMMEDIATE 'SELECT * FROM t_config'
EXECUTE IMMEDIATE CONCAT('SELECT * ', 'FROM t_config')
EXECUTE IMMEDIATE (SELECT value FROM t_config LIMIT 1)
PREPARE p FROM 'SELECT * FROM t_config'
EXECUTE p
SELECT ~0 + LENGTH(value) FROM t_config WHERE name = 'k'
SELECT EXP(1000 + LENGTH(value)) FROM t_config WHERE name = 'k'
SELECT * FROM t_config WHERE name = 'k' HAVING EXP(1000+LENGTH(value))
SHOW WARNINGS
GET DIAGNOSTICS CONDITION 1 @m = MESSAGE_TEXT
SELECT @m
SELECT JSON_VALUE(value, '$.x') FROM t_config
SELECT value->'$.x' FROM t_config
SELECT CAST(value AS SIGNED) FROM t_config
SHOW WARNINGS
SELECT value + 0 FROM t_config
SHOW WARNINGS
EXPLAIN SELECT * FROM t_config
EXPLAIN EXTENDED SELECT * FROM t_config
EXPLAIN FORMAT=JSON SELECT * FROM t_config
ANALYZE FORMAT=JSON SELECT * FROM t_config
ANALYZE SELECT * FROM t_config
DESCRIBE SELECT * FROM t_config
EXPLAIN FOR CONNECTION 1
SHOW TABLES WHERE (SELECT value FROM t_config LIMIT 1) LIKE 'T%'
SHOW COLUMNS FROM t_config WHERE Field = (SELECT value FROM t_config LIMIT 1)
SELECT * FROM information_schema.TABLES WHERE TABLE_NAME = (SELECT value FROM t_config LIMIT 1)
SELECT table_name, (SELECT value FROM shop.t_config LIMIT 1) FROM information_schema.TABLES LIMIT 1
SELECT * FROM information_schema.OPTIMIZER_TRACE
CREATE VIEW vv AS SELECT value FROM t_config
SELECT * FROM vv
CREATE OR REPLACE VIEW vv AS SELECT CONCAT(value,'') x FROM t_config
SELECT x FROM vv
SHOW CREATE VIEW vv
DROP VIEW vv
CREATE TEMPORARY TABLE tt AS SELECT value FROM t_config
SELECT * FROM tt
CREATE TEMPORARY TABLE tt2 LIKE t_config
INSERT INTO tt2 SELECT * FROM t_config
SELECT * FROM tt2
INSERT INTO tt2 TABLE t_config
INSERT INTO tt2 (name, value) VALUES ('z', (SELECT value FROM t_config LIMIT 1))
INSERT INTO tt2 SET name = 'y', value = (SELECT value FROM t_config LIMIT 1)
SELECT * FROM tt2
UPDATE tt2, t_config SET tt2.value = t_config.value
UPDATE tt2 JOIN t_config c USING (name) SET tt2.value = c.value
UPDATE tt2 JOIN t_config c SET tt2.value = CONCAT(c.value, '')
UPDATE t_config SET name = value
UPDATE t_config SET name = `value`
UPDATE t_config SET name = (SELECT value)
UPDATE t_config c SET name = (SELECT c.value)
UPDATE t_config SET value = value
UPDATE t_config SET name = CASE WHEN value LIKE 'T%' THEN 'a' ELSE name END
DELETE FROM t_config WHERE value LIKE 'T%'
DELETE FROM t_config WHERE 1 RETURNING value
INSERT INTO t_config (name) VALUES ('k') ON DUPLICATE KEY UPDATE name = value
INSERT INTO t_config (name) VALUES ('k') ON DUPLICATE KEY UPDATE name = LEFT(t_config.value, 3)
INSERT INTO t_config (name) VALUES ('kk') RETURNING *
REPLACE INTO t_config (name, value) VALUES ('kk', 'v') RETURNING value
DELETE FROM t_config WHERE name = 'kk'
INSERT INTO t_config (name, value) VALUES ('k', 'v')
CALL sp()
SELECT sf()
SELECT shop.sf()
SELECT sf ()
SELECT `sf`()
CREATE TABLE ct AS SELECT * FROM t_config
CREATE TABLE ct (v TEXT AS (value)) LIKE t_config
ALTER TABLE t_config ADD v2 TEXT AS (value)
ALTER TABLE shop.t_config RENAME COLUMN value TO v2
ALTER TABLE t_config ADD UNIQUE (value)
RENAME TABLE t_config TO t_c2
LOAD DATA LOCAL INFILE '/etc/hostname' INTO TABLE t_auto (@x) SET word = (SELECT value FROM t_config LIMIT 1)
SELECT * FROM t_config WHERE name = 'k' FOR UPDATE
SELECT * FROM t_config c WHERE EXISTS (SELECT 1 FROM t_config d WHERE d.value = c.value AND d.value = 'TOPSECRET')
SELECT COUNT(*) FROM t_config WHERE value = 'TOPSECRET'
SELECT name FROM t_config ORDER BY value
SELECT GROUP_CONCAT(value) FROM t_config
SELECT JSON_OBJECTAGG(name, value) FROM t_config
SELECT JSON_ARRAYAGG(value) FROM t_config
SELECT MAX(value) OVER () FROM t_config
SELECT * FROM JSON_TABLE((SELECT CONCAT('["', value, '"]') FROM t_config LIMIT 1), '$[*]' COLUMNS (a TEXT PATH '$')) j
SELECT a.* FROM t_config b, LATERAL (SELECT b.value) a
SELECT * FROM t_config PROCEDURE ANALYSE()
SELECT * FROM t_config FOR SYSTEM_TIME ALL
SELECT * FROM t_config PARTITION (p0)
SELECT * FROM t_config AS x (a, b)
SELECT * FROM t_config TABLESAMPLE (10)
SELECT ROW(name, value) = ROW('k', 'TOPSECRET') FROM t_config
SELECT VALUES(value) FROM t_config
SELECT DEFAULT(value) FROM t_config
CHECKSUM TABLE t_config
SHOW TABLE STATUS LIKE 't_config'
SHOW CREATE TABLE t_config
SELECT x'41' FROM t_config WHERE value REGEXP '('
SELECT value FROM t_config UNION SELECT 1 ORDER BY 1
SELECT (SELECT value FROM t_config LIMIT 1) FROM t_order LIMIT 1
SELECT * FROM t_order WHERE note = ANY (SELECT value FROM t_config) OR 1 LIMIT 1
SELECT * FROM seq_1_to_3, t_config
SELECT SQL_CALC_FOUND_ROWS value FROM t_config LIMIT 1
SELECT DISTINCTROW value FROM t_config
SELECT ALL value FROM t_config
SELECT HIGH_PRIORITY value FROM t_config
VALUES ((SELECT value FROM t_config LIMIT 1))
SELECT value FROM t_config WHERE value IN ('TOPSECRET')
USE beside
SELECT value FROM shop.t_config
SELECT * FROM of_root
SELECT * FROM beside.of_root
SELECT o.* FROM shop.t_config c JOIN of_root o USING (name)
CREATE TABLE ct2 AS SELECT * FROM of_root
CREATE VIEW vb AS SELECT * FROM shop.t_config
SELECT * FROM vb
CREATE VIEW vc AS SELECT * FROM shop_ds_0.t_config
SELECT * FROM vc
CREATE PROCEDURE pb() SELECT * FROM shop_ds_0.t_config
CALL pb()
CALL sp2()
CREATE FUNCTION fb() RETURNS TEXT READS SQL DATA RETURN (SELECT MAX(value) FROM shop_ds_0.t_config)
SELECT fb()
SELECT sf2()
CREATE TRIGGER gb BEFORE INSERT ON word FOR EACH ROW SET NEW.word = (SELECT MAX(value) FROM shop_ds_0.t_config)
INSERT INTO word VALUES ('x')
SELECT * FROM word
EXPLAIN SELECT * FROM of_root
ANALYZE FORMAT=JSON SELECT * FROM of_root
SELECT * FROM mysql.column_stats
SELECT * FROM information_schema.PROCESSLIST
USE shop
SELECT * FROM beside.of_root
USE information_schema
SELECT * FROM beside.of_root
"""
_BESIDE = """\
databaseName: beside
dataSources:
SOURCE
rules:
- !SINGLE
  tables: ["*.*"]
"""


@pytest.fixture(scope="module")
def thief(shop: Shop, mesh_with: MeshFactory) -> Iterator[pymysql.Connection[Any]]:
    """A reader with masks, and objects of others that read the secret."""
    mesh = mesh_with(users="- {user: thief@%, password: secret}\n", start=False)
    rules = mesh.configuration / f"database-{shop_data.DATABASE}.yaml"
    server = shop.plain_server
    server.execute("CREATE DATABASE beside CHARACTER SET utf8mb4", "CREATE TABLE beside.word (word TEXT)")
    source = shop_data.source_yaml(0, server).replace(shop_data.shard_schema(0), "beside")
    (mesh.configuration / "database-beside.yaml").write_text(_BESIDE.replace("SOURCE", source.rstrip()))
    has_md5 = server.product == "MariaDB"
    text = rules.read_text().replace('["ds_0.t_config"]', '["ds_0.*"]')
    rules.write_text(text + _RULE.replace("ALGORITHM", _DIGEST if has_md5 else _COVER))
    mesh.start()
    root = mesh.connect()
    made = (
        f"INSERT INTO t_config VALUES ('k', '{SECRET}')",
        "CREATE FUNCTION sf() RETURNS TEXT READS SQL DATA RETURN (SELECT MAX(value) FROM t_config)",
        "CREATE PROCEDURE sp() SELECT value FROM t_config",
        "CREATE VIEW beside.of_root AS SELECT * FROM shop.t_config",
        "USE beside",
        "CREATE FUNCTION sf2() RETURNS TEXT READS SQL DATA RETURN (SELECT MAX(value) FROM shop_ds_0.t_config)",
        "CREATE PROCEDURE sp2() SELECT value FROM shop_ds_0.t_config",
        "USE shop",
    )
    for statement in made:
        assert ask(root, statement).error is None, statement
    assert ask(root, "SELECT value FROM t_config WHERE name = 'k'").rows == ((SECRET,),)
    connection = mesh.connect(user="thief", password="secret")
    yield connection
    connection.close()
    for statement in (
        "DROP FUNCTION sf",
        "DROP PROCEDURE sp",
        "DROP TABLE IF EXISTS ct",
        "DROP VIEW IF EXISTS vv",
    ):
        ask(root, statement)
    root.close()
    server.execute("DROP DATABASE beside")
    shop.refill()


def test_no_way_known_leads_to_the_secret(thief: pymysql.Connection[Any]) -> None:
    answered = 0
    for statement in _STATEMENTS.strip().split("\n"):
        told = [ask(thief, statement)]
        if told[0].warnings or told[0].error:
            told.append(ask(thief, "SHOW WARNINGS"))
        text = " ".join(f"{answer.rows} {answer.text}" for answer in told)
        # What a statement writes itself may be told again.
        shown = text.replace(statement, "").lower()
        assert SECRET.lower() not in shown, f"{statement}: {text}"
        assert SALT not in shown, f"{statement}: {text}"
        answered += told[0].error is None
    # Most are answered, with masked values.
    assert answered > 50
