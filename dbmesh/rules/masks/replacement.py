"""Masks that put random characters in the place of others: GENERIC_TABLE_RANDOM_REPLACE, TELEPHONE_RANDOM_REPLACE.

Decides the expressions. Which character comes out is the server's RAND(): two readings of a value differ. A generic mask chooses for each of the
first characters by itself (`_CHOSEN`), every further one becomes one of the special codes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from dbmesh.model import ColumnFamily, ColumnSchema
from dbmesh.rules.algorithms.properties import PropertyMistake, PropertyReader
from dbmesh.rules.masks.expressions import as_text, as_utf8, literal

TELEPHONE: Final = ("network-numbers",)
_CODES: Final = {
    "uppercase-letter-codes": "ABCDEFGHIJKLMNOPQRSTUVWXYZ",
    "lowercase-letter-codes": "abcdefghijklmnopqrstuvwxyz",
    "digital-codes": "0123456789",
    "special-codes": "~!@#$%^&*:<>|",
}
GENERIC: Final = tuple(_CODES)

_CHOSEN = 64
"""Characters of a value that are chosen one by one."""
_DIGITS = 9
"""Digits one RAND() gives."""
_LONGEST_NUMBER = 36


@dataclass(frozen=True, slots=True)
class GenericReplacement:
    """Each character becomes a random one of its kind: `upper` case letters, `lower` case letters, `digits`, `special` for all others."""

    upper: str
    lower: str
    digits: str
    special: str

    def expression(self, column: str, schema: ColumnSchema) -> str:
        """See `MaskAlgorithm`."""
        text = as_utf8(column, schema)
        if text is None:
            return "NULL"
        chosen = ", ".join(self._character(text, place) for place in range(1, _CHOSEN + 1))
        return (
            f"RPAD(LEFT(CONCAT({chosen}), CHAR_LENGTH({text})), CHAR_LENGTH({text}), {_one_of(self.special)})"
        )

    def _character(self, text: str, place: int) -> str:
        code = f"ASCII(SUBSTRING({text}, {place}, 1))"
        kinds = (("48", "57", self.digits), ("65", "90", self.upper), ("97", "122", self.lower))
        cases = " ".join(
            f"WHEN {code} BETWEEN {low} AND {high} THEN {_one_of(codes)}" for low, high, codes in kinds
        )
        return f"CASE {cases} ELSE {_one_of(self.special)} END"


@dataclass(frozen=True, slots=True)
class TelephoneReplacement:
    """Behind the longest of `numbers` a value begins with every character becomes a random digit; other values are shown."""

    numbers: tuple[str, ...]

    def expression(self, column: str, schema: ColumnSchema) -> str:
        """See `MaskAlgorithm`."""
        text = as_text(column, schema)
        if text is None:
            return "NULL"
        random = f"LPAD(FLOOR(RAND() * 1{'0' * _DIGITS}), {_DIGITS}, '0')"
        digits = f"CONCAT({', '.join([random] * (_LONGEST_NUMBER // _DIGITS))})"
        cases = []
        for number in sorted(self.numbers, key=len, reverse=True):
            begins = f"HEX(LEFT({text}, {len(number)})) = HEX({_like(number, schema, text)})"
            rest = f"RPAD('', CHAR_LENGTH({text}) - {len(number)}, {digits})"
            cases.append(f"WHEN {begins} THEN CONCAT('{number}', {rest})")
        return f"CASE {' '.join(cases)} ELSE {text} END"


def _like(number: str, schema: ColumnSchema, text: str) -> str:
    """Digits in the character set of the column, so that equal bytes are equal texts."""
    if schema.family is ColumnFamily.TEXT and schema.collation is not None:
        return f"CONVERT('{number}' USING {schema.collation.split('_')[0]})"
    return f"'{number}'"


def _one_of(codes: str) -> str:
    return f"SUBSTRING({literal(codes)}, 1 + FLOOR(RAND() * {len(codes)}), 1)"


def create_generic(properties: PropertyReader) -> GenericReplacement:
    """The mask of these properties: characters, separated by commas."""
    upper, lower, digits, special = (_codes(properties, key) for key in GENERIC)
    return GenericReplacement(upper, lower, digits, special)


def _codes(properties: PropertyReader, key: str) -> str:
    written = properties.properties.get(key)
    if written is None:
        return _CODES[key]
    codes = [part.strip() for part in written.split(",")]
    if not all(codes):
        raise PropertyMistake(key, f"'{written}' has an empty part", "write characters separated by commas")
    return "".join(code[0] for code in codes)


def create_telephone(properties: PropertyReader) -> TelephoneReplacement:
    """The mask of these properties: beginnings of numbers, separated by commas."""
    numbers = [part.strip() for part in properties.text("network-numbers").split(",")]
    for number in numbers:
        if not (number.isascii() and number.isdigit()):
            raise PropertyMistake("network-numbers", f"'{number}' is no number", "write digits only")
    return TelephoneReplacement(tuple(dict.fromkeys(numbers)))
