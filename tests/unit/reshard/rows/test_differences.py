"""What makes two sides equal, and where a chunk begins and ends, hold for whatever rows there are."""

from __future__ import annotations

import sqlite3
from contextlib import closing

from hypothesis import given
from hypothesis import strategies as st

from dbmesh.planner.images import ImageColumn, ImageTable, Row
from dbmesh.planner.scans import LiteralForm
from dbmesh.reshard.rows.differences import in_key_order, key_at, keys_between, repair

_TABLE = ImageTable(
    "t",
    tuple(ImageColumn(name, name, LiteralForm.NUMBER) for name in ("a", "b", "v")),
    (0, 1),
)
_number = st.integers(0, 4).map(lambda value: str(value).encode())
_rows = st.lists(st.tuples(_number, _number, _number), max_size=12)
_keys = st.tuples(_number, _number)


def _by_key(rows: list[Row]) -> dict[Row, Row]:
    return {_TABLE.key_of(row): row for row in rows}


@given(_rows, _rows)
def test_a_repair_makes_both_sides_equal(source: list[Row], target: list[Row]) -> None:
    """Also where a row is there twice, as on two data nodes."""
    wanted = list(_by_key(source).values())
    todo = repair(_TABLE, wanted, target)
    left = [row for row in target if _TABLE.key_of(row) not in todo.gone]
    assert sorted([*left, *todo.written]) == sorted(wanted)


@given(_rows)
def test_nothing_is_repaired_that_is_right(rows: list[Row]) -> None:
    rows = list(_by_key(rows).values())
    todo = repair(_TABLE, rows, reversed(rows))
    assert not todo.gone
    assert not todo.written


@given(_rows, st.none() | _keys, st.none() | _keys)
def test_a_range_of_keys_is_what_lies_between(rows: list[Row], after: Row | None, upto: Row | None) -> None:
    def number(key: Row) -> tuple[int, ...]:
        return tuple(int(value or b"0") for value in key)

    rows = list(_by_key(rows).values())
    with closing(sqlite3.connect(":memory:")) as database:
        database.execute("CREATE TABLE t (a INT, b INT, v INT)")
        database.executemany("INSERT INTO t VALUES (?, ?, ?)", [number(row) for row in rows])
        query = in_key_order(_TABLE, keys_between(_TABLE, after, upto), 100)
        found = [row[:2] for row in database.execute(query)]
        for rows_taken in (1, 3):
            nth = database.execute(key_at(_TABLE, keys_between(_TABLE, after, upto), rows_taken)).fetchall()
            assert nth == found[rows_taken - 1 : rows_taken]
    keys = sorted(number(_TABLE.key_of(row)) for row in rows)
    assert found == [
        key
        for key in keys
        if (after is None or key > number(after)) and (upto is None or key <= number(upto))
    ]


def test_rows_are_written_in_statements_of_bounded_length() -> None:
    rows: list[Row] = [(str(number).encode(), b"1", b"2") for number in range(100)]
    texts = list(_TABLE.inserts(rows, 60))
    assert len(texts) > 10
    assert sum(text.count("),(") + 1 for text in texts) == 100
    assert max(len(text) for text in texts) < 120
    assert next(_TABLE.inserts(rows[:1], over=True)).endswith(
        "(0,1,2) ON DUPLICATE KEY UPDATE `v`=VALUES(`v`)"
    )
    assert (
        _TABLE.delete([(b"1", b"2"), (b"3", b"4")])
        == "DELETE FROM `t` WHERE (`a`=1 AND `b`=2) OR (`a`=3 AND `b`=4)"
    )
