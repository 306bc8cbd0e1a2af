"""SET, variables, SHOW, USE and what clients send by themselves at connect."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.plugins.database_server import chosen_product
from tests.plugins.equivalence import ask
from tests.plugins.fix_mesh import Shop

if TYPE_CHECKING:
    from tests.integration.statements.conftest import Twins

pytestmark = pytest.mark.integration

_SHOWN = [] if chosen_product() == "MySQL" else ["SHOW WARNINGS"]

# Only MariaDB's PREPARE and EXECUTE take other expressions than variables.
_EXPRESSIONS_IN_PREPARE = [
    [
        "PREPARE p FROM CONCAT('SELECT user_id FROM t_user WHERE name <> ? AND user_id > ? ORDER BY user_id LIMIT ', '2')",
        "EXECUTE p USING 'x', 3",
        "EXECUTE p USING NULL, 1 + 2",
        "SET @n = 7",
        "EXECUTE p USING UPPER('y'), @n",
        "EXECUTE p USING 1",
    ],
    ["EXECUTE IMMEDIATE 'SELECT user_id FROM t_user ORDER BY user_id LIMIT ?' USING 1 + 1", "EXECUTE p"],
    ["SET @q = 'SELECT COUNT(*) FROM t_user'", "EXECUTE IMMEDIATE @q", "EXECUTE IMMEDIATE 'SELECT ?'"],
    ["PREPARE p FROM ''", "EXECUTE p"],
]

SCRIPTS = [
    ["SET @a = 1", "SELECT @a"],
    ["SET @a = 'x', @b = 2.5, @c = NULL", "SELECT @a, @b, @c, @never"],
    ["SET @a = 7", "SELECT name FROM t_user WHERE user_id = @a"],
    ["SET NAMES utf8mb4", "SELECT @@character_set_client, @@character_set_results, @@collation_connection"],
    ["SET NAMES latin1", "SELECT @@character_set_client"],
    [
        "SET SESSION sql_mode = 'ANSI_QUOTES'",
        "SELECT @@sql_mode",
        'SELECT "name" FROM t_user WHERE user_id = 3',
    ],
    ["SET sql_mode = ''", "SELECT @@SESSION.sql_mode"],
    [
        "SET time_zone = '+03:00'",
        "SELECT @@time_zone",
        "SELECT id, stamp FROM t_types WHERE id < 9 ORDER BY id",
    ],
    [
        "SET sql_select_limit = 3",
        "SELECT COUNT(*) FROM (SELECT user_id FROM t_user) AS x",
        "SELECT user_id FROM t_user ORDER BY user_id",
        "SELECT FOUND_ROWS()",
        "SELECT user_id FROM t_user WHERE user_id = 3",
        "SELECT user_id FROM t_user ORDER BY user_id DESC LIMIT 5",
        "SELECT country, COUNT(*), MAX(balance) FROM t_user GROUP BY country ORDER BY country",
        "SELECT DISTINCT country FROM t_user ORDER BY country",
        "SELECT COUNT(*) FROM t_user",
        "BEGIN",
        "SELECT user_id FROM t_user ORDER BY user_id",
        "ROLLBACK",
        "SET sql_select_limit = 0",
        "SELECT user_id, name FROM t_user ORDER BY user_id",
        "SELECT COUNT(*), AVG(balance) FROM t_user",
        "SET sql_select_limit = 2 + 2",
        "SELECT user_id FROM t_user ORDER BY user_id",
        "SET sql_select_limit = DEFAULT",
        "SELECT user_id FROM t_user ORDER BY user_id",
    ],
    ["SELECT @@autocommit, @@tx_isolation", "SET autocommit = 0", "SELECT @@autocommit", "ROLLBACK"],
    ["SELECT @@version_comment LIMIT 0"],
    [
        "USE information_schema",
        "SELECT COUNT(*) FROM tables WHERE table_schema = 'shop' AND table_name = 't_user'",
        "SELECT engine FROM `TABLES` WHERE table_schema = 'shop' AND table_name = 't_config'",
        "SELECT COUNT(*) FROM tables AS t JOIN columns AS c ON c.table_name = t.table_name WHERE c.table_name = 't_user'",
        "WITH tables AS (SELECT 1 AS n) SELECT n FROM tables",
        "SELECT name FROM shop.t_user WHERE user_id = 3",
        "SELECT character_set_name FROM character_sets WHERE maxlen = 4 ORDER BY 1 LIMIT 1",
    ],
    ["SELECT @@max_allowed_packet > 0, @@auto_increment_increment"],
    [
        "SET @n = 31",
        "PREPARE p FROM 'SET max_error_count = ?'",
        "EXECUTE p USING @n",
        "SELECT @@max_error_count",
    ],
    *([] if chosen_product() == "MySQL" else _EXPRESSIONS_IN_PREPARE),
    ["UPDATE t_user SET name = 'user 05' WHERE user_id = 5", "SELECT ROW_COUNT()"],
    ["SELECT 1 / 0", "SHOW WARNINGS", "SHOW COUNT(*) WARNINGS", "SELECT @@warning_count"],
    ["SELECT user_id FROM t_user WHERE 'a'", "SHOW WARNINGS", "SELECT @@warning_count"],
    # MariaDB forgets warnings when a table is used, MySQL with the next statement.
    ["DROP TABLE IF EXISTS nope", "SELECT @@warning_count", "SELECT @@warning_count", "SHOW WARNINGS"],
    [
        "SELECT 1 / 0",
        "SET @a = 1",
        "DO 1",
        "USE shop",
        "SAVEPOINT s",
        "PREPARE p FROM 'SELECT 5'",
        "EXECUTE p",
        "SELECT DATABASE()",
        "SHOW WARNINGS",
        "BEGIN",
        "COMMIT",
        "SHOW WARNINGS",
        "SELECT * FROM t_config WHERE FALSE",
        "SHOW WARNINGS",
    ],
    ["SELECT 1 / 0", "SELECT COUNT(*) FROM t_user", "SHOW WARNINGS"],
    [
        "SELECT 1 / 0",
        "SELECT 1 FROM DUAL WHERE 1 IN (SELECT 1)",
        "SHOW WARNINGS",
        "SELECT * FROM (SELECT 2) d",
        "SHOW WARNINGS",
    ],
    ["SELECT 1 / 0", "DO (SELECT a FROM (SELECT 2 a) d)", "SHOW WARNINGS"],
    ["SELECT 1 / 0", "SHOW VARIABLES LIKE 'sql_mode'", "SHOW WARNINGS"],
    ["SELECT 1 / 0", "SELECT COUNT(*) > 0 FROM information_schema.TABLES", "SHOW WARNINGS"],
    # An error to MySQL, which tells a warning beside it; the mesh tells the error alone.
    ["SELECT user_id FROM t_user WHERE born > 'x' ORDER BY user_id", *_SHOWN],
    ["SELECT user_id FROM t_user ORDER BY user_id DIV 0, user_id", "SHOW COUNT(*) WARNINGS"],
    ["SELECT COUNT(*), AVG(name) FROM t_user", "SHOW COUNT(*) WARNINGS"],
    ["SELECT DISTINCT user_id DIV 0, name + 1 FROM t_user", "SHOW COUNT(*) WARNINGS"],
    ["SELECT * FROM no_such_table", "SHOW ERRORS"],
    ["SET no_such_variable = 1"],
    ["SELECT @@no_such_variable"],
    ["USE shop", "SELECT DATABASE()"],
    ["USE no_such_database"],
    ["USE mysql", "SELECT DATABASE()", "SELECT COUNT(*) FROM shop.t_user"],
    ["USE information_schema", "SELECT DATABASE()", "USE shop", "SELECT COUNT(*) FROM t_user"],
    ["SHOW TABLES"],
    ["SHOW FULL TABLES"],
    ["SHOW TABLES LIKE 't_o%'"],
    ["SHOW TABLES FROM shop"],
    ["SHOW COLUMNS FROM t_order"],
    ["SHOW FULL COLUMNS FROM t_user"],
    ["SHOW COLUMNS FROM t_user LIKE 'b%'"],
    ["DESCRIBE t_order_item"],
    ["DESC t_config"],
    ["SHOW CREATE TABLE t_order"],
    ["SHOW CREATE TABLE t_country"],
    ["SHOW CREATE TABLE no_such_table"],
    ["SHOW VARIABLES LIKE 'character_set_client'"],
    ["SHOW SESSION VARIABLES LIKE 'sql_mode'"],
    ["SHOW COLLATION LIKE 'utf8mb4_bin'"],
    ["SHOW CHARACTER SET LIKE 'latin1'"],
    ["SELECT CONNECTION_ID() > 0, USER() LIKE 'root@%', VERSION() <> ''"],
    [
        "BEGIN",
        "UPDATE t_user SET balance = DEFAULT(balance) + 5 WHERE user_id < 9",
        "UPDATE t_user SET user_id = user_id + 900, balance = default ( balance ) - 1 WHERE user_id = 1",
        "INSERT INTO t_user (user_id, name, balance) VALUES (951, 'a', DEFAULT(balance) + 3), (952, 'b', DEFAULT)",
        "SELECT user_id, DEFAULT(balance), DEFAULT(created) FROM t_user WHERE balance = DEFAULT(balance) - 1",
        "SELECT COUNT(DISTINCT DEFAULT(t_user.balance)) FROM t_user",
        "DELETE FROM t_user WHERE balance = DEFAULT(balance) ORDER BY user_id LIMIT 3",
        "SELECT DEFAULT(name) FROM t_user",
        "SELECT DEFAULT(nothing) FROM t_user",
        "SELECT user_id, name, balance FROM t_user WHERE user_id < 9 OR user_id > 900 ORDER BY user_id",
        "ROLLBACK",
    ],
    [
        "SELECT * FROM no_such_table",
        "GET DIAGNOSTICS @n = NUMBER, @r = ROW_COUNT",
        "GET CURRENT DIAGNOSTICS CONDITION @n @s = RETURNED_SQLSTATE, @m = MESSAGE_TEXT, @e = MYSQL_ERRNO, @t = TABLE_NAME",
        "GET DIAGNOSTICS CONDITION 2 @s = MYSQL_ERRNO",
        "SELECT @n, @r, @s, @m, @e, @t, CHARSET(@m)",
        "SELECT 1 + 'x', 1 / 0 FROM t_user WHERE user_id = 3",
        "GET DIAGNOSTICS CONDITION 1 @s = RETURNED_SQLSTATE, @e = MYSQL_ERRNO, @c = CLASS_ORIGIN",
        "GET DIAGNOSTICS CONDITION '2' @s2 = RETURNED_SQLSTATE, @e2 = MYSQL_ERRNO, @m = MESSAGE_TEXT",
        "SELECT @s, @e, @c, @s2, @e2, @m",
        "GET DIAGNOSTICS x = NUMBER",
    ],
    [
        # A row that its data node gets alone is one of several all the same.
        "SET sql_mode = ''",
        "BEGIN",
        "INSERT INTO t_user (user_id, name) VALUES (901, NULL), (902, 'w'), (903, 'x')",
        "INSERT INTO t_user (user_id, name) VALUES (904, NULL)",
        "INSERT INTO t_user (user_id, name) SELECT 905, NULL",
        "UPDATE t_user SET user_id = 906, name = NULL WHERE user_id = 903",
        "REPLACE INTO t_user (user_id, name, balance) VALUES (901, NULLIF(1, 1), 1), (902, 'y', NULL)",
        "INSERT INTO t_user (user_id, name) VALUES (901, 'v'), (907, NULL) ON DUPLICATE KEY UPDATE name = 'met'",
        "INSERT IGNORE INTO t_types (id, doc, number) VALUES (901, 'none', 1), (902, '{}', 2), (903, 'none', 3)",
        "SELECT user_id, name, balance FROM t_user WHERE user_id > 900 ORDER BY user_id",
        "SELECT id, doc, number FROM t_types WHERE id > 900 ORDER BY id",
        "ROLLBACK",
    ],
    ["/* only a comment */"],
    [""],
]


def test_found_rows_equals_one_server(twins: Twins) -> None:
    twins.same("SELECT * FROM t_config")
    answer = twins.same("SELECT FOUND_ROWS()")
    # MySQL warns that the function is deprecated.
    assert answer.warnings == (1 if chosen_product() == "MySQL" else 0)


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT user_id FROM t_user ORDER BY user_id LIMIT 3 OFFSET 5",
        "SELECT user_id FROM t_user WHERE user_id < 3 ORDER BY user_id LIMIT 3 OFFSET 5",
        "SELECT user_id FROM t_user WHERE user_id = 3 LIMIT 3 OFFSET 5",
        "SELECT user_id FROM t_user WHERE user_id = 3 LIMIT 3 OFFSET 0",
        "SELECT name FROM t_config ORDER BY name LIMIT 1, 1",
        "SELECT name FROM t_config ORDER BY name LIMIT 100, 1",
        "SELECT country, COUNT(*) FROM t_user GROUP BY country ORDER BY country LIMIT 2 OFFSET 1",
        "SELECT 1 FROM t_types x JOIN t_user y ON x.id = y.user_id LIMIT 4, 3",
        "SELECT name FROM t_config UNION SELECT 'b' UNION SELECT 'c' ORDER BY 1 LIMIT 1 OFFSET 1",
        "SELECT 18446744073709551615 + user_id FROM t_user",
        "SELECT 18446744073709551615 + user_id FROM t_user WHERE user_id = 3",
        "SELECT 18446744073709551614 + user_id FROM t_user WHERE user_id IN (1, 5) ORDER BY user_id",
        "SELECT (SELECT 1 UNION SELECT 2) FROM t_user",
        "SELECT nothing FROM t_user",
    ],
)
def test_found_rows_counts_what_offset_skips_and_forgets_what_failed(twins: Twins, statement: str) -> None:
    twins.same("SELECT name FROM t_config")
    twins.same(statement)
    twins.same("SELECT FOUND_ROWS()")


@pytest.mark.parametrize("script", SCRIPTS, ids=[script[0][:40] or "empty" for script in SCRIPTS])
def test_a_script_equals_one_server(twins: Twins, script: list[str]) -> None:
    for statement in script:
        twins.same(statement)


CONNECTORS_SAY = [
    "SET NAMES 'utf8mb4' COLLATE 'utf8mb4_general_ci'",
    "SET character_set_results = NULL",
    "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED",
    "SET sql_mode=(SELECT CONCAT(@@sql_mode,',STRICT_TRANS_TABLES'))",
    "SET SQL_AUTO_IS_NULL = 0",
    (
        "SELECT @@session.auto_increment_increment AS auto_increment_increment, @@character_set_client AS "
        "character_set_client, @@character_set_connection AS character_set_connection, @@time_zone AS time_zone"
    ),
    "SHOW VARIABLES WHERE Variable_name IN ('language','net_write_timeout','interactive_timeout')",
    "SELECT @@transaction_isolation",
    "SELECT @@lower_case_table_names",
    "SELECT VERSION()",
    "select timediff(timediff(now(),convert_tz(now(),@@session.time_zone,'+00:00')),'00:00:00')",
    "SHOW ENGINES",
    "SHOW STATUS LIKE 'Ssl_cipher'",
    "SHOW PLUGINS",
    "SELECT TIMEDIFF(NOW(), UTC_TIMESTAMP())",
    "KILL QUERY 999999",
    "SELECT TABLE_NAME FROM information_schema.TABLES WHERE TABLE_SCHEMA = 'shop' AND TABLE_NAME = 't_order'",
]


@pytest.mark.parametrize("statement", CONNECTORS_SAY, ids=[text[:40] for text in CONNECTORS_SAY])
def test_what_clients_send_by_themselves_has_the_same_outcome(twins: Twins, statement: str) -> None:
    mesh, plain = ask(twins.mesh, statement), ask(twins.plain, statement)
    assert (mesh.error, mesh.text) == (plain.error, plain.text)
    assert [column.name for column in mesh.columns] == [column.name for column in plain.columns]


def test_session_state_does_not_leak_to_the_next_user_of_a_pooled_connection(shop: Shop) -> None:
    with shop.target.connect() as first:
        ask(first, "SET SESSION sql_mode = 'ANSI_QUOTES', @mine = 5, time_zone = '+09:00'")
        ask(first, "SELECT name FROM t_user WHERE user_id = 1")
    for _ in range(5):
        with shop.target.connect() as other:
            rows = ask(
                other,
                "SELECT @mine, @@time_zone, @@sql_mode LIKE '%ANSI_QUOTES%' FROM t_user WHERE user_id = 1",
            )
            assert rows.rows == ((None, "SYSTEM", 0),)


def test_a_global_value_is_for_every_server_and_for_sessions_to_come(shop: Shop) -> None:
    third = "SELECT 1/3 FROM t_user WHERE user_id = {}"
    with shop.mesh.connect() as old, shop.mesh.connect() as setter:
        usual = ask(old, third.format(1)).rows
        before = ask(setter, "SELECT @@global.div_precision_increment").rows[0][0]
        try:
            assert ask(setter, "SET @a = 9").error is None
            assert ask(setter, "SET GLOBAL div_precision_increment = @a").error is None
            for server in shop.sources:
                assert server.execute("SELECT @@global.div_precision_increment") == [(9,)]
            for user in (1, 2, 3, 4):
                assert ask(old, third.format(user)).rows == usual
                assert ask(setter, third.format(user)).rows == usual
                with shop.mesh.connect() as new:
                    assert str(ask(new, third.format(user)).rows[0][0]) == "0.333333333"
        finally:
            assert ask(setter, f"SET GLOBAL div_precision_increment = {before}").error is None
    with shop.mesh.connect() as new:
        assert ask(new, third.format(1)).rows == usual


@pytest.mark.parametrize("name", ["sql_mode", "time_zone", "character_set_client", "wait_timeout"])
def test_what_the_mesh_keeps_for_sessions_has_no_global_value_here(shop: Shop, name: str) -> None:
    with shop.mesh.connect() as connection:
        answer = ask(connection, f"SET GLOBAL {name} = DEFAULT")
        assert (answer.error, name in answer.text) == (1235, True)
        assert ask(connection, "SET GLOBAL no_such_variable = 1").error == 1193
        assert ask(connection, "SET GLOBAL version = 1").error == 1238


def test_sessions_begin_with_the_servers_autocommit(shop: Shop) -> None:
    with shop.mesh.connect(autocommit=None) as old:
        try:
            assert ask(old, "SET GLOBAL autocommit = OFF").error is None
            assert ask(old, "SELECT @@autocommit, @@global.autocommit").rows == ((1, 0),)
            with shop.mesh.connect(autocommit=None) as new:
                assert ask(new, "SELECT @@autocommit").rows == ((0,),)
                assert ask(new, "UPDATE t_user SET balance = balance + 1 WHERE user_id = 3").error is None
                ask(new, "ROLLBACK")
                ask(new, "SET autocommit = 1")
                ask(new, "SET autocommit = DEFAULT")
                assert ask(new, "SELECT @@autocommit").rows == ((0,),)
        finally:
            assert ask(old, "SET GLOBAL autocommit = 1").error is None
    with shop.mesh.connect(autocommit=None) as new:
        assert ask(new, "SELECT @@autocommit, @@global.autocommit").rows == ((1, 1),)


def test_flush_ends_the_transaction_and_reaches_the_servers(shop: Shop) -> None:
    with shop.mesh.connect() as connection:
        ask(connection, "BEGIN")
        ask(connection, "UPDATE t_config SET value = value")
        assert ask(connection, "FLUSH LOCAL LOGS, STATUS").error is None
        assert not connection.server_status & 1
        assert ask(connection, "FLUSH TABLES WITH READ LOCK").error == 1235
        assert ask(connection, "SHOW GRANTS").rows == (
            ("GRANT ALL PRIVILEGES, SUPER ON *.* TO `root`@`%` WITH GRANT OPTION",),
        )


def test_show_index_speaks_of_the_logic_table(shop: Shop) -> None:
    with shop.target.connect() as connection, shop.plain.connect() as plain:
        through, direct = (ask(place, "SHOW INDEX FROM t_user") for place in (connection, plain))
    # Table, key and column; the cardinality is a guess of each server.
    assert [(row[0], row[2], row[4]) for row in through.rows] == [
        (row[0], row[2], row[4]) for row in direct.rows
    ]


def test_show_databases_names_logic_databases_only(shop: Shop) -> None:
    if not shop.meshed:
        pytest.skip("the plain server shows its own")
    with shop.target.connect() as connection:
        names = {row[0] for row in ask(connection, "SHOW DATABASES").rows}
    assert "shop" in names
    assert not any(name.startswith("shop_ds") for name in names)
