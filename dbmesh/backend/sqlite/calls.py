"""What MySQL's functions become in SQLite's dialect.

Decides argument counts and result types. A function without an entry is refused by whoever asks.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from dbmesh.backend.sqlite import names, temporal
from dbmesh.backend.sqlite.comparisons import as_number, compared
from dbmesh.backend.sqlite.place import PLACE
from dbmesh.backend.transpile import types
from dbmesh.backend.transpile.calls import Call
from dbmesh.backend.transpile.collations import GENERAL_CI
from dbmesh.backend.transpile.inference import common_collation
from dbmesh.backend.transpile.scope import Typed
from dbmesh.backend.transpile.types import DATE, DATETIME, DOUBLE, LONGLONG, Kind, SqlType
from dbmesh.errors import ShardError, not_supported

Reader = Callable[[Call, Sequence[Typed]], Typed]


def _counted(call: Call, arguments: Sequence[Typed], low: int, high: int) -> None:
    if not low <= len(arguments) <= high:
        raise ShardError(
            1582, "42000", f"Incorrect parameter count in the call to native function '{call.name}'"
        )


def _plain(name: str, kind: SqlType, count: int, most: int | None = None) -> Reader:
    """A function whose result has one type."""

    def read(call: Call, arguments: Sequence[Typed]) -> Typed:
        _counted(call, arguments, count, most or count)
        return Typed(f"mysql_{name}({', '.join(argument.sql for argument in arguments)})", kind)

    return read


def _text(name: str, count: int, most: int | None = None) -> Reader:
    """A function that makes text out of its first argument, with its collation."""

    def read(call: Call, arguments: Sequence[Typed]) -> Typed:
        _counted(call, arguments, count, most or count)
        kind = types.text(_length(arguments), common_collation(*arguments))
        return Typed(f"mysql_{name}({', '.join(argument.sql for argument in arguments)})", kind)

    return read


def _concat(call: Call, arguments: Sequence[Typed]) -> Typed:
    joined = _text("concat", 1, 64)(call, arguments)
    if any(argument.type.kind is Kind.BINARY for argument in arguments):
        return replace(joined, type=replace(types.BINARY, length=_length(arguments)))
    return joined


def _length(arguments: Sequence[Typed]) -> int:
    return min(sum(argument.type.length for argument in arguments) or 1, 2**24)


def _number(name: str, *, keep: bool = False) -> Reader:
    """A function of one number: of its own type with `keep`, else of DOUBLE."""

    def read(call: Call, arguments: Sequence[Typed]) -> Typed:
        _counted(call, arguments, 1, 1)
        value = as_number(arguments[0])
        return Typed(f"mysql_{name}({value.sql})", replace(value.type, not_null=False) if keep else DOUBLE)

    return read


def _integral(name: str) -> Reader:
    def read(call: Call, arguments: Sequence[Typed]) -> Typed:
        _counted(call, arguments, 1, 1)
        value = as_number(arguments[0])
        kind = DOUBLE if value.type.kind is Kind.DOUBLE else LONGLONG
        return Typed(f"mysql_{name}({value.sql})", kind)

    return read


def _rounded(name: str) -> Reader:
    def read(call: Call, arguments: Sequence[Typed]) -> Typed:
        _counted(call, arguments, 1, 2)
        value = as_number(arguments[0])
        places = arguments[1] if len(arguments) > 1 else Typed("0", LONGLONG, constant=True, value=0)
        if not places.constant or not isinstance(places.value, int):
            raise not_supported(f"{call.name} to a computed number of digits", "write the number of digits")
        kind = value.type
        if kind.kind is Kind.DECIMAL:
            decimals = max(min(places.value, kind.decimals), 0)
            kind = types.decimal(kind.length - kind.decimals + decimals + 1, decimals)
        return Typed(f"mysql_{name}({value.sql}, {places.sql})", replace(kind, not_null=False))

    return read


def _now(call: Call, arguments: Sequence[Typed]) -> Typed:
    decimals = arguments[0].value if arguments else 0
    if not isinstance(decimals, int) or not 0 <= decimals <= 6:
        raise ShardError(1426, "42000", "Too-big precision specified for 'now'. Maximum is 6.")
    return Typed(f"mysql_now({decimals})", replace(types.datetime_of(decimals), not_null=True))


def _curdate(call: Call, arguments: Sequence[Typed]) -> Typed:
    return Typed("mysql_date(mysql_now(0))", replace(DATE, not_null=True))


def _unix_timestamp(call: Call, arguments: Sequence[Typed]) -> Typed:
    value = arguments[0].sql if arguments else "mysql_now(0)"
    return Typed(f"mysql_unix_timestamp({value})", LONGLONG)


def _shift(call: Call, arguments: Sequence[Typed]) -> Typed:
    unit = call.unit.upper()
    if unit not in temporal.UNITS:
        raise PLACE.refusal(f"INTERVAL … {unit}", "use DAY, HOUR, MONTH …")
    value, amount = arguments
    by = f"mysql_negate({amount.sql})" if call.backwards else amount.sql
    is_date = value.type.kind is Kind.DATE and unit in ("DAY", "WEEK", "MONTH", "QUARTER", "YEAR")
    if value.type.kind is Kind.TEXT:
        kind = types.text(26)
    else:
        kind = DATE if is_date else types.datetime_of(value.type.decimals)
    return Typed(f"mysql_shift({value.sql}, {by}, '{unit}')", kind)


def _date_format(call: Call, arguments: Sequence[Typed]) -> Typed:
    _counted(call, arguments, 2, 2)
    pattern = arguments[1]
    letters = str(pattern.value).split("%")[1:] if pattern.constant else ["?"]
    if any(part and part[0] not in temporal.FORMAT_LETTERS for part in letters):
        raise PLACE.refusal("this DATE_FORMAT", "use other format letters")
    return Typed(f"mysql_date_format({arguments[0].sql}, {pattern.sql})", types.text(64))


def _convert_tz(call: Call, arguments: Sequence[Typed]) -> Typed:
    # sqlglot hands the zones over first.
    source, target, value = arguments
    decimals = 6 if value.type.decimals or value.type.kind is Kind.TEXT else 0
    return Typed(f"mysql_convert_tz({value.sql}, {source.sql}, {target.sql})", types.datetime_of(decimals))


def _locate(call: Call, arguments: Sequence[Typed]) -> Typed:
    needle, value, start = arguments
    collation = common_collation(needle, value)
    return Typed(f"mysql_locate({needle.sql}, {value.sql}, {start.sql}, '{collation}')", LONGLONG)


def _weight_string(call: Call, arguments: Sequence[Typed]) -> Typed:
    _counted(call, arguments, 1, 1)
    value = arguments[0]
    kind = replace(types.BINARY, length=value.type.length * 2)
    if value.type.kind is not Kind.TEXT:
        return Typed("NULL", kind)
    return Typed(f"mysql_weight({value.sql}, '{value.type.collation}')", kind)


def _collation(call: Call, arguments: Sequence[Typed]) -> Typed:
    _counted(call, arguments, 1, 1)
    kind = arguments[0].type
    name = kind.collation if kind.kind is Kind.TEXT else "binary"
    return Typed(names.literal(name), types.text(64), constant=True, value=name)


def _field(call: Call, arguments: Sequence[Typed]) -> Typed:
    value, *members = arguments
    cases = " ".join(
        f"WHEN {compared('=', value, member).sql} THEN {position}"
        for position, member in enumerate(members, start=1)
    )
    return Typed(f"CASE {cases} ELSE 0 END", LONGLONG)


def _any_value(call: Call, arguments: Sequence[Typed]) -> Typed:
    return arguments[0]


def _space(call: Call, arguments: Sequence[Typed]) -> Typed:
    return Typed(f"mysql_repeat({names.literal(' ')}, {arguments[0].sql})", types.text(255, GENERAL_CI))


_DIGEST = types.text(128)
FUNCTION_READERS: Mapping[str, Reader] = {
    "CONCAT": _concat,
    "CONCAT_WS": _text("concat_ws", 2, 64),
    "LEFT": _text("left", 2),
    "RIGHT": _text("right", 2),
    "LPAD": _text("lpad", 3),
    "RPAD": _text("rpad", 3),
    "SUBSTRING": _text("substring", 2, 3),
    "SUBSTRING_INDEX": _text("substring_index", 3),
    "TRIM": _text("trim", 3),
    "REPEAT": _text("repeat", 2),
    "REPLACE": _text("replace", 3),
    "REVERSE": _text("reverse", 1),
    "UPPER": _text("upper", 1),
    "UCASE": _text("upper", 1),
    "LOWER": _text("lower", 1),
    "LCASE": _text("lower", 1),
    "SPACE": _space,
    "CHAR_LENGTH": _plain("char_length", LONGLONG, 1),
    "LENGTH": _plain("length", LONGLONG, 1),
    "ASCII": _plain("ascii", LONGLONG, 1),
    "HEX": _plain("hex", _DIGEST, 1),
    "UNHEX": _plain("unhex", types.BINARY, 1),
    "MD5": _plain("md5", _DIGEST, 1),
    "SHA1": _plain("sha1", _DIGEST, 1),
    "SHA2": _plain("sha2", _DIGEST, 2),
    "CRC32": _plain("crc32", LONGLONG, 1),
    "LOCATE": _locate,
    "FIELD": _field,
    "WEIGHT_STRING": _weight_string,
    "COLLATION": _collation,
    "UUID": _plain("uuid", types.text(36), 0),
    "RAND": _plain("rand", DOUBLE, 0),
    "FLOOR": _integral("floor"),
    "CEILING": _integral("ceiling"),
    "ROUND": _rounded("round"),
    "TRUNCATE": _rounded("truncate"),
    "ABS": _number("abs", keep=True),
    "SIGN": _plain("sign", LONGLONG, 1),
    "SQRT": _number("sqrt"),
    "POW": _plain("pow", DOUBLE, 2),
    "POWER": _plain("pow", DOUBLE, 2),
    "NOW": _now,
    "SYSDATE": _now,
    "CURDATE": _curdate,
    "DATE": _plain("date", DATE, 1),
    "DATE_FORMAT": _date_format,
    "CONVERT_TZ": _convert_tz,
    "DATEDIFF": _plain("datediff", LONGLONG, 2),
    "SHIFT": _shift,
    "LAST_DAY": _plain("last_day", DATE, 1),
    "UNIX_TIMESTAMP": _unix_timestamp,
    "FROM_UNIXTIME": _plain("from_unixtime", DATETIME, 1),
    "ANY_VALUE": _any_value,
    **{name: _plain(f"part_{name.lower()}", LONGLONG, 1) for name in temporal.PARTS},
    "DAYOFMONTH": _plain("part_day", LONGLONG, 1),
}
