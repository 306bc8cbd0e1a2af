"""Literals: raw SQL text to values, and values to SQL text.

Decides what a literal's text means and how a value is written so that the server reads back the same value (MySQL
manual, "Literal Values"). Knows nothing of columns; `rules.values` makes sharding keys of these values.
"""

from __future__ import annotations

import datetime
import re
from decimal import Decimal

from dbmesh.model import IncompleteDate, SqlValue, UnsignedInteger
from dbmesh.sql.lexer import LexerFlags
from dbmesh.sql.shape import SlotKind

_ESCAPE = re.compile(r"\\(.)", re.DOTALL)
_UNESCAPED = {"0": "\0", "b": "\b", "n": "\n", "r": "\r", "t": "\t", "Z": "\x1a", "%": "\\%", "_": "\\_"}
_QUOTED = {"\\": "\\\\", "'": "\\'", "\0": "\\0", "\n": "\\n", "\r": "\\r", "\x1a": "\\Z"}
_NO_TIME = datetime.timedelta(hours=839)
_NEEDS_QUOTING = re.compile(r"[\\'\0\n\r\x1a]")


class HexLiteral(bytes):
    """A hexadecimal or bit literal: bytes, or a number where one is wanted; which of both differs between servers."""


def decode_literal(raw: str, kind: SlotKind | None = None, *, no_backslash_escapes: bool = False) -> SqlValue:
    """The value of one literal's text. `kind` tells `x''` and `b''` where the prefix is not in the text.

    Raises ValueError for hexadecimal or bit digits the server would refuse too.
    """
    if raw.isdigit():
        return int(raw)
    first = raw[0]
    if first in "'\"":
        text = unquote(raw, no_backslash_escapes)
        if kind is SlotKind.HEX:
            return HexLiteral.fromhex(text)
        if kind is SlotKind.BIT:
            return _bits(text)
        return text
    if first in "nN":
        return None
    if first in "xX":
        return HexLiteral.fromhex(raw[2:-1])
    if first in "bB":
        return _bits(raw[2:-1])
    if raw.startswith("0x"):
        digits = raw[2:]
        return HexLiteral.fromhex(digits if len(digits) % 2 == 0 else "0" + digits)
    if raw.startswith("0b"):
        return _bits(raw[2:])
    if "e" in raw or "E" in raw:
        return float(raw)
    return Decimal(raw) if "." in raw else int(raw)


def _bits(digits: str) -> HexLiteral:
    return HexLiteral(int(digits or "0", 2).to_bytes((len(digits) + 7) // 8, "big"))


def unquote(raw: str, no_backslash_escapes: bool) -> str:
    """The content of a quoted string."""
    quote, text = raw[0], raw[1:-1]
    if no_backslash_escapes or "\\" not in text:
        return text.replace(quote + quote, quote) if quote in text else text
    parts = _ESCAPE.split(text)
    for at in range(0, len(parts), 2):
        parts[at] = parts[at].replace(quote + quote, quote)
    for at in range(1, len(parts), 2):
        parts[at] = _UNESCAPED.get(parts[at], parts[at])
    return "".join(parts)


def literal_text(value: SqlValue, *, no_backslash_escapes: bool = False) -> str:
    """SQL text of a value: exact for every type; bytes become `x'…'`.

    Types are kept too, where SQL can write them: dates and times are compared and converted otherwise than texts. A float
    has an exponent, so that the server reads a DOUBLE and not a DECIMAL; a Decimal without a fraction ends in a point.
    """
    if value is None:
        return "NULL"
    if isinstance(value, str):
        return _string(value, no_backslash_escapes)
    if isinstance(value, bool):
        return "1" if value else "0"
    if isinstance(value, int):
        return unsigned(str(value)) if isinstance(value, UnsignedInteger) else str(value)
    if isinstance(value, bytes):
        return f"x'{value.hex()}'"
    if isinstance(value, float):
        text = repr(value)
        return text if "e" in text else text + "e0"
    if isinstance(value, Decimal):
        text = format(value, "f")
        return text if "." in text else text + "."
    if isinstance(value, datetime.datetime):
        return f"TIMESTAMP'{value.isoformat(sep=' ')}'"
    if isinstance(value, datetime.date):
        return f"DATE'{value.isoformat()}'"
    # A longer one is none that a server reads as TIME.
    return f"{'TIME' if abs(value) < _NO_TIME else ''}'{_duration(value)}'"


UNSIGNED_HEAD, UNSIGNED_TAIL = "CAST(", " AS UNSIGNED)"


def unsigned(number: str) -> str:
    """An unsigned integer."""
    return f"{UNSIGNED_HEAD}{number}{UNSIGNED_TAIL}"


def incomplete_date(value: IncompleteDate) -> str:
    """A date that is none as a literal of its type, which servers read unless sql_mode has NO_ZERO_DATE or NO_ZERO_IN_DATE;
    as any other value it is written as a text."""
    return f"{'TIMESTAMP' if ' ' in value else 'DATE'}'{value}'"


def literal_value(raw: str, kind: SlotKind, flags: LexerFlags) -> SqlValue:
    """The value of a client's literal, `raw` being UTF-8 as everywhere, with the bytes that are none kept. Raises
    ValueError as `decode_literal` does."""
    value = decode_literal(raw, kind, no_backslash_escapes=flags.no_backslash_escapes)
    if flags.encoding is None or not isinstance(value, str) or value.isascii():
        return value
    return value.encode("utf-8", "surrogateescape").decode(flags.encoding, "replace")


def value_text(value: SqlValue, flags: LexerFlags) -> str:
    """SQL text of a value among a client's own text: in the client's character set, written as `literal_value` reads."""
    if flags.encoding is not None and isinstance(value, str) and not value.isascii():
        try:
            value = value.encode(flags.encoding).decode("utf-8", "surrogateescape")
        except UnicodeEncodeError:
            return f"_utf8mb4 x'{value.encode('utf-8', 'surrogateescape').hex()}'"
    return literal_text(value, no_backslash_escapes=flags.no_backslash_escapes)


def stored_text(value: SqlValue, flags: LexerFlags) -> str:
    """`value_text` of what is stored as it is: an unsigned integer is a number like any other then."""
    return value_text(int(value) if isinstance(value, UnsignedInteger) else value, flags)


def encode_literal(value: SqlValue, *, no_backslash_escapes: bool = False) -> bytes:
    """`literal_text` as bytes: UTF-8, undecodable bytes of the client as they came."""
    return literal_text(value, no_backslash_escapes=no_backslash_escapes).encode("utf-8", "surrogateescape")


def _string(value: str, no_backslash_escapes: bool) -> str:
    if no_backslash_escapes:
        return "'" + value.replace("'", "''") + "'"
    if _NEEDS_QUOTING.search(value) is None:
        return f"'{value}'"
    return "'" + _NEEDS_QUOTING.sub(lambda found: _QUOTED[found[0]], value) + "'"


def _duration(value: datetime.timedelta) -> str:
    """MySQL's TIME: hours may pass 24, and the sign stands in front."""
    total = value.days * 86_400_000_000 + value.seconds * 1_000_000 + value.microseconds
    sign, total = ("-" if total < 0 else ""), abs(total)
    seconds, micros = divmod(total, 1_000_000)
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    text = f"{sign}{hours:02d}:{minutes:02d}:{seconds:02d}"
    return f"{text}.{micros:06d}" if micros else text
