"""Which procedures do on their data source what they would do on one server."""

from __future__ import annotations

from dataclasses import replace

import pytest

from dbmesh.errors import MeshError
from dbmesh.model import Catalog, DataNode
from dbmesh.planner.lexemes import LexemeReader
from dbmesh.planner.routines import (
    ProcedureUse,
    check_procedure,
    has_one_place,
    homes,
    read_call,
    read_create_routine,
    read_do,
    read_drop_routine,
    read_show_create,
)
from dbmesh.planner.session_plan import CallProcedure, CreateRoutine, Do, DropRoutine, ShowCreate
from dbmesh.rules.ruleset import RuleSet
from tests.plugins.planner_world import RULES, SOURCES

_HEAD = "CREATE DEFINER=`root`@`%` PROCEDURE `p`"


def test_statements_are_read() -> None:
    assert read_call(LexemeReader("CALL shop.p (1, 'a')")) == CallProcedure("shop", "p", "(1, 'a')")
    assert read_call(LexemeReader("call `p`")) == CallProcedure(None, "p", "()")
    assert read_call(LexemeReader("CALL p(@a + 1, F(@b, 2), @`c`, @'D')")).variables == ((2, "c"), (3, "D"))
    assert read_call(LexemeReader("CALL p((SELECT f()), ?)")).arguments == "((SELECT f()), ?)"
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
    check_procedure(_HEAD + body, RULES, _CATALOG)


@pytest.mark.parametrize(
    ("body", "why"),
    [
        ("() SELECT * FROM t_order", "'t_order'"),
        ("() SELECT * FROM `t_order_3`", "'t_order'"),
        ("() DELETE FROM t_country", "'t_country'"),
        ("() SELECT @@sql_mode", "@@sql_mode"),
        ("() BEGIN INSERT INTO t_config VALUES (1); COMMIT; END", "COMMIT"),
        ("() CALL other.q()", "calls one with its database"),
        ("() PREPARE s FROM @a", "PREPARE"),
        ("() SET sql_mode = ''", "'sql_mode'"),
        ("(a INT) BEGIN SET a = 1, foreign_key_checks = 0; END", "'foreign_key_checks'"),
        ("() SELECT LAST_INSERT_ID()", "LAST_INSERT_ID"),
        ("() CREATE TEMPORARY TABLE x (a INT)", "CREATE"),
    ],
)
def test_what_reaches_further_is_refused_with_the_reason(body: str, why: str) -> None:
    with pytest.raises(MeshError, match=r"not supported") as refusal:
        check_procedure(_HEAD + body, RULES, _CATALOG)
    assert why in str(refusal.value)


def test_what_a_procedure_uses_is_told() -> None:
    alone = replace(RULES, tables={}, data_sources={"ds_0": SOURCES["ds_0"]})
    body = "(a INT) BEGIN SET @Q = CONCAT('DROP TABLE ', a); PREPARE s FROM @q; EXECUTE s; DROP PREPARE s; CALL `Next`(@r); END"
    use = check_procedure(_HEAD + body, alone, Catalog({}, {}))
    assert use == ProcedureUse(frozenset("qr"), frozenset(("Next",)), dynamic=True, defines=True)
    use = check_procedure(_HEAD + "() CALL p", RULES, _CATALOG)
    assert use == ProcedureUse(calls=frozenset("p"))


@pytest.mark.parametrize(
    "rules",
    [
        replace(RULES, tables={}),
        replace(RULES, data_sources={"ds_0": SOURCES["ds_0"]}),
        replace(RULES, tables={}, data_sources={"ds_0": SOURCES["ds_0"]}, auto_shards=4),
        replace(RULES, tables={}, data_sources={"ds_0": replace(SOURCES["ds_0"], kind="sqlite")}),
    ],
)
def test_dynamic_sql_needs_a_database_with_one_place(rules: RuleSet) -> None:
    assert not has_one_place(rules, _CATALOG)


_CATALOG = Catalog({}, {"here": DataNode("ds_0", "here"), "there": DataNode("ds_1", "there")})


def _routine(text: str) -> CreateRoutine:
    read = read_create_routine(LexemeReader(text))
    assert read is not None
    return read


def test_definitions_are_read() -> None:
    read = _routine(
        "CREATE OR REPLACE DEFINER = x@y FUNCTION IF NOT EXISTS shop.f(a INT) RETURNS INT RETURN a"
    )
    assert (read.kind, read.database, read.name) == ("FUNCTION", "shop", "f")
    assert read.text == (
        "CREATE OR REPLACE DEFINER = x@y FUNCTION IF NOT EXISTS `f`(a INT) RETURNS INT RETURN a"
    )
    assert read_create_routine(LexemeReader("CREATE TABLE p (a INT)")) is None
    assert (
        read_create_routine(LexemeReader("CREATE TRIGGER t BEFORE INSERT ON a FOR EACH ROW CALL p()")) is None
    )
    assert read_drop_routine(LexemeReader("DROP TRIGGER IF EXISTS shop.t")) == DropRoutine(
        "TRIGGER", "shop", "t", True
    )
    assert read_drop_routine(LexemeReader("DROP TABLE t")) is None


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("CREATE PROCEDURE p() SELECT 1", ("ds_0",)),
        ("CREATE PROCEDURE p() INSERT INTO there VALUES (1)", ("ds_1",)),
        ("CREATE FUNCTION f(a INT) RETURNS INT RETURN a", ("ds_0", "ds_1")),
        ("CREATE FUNCTION f() RETURNS INT RETURN (SELECT MAX(id) FROM there)", ("ds_1",)),
    ],
)
def test_a_routine_is_made_where_its_tables_are(text: str, expected: tuple[str, ...]) -> None:
    assert homes(_routine(text), RULES, _CATALOG) == expected


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("CREATE PROCEDURE p() SELECT * FROM t_order", "names 't_order', which is sharded"),
        ("CREATE PROCEDURE p() INSERT INTO here SELECT * FROM there", "tables of several data sources"),
        ("CREATE PROCEDURE p() SELECT * FROM shop.here", "a table with its database"),
        ("CREATE FUNCTION f() RETURNS INT RETURN @a", "uses the variable @a"),
        ("CREATE FUNCTION f() RETURNS TEXT RETURN DATABASE()", "DATABASE"),
    ],
)
def test_what_a_data_source_alone_cannot_know_is_refused(text: str, why: str) -> None:
    with pytest.raises(MeshError, match=why):
        homes(_routine(text), RULES, _CATALOG)
