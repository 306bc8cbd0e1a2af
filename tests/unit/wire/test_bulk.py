"""COM_STMT_BULK_EXECUTE: what is written is read again; what is torn is an error."""

from __future__ import annotations

import datetime
import struct
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dbmesh.errors import ProtocolError
from dbmesh.wire.bulk import BulkValue, LeftOut, make_bulk_execute, parse_bulk_execute

_COLUMNS = (
    st.integers(-(2**63), 2**63 - 1),
    st.text(),
    st.binary(),
    st.decimals(allow_nan=False, allow_infinity=False, places=3),
    st.datetimes(min_value=datetime.datetime(1000, 1, 1)),
)


@st.composite
def _rows(draw: st.DrawFn) -> list[list[BulkValue]]:
    columns = draw(st.lists(st.sampled_from(_COLUMNS), min_size=1, max_size=4))
    left_out = st.sampled_from([None, LeftOut.DEFAULT, LeftOut.IGNORE])
    return draw(
        st.lists(st.tuples(*[column | left_out for column in columns]).map(list), min_size=1, max_size=6)
    )


@given(_rows(), st.integers(0, 2**32 - 1))
def test_what_is_made_is_parsed(rows: list[list[BulkValue]], number: int) -> None:
    packet = make_bulk_execute(number, rows)
    read = parse_bulk_execute(packet, len(rows[0]), b"", "utf-8")
    assert read.statement_id == number
    assert [list(row) for row in read.rows] == rows
    # A later execution sends no types.
    later = packet[:5] + b"\0\0" + packet[7 + 2 * len(rows[0]) :]
    assert parse_bulk_execute(later, len(rows[0]), read.types, "utf-8").rows == read.rows


@given(_rows(), st.data())
def test_a_packet_that_ends_inside_a_row_is_an_error(
    rows: list[list[BulkValue]], data: st.DataObject
) -> None:
    whole = make_bulk_execute(1, rows)
    before = make_bulk_execute(1, rows[:-1])
    if len(rows) == 1 or len(whole) == len(before) + 1:
        return
    end = data.draw(st.integers(len(before) + 1, len(whole) - 1))
    if whole[: len(before)] == before:
        with pytest.raises(ProtocolError):
            parse_bulk_execute(whole[:end], len(rows[0]), b"", "utf-8")


@pytest.mark.parametrize(
    "body", [b"", b"\0\0", b"\x80\0", b"\x80\0\x08", b"\x80\0\x08\0\x04", b"\x80\0\x08\0\x01\x00\x01"]
)
def test_torn_packets_are_errors(body: bytes) -> None:
    with pytest.raises(ProtocolError):
        parse_bulk_execute(b"\xfa" + struct.pack("<I", 1) + body, 1, b"", "utf-8")


def test_the_layout_is_that_of_the_documentation() -> None:
    rows: list[list[BulkValue]] = [[1, "a"], [None, LeftOut.DEFAULT], [LeftOut.IGNORE, Decimal(2)]]
    assert make_bulk_execute(7, rows[:2]) == (
        b"\xfa\x07\0\0\0\x80\0" + b"\x08\0\xfd\0" + b"\0\x01\0\0\0\0\0\0\0" + b"\0\x01a" + b"\x01\x02"
    )
