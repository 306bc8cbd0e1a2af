"""Files of LOAD DATA are read as the manual says, wherever their bytes are cut."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dbmesh.sql.delimited import FileFormat, FileReader, FileRow

CSV = FileFormat(b",", b'"', b"\\", b"", b"\n")
DOUBLED = FileFormat(b",", b'"', b'"', b"", b"\n")
LONG = FileFormat(b"||", b"'", b"", b">>", b"|\n|")
FORMATS = (FileFormat(), CSV, DOUBLED, LONG, FileFormat(b",", b"", b"", b"", b","))


def read(layout: FileFormat, *pieces: bytes, width: int = 2, skipped: int = 0) -> list[FileRow]:
    reader = FileReader(layout, width, skipped)
    rows = [row for piece in pieces for row in reader.feed(piece)]
    return rows + reader.finish()


def fields(
    layout: FileFormat, data: bytes, width: int = 2, skipped: int = 0
) -> list[tuple[bytes | None, ...]]:
    return [row.fields for row in read(layout, data, width=width, skipped=skipped)]


@pytest.mark.parametrize(
    ("layout", "data", "expected"),
    [
        (FileFormat(), b"1\ta\n2\tb\n", [(b"1", b"a"), (b"2", b"b")]),
        (FileFormat(), b"1\t\\N\n2\tN", [(b"1", None), (b"2", b"N")]),
        (FileFormat(), b"1\t\\n\\t\\\\\\0\\Z\\x\n", [(b"1", b"\n\t\\\0\x1ax")]),
        (FileFormat(), b"1\ta\\\nb\n", [(b"1", b"a\nb")]),
        (FileFormat(), b"\n1\t", [(b"",), (b"1",)]),
        (FileFormat(), b"1\tNULL\n", [(b"1", b"NULL")]),
        (CSV, b'1,"a,""b""\nc"\n', [(b"1", b'a,"b"\nc')]),
        (CSV, b'NULL,"NULL"\n', [(None, b"NULL")]),
        (CSV, b'1,"\\N"', [(b"1", None)]),
        (CSV, b'1,"open', [(b"1", b'"open')]),
        (CSV, b'1,"a"b"\n', [(b"1", b'a"b')]),
        (CSV, b'1,a"b\n', [(b"1", b'a"b')]),
        (DOUBLED, b'1,"a""b\\n"\n', [(b"1", b'a"b\\n')]),
        (LONG, b"x>>1||'a||b'|\n|y>>2||c|", [(b"1", b"a||b"), (b"2", b"c|")]),
        (FileFormat(b",", b"", b"", b"", b","), b"1,2,3,4", [(b"1", b"2"), (b"3", b"4")]),
    ],
)
def test_fields(layout: FileFormat, data: bytes, expected: list[tuple[bytes | None, ...]]) -> None:
    assert fields(layout, data) == expected


def test_what_a_line_has_too_much_is_told() -> None:
    assert [row.cut for row in read(FileFormat(), b"1\t2\t3\n1\t2\n1\t2\t\n")] == [True, False, False]


@pytest.mark.parametrize(("skipped", "rows"), [(0, 3), (1, 2), (3, 0), (10**12, 0)])
def test_skipped_lines(skipped: int, rows: int) -> None:
    assert len(read(FileFormat(), b"1\t2\n3\t4\n5\t6\n", skipped=skipped)) == rows


@given(
    layout=st.sampled_from(FORMATS),
    data=st.lists(
        st.sampled_from([bytes([b]) for b in b"a1N\\\"',\t\n|>n"] + [b"NULL", b"||", b"|\n|", b">>"])
    ).map(b"".join),
    width=st.integers(1, 3),
    skipped=st.integers(0, 2),
    cuts=st.lists(st.integers(0, 60)),
)
def test_rows_do_not_depend_on_where_the_bytes_are_cut(
    layout: FileFormat, data: bytes, width: int, skipped: int, cuts: list[int]
) -> None:
    marks = sorted({min(cut, len(data)) for cut in cuts} | {0, len(data)})
    pieces = [data[start:end] for start, end in itertools.pairwise(marks)]
    whole = read(layout, data, width=width, skipped=skipped)
    assert read(layout, *pieces, width=width, skipped=skipped) == whole


@given(
    rows=st.lists(
        st.tuples(st.binary(max_size=6), st.none() | st.binary(min_size=1, max_size=6)), max_size=5
    ),
)
def test_what_is_written_with_escapes_is_read_back(rows: list[tuple[bytes, bytes | None]]) -> None:
    def written(value: bytes | None) -> bytes:
        if value is None:
            return b"\\N"
        return b"".join(b"\\" + bytes([b]) if b in b"\\\t\n" else bytes([b]) for b in value)

    data = b"".join(written(first) + b"\t" + written(second) + b"\n" for first, second in rows)
    # The byte after a backslash stands for itself here; only N alone is NULL.
    assert fields(FileFormat(), data) == list(rows)
