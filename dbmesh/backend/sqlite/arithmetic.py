"""MySQL's arithmetic as SQLite functions: exact for integers and decimals, NULL for NULL and for division by zero.

Decides digits and overflow. Decimals come in and go out as text. Source: manual, "Arithmetic Operators",
"Precision Math", "Mathematical Functions".
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from decimal import ROUND_DOWN, ROUND_HALF_UP, Context, Decimal

from dbmesh.backend.sqlite.place import PLACE
from dbmesh.backend.transpile.coerce import Stored, to_number, whole
from dbmesh.errors import ShardError

Number = int | float | Decimal
_EXACT = Context(prec=130)
_ALL_BITS = 2**64 - 1
_DIGITS = re.compile(r"\s*([+-]?\d+)")


def shown(number: Number) -> Stored:
    """A number in SQLite's terms: decimals are text."""
    if isinstance(number, Decimal):
        return format(number, "f")
    if isinstance(number, int) and not -(2**63) <= number < 2**63:
        raise ShardError(1690, "22003", "BIGINT value is out of range")
    if isinstance(number, float) and not math.isfinite(number):
        raise ShardError(1690, "22003", "DOUBLE value is out of range")
    return number


def operands(left: Stored, right: Stored) -> tuple[Number, Number] | None:
    """Both as numbers of one kind, None when one is NULL."""
    first, second = to_number(left), to_number(right)
    if first is None or second is None:
        return None
    if isinstance(first, float) or isinstance(second, float):
        return float(first), float(second)
    if isinstance(first, Decimal) or isinstance(second, Decimal):
        return Decimal(first), Decimal(second)
    return first, second


def integer(value: Stored, is_text: int, unsigned: int) -> int | None:
    """CAST(value AS SIGNED or UNSIGNED). A result beyond 2^63-1 has no storage here: it is refused with MeshError."""
    if value is None:
        return None
    if is_text:
        text = value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
        found = _DIGITS.match(text)
        number = int(found[1]) if found else 0
    else:
        known = to_number(value)
        number = 0 if known is None else whole(known)
    if (unsigned and number < 0) or not -(2**63) <= number < 2**63:
        raise PLACE.refusal(
            "an integer beyond the range of BIGINT in CAST",
            "use a MySQL or MariaDB data source",
        )
    return number


BIT_OPERATORS: Mapping[str, Callable[[int, int], int]] = {
    "and": lambda left, right: left & right,
    "or": lambda left, right: left | right,
    "xor": lambda left, right: left ^ right,
    "left": lambda left, right: left << right & _ALL_BITS if right < 64 else 0,
    "right": lambda left, right: left >> right if right < 64 else 0,
}


def bits(name: str) -> Callable[[Stored, Stored], Stored]:
    """A bit operator over BIGINT UNSIGNED (manual, "Bit Functions and Operators"). A result beyond 2^63-1 has no
    storage here: it is refused with MeshError."""
    compute = BIT_OPERATORS[name]

    def function(left: Stored, right: Stored) -> Stored:
        first, second = to_number(left), to_number(right)
        if first is None or second is None:
            return None
        result = compute(whole(first) & _ALL_BITS, whole(second) & _ALL_BITS)
        if result >= 2**63:
            raise PLACE.refusal(
                "a bit operation whose result needs 64 bits",
                "use a MySQL or MariaDB data source",
            )
        return result

    return function


def _binary(compute: Callable[[Number, Number], Number | None]) -> Callable[[Stored, Stored], Stored]:
    def function(left: Stored, right: Stored) -> Stored:
        pair = operands(left, right)
        if pair is None:
            return None
        result = compute(*pair)
        return None if result is None else shown(result)

    return function


def _add(left: Number, right: Number) -> Number:
    return _EXACT.add(left, right) if isinstance(left, Decimal) else left + right  # type: ignore[operator,arg-type]


def _subtract(left: Number, right: Number) -> Number:
    return _EXACT.subtract(left, right) if isinstance(left, Decimal) else left - right  # type: ignore[operator,arg-type]


def _multiply(left: Number, right: Number) -> Number:
    return _EXACT.multiply(left, right) if isinstance(left, Decimal) else left * right  # type: ignore[operator,arg-type]


def _modulo(left: Number, right: Number) -> Number | None:
    if not right:
        return None
    if isinstance(left, float):
        return math.fmod(left, float(right))
    if isinstance(left, Decimal):
        return _EXACT.remainder(left, Decimal(right))
    result = abs(int(left)) % abs(int(right))
    return -result if left < 0 else result


def _whole_quotient(left: Number, right: Number) -> Number | None:
    if not right:
        return None
    return (
        int((Decimal(str(left)) / Decimal(str(right))).to_integral_value(ROUND_DOWN, _EXACT))
        if isinstance(left, float | Decimal)
        else _truncated(int(left), int(right))
    )


def _truncated(left: int, right: int) -> int:
    quotient = abs(left) // abs(right)
    return -quotient if (left < 0) != (right < 0) else quotient


def divide(left: Stored, right: Stored, decimals: int) -> Stored:
    """`/`: a decimal with `decimals` digits, or a double."""
    pair = operands(left, right)
    if pair is None or not pair[1]:
        return None
    if isinstance(pair[0], float):
        return shown(pair[0] / float(pair[1]))
    # The server produces whole words of nine digits, drops the rest, and only then rounds (see merge.numbers).
    produced = decimals + -decimals % 9
    quotient = _EXACT.divide(Decimal(pair[0]), Decimal(pair[1]))
    cut = quotient.quantize(Decimal(1).scaleb(-produced), ROUND_DOWN, _EXACT)
    return format(cut.quantize(Decimal(1).scaleb(-decimals), ROUND_HALF_UP, _EXACT), "f")


def compare(left: Stored, right: Stored) -> int | None:
    """-1, 0 or 1 of two numbers; texts by their leading digits."""
    pair = operands(left, right)
    return None if pair is None else (pair[0] > pair[1]) - (pair[0] < pair[1])


def negate(value: Stored) -> Stored:
    """Unary minus."""
    number = to_number(value)
    return None if number is None else shown(-number)


def number(value: Stored) -> Stored:
    """A text as a DOUBLE, numbers as they are."""
    found = to_number(value)
    return float(found) if isinstance(found, Decimal) else found


def truth(value: Stored) -> int | None:
    """A value as a condition."""
    found = to_number(value)
    return None if found is None else int(found != 0)


def round_to(value: Stored, decimals: Stored) -> Stored:
    """ROUND: exact numbers half away from zero, doubles to the nearest."""
    found, places = to_number(value), to_number(decimals)
    if found is None or places is None:
        return None
    places = int(places)
    if isinstance(found, float):
        return round(found, places)
    unit = Decimal(1).scaleb(-places)
    result = Decimal(found).quantize(unit, ROUND_HALF_UP, _EXACT)
    return shown(int(result) if isinstance(found, int) else result if places > 0 else Decimal(int(result)))


def truncate_to(value: Stored, decimals: Stored) -> Stored:
    """TRUNCATE: towards zero."""
    found, places = to_number(value), to_number(decimals)
    if found is None or places is None:
        return None
    result = Decimal(str(found)).quantize(Decimal(1).scaleb(-int(places)), ROUND_DOWN, _EXACT)
    if isinstance(found, float):
        return float(result)
    return shown(
        int(result) if isinstance(found, int) else result if int(places) > 0 else Decimal(int(result))
    )


def _integral(rounding: Callable[[Number], int]) -> Callable[[Stored], Stored]:
    def function(value: Stored) -> Stored:
        found = to_number(value)
        if found is None:
            return None
        return float(rounding(found)) if isinstance(found, float) else shown(rounding(found))

    return function


def absolute(value: Stored) -> Stored:
    """ABS."""
    found = to_number(value)
    if found is None:
        return None
    return shown(found if found >= 0 else -found)


def sign(value: Stored) -> int | None:
    """SIGN."""
    found = to_number(value)
    return None if found is None else (found > 0) - (found < 0)


def power(base: Stored, exponent: Stored) -> Stored:
    """POW."""
    first, second = to_number(base), to_number(exponent)
    if first is None or second is None:
        return None
    try:
        return shown(math.pow(first, second))
    except (ValueError, OverflowError):
        raise ShardError(1690, "22003", "DOUBLE value is out of range in 'pow'") from None


def square_root(value: Stored) -> float | None:
    """SQRT; NULL for negative numbers."""
    found = to_number(value)
    return None if found is None or found < 0 else math.sqrt(found)


add = _binary(_add)
subtract = _binary(_subtract)
multiply = _binary(_multiply)
modulo = _binary(_modulo)
whole_quotient = _binary(_whole_quotient)
floor = _integral(math.floor)
ceiling = _integral(math.ceil)


class Sum:
    """SUM: exact for integers and decimals."""

    def __init__(self) -> None:
        self._total: Number | None = None

    def step(self, value: Stored) -> None:
        """One value."""
        found = to_number(value)
        if found is None:
            return
        if self._total is None:
            self._total = found
        elif isinstance(found, float) or isinstance(self._total, float):
            self._total = float(self._total) + float(found)
        else:
            self._total = _EXACT.add(Decimal(self._total), Decimal(found))

    def finalize(self) -> Stored:
        """The sum, NULL of no values."""
        return self._total if self._total is None or isinstance(self._total, float) else str(self._total)


class Average:
    """AVG: exact for integers and decimals; called with the value and the digits behind the point."""

    def __init__(self) -> None:
        self._sum = Sum()
        self._count = 0
        self._decimals = 0

    def step(self, value: Stored, decimals: int) -> None:
        """One value."""
        self._decimals = decimals
        if value is not None:
            self._count += 1
            self._sum.step(value)

    def finalize(self) -> Stored:
        """The mean, NULL of no values."""
        return divide(self._sum.finalize(), self._count, self._decimals)
