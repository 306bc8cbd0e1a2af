from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dbmesh.errors import MeshError, ProtocolError
from dbmesh.merge.keys import make_key_reader
from dbmesh.planner.plan import SortKey
from dbmesh.wire.constants import ColumnFlag, ColumnType
from dbmesh.wire.packets import ColumnDefinition
from tests.plugins.merging import UTF8MB4, binary, column, decimal, double, integer, row, text

GENERAL = "utf8mb4_general_ci"


def in_order(definition: ColumnDefinition, ascending: list[object], **key: object) -> None:
    """`ascending` values have ascending keys, and descending ones when turned."""
    rows = [row(value) for value in ascending]
    for descending in (False, True):
        keys, _ = make_key_reader([SortKey(0, descending=descending)], [definition])(rows)
        expected = sorted(keys, reverse=descending)
        assert keys == expected
        assert len(set(keys)) == len(keys)


@pytest.mark.parametrize(
    ("definition", "ascending"),
    [
        (integer("i"), [None, -(2**63), -5, 0, 3, 2**53, 2**53 + 1, 2**64 - 1]),
        (column("y", ColumnType.YEAR), [None, "0000", 1901, 2155]),
        (
            decimal("d", 2),
            [None, "-12.50", "-0.05", "0.00", "0.10", "9.99", "123456789012345678901234567890.01"],
        ),
        (decimal("d", 0), [None, -10, -9, 0, 9, 10]),
        (double("f"), [None, "-1e300", -1.5, 0, "1.5e-7", 2, "1e20"]),
        (column("f", ColumnType.FLOAT, decimals=3), [None, "-1.500", "0.100", "12.000"]),
        (column("d", ColumnType.DATE), [None, "0000-00-00", "1999-12-31", "2000-01-01"]),
        (
            column("d", ColumnType.DATETIME),
            [None, "0000-00-00 00:00:00", "2000-01-01 09:00:00", "2000-01-01 10:00:00"],
        ),
        (
            column("t", ColumnType.TIME),
            [None, "-838:59:59", "-100:00:00", "-99:00:00", "-00:00:01", "00:00:00", "99:00:00", "100:00:00"],
        ),
        (
            column("t", ColumnType.TIME, decimals=2),
            [None, "-00:00:00.50", "00:00:00.05", "00:00:00.50", "00:00:01.00"],
        ),
        (column("b", ColumnType.BIT), [None, b"\x00\x01", b"\x00\xff", b"\x01\x00"]),
        (
            binary("b"),
            [
                None,
                b"",
                b"\x00",
                b"\x00\x00",
                b"\x00\x01",
                b"\x01",
                b"a",
                b"a\x00",
                b"ab",
                b"\xff",
                b"\xff\xff",
            ],
        ),
        (column("n", ColumnType.NULL), [None]),
    ],
)
def test_keys_order_as_mysql_does(definition: ColumnDefinition, ascending: list[object]) -> None:
    in_order(definition, ascending)


@given(st.lists(st.one_of(st.none(), st.binary(max_size=4)), max_size=8))
def test_descending_bytes_reverse_ascending_ones(fields: list[bytes | None]) -> None:
    rows = [row(field) for field in fields]
    ascending, _ = make_key_reader([SortKey(0)], [binary("b")])(rows)
    descending, _ = make_key_reader([SortKey(0, descending=True)], [binary("b")])(rows)
    for left in range(len(rows)):
        for right in range(len(rows)):
            assert (ascending[left] < ascending[right]) == (descending[left] > descending[right])


@given(st.lists(st.decimals(-(10**9), 10**9, places=3), min_size=1, max_size=6))
def test_decimal_keys_are_exact(numbers: list[Decimal]) -> None:
    keys, _ = make_key_reader([SortKey(0)], [decimal("d", 3)])([row(f"{number:.3f}") for number in numbers])
    assert keys == [number * 1000 for number in numbers]


def test_decimal_with_other_digits_than_its_column_is_still_exact() -> None:
    keys, _ = make_key_reader([SortKey(0)], [decimal("d", 2)])(
        [row("1"), row("1.005"), row("1.01"), row("1e3")]
    )
    assert keys == sorted(keys)
    whole, _ = make_key_reader([SortKey(0)], [decimal("d", 0)])([row("1.5"), row("2")])
    assert whole == sorted(whole)


def test_several_keys_are_tuples_and_hidden_columns_are_cut() -> None:
    read = make_key_reader(
        [SortKey(1, descending=True), SortKey(0, weight=-1, collation=GENERAL)],
        [text("name"), integer("i"), binary("w")],
        visible=2,
    )
    keys, rows = read(
        [row("b", 2, b"\x00B"), row("a ", 1, b"\x00A\x00\x20"), row("a", 1, b"\x00A"), row(None, None, None)]
    )
    assert keys[0] < keys[1] == keys[2] < keys[3]
    assert list(rows) == [row("b", 2), row("a ", 1), row("a", 1), row(None, None)]


def test_text_compares_by_weight_only_where_it_is_text() -> None:
    read = make_key_reader([SortKey(0, weight=-1, collation=GENERAL)], [integer("i"), binary("w")])
    assert read([row(10, None), row(9, None)])[0] == [10, 9]
    read = make_key_reader([SortKey(0, weight=1)], [binary("b"), binary("w")])
    keys, _ = read([row(b"b", b"b"), row(b"a", b"a")])
    assert keys[1] < keys[0]


def test_text_column_of_collation_binary_compares_by_its_bytes() -> None:
    keys, _ = make_key_reader([SortKey(0, weight=1, collation="binary")], [text("b"), binary("w")])(
        [row("a ", "a ")]
    )
    assert keys == [b"a \x00"]


@pytest.mark.parametrize(
    ("definition", "key"),
    [
        (text("name"), SortKey(0)),
        (text("name"), SortKey(0, weight=1, collation="gbk_chinese_ci")),
        (column("j", ColumnType.JSON, character_set=UTF8MB4), SortKey(0)),
        (column("g", ColumnType.GEOMETRY), SortKey(0)),
        (column("e", ColumnType.STRING, flags=ColumnFlag.ENUM), SortKey(0)),
        (
            column("e", ColumnType.STRING, flags=ColumnFlag.ENUM, character_set=UTF8MB4),
            SortKey(0, 1, False, GENERAL),
        ),
        (column("s", ColumnType.STRING, flags=ColumnFlag.SET), SortKey(0)),
        (column("f", ColumnType.FLOAT, decimals=31), SortKey(0)),
        (column("f", ColumnType.DOUBLE, decimals=6, stored=False), SortKey(0)),
    ],
)
def test_what_cannot_be_compared_exactly_is_refused(definition: ColumnDefinition, key: SortKey) -> None:
    with pytest.raises(MeshError, match="dbmesh: not supported"):
        make_key_reader([key], [definition, binary("w")])


def described(*weights: bytes | None) -> list[bytes]:
    columns = [text("expression"), binary("w")]
    return make_key_reader([SortKey(0, weight=1)], columns)([row("x" if w else None, w) for w in weights])[0]


def test_weight_may_name_its_collation() -> None:
    padded = described(b"utf8mb4_general_ci:\x00A\x00\x20", None, b"utf8mb4_general_ci:\x00A")
    assert padded[1] < padded[0] == padded[2]
    unpadded = described(b"utf8mb4_nopad_bin:\x00\x00:", b"utf8mb4_nopad_bin:\x00\x00:\x00\x00\x20")
    assert unpadded[0] < unpadded[1]


@pytest.mark.parametrize(
    "weights", [[b"\x00A\x00B"], [b"\x00A:\x00B"], [b"gbk_bin:a"], [b"latin1_bin:a", b"utf8mb4_bin:a"]]
)
def test_weight_that_names_no_usable_collation_is_refused(weights: list[bytes]) -> None:
    with pytest.raises(MeshError, match=r"dbmesh: not supported: .*collation"):
        described(*weights)


def test_text_too_long_for_its_weight_is_refused() -> None:
    read = make_key_reader([SortKey(0, weight=1, collation=GENERAL)], [text("name"), binary("w")])
    read([row(None, None)])
    with pytest.raises(MeshError, match="too long"):
        read([row("long", None)])


def test_missing_column_and_wrong_value_are_protocol_errors() -> None:
    with pytest.raises(ProtocolError, match="missing"):
        make_key_reader([SortKey(2)], [integer("i")])
    with pytest.raises(ProtocolError, match="type"):
        make_key_reader([SortKey(0)], [integer("i")])([row("abc")])
