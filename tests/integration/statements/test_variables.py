"""User variables and LAST_INSERT_ID(value) mean on any number of shards what they mean on one server."""

from __future__ import annotations

import contextlib

import pymysql
import pytest

from tests.integration.statements.conftest import Twins
from tests.plugins.database_server import chosen_product
from tests.plugins.equivalence import ask

pytestmark = pytest.mark.integration

INTO = """
SELECT order_id INTO @v_x FROM t_order WHERE order_id = 11
SELECT order_id, status INTO @v_x, @v_y FROM t_order WHERE user_id = 18 AND order_id = 11
SELECT MAX(order_id), COUNT(*) INTO @v_a, @v_b FROM t_order
SELECT 'a', 1.50, 1e3, NULL, DATE '2024-01-02', x'4142' INTO @v_s, @v_d, @v_f, @v_n, @v_dt, @v_h
SELECT name INTO @v_nm FROM t_user ORDER BY user_id LIMIT 1
SELECT u.name, o.order_id INTO @v_nm, @v_x FROM t_user u JOIN t_order o USING (user_id) ORDER BY o.order_id LIMIT 1
SELECT user_id INTO @v_u FROM t_user WHERE user_id = 3 FOR UPDATE
SELECT unumber, ubig INTO @v_a, @v_b FROM t_types WHERE id = 3
SELECT unumber, ubig INTO @v_a, @v_b FROM t_types WHERE id = 10
SELECT f / 7, f, d / 7 INTO @v_a, @v_b, @v_d FROM t_types WHERE id = 7
SELECT STDDEV(id), AVG(f) INTO @v_a, @v_b FROM t_types
SELECT STDDEV(id) FROM t_types INTO @v_a
WITH x AS (SELECT 3 AS a) SELECT a INTO @v_u FROM x
"""

ASSIGNED = """
SELECT @v_v := 5
SELECT @v_v := user_id FROM t_user WHERE user_id = 9
SELECT @v_c := COUNT(*) FROM t_user
SELECT @v_rn := IFNULL(@v_rn, 0) + 1 AS rn, user_id FROM t_user ORDER BY user_id LIMIT 5
SELECT user_id, @v_r := @v_r + 1 FROM t_user, (SELECT @v_r := 0) init ORDER BY user_id LIMIT 3
SELECT @v_t := 'x', @v_u := 1.5
INSERT INTO t_auto (id, n) VALUES (3, @v_v := 7)
INSERT INTO t_auto (id, n) SELECT 5000 + user_id, @v_k := IFNULL(@v_k, 0) + 1 FROM t_user WHERE user_id < 4 ORDER BY user_id
"""

SHOW = "SELECT @v_x, @v_y, @v_a, @v_b, @v_s, @v_d, @v_f, @v_n, @v_dt, @v_h, @v_nm, @v_u, @v_v, @v_c, @v_rn, @v_r, @v_t, @v_k"


@pytest.mark.parametrize("statement", [line for line in (INTO + ASSIGNED).splitlines() if line])
def test_what_is_assigned_is_read_everywhere(writing_twins: Twins, statement: str) -> None:
    mesh, plain = ask(writing_twins.mesh, statement), ask(writing_twins.plain, statement)
    assert (mesh.error, mesh.affected, mesh.rows) == (plain.error, plain.affected, plain.rows), mesh.text
    for read in (
        SHOW,
        "SELECT user_id, @v_c FROM t_user WHERE user_id > @v_v OR user_id > @v_x ORDER BY 1",
    ):
        answers = [ask(connection, read) for connection in (writing_twins.mesh, writing_twins.plain)]
        assert answers[0].rows == answers[1].rows
        # The type of a variable that is NULL is that of its last value, which may be another session's.
        types = [
            [
                (column.type_code, column.flags)
                for column, value in zip(answer.columns, row, strict=True)
                if value is not None
            ]
            for answer in answers
            for row in answer.rows[:1]
        ]
        assert types[: len(types) // 2] == types[len(types) // 2 :]


TEXTS = """
SELECT latin, exact, word, doc, day INTO @v_latin, @v_exact, @v_word, @v_doc, @v_day FROM t_types WHERE id = 3
SELECT MAX(latin), GROUP_CONCAT(latin ORDER BY id SEPARATOR 'é') INTO @v_latin, @v_list FROM t_types WHERE id < 9
SELECT x.latin, y.exact INTO @v_latin, @v_exact FROM t_types x JOIN t_types y ON x.id = y.id + 1 WHERE x.id = 4
SET @v_word = (SELECT CONVERT(latin USING utf8mb4) COLLATE utf8mb4_unicode_ci FROM t_types WHERE id = 5), @v_day = CURRENT_DATE() + INTERVAL 0 DAY
SET @v_word = (SELECT latin FROM t_types WHERE id = 9999), @v_list = _latin1'a' COLLATE latin1_german1_ci
SET @v_word = 'é' COLLATE utf8mb4_bin, @v_list = 'a\\b', @v_exact = ''
SET @v_list = CONCAT(CONVERT('a' USING utf8mb4) COLLATE utf8mb4_uca1400_as_cs, 'b')
SELECT @v_latin := latin, @v_exact := exact FROM t_types WHERE id = 3
SET NAMES gbk
SELECT latin, exact INTO @v_latin, @v_exact FROM t_types WHERE id = 3
SET @v_list = (SELECT latin FROM t_types WHERE id = 3), @v_doc = CONVERT(x'D6D0' USING gbk)
SET NAMES latin1
SET @v_list = 'a', @v_word = (SELECT exact FROM t_types WHERE id = 3)
"""


def test_texts_keep_their_character_set_and_collation(writing_twins: Twins) -> None:
    update = "UPDATE t_types SET latin = 'Ärmel é', exact = '中 ä' WHERE id IN (3, 4)"
    mesh, plain = (ask(client, update) for client in (writing_twins.mesh, writing_twins.plain))
    assert (mesh.error, mesh.affected) == (None, plain.affected)
    names = ("@v_latin", "@v_exact", "@v_word", "@v_doc", "@v_day", "@v_list")
    shown = ", ".join(f"COLLATION({name}), HEX({name})" for name in names)
    for statement in TEXTS.strip().splitlines():
        writing_twins.same(statement)
        writing_twins.same(f"SELECT {shown}")
        writing_twins.same("SELECT id FROM t_types WHERE latin = @v_latin OR exact = @v_exact ORDER BY id")
    writing_twins.same("SET NAMES utf8mb4")
    writing_twins.same(f"SELECT {shown}, {', '.join(names)}")


def test_sql_mode_says_where_texts_end(writing_twins: Twins) -> None:
    for statement in (
        "SET sql_mode = 'NO_BACKSLASH_ESCAPES'",
        r"SET @v_x = 'x\', @v_y = 'it''s\n', @'v_\' = 5",
        r"SELECT @v_x, @v_y, @'v_\'",
        r"PREPARE p FROM 'SELECT ''q\'''",
        "EXECUTE p",
        r"SELECT ' INTO @v_y, ', 'y\' INTO @v_x, @v_y",
        "SELECT @v_x, @v_y",
        "SET sql_mode = 'ANSI_QUOTES,NO_BACKSLASH_ESCAPES'",
        """SET @v_x = 'a"b\\', @v_y = 'z"', @"v_\\" = 6""",
        'SELECT @v_x, @v_y, @"v_\\"',
        """PREPARE "p q" FROM 'SELECT 1'""",
        'EXECUTE "p q"',
        'SET "autocommit" = 1',
        "SET @v_x = 1, `global max_connections` = 99",
        "SET @`a`` = 1, max_heap_table_size = 99999, @``b` = 5",
        "SELECT @@max_heap_table_size = 99999 AS injected",
    ):
        writing_twins.same(statement)
    writing_twins.same("SET sql_mode = 'NO_BACKSLASH_ESCAPES'")
    assert ask(writing_twins.mesh, r"SET lc_messages = '\', @v_x = 1").error == 1231


MISPLACED = (
    "SELECT (SELECT 7 INTO @v_x)",
    "SELECT * FROM (SELECT 7 AS n INTO @v_x) AS t",
    "SELECT 7 INTO @v_x UNION SELECT 8",
)
"""Syntax errors; MySQL has a number of its own for them."""


def test_a_query_into_variables_has_one_row(twins: Twins) -> None:
    twins.same("SET @v_x = 'before', @v_y = 1")
    for statement, error in (
        ("SELECT order_id INTO @v_x FROM t_order WHERE order_id > 10000", None),
        ("SELECT user_id, name INTO @v_x FROM t_user WHERE user_id = 3", 1222),
        ("SELECT 7 INTO @v_x FROM t_order", 1172),
        *((text, 1064) for text in MISPLACED if chosen_product() == "MariaDB"),
    ):
        assert twins.same(statement).error == error
        if error != 1064:
            # The texts of syntax errors are each product's own.
            twins.same("SHOW WARNINGS")
        twins.same("SELECT @v_x, @v_y")


def test_set_tells_the_warnings_of_its_expressions(twins: Twins) -> None:
    for statement in (
        "SET @v_x = 'a' + 1",
        "SET @v_x = 'a' + 1, @v_y = (SELECT MAX(name) + 1 FROM t_user WHERE user_id = 3)",
        "SET @v_x = 5",
    ):
        twins.same(statement)
        twins.same("SHOW WARNINGS")


def test_rows_are_numbered_in_their_order(writing_twins: Twins) -> None:
    for statement in (
        "SET @number = 0",
        "UPDATE t_user SET balance = (@number := @number + 1) ORDER BY user_id DESC",
        "SELECT @number",
    ):
        mesh, plain = ask(writing_twins.mesh, statement), ask(writing_twins.plain, statement)
        assert (mesh.error, mesh.affected, mesh.rows) == (None, plain.affected, plain.rows)
    writing_twins.same_rows_stored("t_user")


def test_last_insert_id_takes_a_value(writing_twins: Twins) -> None:
    for statement in (
        "SELECT LAST_INSERT_ID(5)",
        "SELECT LAST_INSERT_ID(user_id) FROM t_user WHERE user_id = 7",
        "SELECT LAST_INSERT_ID(user_id) FROM t_user WHERE user_id = 7000",
        "SELECT LAST_INSERT_ID(MAX(user_id)) FROM t_user",
        "INSERT INTO t_auto (id, n) VALUES (1, 1)",
        "INSERT INTO t_auto (id, n) VALUES (1, 1) ON DUPLICATE KEY UPDATE n = LAST_INSERT_ID(n + 100)",
        "UPDATE t_auto SET n = LAST_INSERT_ID(n + 1) WHERE id = 1",
        "UPDATE t_user SET balance = LAST_INSERT_ID(user_id + 1000) WHERE user_id > 50",
    ):
        mesh, plain = ask(writing_twins.mesh, statement), ask(writing_twins.plain, statement)
        assert (mesh.error, mesh.insert_id, mesh.rows) == (None, plain.insert_id, plain.rows), statement
        writing_twins.same("SELECT LAST_INSERT_ID()")
    writing_twins.same_rows_stored("t_user", "t_auto")


@pytest.mark.parametrize("statement", [b"SET @v_raw = '\xf0\xf1'", b"SELECT '\xf0\xf1' INTO @v_raw"])
def test_bytes_that_are_no_text_leave_the_session_usable(twins: Twins, statement: bytes) -> None:
    with contextlib.suppress(pymysql.MySQLError), twins.mesh.cursor() as cursor:
        cursor.execute(statement)
    for following in ("SELECT @v_never_set", "SELECT user_id, name FROM t_user WHERE user_id = 3"):
        twins.same(following)


def test_no_connection_is_kept_for_a_variable(twins: Twins) -> None:
    ask(twins.mesh, "SELECT @v_x := user_id FROM t_user WHERE user_id = 3")
    pins = {row[0]: row[4] for row in ask(twins.mesh, "SHOW PROXY SESSIONS").rows}
    assert pins[str(twins.mesh.thread_id())] == ""


@pytest.mark.skipif(chosen_product() == "MySQL", reason="MySQL knows no SET STATEMENT")
def test_variables_for_one_statement(writing_twins: Twins) -> None:
    for statement in (
        "SET STATEMENT max_statement_time = 10 FOR SELECT user_id, @@max_statement_time FROM t_user WHERE user_id = 3",
        "SET STATEMENT max_statement_time = 10, sort_buffer_size = 100000 FOR SELECT COUNT(*) FROM t_user",
        "SET STATEMENT sql_select_limit = 2 FOR SELECT user_id FROM t_user ORDER BY 1",
        "SET STATEMENT lock_wait_timeout = 3 FOR UPDATE t_user SET name = 'x' WHERE user_id < 9",
        "SET STATEMENT nonsense = 3 FOR UPDATE t_user SET name = 'y'",
        "SET STATEMENT max_statement_time = 10 FOR SELECT nonsense FROM t_user",
    ):
        mesh, plain = ask(writing_twins.mesh, statement), ask(writing_twins.plain, statement)
        assert (mesh.error, mesh.affected, mesh.rows) == (plain.error, plain.affected, plain.rows), statement
        writing_twins.same("SELECT @@max_statement_time, @@lock_wait_timeout, @@sql_select_limit")
    writing_twins.same_rows_stored("t_user")


@pytest.mark.skipif(
    chosen_product() == "MySQL", reason="a text EXECUTE writes the value, which MySQL reads otherwise"
)
@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("SELECT user_id, name FROM t_user WHERE user_id < ? ORDER BY ?, user_id", "@v_six, @v_two"),
        ("SELECT name, COUNT(*) FROM t_user WHERE user_id > ? GROUP BY ? ORDER BY 1", "@v_six, @v_one"),
        ("SELECT name FROM t_user WHERE user_id > ? ORDER BY ? DESC", "@v_six, @v_six"),
    ],
)
def test_a_parameter_to_order_or_group_by(twins: Twins, text: str, values: str) -> None:
    for statement in ("SET @v_one = 1, @v_two = 2, @v_six = 6", f"PREPARE ordered FROM '{text}'"):
        twins.same(statement)
    mesh, plain = (ask(client, f"EXECUTE ordered USING {values}") for client in (twins.mesh, twins.plain))
    assert (mesh.error, mesh.rows) == (plain.error, plain.rows)
