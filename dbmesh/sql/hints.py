"""Routing hints in comments: `/* SHARDINGSPHERE_HINT: t_order.SHARDING_TABLE_VALUE=1, WRITE_ROUTE_ONLY=true */`.

Decides how the text of such a comment is read, in ShardingSphere's spelling and its camel-case aliases. Knows nothing
of tables or routes.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal

from dbmesh.errors import PARSE_ERROR, MeshError
from dbmesh.model import SqlValue
from dbmesh.sql.fingerprint import HINT_COMMENT

_ALIASES = {
    "shardingdatabasevalue": "SHARDING_DATABASE_VALUE",
    "shardingtablevalue": "SHARDING_TABLE_VALUE",
    "datasourcename": "DATA_SOURCE_NAME",
    "writerouteonly": "WRITE_ROUTE_ONLY",
    "disableauditnames": "DISABLE_AUDIT_NAMES",
    "transactiontype": "TRANSACTION_TYPE",
    "shadow": "SHADOW",
}
_INTEGER = re.compile(r"[+-]?\d+\Z")
_DECIMAL = re.compile(r"[+-]?\d*\.\d+\Z")


@dataclass(frozen=True, slots=True)
class HintValues:
    """What the hints of one statement say. Value keys are logic tables in lower case, '' for every table."""

    database_values: Mapping[str, tuple[SqlValue, ...]] = field(default_factory=dict)
    table_values: Mapping[str, tuple[SqlValue, ...]] = field(default_factory=dict)
    data_source: str | None = None
    write_route_only: bool = False
    disabled_auditors: tuple[str, ...] = ()
    transaction_type: str | None = None
    shadow: bool = False


NO_HINTS = HintValues()


def parse_hints(comments: str) -> HintValues:
    """The hints of the comments in front of a shape ('' gives `NO_HINTS`).

    Raises MeshError(PARSE_ERROR) for a key nobody knows: a hint that is ignored would route somewhere else.
    """
    if not comments.strip():
        return NO_HINTS
    database: dict[str, tuple[SqlValue, ...]] = {}
    tables: dict[str, tuple[SqlValue, ...]] = {}
    data_source: str | None = None
    write_only = False
    auditors: tuple[str, ...] = ()
    transaction_type: str | None = None
    shadow = False
    for table, key, text in _pairs(comments):
        if key == "SHARDING_DATABASE_VALUE":
            database[table] = (*database.get(table, ()), _value(text))
        elif key == "SHARDING_TABLE_VALUE":
            tables[table] = (*tables.get(table, ()), _value(text))
        elif key == "DATA_SOURCE_NAME":
            data_source = text
        elif key == "WRITE_ROUTE_ONLY":
            write_only = text.lower() == "true"
        elif key == "DISABLE_AUDIT_NAMES":
            auditors = tuple(text.lower().split())
        elif key == "TRANSACTION_TYPE":
            transaction_type = text.strip("'\"").upper()
        elif key == "SHADOW":
            shadow = text.lower() == "true"
        else:
            raise MeshError(PARSE_ERROR, near=key, line=1)
    return HintValues(database, tables, data_source, write_only, auditors, transaction_type, shadow)


def _pairs(comments: str) -> list[tuple[str, str, str]]:
    """(table in lower case or '', key in upper case, value text) of every `key=value`."""
    pairs: list[tuple[str, str, str]] = []
    for comment in comments.split("*/"):
        head = HINT_COMMENT.match(comment.strip())
        if head is None:
            continue
        for item in comment.strip()[head.end() :].split(","):
            name, equals, text = item.partition("=")
            if not equals:
                raise MeshError(PARSE_ERROR, near=item.strip(), line=1)
            table, _, key = name.strip().rpartition(".")
            plain = key.replace("_", "").lower()
            pairs.append((table.strip("`").lower(), _ALIASES.get(plain, key.upper()), text.strip()))
    return pairs


def _value(text: str) -> SqlValue:
    if _INTEGER.match(text):
        return int(text)
    if _DECIMAL.match(text):
        return Decimal(text)
    return text.strip("'\"")
