from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dbmesh.errors import ProtocolError
from dbmesh.merge.fields import make_field_reader
from dbmesh.wire.values import encode_text_row

fields = st.one_of(
    st.none(),
    st.binary(max_size=12),
    st.sampled_from([b"", b"x" * 250, b"x" * 251, b"x" * 252, b"y" * 65535, b"y" * 65536]),
)


@given(
    st.lists(st.tuples(fields, fields, fields, fields), max_size=5),
    st.sets(st.integers(0, 3)),
    st.one_of(st.none(), st.integers(0, 4)),
)
def test_reader_takes_columns_and_cuts_rows(
    rows: list[tuple[bytes | None, ...]], wanted: set[int], visible: int | None
) -> None:
    columns = sorted(wanted)
    read, cut = make_field_reader(columns, visible)([encode_text_row(item) for item in rows])
    assert read == [[item[column] for item in rows] for column in columns]
    assert list(cut) == [encode_text_row(item[:visible]) for item in rows]


@pytest.mark.parametrize("columns", [[0], [2], [0, 2]])
def test_row_that_ends_before_a_field_is_a_protocol_error(columns: list[int]) -> None:
    with pytest.raises(ProtocolError, match="row ends"):
        make_field_reader(columns)([b""])
