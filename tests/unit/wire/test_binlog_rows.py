"""What became of rows, out of whatever bytes there are."""

from __future__ import annotations

import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dbmesh.errors import MeshError, ProtocolError
from dbmesh.wire.binlog import Event, EventKind
from dbmesh.wire.binlog_rows import ROWS, Change, Key, TableName, TableRows, parse_table, table_number
from dbmesh.wire.binlog_values import KeyColumn
from tests.plugins.binlog import INTEGERS, integer_row, rows, table_map

_KEY = (KeyColumn(0),)


def _table(key: tuple[KeyColumn, ...] = _KEY) -> TableRows:
    body = table_map(5, "Shop", "T_Order", *INTEGERS)
    name, position = parse_table(body)
    assert (table_number(body), name) == (5, TableName("shop", "t_order"))
    return TableRows(body, position, 2, key)


def _keys(table: TableRows, event: Event) -> list[Key]:
    return [change.key for change in table.changes(event)]


def _event(kind: EventKind, body: bytes) -> Event:
    return Event(kind, 0, 0, body)


@given(st.lists(st.integers(-(2**31), 2**31 - 1), max_size=20))
def test_written_and_deleted_rows(numbers: list[int]) -> None:
    body = rows(5, 2, [integer_row(number, "é" * (number % 9)) for number in numbers])
    assert table_number(body) == 5
    for kind in (EventKind.WRITE_ROWS, EventKind.DELETE_ROWS):
        assert _keys(_table(), _event(kind, body)) == [(b"%d" % number,) for number in numbers]


def test_changed_rows_have_the_keys_before_and_after() -> None:
    images = [integer_row(1), integer_row(1, "y"), integer_row(2), integer_row(3)]
    body = rows(5, 2, images, update=True)
    assert _keys(_table(), _event(EventKind.UPDATE_ROWS, body)) == [(b"1",), (b"2",), (b"3",)]


def test_images_are_what_rows_become() -> None:
    images = [integer_row(1), integer_row(1, "y"), integer_row(2), integer_row(3)]
    found = _table().changes(_event(EventKind.UPDATE_ROWS, rows(5, 2, images, update=True)))
    assert found == [
        Change((b"1",), images[1], True),
        Change((b"2",), None, True),
        Change((b"3",), images[3], True),
    ]
    gone = _table().changes(_event(EventKind.DELETE_ROWS, rows(5, 2, images[:1])))
    assert gone == [Change((b"1",), None, True)]
    assert _table().layout == b"".join(INTEGERS)


def test_an_image_of_what_changed_keeps_the_rest_of_the_key() -> None:
    bits = rows(5, 2, [])[:-1] + b"\1\2"
    before = b"\0" + (7).to_bytes(4, "little")
    found = _keys(_table(), _event(EventKind.UPDATE_ROWS, bits + before + b"\0\1y"))
    assert found == [(b"7",)]
    assert not _table().changes(_event(EventKind.UPDATE_ROWS, bits + before + b"\0\1y"))[0].whole
    with pytest.raises(MeshError, match="binlog_row_image to FULL"):
        _keys(_table((KeyColumn(0), KeyColumn(1))), _event(EventKind.UPDATE_ROWS, bits + before + b"\0\1y"))


def test_null_compressed_and_former_versions() -> None:
    key = (KeyColumn(1), KeyColumn(0))
    images = b"\2" + (7).to_bytes(4, "little") + integer_row(8, "abc")
    found: list[Key] = [(None, b"7"), (b"abc", b"8")]
    head = rows(5, 2, [])
    assert _keys(_table(key), _event(EventKind.WRITE_ROWS, head + images)) == found
    v1 = head[:8] + head[10:]
    assert _keys(_table(key), _event(EventKind.WRITE_ROWS_V1, v1 + images)) == found
    packed = b"\x81" + bytes((len(images),)) + zlib.compress(images)
    assert _keys(_table(key), _event(EventKind.WRITE_ROWS_COMPRESSED_V1, v1 + packed)) == found
    assert _keys(_table(key), _event(EventKind.WRITE_ROWS_COMPRESSED, head + packed)) == found


def test_a_table_that_has_become_another_is_refused() -> None:
    body = table_map(5, "shop", "t", *INTEGERS)
    position = parse_table(body)[1]
    with pytest.raises(MeshError, match="2 columns that had 3"):
        TableRows(body, position, 3, _KEY)
    with pytest.raises(ProtocolError, match="other columns"):
        _keys(_table(), _event(EventKind.WRITE_ROWS, rows(5, 3, [])))
    with pytest.raises(MeshError, match="lacks a column"):
        _keys(_table(), _event(EventKind.WRITE_ROWS, rows(5, 2, [b"x"], present=0)))


@given(st.sampled_from(sorted(ROWS)), st.binary(max_size=100))
def test_any_bytes_are_rows_or_an_error(kind: EventKind, data: bytes) -> None:
    for body in (data, rows(5, 2, [data])):
        try:
            _keys(_table(), _event(kind, body))
        except (ProtocolError, MeshError):
            continue


@given(st.binary(max_size=60))
def test_any_bytes_are_a_table_or_an_error(data: bytes) -> None:
    for body in (data, table_map(5, "s", "t", b"", b"")[:14] + data):
        try:
            _, position = parse_table(body)
            TableRows(body, position, 2, _KEY)
        except (ProtocolError, MeshError):
            continue
