"""Java's arithmetic on values: hash codes and 64-bit wrapping, so that rows ShardingSphere placed are found.

Decides what `hashCode()` of a SQL value is. An integer counts as java.lang.Integer when it fits 32 bits, else as Long
when it fits 64, else as BigInteger: what ShardingSphere's parser makes of an integer literal. Sources: the Java SE API
documentation of Integer, Long, String, Double.hashCode and List.hashCode, and the published behaviour of BigInteger and
BigDecimal. Dates hash as the text MySQL shows for them.
"""

from __future__ import annotations

import datetime
import struct
from decimal import Decimal

from dbmesh.rules.values import Key, temporal_text

LONG_MIN = -(1 << 63)
LONG_MAX = (1 << 63) - 1


def wrap_int(value: int) -> int:
    """The low 32 bits of an integer as Java's int."""
    return (value + 0x80000000 & 0xFFFFFFFF) - 0x80000000


def wrap_long(value: int) -> int:
    """The low 64 bits of an integer as Java's long: what BigInteger.longValue() keeps."""
    return (value + (1 << 63) & (1 << 64) - 1) - (1 << 63)


def hash_code(value: Key) -> int | None:
    """Java's hashCode of a value, or None for a value whose Java class has no stable one (bytes, NULL, unknown)."""
    if isinstance(value, int):
        return (1231 if value else 1237) if isinstance(value, bool) else _hash_integer(value)
    if isinstance(value, str):
        return _hash_string(value)
    if isinstance(value, Decimal):
        return _hash_decimal(value)
    if isinstance(value, float):
        bits = struct.unpack(">Q", struct.pack(">d", value))[0]
        return wrap_int(bits ^ bits >> 32)
    if isinstance(value, datetime.date):
        return _hash_string(temporal_text(value))
    return None


def _hash_integer(value: int) -> int:
    if -0x80000000 <= value <= 0x7FFFFFFF:
        return value
    if LONG_MIN <= value <= LONG_MAX:
        bits = value & 0xFFFFFFFFFFFFFFFF
        return wrap_int(bits ^ bits >> 32)
    return _hash_big_integer(value)


def _hash_big_integer(value: int) -> int:
    magnitude = abs(value)
    result = 0
    for shift in range((magnitude.bit_length() + 31) // 32 * 32 - 32, -1, -32):
        result = 31 * result + (magnitude >> shift & 0xFFFFFFFF)
    return wrap_int(-result if value < 0 else result)


def _hash_string(value: str) -> int:
    units: bytes | tuple[int, ...]
    if value.isascii():
        units = value.encode("ascii")
    else:
        encoded = value.encode("utf-16-be", "surrogatepass")
        units = struct.unpack(f">{len(encoded) // 2}H", encoded)
    result = 0
    for unit in units:
        result = 31 * result + unit & 0xFFFFFFFF
    return wrap_int(result)


def _hash_decimal(value: Decimal) -> int | None:
    sign, digits, exponent = value.as_tuple()
    if not isinstance(exponent, int):
        return None
    unscaled = int("".join(map(str, digits)) or "0")
    return wrap_int(31 * _hash_big_integer(-unscaled if sign else unscaled) + -exponent)
