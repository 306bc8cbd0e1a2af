"""No statement reads or writes a column that its account holds no privilege on, and none is denied for another reason."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dbmesh.errors import MeshError
from dbmesh.planner.cache import PlanCache
from dbmesh.planner.needs.need import Denied
from dbmesh.planner.planner import Planner
from dbmesh.rules.grant_text import read_grant
from dbmesh.rules.privileges import Privileges
from tests.plugins.planner_world import CATALOG, DATABASES, RULES

_SOURCE = next(iter(RULES.data_sources.values()))
FORBIDDEN = "status"
ACCOUNT = Privileges(
    read_grant(
        "SELECT (order_id, user_id), INSERT (order_id, user_id), UPDATE (order_id, user_id)", "shop.t_order"
    )
    | read_grant("DELETE", "shop.t_order")
    | read_grant("ALL", "shop.t_log")
    | read_grant("SELECT, CREATE, CREATE VIEW, INSERT", "shop.*") - read_grant("SELECT, INSERT", "shop.*")
    | read_grant("SELECT, INSERT", "shop.t_key")
)


def denied(sql: str, privileges: Privileges = ACCOUNT) -> bool | None:
    """Whether the account may not run it; None for a statement that is refused to everybody."""
    cache = PlanCache(Planner(RULES, CATALOG, DATABASES))
    try:
        cache.lookup(sql, "shop", privileges=privileges)
    except Denied:
        return True
    except MeshError:
        return None
    return False


def _columns(qualifier: str) -> st.SearchStrategy[str]:
    names = st.sampled_from(
        ["order_id", "user_id", FORBIDDEN, "`user_id`", f"`{FORBIDDEN}`", FORBIDDEN.upper()]
    )
    return (
        names
        if not qualifier
        else st.builds(lambda name, long: f"{long}{name}", names, st.sampled_from(["", qualifier]))
    )


def _expressions(qualifier: str) -> st.SearchStrategy[str]:
    return st.recursive(
        st.one_of(st.sampled_from(["1", "'status'", "NULL"]), _columns(qualifier)),
        lambda inner: st.one_of(
            st.builds("({} + {})".format, inner, inner),
            st.builds("CONCAT({}, {})".format, inner, inner),
            st.builds("CASE WHEN {} THEN {} ELSE 1 END".format, inner, inner),
            st.builds("CAST({} AS CHAR)".format, inner),
            st.builds("CONVERT({} USING utf8mb4)".format, inner),
            st.builds("({} IS NULL)".format, inner),
            st.builds("({} BETWEEN {} AND 3)".format, inner, inner),
            st.builds("({} IN (1, {}))".format, inner, inner),
            st.builds("({} LIKE 'a%')".format, inner),
            st.builds("({} REGEXP 'a')".format, inner),
            st.builds("COALESCE({}, 2)".format, inner),
            st.builds("DATE_ADD(NOW(), INTERVAL {} DAY)".format, inner),
            st.builds("JSON_EXTRACT({}, '$.a')".format, inner),
            st.builds("ROW_NUMBER() OVER (PARTITION BY {} ORDER BY {})".format, inner, inner),
            st.builds("(SELECT MAX({}) FROM t_log AS l)".format, inner),
            st.builds("EXISTS (SELECT 1 FROM t_log AS l WHERE l.user_id = {})".format, inner),
            st.builds("GROUP_CONCAT({} ORDER BY {} SEPARATOR '-')".format, inner, inner),
            st.builds("SUM(DISTINCT {})".format, inner),
        ),
        max_leaves=4,
    )


ANY = _expressions("o.")
PLAIN = _expressions("t_order.")
STATEMENTS = st.one_of(
    st.builds(
        "SELECT {} FROM t_order AS o WHERE {} GROUP BY {} HAVING {} ORDER BY {} LIMIT 3".format,
        ANY,
        ANY,
        ANY,
        ANY,
        ANY,
    ),
    st.builds(
        "SELECT {} AS a FROM t_order o LEFT JOIN t_log l ON l.user_id = o.user_id AND {}".format, ANY, ANY
    ),
    st.builds("SELECT d.a FROM (SELECT {} AS a FROM t_order AS o) AS d".format, ANY),
    st.builds("WITH c AS (SELECT {} AS a FROM t_order AS o) SELECT a FROM c".format, ANY),
    st.builds("SELECT 1 UNION ALL SELECT {} FROM t_order AS o".format, ANY),
    st.builds("(SELECT order_id FROM t_order AS o) ORDER BY {}".format, ANY),
    st.builds("SELECT l.id FROM t_log AS l WHERE l.line = ANY (SELECT {} FROM t_order AS o)".format, ANY),
    st.builds("UPDATE t_order SET order_id = {} WHERE user_id = 1 AND {}".format, PLAIN, PLAIN),
    st.builds("UPDATE t_log AS l JOIN t_order AS o ON o.user_id = l.user_id SET l.line = {}".format, ANY),
    st.builds("DELETE FROM t_order WHERE {} ORDER BY {} LIMIT 1".format, PLAIN, PLAIN),
    st.builds("INSERT INTO t_log (user_id, line) SELECT 1, {} FROM t_order AS o".format, ANY),
    st.builds(
        "INSERT INTO t_order (order_id, user_id) VALUES (1, 2) ON DUPLICATE KEY UPDATE order_id = {}".format,
        PLAIN,
    ),
    st.builds("CREATE VIEW v AS SELECT {} AS a FROM t_order AS o".format, ANY),
    st.builds("EXPLAIN SELECT {} FROM t_order AS o".format, ANY),
    st.builds("SELECT {} FROM shop.t_order AS o FORCE INDEX (PRIMARY)".format, ANY),
)


@given(STATEMENTS)
def test_whatever_names_it_is_denied_and_nothing_else(sql: str) -> None:
    names_it = FORBIDDEN in sql.lower().replace(f"'{FORBIDDEN}'", "")
    answer = denied(sql)
    if answer is not None:
        assert answer == names_it, sql


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT * FROM t_order",
        "SELECT o.* FROM t_order AS o",
        "TABLE t_order",
        "SELECT COUNT(*) FROM (SELECT * FROM t_order) AS d",
        "SELECT user_id FROM t_order NATURAL JOIN t_order_item",
        "SELECT l.id FROM t_log AS l JOIN t_order AS o USING (status)",
        "INSERT INTO t_order VALUES (1, 2, 'a')",
        "INSERT INTO t_order SET order_id = 1, status = 'a'",
        "INSERT INTO t_order (order_id, user_id) VALUES (1, 2) ON DUPLICATE KEY UPDATE status = 'a'",
        "INSERT INTO t_order (order_id, user_id) SELECT 1, 2 ON DUPLICATE KEY UPDATE status = 'a'",
        "INSERT INTO t_order (order_id, user_id) VALUES (1, 2) RETURNING status",
        "INSERT INTO t_order (order_id, user_id) VALUES (1, 2) RETURNING *",
        "REPLACE INTO t_order (order_id, user_id, status) VALUES (1, 2, 'a')",
        "UPDATE t_order SET status = 'a' WHERE user_id = 1",
        "UPDATE t_order AS o JOIN t_log AS l USING (user_id) SET o.status = l.line",
        "DELETE FROM t_order WHERE user_id = 1 RETURNING status",
        "DELETE FROM t_log WHERE line IN (SELECT status FROM t_order)",
        "DELETE l, o FROM t_log AS l JOIN t_order AS o USING (user_id) WHERE o.status = 1",
        "CREATE TABLE copy AS SELECT * FROM t_order",
        "CREATE TABLE copy LIKE t_order",
        "SHOW COLUMNS FROM t_order",
        "SHOW CREATE TABLE t_order",
        "DESCRIBE t_order",
        "SHOW INDEX FROM t_order FROM shop",
        "ANALYZE SELECT status FROM t_order",
        "SELECT user_id FROM t_order WHERE MATCH (status) AGAINST ('a')",
        "SELECT j.a FROM t_order, JSON_TABLE(status, '$[*]' COLUMNS (a INT PATH '$')) AS j",
        "CREATE TRIGGER g BEFORE INSERT ON t_order FOR EACH ROW SET @a = NEW.status",
        "CREATE PROCEDURE p() SELECT 1",
        "CREATE EVENT e ON SCHEDULE EVERY 1 DAY DO DELETE FROM t_log",
        "CALL p()",
        "SELECT secret_of(user_id) FROM t_log",
        "SELECT LOAD_FILE('/etc/passwd')",
        "LOAD DATA LOCAL INFILE 'f' INTO TABLE t_order",
        "DROP TABLE t_order",
        "TRUNCATE TABLE t_order",
        "ALTER TABLE t_order ADD COLUMN x INT",
        "RENAME TABLE t_plain TO t_other",
        "CREATE INDEX i ON t_order (user_id)",
        "CHECKSUM TABLE t_order",
        "SELECT * FROM other.nothing",
        "SELECT 1 FROM t_far",
        "SHOW TABLES FROM mysql",
        "SHOW CREATE DATABASE other",
        "SHOW TABLES FROM other",
    ],
)
def test_what_takes_more_than_the_account_holds(sql: str) -> None:
    assert denied(sql) is not False


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT COUNT(*) FROM t_order",
        "SELECT user_id FROM t_order FOR UPDATE",
        "SELECT user_id AS status FROM t_order ORDER BY status",
        "SELECT status FROM (SELECT user_id AS status FROM t_order) AS d",
        "SELECT d.status FROM (SELECT user_id AS status FROM t_order) AS d WHERE d.status = 1",
        "SELECT 'status', user_id FROM t_order -- status",
        "INSERT INTO t_order (order_id, user_id) VALUES (1, 2)",
        "INSERT INTO t_order (order_id, user_id) VALUES (1, 2) ON DUPLICATE KEY UPDATE order_id = VALUES(order_id)",
        "UPDATE t_order SET order_id = 2 WHERE user_id = 1",
        "DELETE FROM t_order WHERE user_id = 1",
        "SELECT l.*, o.user_id FROM t_log AS l JOIN t_order AS o USING (user_id)",
        "SELECT * FROM t_log",
        "SHOW COLUMNS FROM t_log",
        "SHOW TABLES",
        "SELECT 1",
        "SET @a = 1",
        "SELECT table_name FROM information_schema.tables",
        "SHOW VARIABLES LIKE 'a%'",
        "LOAD DATA LOCAL INFILE 'f' INTO TABLE t_order (order_id, user_id)",
    ],
)
def test_what_takes_no_more_than_the_account_holds(sql: str) -> None:
    assert denied(sql) is False


def test_everything_within_the_databases_is_open_to_who_holds_it() -> None:
    everything = Privileges(read_grant("ALL", "*.*"))
    for sql in (
        "SELECT * FROM t_order",
        "CREATE PROCEDURE p() SELECT 1",
        "DROP TABLE t_plain",
        "SELECT f(1)",
    ):
        assert denied(sql, everything) is False, sql
    assert denied("SELECT user FROM mysql.user", everything)


_BODIES = {
    "SELECT * FROM t_log": False,
    "BEGIN DECLARE done INT DEFAULT 0; UPDATE t_log SET a = 1; END": False,
    "SELECT table_name FROM information_schema.tables": False,
    "SELECT * FROM other.nothing": True,
    "SELECT * FROM `OTHER_0` . nothing": True,
    "SELECT * FROM other_0/**/.nothing": True,
    "SELECT 'other_0.nothing'": True,
    "EXECUTE IMMEDIATE CONCAT('SELECT * FROM oth', 'er_0.nothing')": True,
    "SELECT user FROM mysql.user": True,
    "SELECT LOAD_FILE('/etc/passwd')": True,
    "BEGIN CREATE /* an */ USER somebody; END": True,
    "SELECT info FROM information_schema.processlist": True,
    "SET GLOBAL general_log = 1": True,
    "SELECT trx_query FROM information_schema.innodb_trx": True,
}


@pytest.mark.parametrize("body", _BODIES)
def test_bodies_reach_nothing_their_maker_may_not(body: str) -> None:
    owner = Privileges(read_grant("ALL", "shop.*"))
    other = replace(RULES, database="other", data_sources={"ds_0": replace(_SOURCE, database="other_0")})
    cache = PlanCache(Planner(RULES, CATALOG, {**DATABASES, "other": other}))
    try:
        cache.lookup(f"CREATE PROCEDURE p() {body}", "shop", privileges=owner)
        found = False
    except Denied:
        found = True
    assert found is _BODIES[body]


def test_what_reaches_the_servers_files_takes_more_than_a_database() -> None:
    owner = Privileges(read_grant("ALL", "shop.*"))
    assert denied("CREATE TABLE t_new (id INT PRIMARY KEY) ENGINE=InnoDB", owner) is False
    for sql in (
        "CREATE FUNCTION shop.f RETURNS STRING SONAME 'f.so'",
        "CREATE TABLE t_new (id INT PRIMARY KEY) DATA DIRECTORY = '/tmp'",
        "CREATE TABLE t_new (id INT PRIMARY KEY) ENGINE = `federated` CONNECTION = 'mysql://a/b/c'",
        "CREATE TABLE t_new (id INT PRIMARY KEY) ENGINE CONNECT FILE_NAME = '/etc/passwd'",
        "CREATE TABLE t_new (id INT PRIMARY KEY) ENGINE = 'connect' FILE_NAME = '/etc/passwd'",
        "ALTER TABLE t_plain ENGINE = SPIDER",
    ):
        assert denied(sql, owner), sql


def test_a_common_table_of_another_case_hides_no_table() -> None:
    assert denied("WITH T_ORDER AS (SELECT 1) SELECT * FROM t_order")
    assert denied(
        "WITH T_ORDER AS (SELECT 1), x AS (WITH t_order AS (SELECT 2) TABLE t_order) SELECT * FROM t_order"
    )
    assert denied("WITH t_order AS (SELECT 1) SELECT * FROM t_order") is False
    assert denied("WITH Mine AS (SELECT 1) SELECT * FROM mine") is False


def test_a_plan_is_found_again_only_for_privileges_it_was_allowed_for() -> None:
    cache = PlanCache(Planner(RULES, CATALOG, DATABASES))
    sql = "SELECT status FROM t_order WHERE user_id = 7"
    cache.lookup(sql, "shop")
    for _ in range(2):
        with pytest.raises(Denied):
            cache.lookup(sql, "shop", privileges=ACCOUNT)
    allowed = Privileges(read_grant("SELECT", "shop.t_order"))
    plans = {id(cache.lookup(sql, "shop", privileges=allowed)[0]) for _ in range(3)}
    assert len(plans) == 1
    assert cache.hits == 2
