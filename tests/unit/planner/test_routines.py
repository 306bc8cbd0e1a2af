"""Which procedures do on their data source what they would do on one server."""

from __future__ import annotations

import pytest

from dbmesh.errors import MeshError
from dbmesh.planner.lexemes import LexemeReader
from dbmesh.planner.routines import check_procedure, read_call, read_do, read_show_create
from dbmesh.planner.session_plan import CallProcedure, Do, ShowCreate
from tests.plugins.planner_world import RULES

_HEAD = "CREATE DEFINER=`root`@`%` PROCEDURE `p`"


def test_statements_are_read() -> None:
    assert read_call(LexemeReader("CALL shop.p (1, 'a')")) == CallProcedure("shop", "p", "(1, 'a')")
    assert read_call(LexemeReader("call `p`")) == CallProcedure(None, "p", "()")
    assert read_do(LexemeReader("DO SLEEP(0), 1")) == Do("SLEEP(0), 1")
    assert read_show_create(LexemeReader("SHOW CREATE TRIGGER t")) == ShowCreate("TRIGGER", None, "t")
    assert read_show_create(LexemeReader("SHOW CREATE TABLE t")) is None


@pytest.mark.parametrize("statement", ["DO", "CALL", "CALL p 1", "SHOW CREATE FUNCTION f g"])
def test_statements_ended_wrong_are_syntax_errors(statement: str) -> None:
    reader = LexemeReader(statement)
    with pytest.raises(MeshError, match="syntax"):
        {"D": read_do, "C": read_call, "S": read_show_create}[statement[0]](reader)


@pytest.mark.parametrize(
    "body",
    [
        "() SELECT * FROM t_config",
        "(a INT, OUT b INT) BEGIN DECLARE c INT DEFAULT 1; SET c = a + 1, b = c; UPDATE t_config SET name = 'x'; END",
        "(a INT) IF a THEN SET a = 2; END IF",
        "() SELECT '@x', 't_order COMMIT'",
    ],
)
def test_what_touches_single_tables_only_is_safe(body: str) -> None:
    check_procedure(_HEAD + body, RULES)


@pytest.mark.parametrize(
    ("body", "why"),
    [
        ("() SELECT * FROM t_order", "'t_order'"),
        ("() SELECT * FROM `t_order_3`", "'t_order'"),
        ("() DELETE FROM t_country", "'t_country'"),
        ("(a INT) SET @b = a", "@b"),
        ("() SELECT @@sql_mode", "@@sql_mode"),
        ("() BEGIN INSERT INTO t_config VALUES (1); COMMIT; END", "COMMIT"),
        ("() CALL q()", "CALL"),
        ("() SET sql_mode = ''", "'sql_mode'"),
        ("(a INT) BEGIN SET a = 1, foreign_key_checks = 0; END", "'foreign_key_checks'"),
        ("() SELECT LAST_INSERT_ID()", "LAST_INSERT_ID"),
        ("() CREATE TEMPORARY TABLE x (a INT)", "CREATE"),
    ],
)
def test_what_reaches_further_is_refused_with_the_reason(body: str, why: str) -> None:
    with pytest.raises(MeshError, match=r"not supported") as refusal:
        check_procedure(_HEAD + body, RULES)
    assert why in str(refusal.value)
