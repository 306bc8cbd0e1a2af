"""Images survive the way through the undo table, whatever bytes they hold."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dbmesh.planner.images import ImageColumn, ImageTable
from dbmesh.planner.scans import LiteralForm
from dbmesh.transaction.undo import Change, TableChanges, decode, encode, mark, record

_TABLE = ImageTable(
    "t'ä",
    (
        ImageColumn("k", "`k`", LiteralForm.NUMBER),
        ImageColumn("v", "`v`", LiteralForm.BYTES, "_latin1 ", True),
    ),
    (0,),
)
_ROWS = st.none() | st.tuples(st.binary(), st.none() | st.binary())


@given(st.lists(st.builds(Change, _ROWS, _ROWS)))
def test_what_is_written_is_read_again(changes: list[Change]) -> None:
    images = [TableChanges(_TABLE, tuple(changes))]
    text = encode(images)
    assert text.isascii()
    assert decode(text) == images


@pytest.mark.parametrize("text", ["[{}]", "[1]", "nonsense"])
def test_what_is_no_image_is_told(text: str) -> None:
    with pytest.raises(ValueError):
        decode(text)


def test_a_record_depends_on_no_quotes() -> None:
    changes = [TableChanges(_TABLE, (Change(None, (b"1", b"it's")),))]
    statement = record("s`", "ab-1", 3, "0" * 16, "1" * 16, changes)
    assert statement.startswith("INSERT INTO `s```.dbmesh_undo SELECT 'ab-1', 3, ")
    assert "WHERE 2 IN (SELECT COUNT(*) " in statement
    assert "it's" not in statement
    assert "it's" not in mark("ab-1", "0" * 16, 3, "it's")
