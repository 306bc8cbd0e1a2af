"""Text order of the embedded data source: MySQL's utf8mb4_general_ci and utf8mb4_bin, and the order of decimals.

Decides which texts are equal and which comes first. Both collations pad with spaces (manual, "The CHAR and VARCHAR
Types"). `weight` returns what WEIGHT_STRING returns, so that rows of several shards merge in the same order.
utf8mb4_general_ci weighs a character as the upper case of its base letter; characters outside the basic plane are all
equal.
"""

from __future__ import annotations

import unicodedata
from decimal import Decimal
from typing import Final

from dbmesh.backend.transpile.collations import BINARY, GENERAL_CI

DECIMAL: Final = "dbmesh_decimal"
_REPLACEMENT: Final = "\ufffd"
_LAST_BASIC: Final = 0xFFFF
# Letters general_ci folds although Unicode does not decompose them.
_FOLDED: Final = {"ß": "S", "ı": "I", "ſ": "S"}


class _Weights(dict[int, str]):
    """Character → the character whose number is its weight; filled as characters are met."""

    def __missing__(self, code: int) -> str:
        weight = self[code] = _weigh(chr(code))
        return weight


def _weigh(character: str) -> str:
    if ord(character) > _LAST_BASIC:
        return _REPLACEMENT
    folded = _FOLDED.get(character)
    if folded is not None:
        return folded
    base = unicodedata.normalize("NFD", character)[0] if not unicodedata.combining(character) else character
    upper = base.upper()
    return upper if len(upper) == 1 and ord(upper) <= _LAST_BASIC else base


class TextOrder:
    """Comparisons of one connection, with its own cache of weights."""

    def __init__(self) -> None:
        self._weights = _Weights()

    def fold(self, text: str, collation: str = GENERAL_CI) -> str:
        """The text as its weights, not padded."""
        return text if collation == BINARY else text.translate(self._weights)

    def key(self, text: str, collation: str = GENERAL_CI) -> str:
        """Equal for texts that compare equal."""
        return self.fold(text, collation).rstrip(" ")

    def weight(self, text: str, collation: str = GENERAL_CI) -> bytes:
        """WEIGHT_STRING(text): two bytes a character for general_ci, three for bin."""
        folded = self.fold(text, collation)
        width = 3 if collation == BINARY else 2
        return b"".join(ord(character).to_bytes(width, "big") for character in folded)

    def compare_general(self, left: str, right: str) -> int:
        """Compare under utf8mb4_general_ci: negative, zero or positive."""
        return compare_padded(left.translate(self._weights), right.translate(self._weights))


def compare_padded(left: str, right: str) -> int:
    """Compare by character number as if the shorter text went on in spaces."""
    if left == right:
        return 0
    width = max(len(left), len(right))
    left, right = left.ljust(width), right.ljust(width)
    return (left > right) - (left < right)


def compare_decimals(left: str, right: str) -> int:
    """Compare decimal numbers held as text."""
    first, second = Decimal(left), Decimal(right)
    return (first > second) - (first < second)
