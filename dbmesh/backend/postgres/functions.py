"""MySQL's functions in PostgreSQL's terms. A function without an entry is refused by whoever asks.

Decides argument counts, result types and what has to be written around PostgreSQL's own functions so that they mean
what MySQL's do.
"""

from __future__ import annotations

import datetime
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from decimal import Decimal

from dbmesh.backend.postgres import names
from dbmesh.backend.postgres import types as postgres_types
from dbmesh.backend.postgres.place import PLACE
from dbmesh.backend.postgres.values import as_number, as_text, compared, known, moment
from dbmesh.backend.transpile import types
from dbmesh.backend.transpile.calls import Call
from dbmesh.backend.transpile.coerce import moment_text
from dbmesh.backend.transpile.scope import Typed
from dbmesh.backend.transpile.types import DATE, DOUBLE, LONGLONG, Kind, SqlType
from dbmesh.errors import ShardError

Function = Callable[[Call, Sequence[Typed], str | None], Typed]
_EPOCH = datetime.datetime(1970, 1, 1)
NOW = "(statement_timestamp() AT TIME ZONE 'UTC')"


def _counted(call: Call, arguments: Sequence[Typed], low: int, high: int) -> None:
    if not low <= len(arguments) <= high:
        raise ShardError(
            1582, "42000", f"Incorrect parameter count in the call to native function '{call.name}'"
        )


def _length(arguments: Sequence[Typed]) -> int:
    return min(sum(argument.type.length for argument in arguments) or 1, 2**24)


def _text(pattern: str, count: int) -> Function:
    """A function of texts that makes a text."""

    def make(call: Call, arguments: Sequence[Typed], letters: str | None) -> Typed:
        _counted(call, arguments, count, count)
        sql = pattern.format(*(as_text(argument).sql for argument in arguments))
        return Typed(sql, postgres_types.text(_length(arguments)))

    return make


def _cased(name: str) -> Function:
    def make(call: Call, arguments: Sequence[Typed], letters: str | None) -> Typed:
        _counted(call, arguments, 1, 1)
        if letters is None:
            raise PLACE.refusal(
                f"{call.name} where the server has no collation for it", "change the case outside"
            )
        sql = f"{name}({as_text(arguments[0]).sql} COLLATE {names.name(letters)})"
        return Typed(sql, postgres_types.text(_length(arguments)))

    return make


def _concat(call: Call, arguments: Sequence[Typed], letters: str | None) -> Typed:
    if any(argument.type.kind is Kind.BINARY for argument in arguments):
        return _concat_bytes(arguments)
    sql = " || ".join(as_text(argument).sql for argument in arguments)
    return Typed(f"({sql})", postgres_types.text(_length(arguments)))


def _concat_bytes(arguments: Sequence[Typed]) -> Typed:
    parts = [
        argument.sql if argument.type.kind is Kind.BINARY else f"convert_to({as_text(argument).sql}, 'UTF8')"
        for argument in arguments
    ]
    return Typed(f"({' || '.join(parts)})", replace(types.BINARY, length=_length(arguments)))


def _concat_ws(call: Call, arguments: Sequence[Typed], letters: str | None) -> Typed:
    _counted(call, arguments, 2, 64)
    sql = ", ".join(as_text(argument).sql for argument in arguments)
    return Typed(f"concat_ws({sql})", postgres_types.text(_length(arguments)))


def _constant_count(call: Call, argument: Typed, low: int) -> int:
    if not argument.constant or not isinstance(argument.value, int) or argument.value < low:
        raise PLACE.refusal(
            f"{call.name} by a computed or negative number", f"write a number of at least {low}"
        )
    return min(argument.value, 2**31 - 1)


def _end(name: str) -> Function:
    def make(call: Call, arguments: Sequence[Typed], letters: str | None) -> Typed:
        _counted(call, arguments, 2, 2)
        count = _constant_count(call, arguments[1], 0)
        text = as_text(arguments[0])
        return Typed(f"{name}({text.sql}, {count})", postgres_types.text(min(text.type.length, count) or 1))

    return make


def _substring(call: Call, arguments: Sequence[Typed], letters: str | None) -> Typed:
    _counted(call, arguments, 2, 3)
    text, start = as_text(arguments[0]), _constant_count(call, arguments[1], 1)
    rest = f", {_constant_count(call, arguments[2], 0)}" if len(arguments) > 2 else ""
    return Typed(f"substr({text.sql}, {start}{rest})", postgres_types.text(text.type.length))


def _trim(call: Call, arguments: Sequence[Typed], letters: str | None) -> Typed:
    text, what, where = as_text(arguments[0]), arguments[1], arguments[2]
    if not what.constant or len(str(what.value)) != 1:
        raise PLACE.refusal("TRIM of more than one character", "use REPLACE")
    name = {"LEADING": "ltrim", "TRAILING": "rtrim"}.get(str(where.value).upper(), "btrim")
    return Typed(f"{name}({text.sql}, {what.sql})", postgres_types.text(text.type.length))


def _integer(pattern: str) -> Function:
    """A function of one text that makes an integer."""

    def make(call: Call, arguments: Sequence[Typed], letters: str | None) -> Typed:
        _counted(call, arguments, 1, 1)
        return Typed(pattern.format(as_text(arguments[0]).sql), LONGLONG)

    return make


def _bytes_length(call: Call, arguments: Sequence[Typed], letters: str | None) -> Typed:
    _counted(call, arguments, 1, 1)
    value = arguments[0] if arguments[0].type.kind is Kind.BINARY else as_text(arguments[0])
    return Typed(f"octet_length({value.sql})::bigint", LONGLONG)


def _locate(call: Call, arguments: Sequence[Typed], letters: str | None) -> Typed:
    needle, text, start = arguments
    if start.value != 1:
        raise PLACE.refusal("LOCATE from a position", "search the SUBSTRING")
    return Typed(f"strpos({as_text(text).sql}, {as_text(needle).sql})::bigint", LONGLONG)


def _hex(call: Call, arguments: Sequence[Typed], letters: str | None) -> Typed:
    _counted(call, arguments, 1, 1)
    value = arguments[0]
    if value.type.numeric:
        raise PLACE.refusal("HEX of a number", "convert it in the application")
    sql = value.sql if value.type.kind is Kind.BINARY else f"convert_to({as_text(value).sql}, 'UTF8')"
    return Typed(f"upper(encode({sql}, 'hex'))", postgres_types.text(value.type.length * 8))


def _weight_string(call: Call, arguments: Sequence[Typed], letters: str | None) -> Typed:
    value = arguments[0]
    kind = replace(types.BINARY, length=value.type.length * 4)
    if value.type.kind is not Kind.TEXT:
        return Typed("NULL::bytea", kind)
    return Typed(f"convert_to({value.sql}, 'UTF8')", kind)


def _collation(call: Call, arguments: Sequence[Typed], letters: str | None) -> Typed:
    return known(postgres_types.COLLATION if arguments[0].type.kind is Kind.TEXT else "binary")


def _padded(name: str) -> Function:
    def make(call: Call, arguments: Sequence[Typed], letters: str | None) -> Typed:
        _counted(call, arguments, 3, 3)
        length, fill = _constant_count(call, arguments[1], 0), arguments[2]
        if not fill.constant or not fill.value:
            raise PLACE.refusal(f"{call.name} with a computed or empty filling", "write the filling out")
        return Typed(
            f"{name}({as_text(arguments[0]).sql}, {length}, {fill.sql})", postgres_types.text(length)
        )

    return make


def _repeat(call: Call, arguments: Sequence[Typed], letters: str | None) -> Typed:
    _counted(call, arguments, 2, 2)
    text, count = as_text(arguments[0]), _constant_count(call, arguments[1], 0)
    return Typed(f"repeat({text.sql}, {count})", postgres_types.text(max(text.type.length * count, 1)))


def _first_byte(call: Call, arguments: Sequence[Typed], letters: str | None) -> Typed:
    _counted(call, arguments, 1, 1)
    text = as_text(arguments[0]).sql
    sql = f"CASE WHEN {text} = '' THEN 0 ELSE get_byte(convert_to({text}, 'UTF8'), 0) END"
    return Typed(f"({sql})::bigint", LONGLONG)


def _field(call: Call, arguments: Sequence[Typed], letters: str | None) -> Typed:
    value, *members = arguments
    cases = " ".join(
        f"WHEN {compared('=', value, member).sql} THEN {place}"
        for place, member in enumerate(members, start=1)
    )
    return Typed(f"CASE {cases} ELSE 0 END", LONGLONG)


def _digest(call: Call, arguments: Sequence[Typed], letters: str | None) -> Typed:
    _counted(call, arguments, 2, 2)
    bits = {0: 256, 224: 224, 256: 256, 384: 384, 512: 512}.get(_constant_count(call, arguments[1], 0))
    if bits is None:
        raise PLACE.refusal("SHA2 of this length", "use 224, 256, 384 or 512")
    sql = f"encode(sha{bits}(convert_to({as_text(arguments[0]).sql}, 'UTF8')), 'hex')"
    return Typed(sql, postgres_types.text(bits // 4))


# ---------------------------------------------------------------------------------------------- numbers


def _power(call: Call, arguments: Sequence[Typed], letters: str | None) -> Typed:
    _counted(call, arguments, 2, 2)
    base, exponent = (f"({as_number(argument).sql})::float8" for argument in arguments)
    return Typed(f"power({base}, {exponent})", DOUBLE)


def _same(name: str) -> Function:
    def make(call: Call, arguments: Sequence[Typed], letters: str | None) -> Typed:
        _counted(call, arguments, 1, 1)
        value = as_number(arguments[0])
        return Typed(f"{name}({value.sql})", replace(value.type, not_null=False))

    return make


def _whole(name: str) -> Function:
    def make(call: Call, arguments: Sequence[Typed], letters: str | None) -> Typed:
        _counted(call, arguments, 1, 1)
        value = as_number(arguments[0])
        if value.type.kind is Kind.DOUBLE:
            return Typed(f"{name}({value.sql})", DOUBLE)
        return Typed(f"{name}(({value.sql})::numeric)::bigint", LONGLONG)

    return make


def _rounded(name: str) -> Function:
    def make(call: Call, arguments: Sequence[Typed], letters: str | None) -> Typed:
        _counted(call, arguments, 1, 2)
        value = as_number(arguments[0])
        places = arguments[1].value if len(arguments) > 1 else 0
        if not isinstance(places, int):
            raise PLACE.refusal(f"{call.name} to a computed number of digits", "write the number of digits")
        if value.type.kind is Kind.DOUBLE:
            if places or name == "trunc":
                raise PLACE.refusal(f"{call.name} of a floating-point number to digits", "CAST it AS DECIMAL")
            return Typed(f"round({value.sql}::float8)", DOUBLE)
        kind = value.type
        sql = f"{name}(({value.sql})::numeric, {places})"
        if kind.kind is Kind.DECIMAL:
            decimals = max(min(places, kind.decimals), 0)
            kind = types.decimal(kind.length - kind.decimals + decimals + 1, decimals)
        else:
            sql = f"{sql}::bigint"
        return Typed(sql, replace(kind, not_null=False))

    return make


def _sign(call: Call, arguments: Sequence[Typed], letters: str | None) -> Typed:
    _counted(call, arguments, 1, 1)
    return Typed(f"sign(({as_number(arguments[0]).sql})::numeric)::bigint", LONGLONG)


def _square_root(call: Call, arguments: Sequence[Typed], letters: str | None) -> Typed:
    _counted(call, arguments, 1, 1)
    value = f"({as_number(arguments[0]).sql})::float8"
    return Typed(f"CASE WHEN {value} >= 0 THEN sqrt({value}) END", DOUBLE)


# ---------------------------------------------------------------------------------------------- dates


def _moment(call: Call, value: Typed) -> Typed:
    if value.type.temporal or (value.constant and value.type.kind is Kind.TEXT):
        return moment(value)
    raise PLACE.refusal(f"{call.name} of what is no date", "CAST it to DATE or DATETIME")


def _part(field: str) -> Function:
    def make(call: Call, arguments: Sequence[Typed], letters: str | None) -> Typed:
        _counted(call, arguments, 1, 1)
        value = _moment(call, arguments[0]).sql
        if field == "dow":
            return Typed(f"(extract(dow FROM {value}) + 1)::bigint", LONGLONG)
        if field == "isodow":
            return Typed(f"(extract(isodow FROM {value}) - 1)::bigint", LONGLONG)
        if field in ("hour", "minute", "second"):
            value = f"({value})::timestamp"
        if field == "second":
            return Typed(f"floor(extract(second FROM {value}))::bigint", LONGLONG)
        return Typed(f"extract({field} FROM {value})::bigint", LONGLONG)

    return make


def _now(call: Call, arguments: Sequence[Typed], letters: str | None) -> Typed:
    decimals = arguments[0].value if arguments else 0
    if not isinstance(decimals, int) or not 0 <= decimals <= 6:
        raise ShardError(1426, "42000", "Too-big precision specified for 'now'. Maximum is 6.")
    # A cast would round; the clock of MySQL is cut.
    unit = {0: "second", 3: "milliseconds", 6: "microseconds"}.get(decimals)
    if unit is None:
        raise PLACE.refusal(f"{call.name}({decimals})", "use 0, 3 or 6 digits")
    sql = f"date_trunc('{unit}', {NOW})::timestamp({decimals})"
    return Typed(sql, replace(types.datetime_of(decimals), not_null=True))


def _today(call: Call, arguments: Sequence[Typed], letters: str | None) -> Typed:
    return Typed(f"{NOW}::date", replace(DATE, not_null=True))


def _date(call: Call, arguments: Sequence[Typed], letters: str | None) -> Typed:
    _counted(call, arguments, 1, 1)
    return Typed(f"{_moment(call, arguments[0]).sql}::date", DATE)


def _last_day(call: Call, arguments: Sequence[Typed], letters: str | None) -> Typed:
    _counted(call, arguments, 1, 1)
    value = _moment(call, arguments[0]).sql
    return Typed(f"(date_trunc('month', {value}::timestamp) + interval '1 month - 1 day')::date", DATE)


def _days(call: Call, arguments: Sequence[Typed], letters: str | None) -> Typed:
    _counted(call, arguments, 2, 2)
    first, second = (_moment(call, argument).sql for argument in arguments)
    return Typed(f"({first}::date - {second}::date)::bigint", LONGLONG)


_UNITS = ("MICROSECOND", "SECOND", "MINUTE", "HOUR", "DAY", "WEEK", "MONTH", "YEAR")


def _shift(call: Call, arguments: Sequence[Typed], letters: str | None) -> Typed:
    unit = call.unit.upper()
    value, amount = _moment(call, arguments[0]), as_number(arguments[1])
    if unit not in _UNITS or amount.type.kind is not Kind.INTEGER or arguments[0].type.kind is Kind.TEXT:
        raise PLACE.refusal(
            f"this INTERVAL … {unit}", "use whole SECOND, MINUTE, HOUR, DAY, MONTH … of a date column"
        )
    sign = "-" if call.backwards else "+"
    sql = f"({value.sql} {sign} ({amount.sql}) * interval '1 {unit.lower()}')"
    if value.type.kind is Kind.DATE and unit in ("DAY", "WEEK", "MONTH", "YEAR"):
        return Typed(f"{sql}::date", DATE)
    decimals = 6 if unit == "MICROSECOND" else value.type.decimals
    return Typed(sql, types.datetime_of(decimals))


_LETTERS: Mapping[str, str] = {
    "Y": "YYYY",
    "y": "YY",
    "m": "MM",
    "d": "DD",
    "H": "HH24",
    "i": "MI",
    "s": "SS",
    "S": "SS",
    "j": "DDD",
    "f": "US",
    "T": "HH24:MI:SS",
}


def _date_format(call: Call, arguments: Sequence[Typed], letters: str | None) -> Typed:
    _counted(call, arguments, 2, 2)
    pattern = str(arguments[1].value)
    out: list[str] = []
    position = 0
    while position < len(pattern):
        letter = pattern[position]
        if letter != "%":
            out.append('"\\""' if letter == '"' else f'"{letter}"' if letter != "\\" else '"\\\\"')
            position += 1
            continue
        found = _LETTERS.get(pattern[position + 1 : position + 2])
        if found is None or not arguments[1].constant:
            raise PLACE.refusal("this DATE_FORMAT", f"use the letters {', '.join(_LETTERS)}")
        out.append(found)
        position += 2
    value = f"{_moment(call, arguments[0]).sql}::timestamp"
    return Typed(f"to_char({value}, {names.text(''.join(out))})", postgres_types.text(64))


def _unix_timestamp(call: Call, arguments: Sequence[Typed], letters: str | None) -> Typed:
    if not arguments:
        return Typed(f"floor(extract(epoch FROM {NOW}))::bigint", LONGLONG)
    value = _moment(call, arguments[0])
    if decimals := value.type.decimals if value.type.kind is Kind.DATETIME else 0:
        return Typed(f"trunc(extract(epoch FROM {value.sql}), {decimals})", types.decimal(20, decimals))
    return Typed(f"floor(extract(epoch FROM {value.sql}))::bigint", LONGLONG)


def _from_unixtime(call: Call, arguments: Sequence[Typed], letters: str | None) -> Typed:
    _counted(call, arguments, 1, 1)
    if not arguments[0].constant or arguments[0].value is None:
        raise PLACE.refusal("FROM_UNIXTIME of what is no constant", "compute it in the application")
    seconds = Decimal(str(arguments[0].value))
    exponent = seconds.as_tuple().exponent
    decimals = min(6, max(0, -exponent if isinstance(exponent, int) else 0))
    text = moment_text(_EPOCH + datetime.timedelta(microseconds=int(seconds * 1_000_000)), decimals)
    sql = names.constant(text, Kind.DATETIME)
    return Typed(sql, types.datetime_of(decimals), constant=True, value=text)


def _row_digest(call: Call, arguments: Sequence[Typed], letters: str | None) -> Typed:
    """The mesh's own: half of an MD5 of values as PostgreSQL writes them, NULL apart from all others."""
    row = ", ".join(argument.sql for argument in arguments)
    return Typed(
        f"('x' || left(md5(row({row})::text), 16))::bit(64)::bigint", replace(LONGLONG, not_null=True)
    )


def _first(call: Call, arguments: Sequence[Typed], letters: str | None) -> Typed:
    return arguments[0]


def _fixed(sql: str, kind: SqlType) -> Function:
    def make(call: Call, arguments: Sequence[Typed], letters: str | None) -> Typed:
        _counted(call, arguments, 0, 0)
        return Typed(sql, kind)

    return make


FUNCTIONS: Mapping[str, Function] = {
    "CONCAT": _concat,
    "CONCAT_WS": _concat_ws,
    "LEFT": _end("left"),
    "RIGHT": _end("right"),
    "SUBSTRING": _substring,
    "TRIM": _trim,
    "REPLACE": _text("replace({}, {}, {})", 3),
    "REVERSE": _text("reverse({})", 1),
    "UPPER": _cased("upper"),
    "UCASE": _cased("upper"),
    "LOWER": _cased("lower"),
    "LCASE": _cased("lower"),
    "LPAD": _padded("lpad"),
    "RPAD": _padded("rpad"),
    "REPEAT": _repeat,
    "ASCII": _first_byte,
    "FIELD": _field,
    "SHA2": _digest,
    "POW": _power,
    "POWER": _power,
    "LAST_DAY": _last_day,
    "MD5": _text("md5({})", 1),
    "CHAR_LENGTH": _integer("char_length({})::bigint"),
    "LENGTH": _bytes_length,
    "LOCATE": _locate,
    "HEX": _hex,
    "WEIGHT_STRING": _weight_string,
    "COLLATION": _collation,
    "ABS": _same("abs"),
    "FLOOR": _whole("floor"),
    "CEILING": _whole("ceil"),
    "ROUND": _rounded("round"),
    "TRUNCATE": _rounded("trunc"),
    "SIGN": _sign,
    "SQRT": _square_root,
    "RAND": _fixed("random()", DOUBLE),
    "UUID": _fixed("gen_random_uuid()::text", postgres_types.text(36)),
    "NOW": _now,
    "SYSDATE": _now,
    "CURDATE": _today,
    "DATE": _date,
    "DATEDIFF": _days,
    "SHIFT": _shift,
    "DATE_FORMAT": _date_format,
    "UNIX_TIMESTAMP": _unix_timestamp,
    "FROM_UNIXTIME": _from_unixtime,
    "DBMESH_DIGEST": _row_digest,
    "YEAR": _part("year"),
    "QUARTER": _part("quarter"),
    "MONTH": _part("month"),
    "DAY": _part("day"),
    "DAYOFMONTH": _part("day"),
    "HOUR": _part("hour"),
    "MINUTE": _part("minute"),
    "SECOND": _part("second"),
    "DAYOFWEEK": _part("dow"),
    "WEEKDAY": _part("isodow"),
    "DAYOFYEAR": _part("doy"),
    "ANY_VALUE": _first,
}
