"""Two answers are the same whatever the order of their rows, unless an order was asked for; all else is told."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dbmesh.errors import ProtocolError
from dbmesh.governance.mirroring.answers import MOST_BYTES, Answer, AnswerReader, differences, is_ordered
from dbmesh.wire.constants import ColumnType
from tests.plugins import canned
from tests.plugins.canned import MODERN, OLD
from tests.plugins.scripted import column

COLUMNS = [column("a", ColumnType.LONGLONG), column("b")]
ROWS = st.lists(st.lists(st.one_of(st.none(), st.binary(max_size=5)), min_size=2, max_size=2), max_size=6)


def read(data: bytes, capabilities: int = MODERN, step: int = 1 << 20) -> Answer:
    reader = AnswerReader(capabilities)
    for position in range(0, len(data), step):
        reader.feed(data[position : position + step])
    assert reader.answer is not None
    return reader.answer


@given(ROWS, st.randoms(use_true_random=False), st.sampled_from([MODERN, OLD]), st.integers(1, 60))
def test_rows_are_compared_in_any_order(
    rows: list[list[bytes | None]], random: object, capabilities: int, step: int
) -> None:
    mixed = list(rows)
    random.shuffle(mixed)  # type: ignore[attr-defined]
    own = read(canned.result_set(COLUMNS, rows, capabilities=capabilities), capabilities, step)
    other = read(canned.result_set(COLUMNS, mixed))
    assert own.rows == len(rows)
    assert differences(own, other, ordered=False) == ()
    expected = () if mixed == rows else ("order",)
    assert differences(own, other, ordered=True) == expected


@given(ROWS, ROWS)
def test_other_rows_are_told(left: list[list[bytes | None]], right: list[list[bytes | None]]) -> None:
    found = differences(
        read(canned.result_set(COLUMNS, left)), read(canned.result_set(COLUMNS, right)), ordered=False
    )
    if len(left) != len(right):
        assert found == ("row count",)
    else:
        same = sorted(map(repr, left)) == sorted(map(repr, right))
        assert found == (() if same else ("rows",))


@pytest.mark.parametrize(
    ("own", "mirrored", "expected"),
    [
        (canned.ok(affected=3), canned.ok(affected=3), ()),
        (canned.ok(affected=3), canned.ok(affected=2), ("affected rows",)),
        (canned.ok(), canned.failure(1062), ("status",)),
        (canned.failure(1062), canned.failure(1062), ()),
        (canned.failure(1062), canned.failure(1064), ("error",)),
        (canned.ok(), canned.result_set(COLUMNS, []), ("status",)),
    ],
)
def test_how_it_ended_is_compared(own: bytes, mirrored: bytes, expected: tuple[str, ...]) -> None:
    assert differences(read(own), read(mirrored), ordered=True) == expected


def test_of_large_answers_only_the_number_of_rows_is_compared() -> None:
    large = read(canned.result_set(COLUMNS, [[b"1", b"x" * 70_000]] * (MOST_BYTES // 70_000 + 2)))
    assert large.any_order is None
    assert differences(large, Answer(rows=large.rows, any_order=5, in_order=b""), ordered=True) == ()


def test_several_results_are_no_answer_and_garbage_is_none_either() -> None:
    reader = AnswerReader(MODERN)
    reader.feed(canned.ok(status=2 | 8) + canned.ok())
    assert reader.answer is None
    with pytest.raises(ProtocolError):
        AnswerReader(MODERN).feed(b"\0\0\0\1\0")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("SELECT a FROM t ORDER BY a", True),
        ("(SELECT a FROM t ORDER BY a)", False),
        ("SELECT a FROM t WHERE b IN (SELECT b FROM u ORDER BY c LIMIT ?)", False),
        ("SELECT `order` FROM t", False),
        ("SELECT COUNT(*) FROM t", False),
    ],
)
def test_whether_an_order_was_asked_for(text: str, expected: bool) -> None:
    assert is_ordered(text) is expected
