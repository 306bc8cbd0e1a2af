"""Groovy's arithmetic on Integer, Long, BigInteger and BigDecimal.

Decides results and overflow. An `int` is a Long (a BigInteger beyond 64 bits), a `JavaInt` is an Integer: small number
literals and what `hashCode()`, `toInteger()` or `length()` return. Sharding keys count as Long, because that is what
clients bind for BIGINT keys; where Groovy would treat an Integer differently ShardingSphere itself places a literal and
a bound parameter differently. Source: Groovy language documentation, "Number type" and "Math operations".
"""

from __future__ import annotations

import decimal
from collections.abc import Callable
from decimal import Decimal
from math import gcd

from dbmesh.rules.inline.errors import InlineError
from dbmesh.rules.java_values import LONG_MAX, LONG_MIN, wrap_int, wrap_long

_CONTEXT = decimal.Context(prec=200, rounding=decimal.ROUND_HALF_UP, Emin=-2000, Emax=2000)
_MOST_BITS = 2048


class JavaInt(int):
    """A java.lang.Integer: 32 bits, wraps."""

    __slots__ = ()


def fit(result: int, left: int, right: int) -> int:
    """A result as the wider operand's Java type holds it."""
    if type(left) is JavaInt and type(right) is JavaInt:
        return JavaInt(wrap_int(result))
    if LONG_MIN <= result <= LONG_MAX:
        return result
    if LONG_MIN <= left <= LONG_MAX and LONG_MIN <= right <= LONG_MAX:
        return wrap_long(result)
    if result.bit_length() > _MOST_BITS:
        raise InlineError("a number grows too large")
    return result


def is_number(value: object) -> bool:
    """Whether Groovy computes with it."""
    return isinstance(value, int | Decimal) and not isinstance(value, bool)


def _decimals(name: str, left: object, right: object) -> tuple[Decimal, Decimal]:
    if not (is_number(left) and is_number(right)):
        raise InlineError(f"'{name}' cannot be applied to {kind(left)} and {kind(right)}")
    return _decimal(left), _decimal(right)


def _decimal(value: object) -> Decimal:
    if isinstance(value, Decimal):
        if not value.is_finite() or abs(value.adjusted()) > 150 or len(value.as_tuple().digits) > 150:
            raise InlineError("a decimal is too large")
        return value
    if isinstance(value, int) and value.bit_length() <= 500:
        return Decimal(int(value))
    raise InlineError("a number is too large for decimal arithmetic")


def kind(value: object) -> str:
    """The name of a value's type in error messages."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "a boolean"
    if isinstance(value, int):
        return "an integer"
    if isinstance(value, Decimal):
        return "a decimal"
    return "a list" if isinstance(value, list) else "a text"


def add(left: object, right: object) -> int | Decimal:
    """`+` of numbers."""
    if isinstance(left, int) and isinstance(right, int):
        return fit(_int("+", left) + _int("+", right), left, right)
    return _CONTEXT.add(*_decimals("+", left, right))


def subtract(left: object, right: object) -> int | Decimal:
    """`-`."""
    if isinstance(left, int) and isinstance(right, int):
        return fit(_int("-", left) - _int("-", right), left, right)
    return _CONTEXT.subtract(*_decimals("-", left, right))


def multiply(left: object, right: object) -> int | Decimal:
    """`*`."""
    if isinstance(left, int) and isinstance(right, int):
        return fit(_int("*", left) * _int("*", right), left, right)
    return _CONTEXT.multiply(*_decimals("*", left, right))


def _int(name: str, value: int) -> int:
    if isinstance(value, bool):
        raise InlineError(f"'{name}' cannot be applied to a boolean")
    return value


def divide(left: object, right: object) -> Decimal:
    """`/`, always a BigDecimal: exact when it can be, else about ten digits after the point."""
    first, second = _decimals("/", left, right)
    if second == 0:
        raise InlineError("division by zero")
    top, bottom = first.as_integer_ratio()
    low, high = second.as_integer_ratio()
    bottom *= low
    top *= high
    bottom //= gcd(top, bottom)
    bottom = abs(bottom)
    for factor in (2, 5):
        while bottom % factor == 0:
            bottom //= factor
    quotient = _CONTEXT.divide(first, second)
    if bottom == 1:
        return quotient.normalize(_CONTEXT) if quotient else Decimal(0)
    return _CONTEXT.quantize(quotient, Decimal(1).scaleb(-max(10, _scale(first), _scale(second))))


def _scale(value: Decimal) -> int:
    exponent = value.as_tuple().exponent
    return max(0, -exponent) if isinstance(exponent, int) else 0


def remainder(left: object, right: object) -> int:
    """`%`: the sign of the dividend, as in Java. Beyond 64 bits BigInteger.mod, never negative."""
    if not (isinstance(left, int) and isinstance(right, int)):
        hint = "; use .intdiv() in place of '/'" if isinstance(left, Decimal) else ""
        raise InlineError(f"'%' cannot be applied to {kind(left)} and {kind(right)}{hint}")
    dividend, divisor = _int("%", left), _int("%", right)
    if divisor == 0:
        raise InlineError("division by zero")
    if not LONG_MIN <= dividend <= LONG_MAX:
        if divisor < 0:
            raise InlineError("'%' by a negative number is not supported beyond 64 bits")
        return dividend % divisor
    result = abs(dividend) % abs(divisor)
    return fit(-result if dividend < 0 else result, left, right)


def integer_divide(left: object, right: object) -> int:
    """`.intdiv()`: truncates towards zero."""
    if not (isinstance(left, int) and isinstance(right, int)):
        raise InlineError(f"'intdiv' cannot be applied to {kind(left)} and {kind(right)}")
    dividend, divisor = _int("intdiv", left), _int("intdiv", right)
    if divisor == 0:
        raise InlineError("division by zero")
    if dividend >= 0 and divisor > 0:
        return fit(dividend // divisor, left, right)
    quotient = abs(dividend) // abs(divisor)
    return fit(quotient if (dividend < 0) == (divisor < 0) else -quotient, left, right)


def power(left: object, right: object) -> int:
    """`**` of integers. An Integer that overflows becomes a Long or BigInteger, as in Groovy."""
    if not (isinstance(left, int) and isinstance(right, int)):
        raise InlineError(f"'**' cannot be applied to {kind(left)} and {kind(right)}")
    base, exponent = _int("**", left), _int("**", right)
    if exponent < 0 or exponent > 512 or base.bit_length() * exponent > _MOST_BITS:
        raise InlineError("'**' is limited to small exponents of zero or more")
    result = int(base**exponent)
    return JavaInt(result) if isinstance(left, JavaInt) and wrap_int(result) == result else result


def _bits(name: str, operate: Callable[[int, int], int]) -> Callable[[object, object], int]:
    def compute(left: object, right: object) -> int:
        if not (isinstance(left, int) and isinstance(right, int)):
            raise InlineError(f"'{name}' cannot be applied to {kind(left)} and {kind(right)}")
        return fit(operate(_int(name, left), _int(name, right)), left, right)

    return compute


bit_and = _bits("&", lambda left, right: left & right)
bit_or = _bits("|", lambda left, right: left | right)
bit_xor = _bits("^", lambda left, right: left ^ right)


def shift(name: str) -> Callable[[object, object], int]:
    """`<<`, `>>` and `>>>`: the distance is taken modulo the width of the left operand, as in Java."""

    def compute(left: object, right: object) -> int:
        if not (isinstance(left, int) and isinstance(right, int)):
            raise InlineError(f"'{name}' cannot be applied to {kind(left)} and {kind(right)}")
        value, width = _int(name, left), 32 if isinstance(left, JavaInt) else 64
        if not LONG_MIN <= value <= LONG_MAX:
            raise InlineError(f"'{name}' is not supported beyond 64 bits")
        distance = _int(name, right) & width - 1
        if name == "<<":
            return fit(value << distance, left, left)
        return fit((value & (1 << width) - 1 if name == ">>>" else value) >> distance, left, left)

    return compute


def negate(value: object) -> int | Decimal:
    """Unary `-`."""
    if isinstance(value, int):
        return fit(-_int("-", value), value, value)
    return _CONTEXT.minus(_decimals("-", value, 0)[0])


def absolute(value: object) -> int | Decimal:
    """Math.abs. The smallest Integer and Long stay negative, as in Java."""
    if isinstance(value, int):
        return fit(abs(_int("Math.abs", value)), value, value)
    return abs(_decimals("Math.abs", value, 0)[0])


def compare(name: str, left: object, right: object) -> int:
    """-1, 0 or 1, for two numbers or two texts."""
    if isinstance(left, str) and isinstance(right, str):
        return (left > right) - (left < right)
    if isinstance(left, int) and isinstance(right, int):
        return (left > right) - (left < right)
    first, second = _decimals(name, left, right)
    return (first > second) - (first < second)
