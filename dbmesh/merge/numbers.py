"""Numbers as MySQL prints them: exact decimals, doubles, and the quotient of AVG.

Decides digits. Knows nothing of rows. Checked against MariaDB 10.11; sources: manual, "Precision Math", and the text
protocol's rule that a double shows the fewest digits that read back as itself.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Final

from dbmesh.errors import not_supported
from dbmesh.merge.keys import NOT_FIXED

_DIGITS_PER_WORD: Final = 9
_FIXED_FORM_DIGITS: Final = 15
_DECIMAL_PRECISION: Final = 65


def decimal_text(units: int, decimals: int) -> bytes:
    """`units` / 10^decimals with exactly `decimals` digits behind the point. Raises MeshError for a number that
    MySQL's DECIMAL cannot hold."""
    digits = str(abs(units)).rjust(decimals + 1, "0")
    if len(digits) > _DECIMAL_PRECISION:
        raise not_supported("a merged sum of more than 65 digits", "restrict the statement to fewer rows")
    sign = "-" if units < 0 else ""
    if not decimals:
        return f"{sign}{digits}".encode("ascii")
    return f"{sign}{digits[:-decimals]}.{digits[-decimals:]}".encode("ascii")


def power_of_ten(exponent: int) -> int:
    """10^exponent, for exponents that are not negative."""
    return int(10**exponent)


def rescaled(units: int, from_decimals: int, to_decimals: int) -> int:
    """`units` of 10^-from_decimals as units of 10^-to_decimals, half away from zero."""
    if to_decimals >= from_decimals:
        return units * power_of_ten(to_decimals - from_decimals)
    divisor = power_of_ten(from_decimals - to_decimals)
    rounded = (abs(units) * 2 + divisor) // (divisor * 2)
    return -rounded if units < 0 else rounded


def average_text(units: int, decimals: int, count: int, shown_decimals: int) -> bytes:
    """AVG of exact numbers: the sum in units of 10^-decimals over `count`, with `shown_decimals` digits.

    The server's division produces whole words of nine digits and drops the rest, and only then rounds half away from
    zero. Where the shown digits fill the last word exactly, its result is therefore cut off, not rounded.
    """
    produced = max(shown_decimals, decimals + 1)
    produced += -produced % _DIGITS_PER_WORD
    quotient = abs(units) * power_of_ten(produced - decimals) // count
    return decimal_text(
        rescaled(-quotient if units < 0 else quotient, produced, shown_decimals), shown_decimals
    )


def double_text(value: float, decimals: int) -> bytes:
    """A double as the text protocol shows it in a column with that many decimals (31 and more: all digits)."""
    if decimals < NOT_FIXED:
        return format(value, f".{decimals}f").encode("ascii")
    if value == 0:
        return b"0"
    sign, digit_tuple, exponent = Decimal(repr(value)).normalize().as_tuple()
    if not isinstance(exponent, int):
        raise not_supported(
            "a merged sum outside the range of DOUBLE", "restrict the statement to fewer rows"
        )
    digits = "".join(map(str, digit_tuple))
    point = len(digits) + exponent
    prefix = "-" if sign else ""
    # Large integers take the exponent form; a number with digits behind the point never does for being large.
    if point >= 1 - _FIXED_FORM_DIGITS and (point <= _FIXED_FORM_DIGITS or len(digits) > point):
        return (prefix + _fixed_form(digits, point)).encode("ascii")
    fraction = f".{digits[1:]}" if len(digits) > 1 else ""
    return f"{prefix}{digits[0]}{fraction}e{point - 1}".encode("ascii")


def _fixed_form(digits: str, point: int) -> str:
    if point <= 0:
        return "0." + "0" * -point + digits
    if point >= len(digits):
        return digits + "0" * (point - len(digits))
    return f"{digits[:point]}.{digits[point:]}"
