"""MySQL's types of columns and expressions, and the column definitions they are sent as.

Decides which MySQL types a translated data source holds, and what a client is told of them. Other types are refused.
How they are stored is each data source's own business.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from enum import Enum
from typing import Final

from dbmesh.backend.transpile.collations import GENERAL_CI
from dbmesh.backend.transpile.refusals import ANYWHERE
from dbmesh.model import ColumnFamily
from dbmesh.wire.constants import ColumnFlag, ColumnType, collation_id
from dbmesh.wire.packets import ColumnDefinition

BINARY_CHARSET: Final = 63
NOT_FIXED: Final = 31
_TEXT_LIMIT = 16_777_215


class Kind(Enum):
    """What a value is, for comparing, storing and printing."""

    INTEGER = "integer"
    DECIMAL = "decimal"
    DOUBLE = "double"
    TEXT = "text"
    BINARY = "binary"
    DATE = "date"
    DATETIME = "datetime"
    TIME = "time"
    JSON = "json"
    NULL = "null"


@dataclass(frozen=True, slots=True)
class SqlType:
    """The type of a column or an expression. `length` is in characters (digits for numbers); `code` is the wire type."""

    kind: Kind
    code: int
    length: int
    decimals: int = 0
    unsigned: bool = False
    not_null: bool = False
    collation: str = GENERAL_CI
    lowest: int = 0
    highest: int = 0

    @property
    def numeric(self) -> bool:
        """Whether it is a number."""
        return self.kind in (Kind.INTEGER, Kind.DECIMAL, Kind.DOUBLE)

    @property
    def temporal(self) -> bool:
        """Whether it is a date with or without time of day."""
        return self.kind in (Kind.DATE, Kind.DATETIME)


LONGLONG: Final = SqlType(Kind.INTEGER, ColumnType.LONGLONG, 20, lowest=-(2**63), highest=2**63 - 1)
UNSIGNED: Final = replace(LONGLONG, unsigned=True, lowest=0)
COUNT: Final = replace(LONGLONG, length=21, not_null=True)
BOOLEAN: Final = replace(LONGLONG, length=1)
DOUBLE: Final = SqlType(Kind.DOUBLE, ColumnType.DOUBLE, 23, decimals=NOT_FIXED)
NULL: Final = SqlType(Kind.NULL, ColumnType.NULL, 0)
DATE: Final = SqlType(Kind.DATE, ColumnType.DATE, 10)
TIME: Final = SqlType(Kind.TIME, ColumnType.TIME, 10)
DATETIME: Final = SqlType(Kind.DATETIME, ColumnType.DATETIME, 19)
BINARY: Final = SqlType(Kind.BINARY, ColumnType.VAR_STRING, 255)


def text(length: int = 255, collation: str = GENERAL_CI) -> SqlType:
    """A text expression."""
    return SqlType(Kind.TEXT, ColumnType.VAR_STRING, length, decimals=NOT_FIXED, collation=collation)


def decimal(length: int, decimals: int) -> SqlType:
    """An exact number of `length` digits, `decimals` of them behind the point (at most 65 and 30, as in MySQL)."""
    decimals = min(decimals, 30)
    return SqlType(Kind.DECIMAL, ColumnType.NEWDECIMAL, min(max(length, decimals), 65), decimals)


def datetime_of(fraction: int) -> SqlType:
    """A DATETIME with fractional digits."""
    return replace(DATETIME, decimals=fraction, length=19 + (fraction + 1 if fraction else 0))


_INTEGERS = {
    "tinyint": (ColumnType.TINY, 8, 4),
    "smallint": (ColumnType.SHORT, 16, 6),
    "mediumint": (ColumnType.INT24, 24, 9),
    "int": (ColumnType.LONG, 32, 11),
    "bigint": (ColumnType.LONGLONG, 64, 20),
}
_SYNONYMS = {
    "integer": "int",
    "bool": "tinyint(1)",
    "boolean": "tinyint(1)",
    "dec": "decimal",
    "numeric": "decimal",
    "fixed": "decimal",
    "real": "double",
    "double precision": "double",
    "character": "char",
    "character varying": "varchar",
}
_TEXTS = {"tinytext": 255, "text": 65_535, "mediumtext": _TEXT_LIMIT, "longtext": 2**32 - 1}
_BLOBS = {"tinyblob": 255, "blob": 65_535, "mediumblob": _TEXT_LIMIT, "longblob": 2**32 - 1}
_DECLARED = re.compile(
    r"\s*(double\s+precision|character\s+varying|[a-z]+)\s*(?:\(([\d,\s]+)\))?\s*(unsigned)?\s*\Z",
    re.IGNORECASE,
)


def declared(text_of_type: str) -> tuple[str, SqlType]:
    """A column's type from its declaration: COLUMN_TYPE as information_schema shows it, and the type.

    Raises MeshError for types that translated data sources do not hold.
    """
    found = _DECLARED.match(text_of_type)
    if found is None:
        raise _unknown(text_of_type)
    name = " ".join(found[1].lower().split())
    arguments = [int(part) for part in (found[2] or "").split(",") if part.strip()]
    full = _SYNONYMS.get(name, name)
    if full == "tinyint(1)":
        full, arguments = "tinyint", [1]
    kind = _declared(full, arguments, found[3] is not None)
    if kind is None:
        raise _unknown(text_of_type)
    return kind


def _unknown(text_of_type: str) -> Exception:
    return ANYWHERE.refusal(
        f"the column type {text_of_type.strip()}", "use a MySQL or MariaDB data source, or another type"
    )


def _declared(name: str, arguments: list[int], unsigned: bool) -> tuple[str, SqlType] | None:
    if name in _INTEGERS:
        code, bits, width = _INTEGERS[name]
        width = arguments[0] if arguments else width - (1 if unsigned and bits < 64 else 0)
        highest = min(2**bits - 1 if unsigned else 2 ** (bits - 1) - 1, 2**63 - 1)
        lowest = 0 if unsigned else -(2 ** (bits - 1))
        kind = SqlType(Kind.INTEGER, code, width, unsigned=unsigned, lowest=lowest, highest=highest)
        return f"{name}({width}){' unsigned' if unsigned else ''}", kind
    if name == "decimal":
        length = arguments[0] if arguments else 10
        decimals = arguments[1] if len(arguments) > 1 else 0
        shown = f"decimal({length},{decimals}){' unsigned' if unsigned else ''}"
        return shown, replace(decimal(length, decimals), unsigned=unsigned)
    if unsigned:
        return None
    if name == "double" and not arguments:
        return "double", replace(DOUBLE, length=22)
    if name == "float" and not arguments:
        return "float", SqlType(Kind.DOUBLE, ColumnType.FLOAT, 12, decimals=NOT_FIXED)
    if name in ("datetime", "timestamp"):
        fraction = arguments[0] if arguments else 0
        code = ColumnType.DATETIME if name == "datetime" else ColumnType.TIMESTAMP
        return name + (f"({fraction})" if fraction else ""), replace(datetime_of(fraction), code=code)
    if name == "date" and not arguments:
        return "date", DATE
    if name == "time":
        fraction = arguments[0] if arguments else 0
        return name + (f"({fraction})" if fraction else ""), replace(TIME, decimals=fraction)
    return _declared_string(name, arguments)


def _declared_string(name: str, arguments: list[int]) -> tuple[str, SqlType] | None:
    if name in ("char", "varchar"):
        length = arguments[0] if arguments else 1
        code = ColumnType.STRING if name == "char" else ColumnType.VAR_STRING
        return f"{name}({length})", SqlType(Kind.TEXT, code, length)
    if name == "varbinary":
        return f"varbinary({arguments[0]})", SqlType(Kind.BINARY, ColumnType.VAR_STRING, arguments[0])
    if name in _TEXTS:
        return name, SqlType(Kind.TEXT, ColumnType.BLOB, _TEXTS[name])
    if name in _BLOBS:
        return name, SqlType(Kind.BINARY, ColumnType.BLOB, _BLOBS[name])
    return None


_FAMILIES = {
    Kind.INTEGER: ColumnFamily.INTEGER,
    Kind.DECIMAL: ColumnFamily.DECIMAL,
    Kind.DOUBLE: ColumnFamily.FLOAT,
    Kind.TEXT: ColumnFamily.TEXT,
    Kind.BINARY: ColumnFamily.BINARY,
    Kind.DATE: ColumnFamily.TEMPORAL,
    Kind.DATETIME: ColumnFamily.TEMPORAL,
    Kind.TIME: ColumnFamily.TEMPORAL,
}


def family(kind: SqlType) -> ColumnFamily:
    """How values of the type compare and merge."""
    return _FAMILIES.get(kind.kind, ColumnFamily.OTHER)


def definition(
    name: str,
    kind: SqlType,
    *,
    schema: str = "",
    table: str = "",
    org_table: str = "",
    org_name: str = "",
    flags: int = 0,
) -> ColumnDefinition:
    """The column definition a client is sent. Lengths of text are in bytes of utf8mb4, as the protocol has them."""
    is_text = kind.kind in (Kind.TEXT, Kind.JSON)
    length = min(kind.length * 4, 2**32 - 1) if is_text and kind.code != ColumnType.BLOB else kind.length
    if kind.kind is Kind.DECIMAL:
        length = kind.length + (1 if kind.decimals else 0) + (0 if kind.unsigned else 1)
    if not is_text:
        flags |= ColumnFlag.BINARY
    if kind.code == ColumnType.BLOB:
        flags |= ColumnFlag.BLOB
    if kind.not_null:
        flags |= ColumnFlag.NOT_NULL
    if kind.unsigned:
        flags |= ColumnFlag.UNSIGNED
    return ColumnDefinition(
        b"def",
        schema.encode(),
        table.encode(),
        org_table.encode(),
        name.encode("utf-8", "surrogateescape"),
        org_name.encode(),
        (collation_id(GENERAL_CI) or 0) if is_text else BINARY_CHARSET,
        length,
        int(kind.code),
        int(flags),
        0 if is_text and org_name else kind.decimals,
    )
