"""Statements that no shard and no merge can answer: the mesh answers them as one server with all the rows does."""

from __future__ import annotations

import json
from typing import Any

import pytest
from mysql import connector

from tests.integration.statements.conftest import Twins
from tests.plugins.database_server import chosen_product
from tests.plugins.equivalence import ask

pytestmark = pytest.mark.integration

JOINS = """
SELECT o.order_id, u.name FROM t_order o JOIN t_user u ON u.user_id = o.user_id ORDER BY o.order_id
SELECT o.order_id, u.name FROM t_order o LEFT JOIN t_user u ON u.user_id = o.user_id AND u.country = 'DE' ORDER BY o.order_id
SELECT u.user_id, o.order_id FROM t_user u LEFT JOIN t_order o ON u.user_id = o.user_id AND o.status = 'PAID' ORDER BY u.user_id, o.order_id
SELECT u.user_id FROM t_user u LEFT JOIN t_order o ON u.user_id = o.user_id WHERE o.order_id IS NULL ORDER BY 1
SELECT u.user_id, o.order_id FROM t_order o RIGHT JOIN t_user u ON u.user_id = o.user_id AND o.qty > 3 WHERE u.user_id < 20 ORDER BY 1, 2
SELECT a.order_id, b.order_id FROM t_order a JOIN t_order b ON a.amount = b.amount AND a.order_id < b.order_id ORDER BY 1, 2
SELECT a.user_id, b.user_id FROM t_user a CROSS JOIN t_user b WHERE a.user_id < 4 AND b.user_id > 58 ORDER BY 1, 2
SELECT a.user_id FROM t_user a STRAIGHT_JOIN t_order b ON a.user_id = b.order_id ORDER BY 1
SELECT * FROM t_order NATURAL JOIN t_user ORDER BY order_id LIMIT 7
SELECT user_id, name, product FROM t_user JOIN t_order_item USING (user_id) ORDER BY 1, 3 LIMIT 20
SELECT c.name, o.order_id FROM t_country c LEFT JOIN t_user u ON u.country = c.code LEFT JOIN t_order o ON o.user_id = u.user_id ORDER BY 1, 2
SELECT g.value, o.order_id FROM t_config g JOIN t_order o ON o.qty = g.value + 0 OR g.name = 'theme' ORDER BY 2, 1
SELECT t_order.order_id, t_user.name, i.product FROM t_order, t_user, t_order_item AS i WHERE t_order.user_id = t_user.user_id AND i.order_id = t_order.order_id AND t_order.qty = 2 ORDER BY 1, 3
SELECT o.order_id FROM t_order o LEFT JOIN (t_user u LEFT JOIN t_country c ON c.code = u.country) ON u.user_id = o.user_id WHERE c.code IS NULL ORDER BY 1
SELECT u.user_id, x.total FROM t_user u JOIN (SELECT user_id, SUM(amount) AS total FROM t_order GROUP BY user_id) x ON x.user_id = u.user_id ORDER BY 1
SELECT shop.t_user.name, shop.t_order.order_id FROM shop.t_user JOIN shop.t_order ON shop.t_user.user_id = shop.t_order.order_id ORDER BY 2
SELECT o.order_id FROM t_order o USE INDEX (PRIMARY) JOIN t_user u IGNORE INDEX (k_country) ON u.user_id = o.order_id ORDER BY 1
"""

DERIVED = """
SELECT * FROM (SELECT order_id, amount FROM t_order ORDER BY order_id LIMIT 5) AS x ORDER BY order_id DESC
SELECT COUNT(*) FROM (SELECT DISTINCT status FROM t_order) AS x
SELECT AVG(n) FROM (SELECT COUNT(*) AS n FROM t_order GROUP BY user_id) AS x
SELECT x.status, MAX(x.a) FROM (SELECT status, amount AS a FROM t_order WHERE qty > 1) x GROUP BY x.status ORDER BY 1
WITH x AS (SELECT user_id, COUNT(*) n FROM t_order GROUP BY user_id) SELECT u.name, x.n FROM x JOIN t_user u USING (user_id) ORDER BY u.user_id
WITH x AS (SELECT * FROM t_order), y AS (SELECT * FROM x WHERE qty = 1) SELECT order_id, note FROM y ORDER BY 1
WITH x AS (SELECT qty, COUNT(*) c FROM t_order GROUP BY qty) SELECT a.qty, b.qty FROM x a JOIN x b ON a.c = b.c ORDER BY 1, 2
WITH RECURSIVE r AS (SELECT user_id, 1 AS depth FROM t_user WHERE user_id = 1 UNION ALL SELECT u.user_id, r.depth + 1 FROM r JOIN t_user u ON u.user_id = r.user_id * 2 WHERE depth < 9) SELECT * FROM r ORDER BY depth
WITH RECURSIVE n AS (SELECT 1 AS i UNION ALL SELECT i + 1 FROM n WHERE i < 5) SELECT n.i, COUNT(o.order_id) FROM n LEFT JOIN t_order o ON o.qty = n.i GROUP BY n.i ORDER BY 1
"""

SETS = """
SELECT order_id FROM t_order UNION SELECT user_id FROM t_user ORDER BY 1
SELECT country FROM t_user UNION ALL SELECT code FROM t_country ORDER BY 1
SELECT user_id FROM t_user EXCEPT SELECT user_id FROM t_order ORDER BY 1
SELECT user_id FROM t_order INTERSECT SELECT user_id FROM t_user WHERE country = 'FR' ORDER BY 1
(SELECT order_id FROM t_order ORDER BY amount, order_id LIMIT 3) UNION ALL (SELECT user_id FROM t_user ORDER BY balance, user_id LIMIT 3)
SELECT * FROM t_order WHERE user_id = 8 UNION ALL SELECT * FROM t_order WHERE user_id = 9 ORDER BY order_id
SELECT 1 AS n UNION SELECT COUNT(*) FROM t_order ORDER BY n
(SELECT qty FROM t_order WHERE qty > 3 UNION SELECT 100) ORDER BY 1 LIMIT 2
"""

SUBQUERIES = """
SELECT order_id FROM t_order WHERE amount > (SELECT AVG(amount) FROM t_order) ORDER BY 1
SELECT name FROM t_user u WHERE EXISTS (SELECT 1 FROM t_order o WHERE o.order_id = u.user_id AND o.qty = 3) ORDER BY u.user_id
SELECT order_id FROM t_order WHERE order_id NOT IN (SELECT order_id FROM t_order_item) ORDER BY 1
SELECT user_id FROM t_user WHERE (user_id, 1) IN (SELECT order_id, qty FROM t_order) ORDER BY 1
SELECT user_id FROM t_user WHERE balance >= ALL (SELECT amount FROM t_order WHERE status = 'NEW') ORDER BY 1
SELECT user_id FROM t_user WHERE user_id = ANY (SELECT qty FROM t_order) ORDER BY 1
SELECT u.user_id, (SELECT COUNT(*) FROM t_order o WHERE o.qty = u.user_id) AS n FROM t_user u WHERE u.user_id < 8 ORDER BY 1
SELECT (SELECT COUNT(*) FROM t_order) AS n, (SELECT MAX(user_id) FROM t_user)
SELECT (SELECT COUNT(*) FROM t_order)
SELECT status, COUNT(*) FROM t_order GROUP BY status HAVING COUNT(*) > (SELECT COUNT(*) / 6 FROM t_order) ORDER BY 1
SELECT user_id FROM t_user ORDER BY (SELECT MAX(o.amount) FROM t_order o WHERE o.qty = t_user.user_id % 6), user_id
SELECT order_id FROM t_order WHERE (qty, status) = (SELECT qty, status FROM t_order WHERE order_id = 7) ORDER BY 1
SELECT * FROM t_order WHERE user_id IN (8, 9) AND order_id IN (SELECT order_id FROM t_order_item WHERE user_id = 8) ORDER BY order_id
"""

ANALYTICS = """
SELECT order_id, ROW_NUMBER() OVER (ORDER BY amount, order_id) AS r FROM t_order ORDER BY order_id
SELECT user_id, order_id, SUM(amount) OVER (PARTITION BY user_id ORDER BY order_id ROWS BETWEEN 1 PRECEDING AND CURRENT ROW) s FROM t_order ORDER BY 1, 2
SELECT order_id, LAG(amount) OVER w, LEAD(amount, 2) OVER w FROM t_order WINDOW w AS (ORDER BY order_id) ORDER BY order_id
SELECT status, RANK() OVER (ORDER BY COUNT(*) DESC, status) FROM t_order GROUP BY status ORDER BY status
SELECT country, COUNT(*) FROM t_user GROUP BY country WITH ROLLUP
SELECT user_id, qty, SUM(amount) FROM t_order GROUP BY user_id, qty WITH ROLLUP
SELECT SUM(amount) / COUNT(*), COUNT(*) + 1, MAX(amount) - MIN(amount) FROM t_order
SELECT status, ROUND(AVG(amount), 1) FROM t_order GROUP BY status ORDER BY 2, 1
SELECT GROUP_CONCAT(DISTINCT country ORDER BY country SEPARATOR '|') FROM t_user
SELECT qty, GROUP_CONCAT(order_id ORDER BY order_id DESC) FROM t_order GROUP BY qty ORDER BY qty
SELECT STD(amount), VAR_SAMP(amount), STDDEV_POP(qty) FROM t_order
SELECT JSON_ARRAYAGG(order_id ORDER BY order_id) FROM t_order WHERE qty = 1
SELECT COUNT(DISTINCT status, qty) FROM t_order
SELECT status FROM t_order GROUP BY status HAVING status LIKE 'P%' ORDER BY 1
SELECT status, COUNT(*) FROM t_order GROUP BY status HAVING COUNT(*) > '20' ORDER BY 1
SELECT DISTINCT * FROM t_order ORDER BY order_id LIMIT 9
SELECT DISTINCT status FROM t_order ORDER BY LENGTH(status), status
SELECT DISTINCT flag FROM t_types ORDER BY flag
SELECT DISTINCT status, COUNT(*) FROM t_order GROUP BY status, qty ORDER BY 1, 2
SELECT * FROM t_order ORDER BY 4, 1 LIMIT 11
SELECT name AS n, user_id FROM t_user ORDER BY LOWER(n), user_id
SELECT status FROM t_order GROUP BY status ORDER BY SUM(amount) / 2
SELECT id, doc FROM t_types ORDER BY JSON_EXTRACT(doc, '$.n'), id
SELECT u.user_id, j.* FROM t_user u JOIN JSON_TABLE('[{"a":1,"b":[1,2]},{"b":[3]}]', '$[*]' COLUMNS (o FOR ORDINALITY, a INT PATH '$.a' DEFAULT '0' ON EMPTY, NESTED PATH '$.b[*]' COLUMNS (b INT PATH '$'))) j WHERE u.user_id < 4 ORDER BY 1, 2, 4
SELECT COUNT(*) FROM t_user u JOIN t_order o USING (user_id) WHERE born < {d '1980-01-01'} AND u.created > {ts '2024-01-01 00:00:00'}
SELECT t.id, j.s FROM t_types t, JSON_TABLE(t.doc, '$' COLUMNS (s VARCHAR(10) PATH '$.s')) j ORDER BY 1
SELECT CASE WHEN COUNT(*) > 5 THEN 'many' ELSE 'few' END FROM t_order
SELECT COALESCE(AVG(amount), 0), COUNT(DISTINCT status) FROM t_order
SELECT status, COUNT(*) FROM t_order WHERE 1 = 0 GROUP BY status WITH ROLLUP
SELECT SUM(amount) / 2 FROM t_order WHERE user_id = 1 AND user_id = 2
SELECT LENGTH(GROUP_CONCAT(note)) > 5 FROM t_order
"""

TYPES = "\n".join(
    [
        "SELECT a.* FROM t_types a JOIN t_types b ON a.id = b.id + 0 ORDER BY a.id",
        *(
            f"SELECT a.{column}, b.{column} FROM t_types a LEFT JOIN t_types b ON a.id = b.id + 1 ORDER BY a.id"
            for column in [
                "tiny",
                "utiny",
                "small",
                "medium",
                "number",
                "unumber",
                "big",
                "ubig",
                "money",
                "f",
                "d",
                "flag",
                "day",
                "clock",
                "moment",
                "stamp",
                "y",
                "fixed",
                "word",
                "bin",
                "body",
                "data",
                "doc",
                "kind",
                "tags",
                "latin",
                "exact",
            ]
        ),
        "SELECT a.f, a.f = b.f FROM t_types a JOIN t_types b ON a.id = b.id + 0 ORDER BY a.id",
        "SELECT a.f + 0e0, a.d FROM t_types a JOIN t_types b ON a.id = b.id + 0 ORDER BY a.id",
    ]
)

ERRORS = """
SELECT o.nothing FROM t_order o JOIN t_user u ON u.user_id = o.order_id
SELECT user_id FROM t_order o JOIN t_user u ON u.user_id = o.order_id
SELECT order_id FROM t_order UNION SELECT user_id, name FROM t_user
SELECT (SELECT order_id FROM t_order) FROM t_user
SELECT status FROM t_order GROUP BY status WITH ROLLUP HAVING nothing = 1
SELECT no_such_function(o.order_id) FROM t_order o JOIN t_user u ON u.user_id = o.order_id
"""


def _cases(**groups: str) -> list[object]:
    return [
        pytest.param(line, id=f"{name}-{number}")
        for name, text in groups.items()
        for number, line in enumerate(text.strip().splitlines(), 1)
    ]


@pytest.mark.parametrize(
    "statement",
    _cases(
        joins=JOINS,
        derived=DERIVED,
        sets=SETS,
        subqueries=SUBQUERIES,
        analytics=ANALYTICS,
        types=TYPES,
        errors=ERRORS,
    ),
)
def test_equals_one_server(twins: Twins, statement: str) -> None:
    if chosen_product() == "MySQL" and statement.count("FROM x a JOIN x b"):
        answer = ask(twins.mesh, statement)
        assert (answer.error, "read twice" in answer.text) == (1235, True)
        return
    twins.same(statement)


JOIN = "SELECT o.order_id, o.note, u.name FROM t_order o JOIN t_user u ON u.user_id = o.order_id WHERE o.order_id < 4 ORDER BY 1"


@pytest.mark.parametrize(
    "setting",
    [
        "SET NAMES utf8mb4 COLLATE utf8mb4_bin",
        "SET sql_mode = 'ANSI_QUOTES,NO_BACKSLASH_ESCAPES,PIPES_AS_CONCAT'",
        "SET sql_mode = 'ANSI'",
        "SET time_zone = '+05:00'",
        "SET sql_select_limit = 3",
        "SET autocommit = 0",
        "SET SESSION TRANSACTION READ ONLY",
        "SET @x = 'noel', group_concat_max_len = 20",
    ],
)
def test_the_session_is_the_same_on_the_merge_node(writing_twins: Twins, setting: str) -> None:
    writing_twins.same(setting)
    writing_twins.same("SELECT a.*, b.stamp FROM t_types a JOIN t_types b ON a.id = b.id + 0 ORDER BY a.id")
    writing_twins.same(
        "SELECT a.id FROM t_types a JOIN t_types b ON a.id = b.id + 0 AND a.stamp > '2020-03-01' ORDER BY 1"
    )
    writing_twins.same("SELECT GROUP_CONCAT(latin ORDER BY id), COUNT(*) - COUNT(latin = @x) FROM t_types")
    writing_twins.same(
        "SELECT a.id || 'x', 'it''s \\\\' FROM t_types a JOIN t_types b ON a.id = b.id + 0 ORDER BY a.id LIMIT 2"
    )
    writing_twins.same("SELECT id FROM t_types UNION SELECT user_id FROM t_user ORDER BY 1")


@pytest.mark.parametrize("setting", ["SET NAMES latin1", "SET character_set_results = latin1"])
def test_texts_reach_the_merge_node_whatever_the_client_reads(twins: Twins, setting: str) -> None:
    twins.same(setting)
    twins.same(
        "SELECT a.id, HEX(a.latin), HEX(a.word), HEX(b.body) FROM t_types a JOIN t_types b ON a.id = b.id + 0 ORDER BY a.id"
    )


def test_a_transaction_sees_its_own_writes(writing_twins: Twins) -> None:
    writing_twins.same("BEGIN")
    writing_twins.same("UPDATE t_order SET note = 'mine' WHERE order_id = 2")
    assert writing_twins.same(JOIN).rows[1][1] == "mine"
    with writing_twins.shop.target.connect() as other, other.cursor() as cursor:
        cursor.execute(JOIN)
        assert cursor.fetchall()[1][1] != "mine"
    writing_twins.same("ROLLBACK")
    writing_twins.same(JOIN)


def test_locks_are_taken_by_the_scans(writing_twins: Twins) -> None:
    writing_twins.same("BEGIN")
    writing_twins.same(f"{JOIN} FOR UPDATE")
    with writing_twins.shop.target.connect() as other, other.cursor() as cursor:
        cursor.execute("SET innodb_lock_wait_timeout = 1")
        with pytest.raises(Exception, match="Lock wait timeout"):
            cursor.execute("UPDATE t_order SET note = 'x' WHERE order_id = 3")
    writing_twins.same("ROLLBACK")


def test_found_rows_and_warnings(twins: Twins) -> None:
    twins.same(
        "SELECT SQL_CALC_FOUND_ROWS o.order_id FROM t_order o JOIN t_user u ON u.user_id = o.order_id ORDER BY 1 LIMIT 5"
    )
    twins.same("SELECT FOUND_ROWS()")
    twins.same("SELECT SQL_CALC_FOUND_ROWS * FROM t_order ORDER BY order_id LIMIT 2")
    twins.same("SELECT FOUND_ROWS()")
    twins.same(
        "SELECT u.user_id + 'x' FROM t_user u JOIN t_order o ON o.order_id = u.user_id WHERE u.user_id < 4 ORDER BY 1"
    )
    twins.same("SHOW WARNINGS")
    twins.same("SELECT ROW_COUNT()")


def test_text_prepare(twins: Twins) -> None:
    twins.same(
        "PREPARE s FROM 'SELECT COUNT(*) + 1 FROM t_order o JOIN t_user u ON u.user_id = o.order_id WHERE u.user_id > ? AND u.name < ?'"
    )
    twins.same("SET @a = 2, @b = 'user 09'")
    twins.same("EXECUTE s USING @a, @b")
    twins.same("DEALLOCATE PREPARE s")


PREPARED: list[tuple[str, tuple[Any, ...]]] = [
    ("SELECT a.id, a.tiny, a.big, a.ubig, a.money, a.d, a.day, a.clock, a.moment, a.stamp, a.fixed, a.word, a.body, a.kind FROM t_types a JOIN t_types b ON a.id = b.id + 0 WHERE a.id < ? ORDER BY a.id", (30,)),
    ("SELECT o.order_id, g.value FROM t_order o JOIN t_config g ON g.name = ? WHERE o.user_id = ? ORDER BY 1", ("theme", 8)),
    ("SELECT c.name, g.value, ? FROM t_country c LEFT JOIN t_config g ON g.name <> c.code ORDER BY 1, 2", ("x",)),
    ("WITH x AS (SELECT qty, COUNT(*) n FROM t_order WHERE status = ? GROUP BY qty) SELECT * FROM x ORDER BY 1", ("NEW",)),
    ("SELECT order_id, SUM(amount) OVER (ORDER BY order_id) FROM t_order WHERE order_id BETWEEN ? AND ? ORDER BY 1 LIMIT ?", (3, 90, 4)),
]  # fmt: skip


@pytest.mark.parametrize(("statement", "arguments"), PREPARED)
def test_prepared_statements(twins: Twins, statement: str, arguments: tuple[Any, ...]) -> None:
    answers = []
    for target in (twins.shop.plain, twins.shop.target):
        settings = {
            "host": target.host,
            "port": target.port,
            "user": target.user,
            "password": target.password,
        }
        connection = connector.connect(**settings, database=target.database, use_pure=True)
        cursor = connection.cursor(prepared=True)
        for _ in range(2):
            cursor.execute(statement, arguments)
            answers.append(
                (cursor.column_names, cursor.fetchall(), [column[:2] for column in cursor.description or ()])
            )
        cursor.close()
        connection.close()
    assert answers[0] == answers[1] == answers[2] == answers[3]


def test_preview_shows_scans_and_the_final_statement(twins: Twins) -> None:
    with twins.mesh.cursor() as cursor:
        cursor.execute(f"PREVIEW {JOIN}")
        rows = cursor.fetchall()
    assert len(rows) == 9
    assert rows[0][2].startswith(
        "federated on ds_0, because dbmesh: not supported: rows of several data nodes"
    )
    assert rows[-1][1].startswith("SELECT o.order_id, o.note, u.name FROM dbmesh_f1 o JOIN dbmesh_f2 u")


def test_explain_tells_what_is_federated(twins: Twins) -> None:
    with twins.mesh.cursor() as cursor:
        cursor.execute(f"EXPLAIN {JOIN}")
        assert [column[0] for column in cursor.description][:3] == ["id", "select_type", "table"]
        rows = cursor.fetchall()
        assert [(row[1], row[2]) for row in rows] == [
            *[("FEDERATED", "t_order")] * 4,
            *[("FEDERATED", "t_user")] * 4,
            ("FEDERATED", None),
        ]
        assert "because dbmesh: not supported: rows of several data nodes" in rows[0][9]
        cursor.execute(f"EXPLAIN FORMAT=JSON {JOIN}")
        [[document]] = cursor.fetchall()
        assert len(json.loads(document)["query_block"]["shots"]) == 9
        cursor.execute(f"EXPLAIN FORMAT=TREE {JOIN}")
        [[lines]] = cursor.fetchall()
        assert lines.startswith("-> federated on ds_0")
        cursor.execute("EXPLAIN UPDATE t_order SET note = 'x' ORDER BY order_id LIMIT 3")
        assert cursor.fetchall()[0][1] == "DERIVED WRITE"
        cursor.execute("EXPLAIN SELECT COUNT(*) FROM t_order")
        # MySQL explains as a tree.
        assert "t_order" in str(cursor.fetchall()[0])


def test_columns_are_named_by_the_clients_own_text(twins: Twins) -> None:
    twins.same("SELECT (SELECT COUNT(*) FROM t_order WHERE note <> '😀'), (SELECT MAX(`name`) FROM t_user)")
    twins.same("SELECT (SELECT COUNT(*) FROM t_country WHERE name <> '😀')")
    twins.same(
        "WITH x AS (SELECT user_id FROM t_user) SELECT (SELECT COUNT(*) FROM t_order), COUNT(*) FROM x"
    )
    twins.same("SELECT * FROM (SELECT (SELECT COUNT(*) FROM t_order), COUNT(*) + 1 FROM t_user) AS x")
    twins.same("WITH x AS (SELECT (SELECT MAX(amount) FROM t_order) + 1 FROM t_user LIMIT 1) SELECT * FROM x")
    twins.same("(SELECT (SELECT COUNT(*) FROM t_order) FROM t_config LIMIT 1) UNION ALL (SELECT 2)")
    twins.same("SELECT 1, (SELECT COUNT(*) FROM t_order) UNION SELECT 2, (SELECT 5) ORDER BY 1")
