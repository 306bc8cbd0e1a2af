"""Rows and columns of an answer as one server holding plain text would tell them: ciphers become values, and rows that a
digest has found by mistake are left out.

Decides the definition of a decrypted column, and that a value which no key opens ends the answer with an error that names its column.
Pure: payloads in, payloads out. Knows no sessions.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import lru_cache

from dbmesh.errors import UNDECIPHERABLE, MeshError
from dbmesh.model import ColumnFamily
from dbmesh.planner.encrypted.decryption import DecryptedColumn, Decryption
from dbmesh.rules.encryption.logic_type import LogicType
from dbmesh.rules.encryption.rule import Undecipherable
from dbmesh.wire.collations import charset_of, encoding
from dbmesh.wire.constants import ColumnFlag, ColumnType
from dbmesh.wire.packets import ColumnDefinition
from dbmesh.wire.values import decode_text_row, encode_text_row

_INTEGERS = {
    "tinyint": (ColumnType.TINY, 4, 3),
    "smallint": (ColumnType.SHORT, 6, 5),
    "mediumint": (ColumnType.INT24, 9, 8),
    "int": (ColumnType.LONG, 11, 10),
    "bigint": (ColumnType.LONGLONG, 20, 20),
}
"""Type, and display width with and without a sign."""
_BINARY = 63
_KEPT = ColumnFlag.NOT_NULL | ColumnFlag.NO_DEFAULT_VALUE | ColumnFlag.NUM
"""What a column has of its place in the table, and in a temporary one: there NUM is the flag of groups."""


class RowDecryption:
    """Decrypts the rows of one answer. `columns` comes first."""

    def __init__(self, decryption: Decryption) -> None:
        self._decryption = decryption
        self._encoders: list[Callable[[str], bytes]] = []
        self._checks = [
            (check.place, like_matcher(check.pattern), check.negated) for check in decryption.checks
        ]
        self._checked = {check.place for check in decryption.checks}

    def columns(self, columns: Sequence[ColumnDefinition]) -> list[ColumnDefinition]:
        """The definitions that the client is told. Raises MeshError for a character set that has no codec here."""
        told = list(columns)
        self._encoders = []
        for one in self._decryption.columns:
            self._encoders.append(_encoder(told[one.place].character_set))
            told[one.place] = _definition(told[one.place], one)
        return told[: len(told) - self._decryption.hidden]

    def rows(self, rows: Sequence[bytes]) -> list[bytes]:
        """Text rows, decrypted. Raises MeshError(UNDECIPHERABLE)."""
        made: list[bytes] = []
        hidden = self._decryption.hidden
        for row in rows:
            values = decode_text_row(row)
            texts: dict[int, str] = {}
            for one, encode in zip(self._decryption.columns, self._encoders, strict=True):
                value = values[one.place]
                if value is not None:
                    text = decrypted(one, value)
                    if one.place in self._checked:
                        texts[one.place] = text
                    values[one.place] = encode(text)
            if self._checks and not self._passes(texts):
                continue
            made.append(encode_text_row(values[: len(values) - hidden] if hidden else values))
        return made

    def _passes(self, texts: dict[int, str]) -> bool:
        return all(
            place in texts and matches(texts[place]) is not negated
            for place, matches, negated in self._checks
        )


def decrypted(one: DecryptedColumn, value: bytes) -> str:
    """The text of a stored value. Raises MeshError(UNDECIPHERABLE)."""
    column = one.column
    try:
        text = column.cipher.encryptor.decrypt(value.decode("utf-8"))
    except (Undecipherable, UnicodeDecodeError):
        raise MeshError(UNDECIPHERABLE, column=column.name) from None
    if not column.type.is_text and not column.type.holds(text):
        raise MeshError(UNDECIPHERABLE, column=column.name)
    return text


def _definition(stored: ColumnDefinition, one: DecryptedColumn) -> ColumnDefinition:
    kind = one.column.type
    flags = stored.flags & _KEPT | one.keys
    # A derived table's column is called as that table calls it.
    is_cipher = stored.org_name.lower() == one.column.cipher.name.lower().encode("utf-8")
    named = replace(stored, org_name=one.column.name.encode("utf-8")) if is_cipher else stored
    return replace(named, **_of_type(kind, stored, flags))  # type: ignore[arg-type]


def _of_type(kind: LogicType, stored: ColumnDefinition, flags: int) -> dict[str, int]:
    if kind.is_text:
        width = _BYTES.get(charset_of(stored.character_set) or "", 1)
        flags |= ColumnFlag.BINARY
        if kind.counts_characters:
            return {
                "type": ColumnType.STRING if kind.name == "char" else ColumnType.VAR_STRING,
                "length": kind.length * width,
                "flags": flags,
                "decimals": stored.decimals,
            }
        length = min(kind.length * width, (1 << 32) - 1)
        return {
            "type": ColumnType.BLOB,
            "length": length,
            "flags": flags | ColumnFlag.BLOB,
            "decimals": stored.decimals,
        }
    common = {"character_set": _BINARY, "decimals": 0}
    if not stored.org_name:
        # What servers compute, a UNION's column too, has the flag of bytes.
        flags |= ColumnFlag.BINARY
    if kind.family is ColumnFamily.INTEGER:
        number, signed, unsigned = _INTEGERS[kind.name]
        own = flags | (ColumnFlag.UNSIGNED if kind.unsigned else 0)
        return common | {"type": number, "length": unsigned if kind.unsigned else signed, "flags": own}
    if kind.family is ColumnFamily.DECIMAL:
        length = kind.length + (not kind.unsigned) + (kind.scale > 0)
        own = flags | (ColumnFlag.UNSIGNED if kind.unsigned else 0)
        return common | {
            "type": ColumnType.NEWDECIMAL,
            "length": length,
            "decimals": kind.scale,
            "flags": own,
        }
    if kind.name == "date":
        return common | {"type": ColumnType.DATE, "length": 10, "flags": flags | ColumnFlag.BINARY}
    length = 19 + (kind.scale + 1 if kind.scale else 0)
    own = flags | ColumnFlag.BINARY
    return common | {"type": ColumnType.DATETIME, "length": length, "decimals": kind.scale, "flags": own}


_BYTES = {"utf8mb4": 4, "utf8mb3": 3}
"""Most bytes of a character; one in the other character sets clients use here."""


@lru_cache(maxsize=64)
def _encoder(character_set: int) -> Callable[[str], bytes]:
    """From a text to the bytes a client of this character set gets; what it does not have becomes a question mark, as servers do."""
    name = charset_of(character_set)
    if name in ("utf8mb4", "binary", None):
        return _utf8
    if name == "utf8mb3":
        return lambda text: "".join(c if c <= "\uffff" else "?" for c in text).encode("utf-8")
    codec = encoding(name) or "latin-1"
    return lambda text: text.encode(codec, "replace")


def _utf8(text: str) -> bytes:
    return text.encode("utf-8")


def like_matcher(pattern: str) -> Callable[[str], bool]:
    """What LIKE tells of a text under a binary collation, the backslash being the escape character. O(pattern × text)."""
    segments: list[list[str]] = [[]]
    position = 0
    while position < len(pattern):
        character = pattern[position]
        position += 1
        if character == "%":
            segments.append([])
            continue
        if character == "_":
            segments[-1].append(".")
            continue
        if character == "\\" and position < len(pattern):
            character = pattern[position]
            position += 1
        segments[-1].append(re.escape(character))
    parts = [re.compile("".join(segment), re.DOTALL) for segment in segments]

    def matches(text: str) -> bool:
        if len(parts) == 1:
            return parts[0].fullmatch(text) is not None
        at = 0
        for place, part in enumerate(parts[:-1]):
            found = part.match(text, at) if place == 0 else part.search(text, at)
            if found is None:
                return False
            at = found.end()
        length = len(segments[-1])
        return len(text) - length >= at and parts[-1].fullmatch(text, len(text) - length) is not None

    return matches
