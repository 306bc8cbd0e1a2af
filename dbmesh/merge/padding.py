"""Trailing padding of text: what the weights of a collation need so that comparing bytes compares texts.

Decides which collations pad with spaces, and with which weight. MySQL compares under a PAD SPACE collation as if the
shorter text went on in spaces, but WEIGHT_STRING returns the weights of the text as it is. Knows nothing of columns.
The space weights were read from a server for every collation that is accepted here; others are refused.
Sources: manual, "The CHAR and VARCHAR Types", "WEIGHT_STRING()"; MariaDB knowledge base, "NO PAD Collations".
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Final, cast

from dbmesh.errors import MeshError, not_supported

_UNICODE: Final = frozenset({"utf8", "utf8mb3", "utf8mb4", "ucs2", "utf16", "utf16le", "utf32"})
_BASIC_PLANE: Final = frozenset({"utf8", "utf8mb3", "ucs2"})
_ONE_BYTE: Final = frozenset(
    {
        *(
            "armscii8",
            "ascii",
            "cp1250",
            "cp1251",
            "cp1256",
            "cp1257",
            "cp850",
            "cp852",
            "cp866",
            "dec8",
            "geostd8",
        ),
        *(
            "greek",
            "hebrew",
            "hp8",
            "keybcs2",
            "koi8r",
            "koi8u",
            "latin1",
            "latin2",
            "latin5",
            "latin7",
            "macce",
        ),
        *("macroman", "swe7", "tis620"),
    }
)
_EXCEPTIONS: Final = {
    "latin7_general_ci": b"\x30",
    "latin7_general_cs": b"\x30",
    "latin7_estonian_cs": b"\x2c",
}
# Several levels of weights: padding cannot be told from the end of a level.
_MULTI_LEVEL: Final = frozenset({"latin2_czech_cs", "cp1250_czech_cs"})
_UCA_400: Final = frozenset(
    {
        *(
            "unicode",
            "icelandic",
            "latvian",
            "romanian",
            "slovenian",
            "polish",
            "estonian",
            "spanish",
            "swedish",
        ),
        *("turkish", "czech", "danish", "lithuanian", "slovak", "spanish2", "roman", "persian", "esperanto"),
        *("hungarian", "sinhala", "german2", "croatian", "vietnamese"),
    }
)


@lru_cache(maxsize=256)
def space_weight(collation: str) -> bytes | None:
    """The weight that pads texts of this collation, None for a NO PAD one. Raises MeshError (not supported)."""
    name = collation.lower()
    if name == "binary" or "_nopad_" in name or "_0900_" in name:
        return None
    if name in _EXCEPTIONS:
        return _EXCEPTIONS[name]
    charset, _, rest = name.partition("_")
    if charset in _ONE_BYTE and name not in _MULTI_LEVEL:
        return b"\x20"
    weight = _unicode_space_weight(charset, rest) if charset in _UNICODE else None
    if weight is None:
        raise _unknown_collation(collation)
    return weight


def _unicode_space_weight(charset: str, rest: str) -> bytes | None:
    if rest in ("general_ci", "general_mysql500_ci"):
        return b"\x00\x20"
    if rest == "bin":
        return b"\x00\x20" if charset in _BASIC_PLANE else b"\x00\x00\x20"
    if rest in ("unicode_520_ci", "myanmar_ci"):
        return b"\x02\x0a"
    if (rest.startswith("uca1400_") and rest.endswith("ai_ci")) or rest.removesuffix("_ci") in _UCA_400:
        return b"\x02\x09" if rest.endswith("_ci") else None
    return None


def _unknown_collation(collation: str) -> MeshError:
    """The refusal of a collation whose padding is not known for certain."""
    return not_supported(
        f"merging rows of several shards by text of collation {collation}",
        "order or group by CONVERT(column USING utf8mb4) COLLATE utf8mb4_bin, or restrict the statement to one shard",
    )


def make_weight_key(collation: str) -> Callable[[bytes], bytes]:
    """A function from the result of WEIGHT_STRING to bytes that compare as the texts do, none of them empty."""
    space = space_weight(collation)
    if space is None:
        return _unpadded_key
    return _padded_key(space)


def make_weight_keys(collation: str) -> Callable[[Sequence[bytes | None]], list[bytes]]:
    """`make_weight_key` for many results at once; the key of NULL is empty.

    The key of a weight without a space is the weight and an end, so weights that hold none together need no look each.
    """
    key = make_weight_key(collation)
    space = space_weight(collation)
    end = key(b"")

    def keys(weights: Sequence[bytes | None]) -> list[bytes]:
        if None in weights:
            return [b"" if weight is None else key(weight) for weight in weights]
        known = cast("Sequence[bytes]", weights)
        if space is None or space not in b"".join(known):
            return [weight + end for weight in known]
        return list(map(key, known))

    return keys


def make_described_weight_key() -> Callable[[bytes], bytes]:
    """A function from `<collation>:<weight>` to a key as `make_weight_key` makes it, for expressions whose collation
    only the server knows. Raises MeshError for a collation that is not known here, or not the same in every row."""
    collation: bytes | None = None
    weight_key: Callable[[bytes], bytes] = _unpadded_key

    def key(described: bytes) -> bytes:
        nonlocal collation, weight_key
        name, colon, weight = described.partition(b":")
        if name != collation or not colon:
            text = name.decode("ascii", "replace") if colon else "unknown"
            if collation is not None:
                raise _unknown_collation(f"{text} beside {collation.decode('ascii', 'replace')}")
            weight_key = make_weight_key(text)
            collation = name
        return weight_key(weight)

    return key


def _unpadded_key(weight: bytes) -> bytes:
    return weight + b"\x00"


def _padded_key(space: bytes) -> Callable[[bytes], bytes]:
    """Keys of padded texts.

    A key is the weight without its trailing spaces, then one space and the mark ENDS. Where a run of spaces goes on
    with something less than a space (a tab), the mark FALLS follows its first space. Invariant: after the first
    space of a run stands FALLS < ENDS < space <= whatever else can follow, which is how these texts compare when
    every one of them goes on in spaces. So only the rare texts with a space before a control character cost work.
    """
    width = len(space)
    falls = bytes(width)
    ends = space + bytes(width - 1) + b"\x01"
    suspicious = re.compile(re.escape(space) + _less_than(space), re.DOTALL)

    def key(weight: bytes) -> bytes:
        if weight.find(space) < 0:
            # `in` costs five times as much: it takes what is no number for an error first.
            return weight + ends
        end = len(weight)
        while end and weight.startswith(space, end - width):
            end -= width
        stripped = weight[:end]
        if suspicious.search(stripped) is None:
            return stripped + ends
        return _mark_falling_runs(stripped, space, falls) + ends

    return key


def _less_than(space: bytes) -> bytes:
    """A pattern of units less than `space` (each of its bytes is less than 0x5B, so classes need only escapes)."""
    branches = [
        re.escape(space[:index]) + b"[\\x00-\\x%02x]" % (byte - 1) for index, byte in enumerate(space) if byte
    ]
    return b"(?:" + b"|".join(branches) + b")"


def _mark_falling_runs(weight: bytes, space: bytes, falls: bytes) -> bytes:
    width = len(space)
    units = [weight[start : start + width] for start in range(0, len(weight), width)]
    marked: list[bytes] = []
    in_run = False
    for index, unit in enumerate(units):
        marked.append(unit)
        if unit == space and not in_run:
            following = next(other for other in units[index:] if other != space)
            if following < space:
                marked.append(falls)
        in_run = unit == space
    return b"".join(marked)
