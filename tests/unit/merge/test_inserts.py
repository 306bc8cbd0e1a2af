"""Rows as INSERT rows: exact for every form, and malformed rows are refused."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dbmesh.errors import ProtocolError
from dbmesh.merge.inserts import make_rows_writer
from dbmesh.planner.scans import LiteralForm, LoadedColumn
from dbmesh.wire.values import encode_text_row

_TEXT = LoadedColumn("t", LiteralForm.QUOTED)
_BYTES = LoadedColumn("b", LiteralForm.BYTES)
_LATIN = LoadedColumn("l", LiteralForm.BYTES, "_latin1 ")
_NUMBER = LoadedColumn("n", LiteralForm.NUMBER)
_MOMENT = LoadedColumn("m", LiteralForm.MOMENT)


def test_every_form() -> None:
    write = make_rows_writer((_NUMBER, _TEXT, _BYTES, _LATIN, _MOMENT))
    row = encode_text_row([b"-1.50", b"it's a \\", b"\0'", b"\xe9", b"1700000000.5"])
    assert write([row]) == [
        b"(-1.50,'it\\'s a \\\\',_binary '\0\\'',_latin1 '\xe9',FROM_UNIXTIME(1700000000.5))"
    ]


def test_null_is_null_in_every_form() -> None:
    write = make_rows_writer((_NUMBER, _TEXT, _MOMENT))
    assert write([encode_text_row([None, None, None])]) == [b"(NULL,NULL,NULL)"]


@pytest.mark.parametrize("zero", [b"0", b"0.000000"])
def test_the_zero_timestamp(zero: bytes) -> None:
    assert make_rows_writer((_MOMENT,))([encode_text_row([zero])]) == [b"('0000-00-00 00:00:00')"]


@given(
    st.lists(st.tuples(st.none() | st.binary(max_size=300), st.none() | st.binary(max_size=8)), max_size=20)
)
def test_what_is_quoted_reads_back(rows: list[tuple[bytes | None, bytes | None]]) -> None:
    write = make_rows_writer((_TEXT, _TEXT))
    for row, written in zip(rows, write([encode_text_row(list(row)) for row in rows]), strict=True):
        assert tuple(_read(written)) == row


def _read(written: bytes) -> list[bytes | None]:
    """The literals of one row, as a server reads them."""
    literals = re.findall(rb"NULL|'(?:[^'\\]|\\.)*'", written[1:-1], re.DOTALL)
    assert written == b"(" + b",".join(literals) + b")"
    return [
        None if one == b"NULL" else re.sub(rb"\\(.)", rb"\1", one[1:-1], flags=re.DOTALL) for one in literals
    ]


@pytest.mark.parametrize("row", [b"", b"\x01", b"\x01a", b"\x01a\x01b\x01c", b"\xfb\xfc"])
def test_malformed_rows(row: bytes) -> None:
    with pytest.raises(ProtocolError):
        make_rows_writer((_TEXT, _TEXT))([row])
