"""MySQL's text functions as SQLite functions.

Decides what they return; arguments that are not text are read as their printed form, NULL gives NULL. Positions count
characters from 1. Source: manual, "String Functions and Operators", "Regular Expressions", "Encryption Functions".
"""

from __future__ import annotations

import hashlib
import re
import zlib
from collections.abc import Callable
from functools import lru_cache

from dbmesh.backend.transpile.coerce import Stored, to_number, whole
from dbmesh.errors import ShardError
from dbmesh.wire.values import double_text

_SHA2 = {
    0: hashlib.sha256,
    224: hashlib.sha224,
    256: hashlib.sha256,
    384: hashlib.sha384,
    512: hashlib.sha512,
}
_LONGEST = 1 << 24


def printed(value: float | str | bytes) -> str:
    """A value as the text MySQL makes of it."""
    if isinstance(value, str):
        return value
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    return double_text(value) if isinstance(value, float) else str(value)


def content(value: float | str | bytes) -> bytes:
    """A value's bytes."""
    return value if isinstance(value, bytes) else printed(value).encode()


def index(value: Stored) -> int:
    """An argument that counts characters."""
    number = to_number(value)
    return 0 if number is None else whole(number)


def concat(*values: Stored) -> str | bytes | None:
    """CONCAT; of bytes when one argument is."""
    parts = [value for value in values if value is not None]
    if len(parts) < len(values):
        return None
    if any(isinstance(part, bytes) for part in parts):
        return b"".join(content(part) for part in parts)
    return "".join(printed(part) for part in parts)


def concat_ws(separator: Stored, *values: Stored) -> str | None:
    """CONCAT_WS: NULLs are skipped."""
    if separator is None:
        return None
    return printed(separator).join(printed(value) for value in values if value is not None)


def left(text: str, count: int) -> str:
    """LEFT."""
    return text[: max(count, 0)]


def right(text: str, count: int) -> str:
    """RIGHT."""
    return text[-count:] if count > 0 else ""


def pad_left(text: str, width: int, filler: str) -> str | None:
    """LPAD."""
    if width < 0 or width > _LONGEST or (not filler and width > len(text)):
        return None if width < 0 or width > _LONGEST else ""
    missing = width - len(text)
    return text[:width] if missing <= 0 else (filler * missing)[:missing] + text


def pad_right(text: str, width: int, filler: str) -> str | None:
    """RPAD."""
    if width < 0 or width > _LONGEST or (not filler and width > len(text)):
        return None if width < 0 or width > _LONGEST else ""
    missing = width - len(text)
    return text[:width] if missing <= 0 else text + (filler * missing)[:missing]


def substring(text: str, start: int, count: int = _LONGEST) -> str:
    """SUBSTRING: negative starts count from the end, 0 gives nothing."""
    if start == 0 or count <= 0 or -start > len(text):
        return ""
    at = start - 1 if start > 0 else len(text) + start
    return text[at : at + count]


def substring_index(text: str, delimiter: str, count: int) -> str:
    """SUBSTRING_INDEX."""
    if not delimiter or not count:
        return ""
    parts = text.split(delimiter)
    if count > 0:
        return delimiter.join(parts[:count])
    # From the end MySQL looks for delimiters from the right.
    return delimiter.join(text.rsplit(delimiter, -count)[count:]) if len(parts) > -count else text


def trim(text: str, what: str, where: str) -> str:
    """TRIM of a whole word."""
    if what:
        while where != "TRAILING" and text.startswith(what):
            text = text[len(what) :]
        while where != "LEADING" and text.endswith(what):
            text = text[: -len(what)]
    return text


def repeat(text: str, count: int) -> str | None:
    """REPEAT."""
    return text * max(count, 0) if len(text) * count <= _LONGEST else None


def hexadecimal(value: Stored) -> str | None:
    """HEX of a number or of a text's bytes."""
    if value is None:
        return None
    if isinstance(value, int | float):
        return f"{whole(value) % 2**64:X}"
    return content(value).hex().upper()


def unhex(text: str) -> bytes | None:
    """UNHEX; NULL for what are no hexadecimal digits."""
    try:
        return bytes.fromhex("0" + text if len(text) % 2 else text)
    except ValueError:
        return None


def digest(name: str) -> Callable[[Stored], str | None]:
    """MD5 or SHA1 as hexadecimal digits."""

    def function(value: Stored) -> str | None:
        return None if value is None else hashlib.new(name, content(value), usedforsecurity=False).hexdigest()

    return function


def sha2(value: Stored, bits: Stored) -> str | None:
    """SHA2."""
    algorithm = None if bits is None else _SHA2.get(index(bits))
    return None if value is None or algorithm is None else algorithm(content(value)).hexdigest()


def crc32(value: Stored) -> int | None:
    """CRC32."""
    return None if value is None else zlib.crc32(content(value))


def like_pattern(pattern: str, escape: str) -> re.Pattern[str]:
    """A LIKE pattern as a regular expression over the whole text."""
    out, letters = [], iter(pattern)
    for letter in letters:
        if letter == escape:
            out.append(re.escape(next(letters, escape)))
        elif letter == "%":
            out.append(".*")
        else:
            out.append("." if letter == "_" else re.escape(letter))
    return re.compile("".join(out), re.DOTALL)


cached_like_pattern = lru_cache(maxsize=512)(like_pattern)


@lru_cache(maxsize=512)
def regular_expression(pattern: str, ignore_case: bool) -> re.Pattern[str]:
    """A REGEXP pattern. Raises ShardError 1139 for one that cannot be read."""
    try:
        return re.compile(pattern, re.IGNORECASE if ignore_case else 0)
    except re.error as error:
        raise ShardError(1139, "42000", f"Regex error '{error}'") from None


def on_texts(function: Callable[..., Stored], kinds: str) -> Callable[..., Stored]:
    """`function` with its arguments converted: `t` text, `i` integer; NULL when any is NULL."""

    def adapted(*values: Stored) -> Stored:
        converted: list[object] = []
        for value, kind in zip(values, kinds, strict=False):
            if value is None:
                return None
            converted.append(printed(value) if kind == "t" else index(value))
        return function(*converted)

    return adapted
