"""CHAR_DIGEST_LIKE: each character becomes another one, several the same, as ShardingSphere computes it.

Decides the format, and the pattern that finds all digests of what a pattern finds. It finds others too: who uses it looks at the values
themselves. Characters are halves of UTF-16 here, as in Java. ShardingSphere's own default for `dict` is a file of Chinese characters, which is
not part of dbmesh: without the property there is none.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from dbmesh.rules.algorithms.properties import PropertyReader

PROPERTIES: Final = ("delta", "mask", "start", "dict")
_LATIN: Final = 255
_MOST: Final = 0xFFFF
_SURROGATES: Final = range(0xD800, 0xE000)
_SPECIAL: Final = frozenset("%_\\")


@dataclass(frozen=True, slots=True)
class CharDigestLike:
    """See `LikeDigest`."""

    delta: int
    mask: int
    start: int
    places: Mapping[int, int] = field(repr=False)

    def digest(self, text: str) -> str:
        """See `LikeDigest`. What is no character of Unicode becomes a question mark, as Java writes it."""
        return "".join(map(self._digested, _halves(text)))

    def pattern(self, pattern: str, escape: str) -> str:
        """See `LikeDigest`. A wildcard may stand for two halves, and what would be read as one stands for itself or anything."""
        pieces: list[str] = []
        position = 0
        while position < len(pattern):
            character = pattern[position]
            position += 1
            if character in "%_":
                pieces.append("%")
                continue
            if character == escape and position < len(pattern):
                character = pattern[position]
                position += 1
            digest = self.digest(character)
            pieces.append("".join("_" if each in _SPECIAL else each for each in digest))
        return "".join(pieces)

    def _digested(self, half: int) -> str:
        if chr(half) in "%_":
            return chr(half)
        if half <= _LATIN:
            made = (half + self.delta) & self.mask
        else:
            made = ((self.places.get(half, half) + self.delta) & self.mask) + self.start
        made &= _MOST
        if chr(made) in "%_":
            made = half
        return "?" if made in _SURROGATES else chr(made)


def create(properties: PropertyReader) -> CharDigestLike:
    """The digest of these properties. Raises PropertyMistake."""
    written = properties.properties.get("dict", "")
    return CharDigestLike(
        properties.integer("delta", 1),
        properties.integer("mask", 0b1111_0111_1101, least=0),
        properties.integer("start", 0x4E00, least=0),
        {half: place for place, half in enumerate(_halves(written))},
    )


def _halves(text: str) -> tuple[int, ...]:
    encoded = text.encode("utf-16-le", "surrogatepass")
    return struct.unpack(f"<{len(encoded) // 2}H", encoded)
