"""Masks that put one character in the place of others: KEEP_…, MASK_FIRST_N_LAST_M, MASK_FROM_X_TO_Y, MASK_BEFORE/AFTER_SPECIAL_CHARS.

Decides the expressions; they give what ShardingSphere's algorithms of these names give, counted in characters. A value too short for a mask, or
without its special characters, is shown as it is, as there.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Literal

from dbmesh.model import ColumnSchema
from dbmesh.rules.algorithms.properties import PropertyMistake, PropertyReader
from dbmesh.rules.masks.expressions import as_text, length_of, literal

FIRST_AND_LAST: Final = ("first-n", "last-m", "replace-char")
FROM_AND_TO: Final = ("from-x", "to-y", "replace-char")
SPECIAL: Final = ("special-chars", "replace-char")


@dataclass(frozen=True, slots=True)
class _Cover:
    """`write` makes the expression of the value's text and of the replacement character's literal."""

    write: Callable[[str, str, ColumnSchema], str]
    replacement: str

    def expression(self, column: str, schema: ColumnSchema) -> str:
        """See `MaskAlgorithm`."""
        text = as_text(column, schema)
        return "NULL" if text is None else self.write(text, literal(self.replacement), schema)


def keep_first_and_last(properties: PropertyReader) -> _Cover:
    """The first n and the last m characters stay."""
    first, last = _positive(properties, "first-n"), _positive(properties, "last-m")

    def write(text: str, mark: str, schema: ColumnSchema) -> str:
        middle = f"REPEAT({mark}, CHAR_LENGTH({text}) - {first + last})"
        covered = f"CONCAT(LEFT({text}, {first}), {middle}, RIGHT({text}, {last}))"
        return f"IF(CHAR_LENGTH({text}) < {first + last}, {text}, {covered})"

    return _Cover(write, _mark(properties))


def keep_from_to(properties: PropertyReader) -> _Cover:
    """The characters from position x to y, counted from 0, stay."""
    start, end = _positions(properties)

    def write(text: str, mark: str, schema: ColumnSchema) -> str:
        before = f"REPEAT({mark}, LEAST({start}, CHAR_LENGTH({text})))"
        kept = f"SUBSTRING({text}, {start + 1}, {end - start + 1})"
        return f"CONCAT({before}, {kept}, REPEAT({mark}, GREATEST(CHAR_LENGTH({text}) - {end + 1}, 0)))"

    return _Cover(write, _mark(properties))


def mask_first_and_last(properties: PropertyReader) -> _Cover:
    """The first n and the last m characters are replaced."""
    first, last = _positive(properties, "first-n"), _positive(properties, "last-m")

    def write(text: str, mark: str, schema: ColumnSchema) -> str:
        length = f"CHAR_LENGTH({text})"
        before = f"REPEAT({mark}, LEAST({first}, {length}))"
        kept = f"SUBSTRING({text}, {first + 1}, GREATEST({length} - {first + last}, 0))"
        return f"CONCAT({before}, {kept}, REPEAT({mark}, LEAST({last}, GREATEST({length} - {first}, 0))))"

    return _Cover(write, _mark(properties))


def mask_from_to(properties: PropertyReader) -> _Cover:
    """The characters from position x to y, counted from 0, are replaced."""
    start, end = _positions(properties)

    def write(text: str, mark: str, schema: ColumnSchema) -> str:
        covered = f"REPEAT({mark}, GREATEST(LEAST({end + 1}, CHAR_LENGTH({text})) - {start}, 0))"
        return f"CONCAT(LEFT({text}, {start}), {covered}, SUBSTRING({text}, {end + 2}))"

    return _Cover(write, _mark(properties))


def mask_before(properties: PropertyReader) -> _Cover:
    """What stands before the first occurrence of the special characters is replaced."""
    return _mask_beside(properties, "before")


def mask_after(properties: PropertyReader) -> _Cover:
    """What stands behind the first occurrence of the special characters is replaced."""
    return _mask_beside(properties, "after")


def _mask_beside(properties: PropertyReader, side: Literal["before", "after"]) -> _Cover:
    # A space is a character as any other.
    special = properties.properties.get("special-chars") or properties.text("special-chars")

    def write(text: str, mark: str, schema: ColumnSchema) -> str:
        # SUBSTRING_INDEX compares bytes: 'A' is not 'a' here, whatever the collation says.
        before = f"CHAR_LENGTH(SUBSTRING_INDEX({text}, {literal(special)}, 1))"
        length = f"CHAR_LENGTH({text})"
        if side == "before":
            covered = f"CONCAT(REPEAT({mark}, {before}), SUBSTRING({text}, {before} + 1))"
        else:
            width = length_of(special, schema)
            covered = (
                f"CONCAT(LEFT({text}, {before} + {width}), REPEAT({mark}, {length} - {before} - {width}))"
            )
        return f"IF({before} < {length}, {covered}, {text})"

    return _Cover(write, _mark(properties))


def _positive(properties: PropertyReader, key: str) -> int:
    return properties.integer(key, least=1)


def _positions(properties: PropertyReader) -> tuple[int, int]:
    start, end = _positive(properties, "from-x"), _positive(properties, "to-y")
    if start > end:
        raise PropertyMistake("from-x", f"{start} is above to-y, {end}", "write the smaller one here")
    return start, end


def _mark(properties: PropertyReader) -> str:
    mark = properties.properties.get("replace-char", "")
    if len(mark) != 1:
        raise PropertyMistake("replace-char", f"'{mark}' is not one character", "write one, e.g. '*'")
    return mark
