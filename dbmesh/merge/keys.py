"""Comparison keys: from the fields of a column to Python values that order as MySQL orders the column.

Decides which types can be compared across shards and how; what cannot be compared exactly is refused. Knows nothing
of merging. NULL comes first ascending and last descending; descending keys are turned round so that every caller
sorts ascending. Sources: manual, "Sorting Rows", "Comparison Functions and Operators".
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from decimal import Context, Decimal
from functools import lru_cache
from typing import Any, Final

from dbmesh.errors import MeshError, ProtocolError, not_supported
from dbmesh.merge.fields import Field, make_field_reader
from dbmesh.merge.padding import make_described_weight_key, make_weight_keys
from dbmesh.planner.plan import SortKey
from dbmesh.wire.constants import ColumnFlag, ColumnType
from dbmesh.wire.packets import ColumnDefinition

Key = Any
"""A value that compares with the keys of the same column: int, float, Decimal, bytes, or a tuple of these."""
Keys = list[Key]
Convert = Callable[[list[Field]], Keys]
KeyReader = Callable[[Sequence[bytes]], tuple[Keys, Sequence[bytes]]]

NOT_FIXED: Final = 31
"""`decimals` of a floating-point column that shows all its digits (MySQL: NOT_FIXED_DEC; MariaDB also uses 39)."""
BINARY_CHARSET: Final = 63

INTEGER_TYPES: Final = frozenset(
    {
        ColumnType.TINY,
        ColumnType.SHORT,
        ColumnType.INT24,
        ColumnType.LONG,
        ColumnType.LONGLONG,
        ColumnType.YEAR,
    }
)
DECIMAL_TYPES: Final = frozenset({ColumnType.DECIMAL, ColumnType.NEWDECIMAL})
FLOAT_TYPES: Final = frozenset({ColumnType.FLOAT, ColumnType.DOUBLE})
_DATE_TYPES: Final = frozenset(
    {ColumnType.DATE, ColumnType.NEWDATE, ColumnType.DATETIME, ColumnType.TIMESTAMP}
)
_STRING_TYPES: Final = frozenset(
    {
        ColumnType.VARCHAR,
        ColumnType.VAR_STRING,
        ColumnType.STRING,
        ColumnType.TINY_BLOB,
        ColumnType.BLOB,
        ColumnType.MEDIUM_BLOB,
        ColumnType.LONG_BLOB,
        ColumnType.ENUM,
        ColumnType.SET,
    }
)
_ENUMERATIONS: Final = ColumnFlag.ENUM | ColumnFlag.SET
_FIRST: Final = float("-inf")
_LAST: Final = float("inf")
_EXACT: Final = Context(prec=200)
_INVERTED: Final = bytes(range(255, -1, -1))


def absolute(column: int, columns: Sequence[ColumnDefinition]) -> int:
    """The index from the start of a column counted from either end. Raises MeshError when there is none."""
    index = column + len(columns) if column < 0 else column
    if not 0 <= index < len(columns):
        raise ProtocolError(f"a shard sent {len(columns)} columns, column {column} is missing")
    return index


def make_key_reader(
    sort_keys: Sequence[SortKey], columns: Sequence[ColumnDefinition], visible: int | None = None
) -> KeyReader:
    """A function from rows to their keys (bare for one sort key, tuples for several) and the rows cut to their first
    `visible` columns. Raises MeshError for columns that cannot be compared, when made or on an unusable weight.

    The same few statements come again and again: their readers are remembered, but for those that learn a collation
    from the rows of one statement."""
    learns = any(key.weight is not None and key.collation is None for key in sort_keys)
    make = _make_key_reader if learns else _known_key_reader
    return make(tuple(sort_keys), tuple(columns), visible)


def _make_key_reader(
    sort_keys: tuple[SortKey, ...], columns: tuple[ColumnDefinition, ...], visible: int | None
) -> KeyReader:
    parts = [_KeyPart(key, columns) for key in sort_keys]
    needed = sorted({part.column for part in parts})
    position = {column: index for index, column in enumerate(needed)}
    read_fields = make_field_reader(needed, visible)
    places = [(position[part.column], part) for part in parts]

    def read(rows: Sequence[bytes]) -> tuple[Keys, Sequence[bytes]]:
        fields, cut = read_fields(rows)
        converted = [part.keys(fields[place], rows) for place, part in places]
        return (converted[0] if len(converted) == 1 else list(zip(*converted, strict=True))), cut

    return read


_known_key_reader = lru_cache(maxsize=256)(_make_key_reader)


class _KeyPart:
    """One sort key with its column resolved: the weight's where text is compared by weight."""

    __slots__ = ("_convert", "_value_column", "column")

    def __init__(self, key: SortKey, columns: Sequence[ColumnDefinition]) -> None:
        value = absolute(key.column, columns)
        if columns[value].flags & _ENUMERATIONS:
            # They order by their index, which the text protocol does not show.
            raise _incomparable(columns[value])
        weighted = compares_by_weight(columns[value], key.weight, key.collation)
        self._value_column: int | None = None
        self.column = value
        if weighted and key.weight is not None:
            self.column = absolute(key.weight, columns)
            self._value_column = value
            convert = weight_converter(key.collation)
        else:
            convert = value_converter(columns[value])
        self._convert = _descending(convert) if key.descending else convert

    def keys(self, fields: list[Field], rows: Sequence[bytes]) -> Keys:
        if self._value_column is not None and None in fields:
            values = make_field_reader((self._value_column,))(rows)[0][0]
            check_weights(fields, values)
        try:
            return self._convert(fields)
        except (ValueError, ArithmeticError) as error:
            raise ProtocolError(f"a shard sent a value its column's type cannot have: {error}") from None


def check_weights(weights: Sequence[Field], values: Sequence[Field]) -> None:
    """WEIGHT_STRING is NULL for a text it finds too long: refuse it rather than take the text for NULL."""
    if any(weight is None and value is not None for weight, value in zip(weights, values, strict=True)):
        raise not_supported(
            "merging rows by a text that is too long for WEIGHT_STRING",
            "order or group by LEFT(column, 1000)",
        )


def compares_by_weight(column: ColumnDefinition, weight: int | None, collation: str | None) -> bool:
    """Whether the column is text with a collation. Raises MeshError when it has no weight."""
    if column.type not in _STRING_TYPES:
        return False
    if collation == "binary" or (collation is None and column.character_set == BINARY_CHARSET):
        return False
    if weight is None:
        raise not_supported(
            f"merging rows of several shards by the text column {_name(column)} without its weight",
            "order or group by a plain column of a table, or restrict the statement to one shard",
        )
    return True


def weight_converter(collation: str | None) -> Convert:
    """From results of WEIGHT_STRING to keys; without a collation, from `<collation>:<weight>`."""
    if collation is not None:
        return make_weight_keys(collation)
    key = make_described_weight_key()
    return lambda fields: [b"" if field is None else key(field) for field in fields]


def value_converter(column: ColumnDefinition, *, shown_value_decides: bool = False) -> Convert:
    """From fields of a column that is no text with a collation to keys. Raises MeshError for a type that cannot be
    compared by what the text protocol shows of it.

    A FLOAT is shown with six digits, and a DOUBLE with fixed decimals is shown rounded: two that look equal may
    differ. Where only the shown value counts (MIN and MAX), `shown_value_decides` allows them.
    """
    kind = column.type
    if kind in INTEGER_TYPES:
        return _integers
    if kind in DECIMAL_TYPES:
        return _decimals(column.decimals)
    if kind in FLOAT_TYPES:
        if not shown_value_decides:
            _refuse_rounded(column)
        return _floats
    if kind in _DATE_TYPES or kind == ColumnType.NULL:
        return lambda fields: [b"" if field is None else field for field in fields]
    if kind == ColumnType.TIME:
        return lambda fields: [_FIRST if field is None else _microseconds(field) for field in fields]
    if kind == ColumnType.BIT:
        return lambda fields: [_FIRST if field is None else int.from_bytes(field, "big") for field in fields]
    if kind in _STRING_TYPES and not column.flags & _ENUMERATIONS:
        return lambda fields: [b"" if field is None else field + b"\x00" for field in fields]
    raise _incomparable(column)


def _refuse_rounded(column: ColumnDefinition) -> None:
    """A stored column of fixed decimals was rounded when it was stored, so what is shown is what is there."""
    fixed = column.decimals < NOT_FIXED
    if (fixed and not column.org_name) or (not fixed and column.type == ColumnType.FLOAT):
        raise not_supported(
            f"merging rows of several shards by the rounded floating-point column {_name(column)}",
            "order or group by CAST(column AS DOUBLE), or by column + 0e0",
        )


def _incomparable(column: ColumnDefinition) -> MeshError:
    if column.flags & _ENUMERATIONS:
        kind = "type ENUM or SET"
    else:
        kind = "JSON" if column.type == ColumnType.JSON else f"type {column.type}"
    return not_supported(
        f"merging rows of several shards by column {_name(column)} of {kind}",
        "order or group by a number or text made of it, or restrict the statement to one shard",
    )


def _name(column: ColumnDefinition) -> str:
    return f"'{column.name.decode('utf-8', 'replace')}'"


def _integers(fields: list[Field]) -> Keys:
    try:
        return list(map(int, fields))  # type: ignore[arg-type]
    except TypeError:
        return [_FIRST if field is None else int(field) for field in fields]


def _floats(fields: list[Field]) -> Keys:
    return [_FIRST if field is None else float(field) for field in fields]


def _decimals(decimals: int) -> Convert:
    if decimals == 0:
        return _integers_or_decimals
    return lambda fields: [_FIRST if field is None else scaled(field, decimals) for field in fields]


def _integers_or_decimals(fields: list[Field]) -> Keys:
    try:
        return _integers(fields)
    except ValueError:
        return [_FIRST if field is None else scaled(field, 0) for field in fields]


def scaled(field: bytes, decimals: int) -> Any:
    """A decimal number times 10^decimals: an int where the text has just these decimals, else a Decimal."""
    if decimals and field[-decimals - 1 : -decimals] == b".":
        return int(field.replace(b".", b""))
    number = Decimal(field.decode("ascii")).scaleb(decimals, _EXACT)
    whole = int(number)
    return whole if whole == number else number


def _microseconds(field: bytes) -> int:
    """A TIME value (`-838:59:59.000000`) as microseconds."""
    hours, minutes, seconds = field.lstrip(b"-").split(b":")
    whole, _, fraction = seconds.partition(b".")
    total = ((int(hours) * 60 + int(minutes)) * 60 + int(whole)) * 1_000_000 + int(
        fraction.ljust(6, b"0") or 0
    )
    return -total if field.startswith(b"-") else total


def _descending(convert: Convert) -> Convert:
    def turned(fields: list[Field]) -> Keys:
        return [_turn_bytes(key) if isinstance(key, bytes) else -key for key in convert(fields)]

    return turned


def _turn_bytes(key: bytes) -> bytes:
    """Bytes whose order is the reverse. Zero bytes are escaped and a terminator added first, so that no key is a
    prefix of another; then inverting every byte inverts the order. NULL (empty) comes behind everything."""
    if not key:
        return b"\xff\xff\xff"
    return key.replace(b"\x00", b"\x00\x01").translate(_INVERTED) + b"\xff\xff"
