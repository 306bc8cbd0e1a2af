"""The tester itself: the same seed says the same, rows lie where they belong, and comparing and shrinking are exact."""

from __future__ import annotations

import re
import struct

import pytest

from tests.differential import values
from tests.differential.client import Answer
from tests.differential.compare import Expectation, compare, expect, fold, without_count, without_not_atomic
from tests.differential.grammar.grammar import Grammar
from tests.differential.layouts import LAYOUTS, Layout, java_hash
from tests.differential.plans import inner
from tests.differential.schema import INTEGER, TEXT, Check
from tests.differential.shrink import shrink
from tests.differential.stage import make_scene
from tests.differential.tree import (
    Call,
    ColumnRef,
    Compound,
    Item,
    Join,
    Limit,
    Literal,
    OrderKey,
    Part,
    Select,
    TableRef,
    write,
    write_prepared,
)
from tests.differential.witnesses import Reply, Tells, settle
from tests.plugins.raw_client import lenenc_string

_ONE, _TWO = values.integer(1), values.integer(2)
_A = ColumnRef("a", INTEGER, "a")


def _definition(name: str, kind: int = 0xFD, flags: int = 0) -> bytes:
    texts = (b"def", b"shop", b"t", b"t", name.encode(), name.encode())
    return b"".join(map(lenenc_string, texts)) + b"\x0c" + struct.pack("<HIBHBxx", 45, 80, kind, flags, 0)


def _answer(*rows: tuple[str, ...], flags: int = 0) -> Answer:
    count = len(rows[0]) if rows else 1
    encoded = [b"".join(lenenc_string(cell.encode()) for cell in row) for row in rows]
    return Answer(columns=tuple(_definition(f"c{n}", flags=flags) for n in range(count)), rows=encoded)


def _kinds(mesh: Answer, plain: Answer, expected: Expectation, every: Answer | None = None) -> list[str]:
    return [difference.kind for difference in compare(mesh, plain, expected, every)]


@pytest.mark.parametrize("layout", LAYOUTS, ids=lambda layout: layout.name)
def test_the_same_seed_gives_the_same_statements(layout: Layout) -> None:
    first, second = (Grammar(make_scene(layout, 3), "3") for _ in range(2))
    assert [write(first.statement()) for _ in range(200)] == [write(second.statement()) for _ in range(200)]


@pytest.mark.parametrize("layout", LAYOUTS, ids=lambda layout: layout.name)
def test_every_row_belongs_to_a_node_of_its_table(layout: Layout) -> None:
    for table in make_scene(layout, 1).tables:
        places = {place for row in table.rows for place in layout.places(table, row)}
        assert places <= set(layout.nodes_of(table.name))
        assert len(places) >= min(4, len(layout.nodes_of(table.name)))


@pytest.mark.parametrize(
    ("text", "code"), [("", 0), ("abc", 96354), ("😀", 1772899), ("polygenelubricants", -2147483648)]
)
def test_java_hashes_utf_16(text: str, code: int) -> None:
    assert java_hash(text) == code


def test_literals_become_parameters_and_have_others() -> None:
    query = Select((Item(_A),), TableRef("t"), Call("{} = {}", (_A, Literal(_ONE, _TWO)), INTEGER))
    assert write(query) == "SELECT a FROM t WHERE a = 1"
    assert write(query, other=True) == "SELECT a FROM t WHERE a = 2"
    assert write_prepared(query) == ("SELECT a FROM t WHERE a = ?", [_ONE])


def test_rows_without_order_are_a_multiset() -> None:
    expected = Expectation((Check.EXACT,))
    assert _kinds(_answer(("a",), ("b",), ("a",)), _answer(("b",), ("a",), ("a",)), expected) == []
    assert _kinds(_answer(("a",), ("b",)), _answer(("b",), ("b",)), expected) == ["rows"]


def test_ties_are_free_and_keys_are_not() -> None:
    expected = Expectation((Check.EXACT, Check.EXACT), keys=(0,))
    plain = _answer(("1", "x"), ("1", "y"), ("2", "z"))
    assert _kinds(_answer(("1", "y"), ("1", "x"), ("2", "z")), plain, expected) == []
    assert _kinds(_answer(("2", "z"), ("1", "x"), ("1", "y")), plain, expected) == ["order"]


def test_a_limit_over_ties_takes_any_rows_there_are() -> None:
    expected = Expectation((Check.EXACT,), cut=True)
    every = _answer(("a",), ("b",), ("c",))
    assert _kinds(_answer(("c",)), _answer(("a",)), expected, every) == []
    assert _kinds(_answer(("d",)), _answer(("a",)), expected, every) == ["rows"]
    assert _kinds(_answer(("b",), ("b",)), _answer(("a",), ("b",)), expected, every) == ["rows"]


def test_what_is_open_is_compared_by_its_property() -> None:
    spelling, parts = Expectation((Check.SPELLING,)), Expectation((Check.PARTS,))
    assert _kinds(_answer(("Ä ",)), _answer(("a",)), spelling) == []
    assert _kinds(_answer(("b",)), _answer(("a",)), spelling) == ["rows"]
    assert _kinds(_answer(("x|y",)), _answer(("y|x",)), parts) == []
    elements = Expectation((Check.ELEMENTS,))
    assert _kinds(_answer(('["x", 1]',)), _answer(('[1, "x"]',)), elements) == []
    near = Expectation((Check.APPROXIMATE,))
    assert _kinds(_answer(("0.1234567890123",)), _answer(("0.12345678901230001",)), near) == []
    assert _kinds(_answer(("0.12345",)), _answer(("0.12346",)), near) == ["rows"]


def test_metadata_is_a_difference_of_its_own() -> None:
    assert _kinds(_answer(("a",), flags=1), _answer(("a",)), Expectation((Check.EXACT,))) == ["columns.flags"]


def test_errors_compare_by_number_and_sqlstate() -> None:
    one, other = Answer((1062, "23000", "a")), Answer((1048, "23000", "b"))
    assert _kinds(one, Answer((1062, "23000", "c")), Expectation()) == []
    assert _kinds(one, other, Expectation()) == ["error"]
    assert _kinds(one, Answer(), Expectation()) == ["unexpected error"]


def test_the_one_warning_that_the_mesh_adds_is_no_difference_and_no_other_is() -> None:
    own = (b"Warning", b"1196", b"dbmesh: committed one after another on a.ds_0, a.ds_1: not atomic")
    other = (b"Warning", b"1196", b"Some non-transactional changed tables couldn't be rolled back")
    assert without_not_atomic(Answer(warnings=1, shown=(own,))) == Answer()
    assert without_not_atomic(Answer(warnings=2, shown=(other, own))) == Answer(warnings=1, shown=(other,))
    assert _kinds(Answer(warnings=1, shown=(other,)), Answer(), Expectation()) == ["warnings.count"]


_ONE_TOLD, _OTHER_TOLD = (b"Warning", b"1292", b"a at row 1"), (b"Warning", b"1365", b"b")


def _warned(*shown: tuple[bytes | None, ...]) -> Reply:
    return Reply(Answer(warnings=len(shown), shown=shown))


@pytest.mark.parametrize(
    ("mesh", "plain", "others", "expected"),
    [
        # One more of the same kind, as another server has them.
        ([_ONE_TOLD] * 3, [_ONE_TOLD], [[_ONE_TOLD] * 2], []),
        # Nobody says otherwise than plain.
        ([_ONE_TOLD] * 3, [_ONE_TOLD], [[_ONE_TOLD]], ["warnings.count"]),
        # Nobody says what the mesh says.
        ([_OTHER_TOLD], [_ONE_TOLD] * 2, [[_ONE_TOLD] * 2, [_ONE_TOLD]], ["warnings.count"]),
        # Everybody says what the mesh does not.
        ([], [_ONE_TOLD], [[_ONE_TOLD], [_ONE_TOLD] * 2], ["warnings.count"]),
        ([], [_ONE_TOLD], [[_ONE_TOLD], []], []),
        # Another row, where servers differ in rows.
        (
            [(b"Warning", b"1292", b"a at row 7")],
            [_ONE_TOLD],
            [[_ONE_TOLD], [(b"Warning", b"1292", b"a at row 2")]],
            [],
        ),
        ([(b"Warning", b"1292", b"a at row 7")], [_ONE_TOLD], [[_ONE_TOLD], []], ["warnings.text"]),
    ],
)
def test_warnings_are_open_where_plain_servers_differ(
    mesh: list[tuple[bytes, ...]],
    plain: list[tuple[bytes, ...]],
    others: list[list[tuple[bytes, ...]]],
    expected: list[str],
) -> None:
    ours, theirs = _warned(*mesh), _warned(*plain)
    found = compare(ours.answer, theirs.answer, Expectation())
    replies = [_warned(*other) for other in others]
    left = settle(
        found, ours, theirs, replies, lambda reply: compare(ours.answer, reply.answer, Expectation())
    )
    assert [difference.kind for difference in left] == expected


def test_outer_joins_are_made_inner_one_by_one_and_together() -> None:
    first, second = (
        Join(TableRef(name), "LEFT JOIN", TableRef("z"), Call("{} = 1", (_A,), INTEGER))
        for name in ("x", "y")
    )
    query = Compound(Select((Item(_A),), first), "UNION ALL", Select((Item(_A),), second))
    kinds = {tuple(re.findall(r"((?:LEFT )?JOIN) z", write(other))) for other in inner(query)}
    assert {("JOIN", "LEFT JOIN"), ("LEFT JOIN", "JOIN"), ("JOIN", "JOIN")} <= kinds
    assert ("LEFT JOIN", "LEFT JOIN") not in kinds


def test_values_are_one_witness_s() -> None:
    mesh, plain = Reply(_answer(("a",))), Reply(_answer(("b",)))
    found = compare(mesh.answer, plain.answer, Expectation())

    def left(*replies: Reply) -> list[str]:
        rest = settle(
            found, mesh, plain, replies, lambda reply: compare(mesh.answer, reply.answer, Expectation())
        )
        return [difference.kind for difference in rest]

    assert left(Reply(_answer(("c",)))) == ["rows"]
    assert left(Reply(_answer(("c",))), Reply(_answer(("a",)))) == []
    assert left(Reply(_answer(("a",)), tells=Tells.WARNINGS)) == ["rows"]


def test_an_info_is_compared_with_the_warnings_it_counts() -> None:
    one = Answer(info=b"(Rows matched: 1  Changed: 0  Warnings: 1")
    assert _kinds(one, Answer(info=b"(Rows matched: 1  Changed: 0  Warnings: 0"), Expectation()) == ["info"]
    assert without_count(one.info) == without_count(b")Rows matched: 1  Changed: 0  Warnings: 10")


def test_texts_fold_as_the_coarsest_collation() -> None:
    assert fold("Ärß ".encode()) == fold(b"ars")
    assert fold("😀".encode()) == fold("😎".encode())
    assert fold(b"a") != fold(b"b")


def test_a_limit_without_a_total_order_may_choose() -> None:
    query = Select(
        (Item(_A),), TableRef("t"), order=(OrderKey(_A, item=0),), limit=Limit(Literal(_ONE, _TWO))
    )
    assert expect(query) == Expectation((Check.EXACT,), keys=(0,), cut=True)


def test_shrinking_keeps_what_fails() -> None:
    text = ColumnRef("b", TEXT, "b")
    bad = Call("{} LIKE '%x%'", (text,), INTEGER)
    where = Call(
        "({} AND {})", (Call("({} OR {})", (bad, Call("{} > 5", (_A,), INTEGER)), INTEGER), bad), INTEGER
    )
    query = Select(
        (Item(_A), Item(text, "n")), TableRef("t", "x"), where, distinct=True, order=(OrderKey(_A),)
    )

    def fails(part: Part) -> bool:
        return "LIKE" in write(part) and "FROM t" in write(part)

    assert write(shrink(query, fails)) == "SELECT b FROM t WHERE b LIKE '%x%'"
