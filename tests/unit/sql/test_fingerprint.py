"""Fingerprints: what is a literal, what folds, what stays."""

from __future__ import annotations

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from dbmesh.errors import MeshError
from dbmesh.sql.fingerprint import ListLiteral, RowSet, fingerprint
from dbmesh.sql.lexer import LexerFlags
from dbmesh.sql.shape import cut


@pytest.mark.parametrize(
    ("sql", "shape", "literals"),
    [
        ("SELECT 1", "SELECT 0", ["1"]),
        (" select  COUNT( * ) from t1 ; ", "select  COUNT( * ) from t1", []),
        ("SELECT a1, t.5a, @1, `2`, a$3 FROM t1", "SELECT a1, t.5a, @1, `2`, a$3 FROM t1", []),
        ("SELECT 1.5, .5, 1e5, 0x1F, 0b1", "SELECT 0.0, 0.0, 0e0, 0x0, 0x0", ["1.5", ".5", "1e5", "0x1F", "0b1"]),
        ("SELECT 1abc, 0x1g", "SELECT 1abc, 0x1g", []),
        ("SELECT 'a''b\\'c'", "SELECT ''", ["'a''b\\'c'"]),
        ("SELECT \"x\" 'y'", "SELECT '' ''", ['"x"', "'y'"]),
        ("SELECT x'AB', _utf8'c', N'd', DATE '2020-01-01'", "SELECT x'', _utf8'', N'', DATE ''",
         ["'AB'", "'c'", "'d'", "'2020-01-01'"]),
        ("WHERE a=-5 AND b = -6 AND c-7", "WHERE a=0 AND b = 0 AND c-0", ["-5", "-6", "7"]),
        ("a IN (1, 2,3)", "a IN (0)", [ListLiteral(["1", "2", "3"], ", ")]),
        ("a IN (1)", "a IN (0)", ["1"]),
        ("a IN (1,'x')", "a IN (0,'')", ["1", "'x'"]),
        ("a IN (?,2)", "a IN (?,0)", ["2"]),
        ("INSERT INTO t VALUES (1,NULL),(-2,'x')", "INSERT INTO t VALUES (0,NULL)",
         [RowSet(2, ["1", "NULL", "-2", "'x'"])]),
        ("INSERT INTO t VALUES (1)", "INSERT INTO t VALUES (0)", [RowSet(1, ["1"])]),
        ("INSERT INTO t VALUES (?,1),(?,2)", "INSERT INTO t VALUES (?,0),(?,0)", ["1", "2"]),
        ("INSERT INTO t VALUES (1,2),(3,NOW())", "INSERT INTO t VALUES (0,0),(0,NOW())", ["1", "2", "3"]),
        ("INSERT INTO t VALUES (NOW(),f(1)),(NOW(),f(2)) ON DUPLICATE KEY UPDATE a=3",
         "INSERT INTO t VALUES (NOW(),f(0)) ON DUPLICATE KEY UPDATE a=0", [RowSet(1, ["1", "2"]), "3"]),
        ("SELECT/* c */1 -- x\n, 2 # y", "SELECT 0 \n, 0", ["1", "2"]),
        ("SELECT /*+ H(1) */ /*! 2 */ 3", "SELECT /*+ H(1) */ /*! 2 */ 0", ["3"]),
        ("SELECT 1 /* DBMESH_HINT: A=1 */", "/* DBMESH_HINT: A=1 */ SELECT 0", ["1"]),
        ("SELECT 1--2", "SELECT 0--0", ["1", "2"]),
    ],
)  # fmt: skip
def test_shape_and_literals(sql: str, shape: str, literals: list[object]) -> None:
    assert fingerprint(sql) == (shape, literals)


@pytest.mark.parametrize(
    "sql",
    [
        "/* a */ INSERT INTO t VALUES/* b */(1,2)",
        "INSERT INTO t VALUES /* a *//* b */ (1,2),(3,4)",
        "INSERT INTO t VALUES (/* a */1,2/* b */),(/* a */3,4/* b */)",
        "INSERT INTO t VALUES (1,2),/* a */(3,4)/* b */ON DUPLICATE KEY UPDATE a = 5",
        "INSERT INTO t VALUES -- a\n (1,'#') # b",
        "INSERT INTO t VALUES /* DBMESH_HINT: A=1 */ (1,/*! 2 */)",
        "INSERT INTO t VALUES /*+ a */ (1,2)",
    ],
)
def test_rows_fold_as_their_shape_says_whatever_comments_stand_among_them(sql: str) -> None:
    shape, literals = fingerprint(sql)
    folded = [literal for literal in literals if isinstance(literal, RowSet)]
    slots = cut(shape).slots
    assert bool(folded) == any(slot.cell is not None for slot in slots)
    assert len({slot.index for slot in slots}) == len(literals)


def test_ansi_quotes_makes_double_quotes_names() -> None:
    assert fingerprint('SELECT "a", 1', LexerFlags(ansi_quotes=True)) == ('SELECT "a", 0', ["1"])


def test_no_backslash_escapes_ends_a_string_at_its_quote() -> None:
    assert fingerprint(r"SELECT '\', 1", LexerFlags(no_backslash_escapes=True)) == (
        "SELECT '', 0",
        [r"'\'", "1"],
    )


def test_a_comment_without_end_hides_nothing() -> None:
    with pytest.raises(MeshError, match="near '/\\* WHERE"):
        fingerprint("DELETE FROM t /* WHERE id = 1")


@pytest.mark.parametrize("sql", ['"".0', "''.0"])
def test_a_fraction_glued_to_a_string_belongs_to_no_slot(sql: str) -> None:
    shape, literals = fingerprint(sql)
    assert shape == "''.0"
    assert len(cut(shape).slots) == len(literals) == 1


@pytest.mark.parametrize(
    ("sql", "shape"),
    [
        ("""SELECT 'a'"b\"""", "SELECT '' ''"),
        ("""SELECT ('a'"b")""", "SELECT ('' '')"),
        ("""INSERT INTO t VALUES ('a'"b", 1), ('c'"d", 2)""", "INSERT INTO t VALUES ('' '', 0)"),
    ],
)
def test_strings_that_touch_stay_two(sql: str, shape: str) -> None:
    found = fingerprint(sql)
    assert found[0] == shape
    assert {slot.index for slot in cut(shape).slots} == set(range(len(found[1])))


@pytest.mark.parametrize(
    ("sql", "counts"),
    [
        ("SELECT ? FROM t LIMIT ?", [False, True]),
        ("SELECT ? FROM t LIMIT 5, ?", [False, True]),
        ("SELECT 1 FROM t limit ? offset ?", [True, True]),
        ("SELECT 1 FROM t LIMIT ? , ?", [True, True]),
        ("SELECT f(?, ?), g(a, ?)", [False, False, False]),
        ("SELECT SUM(a) OVER (ROWS BETWEEN ? PRECEDING AND ? FOLLOWING) + ?", [True, True, False]),
        ("SELECT 1 OFFSET ? ROWS FETCH FIRST ? ROWS ONLY", [True, True]),
    ],
)
def test_parameters_that_count_rows(sql: str, counts: list[bool]) -> None:
    assert [slot.plain for slot in cut(fingerprint(sql).shape).slots if slot.parameter] == counts


def test_a_thousand_rows_have_the_shape_of_one() -> None:
    rows = ",".join(f"({n},'{n}')" for n in range(1000))
    assert fingerprint(f"INSERT INTO t VALUES {rows}").shape == "INSERT INTO t VALUES (0,'')"


_LITERAL = st.one_of(
    st.integers(0, 10**20).map(str),
    st.decimals(0, 1000, places=2).map(lambda d: format(d, "f")),
    st.text("ab'\\\"`é;?/*-#", max_size=6).map(
        lambda t: "'" + t.replace("\\", "\\\\").replace("'", "''") + "'"
    ),
)
_WORD = st.sampled_from(["SELECT ", " a ", "t1.b", " = ", ", ", " `x 1` ", " ?", " AND ", "f(", ") "])


@settings(max_examples=200, deadline=None)
@given(st.lists(st.one_of(_WORD, _LITERAL.map(lambda t: f" {t} ")), max_size=12))
def test_literals_put_back_give_the_text(parts: list[str]) -> None:
    sql = "".join(parts).strip(" ;")
    shape, literals = fingerprint(sql)
    text, position = [], 0
    for slot in cut(shape).slots:
        if not slot.parameter:
            text += [shape[position : slot.start], str(literals[slot.index])]
            position = slot.end
    assert "".join([*text, shape[position:]]) == sql


@settings(max_examples=300, deadline=None)
@given(
    st.text("SELECTIN VALUES()0123456789.,'\"`\\/*-#?;xNULL\n\udc80é=", max_size=40),
    st.booleans(),
    st.booleans(),
)
@example("--#", False, False)
def test_any_text_has_a_fingerprint_or_a_parse_error(sql: str, ansi: bool, plain: bool) -> None:
    flags = LexerFlags(ansi, plain)
    try:
        shape, literals = fingerprint(sql, flags)
    except MeshError:
        return
    indexes = {slot.index for slot in cut(shape, flags).slots if not slot.parameter}
    assert indexes == set(range(len(literals)))
