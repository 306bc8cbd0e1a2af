"""Texts as sharding keys: which spellings a column's collation may take for one another.

Rows are placed by the exact text, as ShardingSphere places them (trailing spaces aside), but a server compares by collation: 'ABC' finds 'abc',
'5' finds '5 ' (PAD SPACE) and, in some collations, the full-width '５'. Decides which texts cannot be mistaken, so
that a comparison may trust the place; every other comparison must ask all data nodes. Knows no algorithm.
"""

from __future__ import annotations

import re
import unicodedata
from typing import Final

# Digits and the punctuation no collation gives to another letter: '[' is 'Ä' in latin1_swedish_ci, so brackets are out.
_PLAIN: Final = re.compile(r"[0-9 !\"%&'()*+,\-./:;<=>?]*(?<! )")
_LETTERS: Final = frozenset(("Lu", "Ll", "Lt", "Lo"))
_IGNORED_LETTERS: Final = frozenset("\u115f\u1160\u1cf2\u3164\ufe73\uffa0")


def is_binary(collation: str | None) -> bool:
    """Whether a collation compares code by code, trailing spaces aside."""
    return collation is not None and (collation == "binary" or collation.endswith("_bin"))


def pads(collation: str | None) -> bool:
    """Whether a collation compares as if the shorter text had spaces behind it (PAD SPACE), as most do."""
    return collation is None or not (collation == "binary" or "_nopad_" in collation or "_0900_" in collation)


def stands_alone(text: str, collation: str | None) -> bool:
    """Whether a row equal to this text was placed by this very spelling, as far as the mesh placed it: see
    `placed_as`. None is a collation nobody knows."""
    if pads(collation) and text.endswith(" "):
        return False
    return is_binary(collation) or _PLAIN.fullmatch(text.rstrip(" ")) is not None


def placed_as(text: str, collation: str | None) -> str | None:
    """The spelling by which a row with this key is placed: where spaces at its end mean nothing, without them. None where
    it could not be found again: neither by its spelling, nor because the texts equal to it have a letter, so that
    `stands_alone` is false for every one of them."""
    key = text.rstrip(" ") if pads(collation) else text
    found = stands_alone(key, collation) or (not is_binary(collation) and _has_letter(key))
    return key if found else None


def _has_letter(text: str) -> bool:
    """Whether some character of it is none of the plain ones, nor taken for one or for nothing: a letter, or a picture
    (a symbol beyond the Basic Multilingual Plane that is no form of another character)."""
    if any("a" <= character <= "z" for character in text.lower()):
        return True
    return any(
        (unicodedata.category(character) in _LETTERS and character not in _IGNORED_LETTERS)
        or (character > "\uffff" and unicodedata.category(character) == "So")
        for character in unicodedata.normalize("NFKD", text)
    )
