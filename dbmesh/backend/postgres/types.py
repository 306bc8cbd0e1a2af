"""Types of PostgreSQL's columns in MySQL's terms and back.

Decides how a declared MySQL type is stored, how a column that somebody else made is seen, and how a column of a type
MySQL does not have is read and written. Text has one collation: `utf8mb4_nopad_bin`, by code points and without
padding, whatever the column's own collation says.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from dbmesh.backend.transpile import types
from dbmesh.backend.transpile.types import Kind, SqlType

COLLATION: Final = "utf8mb4_nopad_bin"
LONGTEXT: Final = "longtext"


@dataclass(frozen=True, slots=True)
class Native:
    """How a column is read as the MySQL type it is shown as, and written from it: `{}` is the column or the value."""

    read: str = "{}"
    write: str = "{}"


PLAIN: Final = Native()


def native(kind: str, declared: str) -> Native:
    """For a column of PostgreSQL's type `kind` (`format_type` without lengths), shown as `declared`."""
    if kind == "boolean":
        return Native("({}::int)", "(({}) <> 0)")
    if kind == "character":
        return Native("({}::text)")
    if kind == "timestamp with time zone":
        return Native("({} AT TIME ZONE 'UTC')", "({} AT TIME ZONE 'UTC')")
    if declared in (LONGTEXT, "char(36)", "varchar(255)") and kind not in _TEXTS:
        return Native("({}::text)", f"CAST({{}} AS {kind})")
    return PLAIN


_TEXTS = ("text", "character varying")
_FOUND = {
    "smallint": "smallint",
    "integer": "int",
    "bigint": "bigint",
    "boolean": "tinyint(1)",
    "real": "float",
    "double precision": "double",
    "text": LONGTEXT,
    "bytea": "longblob",
    "date": "date",
    "uuid": "char(36)",
    "json": LONGTEXT,
    "jsonb": LONGTEXT,
}
_TEXT_LENGTH = 16383
_MOST_DIGITS, _MOST_DECIMALS = 65, 30


def seen_as(kind: str, modifier: int, *, is_enum: bool) -> str | None:
    """The MySQL declaration of a column that has no record: by type name and `atttypmod`. None when there is none."""
    if is_enum:
        return "varchar(255)"
    if kind in ("character varying", "character"):
        length = modifier - 4 if modifier >= 4 else 0
        if kind == "character":
            return f"char({length or 1})"
        return f"varchar({length})" if 0 < length <= _TEXT_LENGTH else LONGTEXT
    if kind == "numeric":
        digits, decimals = (modifier - 4) >> 16, (modifier - 4) & 0x7FF
        if modifier < 4 or digits > _MOST_DIGITS or decimals > _MOST_DECIMALS:
            return None
        return f"decimal({digits},{decimals})"
    if kind.startswith(("timestamp", "time ")):
        fraction = modifier if 0 <= modifier <= 6 else 6
        word = "datetime" if kind.startswith("timestamp") else "time"
        return word if fraction == 0 else f"{word}({fraction})"
    return _FOUND.get(kind)


def stored_as(declared: str, kind: SqlType) -> str:
    """The PostgreSQL type of a column declared through the mesh."""
    if kind.kind is Kind.INTEGER:
        word = declared.partition("(")[0]
        wide = kind.unsigned and word != "tinyint"
        return {
            "tinyint": "smallint",
            "smallint": "integer" if wide else "smallint",
            "mediumint": "integer",
            "int": "bigint" if wide else "integer",
        }.get(word, "bigint")
    if kind.kind is Kind.DECIMAL:
        return f"numeric({kind.length},{kind.decimals})"
    if kind.kind is Kind.DOUBLE:
        return "real" if declared == "float" else "double precision"
    if kind.kind is Kind.TEXT:
        word = f"varchar({kind.length})" if declared.startswith(("char", "varchar")) else "text"
        return f'{word} COLLATE "C"'
    if kind.kind is Kind.DATETIME:
        return f"timestamp({kind.decimals})"
    return {Kind.DATE: "date", Kind.TIME: f"time({kind.decimals})"}.get(kind.kind, "bytea")


def limits(name: str, kind: SqlType) -> str:
    """The CHECK that keeps an integer in its declared range, where its storage is wider."""
    if kind.kind is Kind.INTEGER and (kind.unsigned or kind.highest in (127, 8_388_607)):
        return f" CHECK ({name} BETWEEN {kind.lowest} AND {kind.highest})"
    if kind.kind is Kind.DECIMAL and kind.unsigned:
        return f" CHECK ({name} >= 0)"
    return ""


def text(length: int = 255) -> SqlType:
    """A text expression."""
    return types.text(length, COLLATION)
