"""Which values of a column belong to the shadow: VALUE_MATCH and REGEX_MATCH of ShardingSphere.

Decides by what the column makes of a value: 1, '1' and 1.0 are one number, and what a collation without case may hold for equal to a
matching text is neither sent here nor there.
"""

from __future__ import annotations

import datetime
import re
import unicodedata
from dataclasses import dataclass

from dbmesh.model import ColumnFamily, ColumnSchema, SqlValue
from dbmesh.rules.shadow.rule import Verdict
from dbmesh.rules.text_keys import is_binary
from dbmesh.rules.values import UNKNOWN_KEY, coerce_key, compared_key

TEXTUAL = frozenset((ColumnFamily.TEXT, ColumnFamily.ENUM, ColumnFamily.SET))
"""Families of columns that hold texts."""


@dataclass(frozen=True, slots=True)
class ValueMatch:
    """Equal to one value."""

    wanted: str

    def verdict(self, value: SqlValue, column: ColumnSchema | None) -> Verdict:
        """See `Matcher`."""
        if value is None:
            return Verdict.DIFFERS
        if column is None or column.family in TEXTUAL:
            return _of_text(_text(value), self.wanted, column)
        key, wanted = compared_key(value, column), coerce_key(self.wanted, column)
        if key is UNKNOWN_KEY or wanted is UNKNOWN_KEY:
            return Verdict.UNSURE
        return Verdict.MATCHES if key == wanted else Verdict.DIFFERS


@dataclass(frozen=True, slots=True)
class RegexMatch:
    """A text that a regular expression describes from its first to its last character, as Java's `matches` does."""

    pattern: str

    def verdict(self, value: SqlValue, column: ColumnSchema | None) -> Verdict:
        """See `Matcher`."""
        if value is None:
            return Verdict.DIFFERS
        if column is not None and column.family not in TEXTUAL:
            key = compared_key(value, column)
            if key is UNKNOWN_KEY or key is None:
                return Verdict.UNSURE
            return self._of(_text(key), exact=True)
        return self._of(_text(value), exact=column is not None and is_binary(column.collation))

    def _of(self, text: str, *, exact: bool) -> Verdict:
        if re.fullmatch(self.pattern, text) is not None:
            return Verdict.MATCHES
        alike = not exact and re.fullmatch(self.pattern, _folded(text), re.IGNORECASE) is not None
        return Verdict.UNSURE if alike else Verdict.DIFFERS


def _of_text(text: str, wanted: str, column: ColumnSchema | None) -> Verdict:
    if text == wanted:
        return Verdict.MATCHES
    exact = column is not None and column.family is ColumnFamily.TEXT and is_binary(column.collation)
    if exact:
        # Only trailing spaces may still be no matter.
        return Verdict.UNSURE if text.rstrip(" ") == wanted.rstrip(" ") else Verdict.DIFFERS
    return Verdict.UNSURE if _folded(text) == _folded(wanted) else Verdict.DIFFERS


def _folded(text: str) -> str:
    """A text without what collations pass over: case, accents, trailing spaces."""
    apart = unicodedata.normalize("NFKD", text.rstrip(" ").casefold())
    return "".join(one for one in apart if not unicodedata.combining(one))


def _text(value: object) -> str:
    if isinstance(value, bytes):
        return value.decode("utf-8", "surrogateescape")
    if isinstance(value, bool):
        return str(int(value))
    if isinstance(value, datetime.datetime):
        return value.isoformat(" ")
    return str(value)
