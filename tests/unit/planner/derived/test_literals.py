"""Values of a row as literals that read back as the same values."""

from __future__ import annotations

from dataclasses import replace

import pytest

from dbmesh.errors import MeshError
from dbmesh.model import ColumnFamily, ColumnSchema
from dbmesh.planner.derived.literals import (
    carried_as,
    literal_writers,
    refuse_bits,
    refuse_numbered,
    row_literals,
    typed_columns,
)
from dbmesh.sql.lexer import DEFAULT, LexerFlags
from dbmesh.wire.constants import ColumnFlag, ColumnType
from tests.plugins.merging import binary, decimal, double, integer, text


@pytest.mark.parametrize(
    ("column", "value", "literal"),
    [
        (integer("a"), b"-9223372036854775808", "-9223372036854775808"),
        (decimal("a", 2), b"1.50", "1.50"),
        (double("a"), b"0.1", "0.1e0"),
        (double("a"), b"1e300", "1e300"),
        (text("a"), "é'\\\n".encode(), "'é\\'\\\\\\n'"),
        (text("a"), b"\xff", "'\udcff'"),
        (binary("a"), b"\x00'", "x'0027'"),
        (replace(binary("a"), type=ColumnType.BIT), b"\x01\x02", "x'0102'"),
        (replace(text("a"), type=ColumnType.JSON), b'{"a": 1}', "'{\"a\": 1}'"),
        (replace(integer("a"), type=ColumnType.DATE), b"0000-00-00", "'0000-00-00'"),
        (text("a"), None, "NULL"),
    ],
)
def test_a_value_keeps_its_type(column: object, value: bytes | None, literal: str) -> None:
    assert row_literals(literal_writers([column], DEFAULT), [value]) == (literal,)  # type: ignore[list-item]


def test_without_backslash_escapes_a_backslash_is_itself() -> None:
    writers = literal_writers([text("a")], LexerFlags(no_backslash_escapes=True))
    assert row_literals(writers, [b"\\'"]) == ("'\\'''",)


def test_float_text_has_too_few_digits_to_be_carried() -> None:
    with pytest.raises(MeshError, match="FLOAT values"):
        literal_writers([replace(double("f"), type=ColumnType.FLOAT)], DEFAULT)


def _column(family: ColumnFamily, declared: str) -> ColumnSchema:
    return ColumnSchema("c", declared, family)


ENUM = _column(ColumnFamily.ENUM, "enum('a')")
NUMBER = _column(ColumnFamily.INTEGER, "int(11)")
WORD = _column(ColumnFamily.TEXT, "varchar(9)")


LONG = _column(ColumnFamily.TEXT, "longtext")
BITS = _column(ColumnFamily.BIT, "bit(8)")
BYTES = _column(ColumnFamily.BINARY, "varbinary(9)")
FLOAT = _column(ColumnFamily.FLOAT, "float")
LATIN1 = ColumnSchema("c", "varchar(9)", ColumnFamily.TEXT, collation="latin1_swedish_ci")
UTF8 = ColumnSchema("c", "varchar(9)", ColumnFamily.TEXT, collation="utf8mb4_bin")


@pytest.mark.parametrize(
    ("source", "target", "read"),
    [
        (ENUM, NUMBER, "c + 0"),
        (_column(ColumnFamily.SET, "set('a')"), BITS, "c + 0"),
        (ENUM, _column(ColumnFamily.TEMPORAL, "year(4)"), "c + 0"),
        (ENUM, WORD, "c"),
        (ENUM, ENUM, "c"),
        (ENUM, None, "c"),
        (None, NUMBER, "c"),
        (NUMBER, NUMBER, "c"),
        (FLOAT, WORD, "c + 0e0"),
        (FLOAT, LONG, "CONCAT(c)"),
        (_column(ColumnFamily.FLOAT, "double"), NUMBER, "c"),
        (BITS, WORD, "c + 0"),
        (BITS, NUMBER, "c + 0"),
        (BITS, LONG, "CAST(c AS BINARY)"),
        (BITS, BITS, "c"),
        (BITS, None, "c"),
        (LATIN1, BYTES, "CAST(c AS BINARY)"),
        (LATIN1, BITS, "CAST(c AS BINARY)"),
        (LATIN1, WORD, "c"),
        (UTF8, BYTES, "c"),
    ],
)
def test_what_a_query_reads_of_a_column(
    source: ColumnSchema | None, target: ColumnSchema | None, read: str
) -> None:
    before, behind = carried_as(source, target)
    assert f"{before}c{behind}" == read


@pytest.mark.parametrize(
    ("target", "literal"),
    [(WORD, "258"), (NUMBER, "258"), (BYTES, "258"), (LONG, "x'0102'"), (BITS, "x'0102'")],
)
def test_a_bit_is_a_number_where_a_server_stores_one(target: ColumnSchema, literal: str) -> None:
    column = replace(binary("a"), type=ColumnType.BIT, org_name=b"a")
    writers = literal_writers([column], DEFAULT, typed_columns([column], [target]))
    assert row_literals(writers, [b"\x01\x02"]) == (literal,)


def test_a_computed_bit_is_bytes_or_a_number_nobody_knows() -> None:
    column = replace(binary("a"), type=ColumnType.BIT, org_name=b"a")
    refuse_bits(column)
    with pytest.raises(MeshError, match="computed BIT"):
        refuse_bits(replace(column, org_name=b""))


def test_an_enum_is_not_carried_to_numbers_as_text() -> None:
    column = replace(text("k"), flags=ColumnFlag.ENUM)
    refuse_numbered(column, WORD)
    with pytest.raises(MeshError, match="ENUM or SET values"):
        refuse_numbered(column, NUMBER)
