"""Tables with encrypted columns as clients see them: logic columns in the places of their ciphers, nothing else of theirs.

Decides which keys a logic column has, and which actual columns can keep one. Knows no statements.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace

from dbmesh.model import Catalog, ColumnFamily, ColumnSchema, TableSchema
from dbmesh.rules.encryption.logic_type import COLLATIONS
from dbmesh.rules.encryption.rule import EncryptedColumn, EncryptedTable
from dbmesh.wire.constants import ColumnFlag

_LENGTH = re.compile(r"(?:var)?char\((\d+)\)")
_TEXTS = {"tinytext": 255, "text": 65_535, "mediumtext": (1 << 24) - 1}
_ONE_BYTE = frozenset(("ascii_bin", "ascii_general_ci", "latin1_bin", "latin1_swedish_ci"))


def logic_catalog(catalog: Catalog, encrypted: Mapping[str, EncryptedTable]) -> Catalog:
    """The catalog with logic columns. O(encrypted tables)."""
    if not encrypted:
        return catalog
    tables = dict(catalog.tables)
    for key, table in encrypted.items():
        schema = tables.get(key)
        if schema is not None and schema.definition is None and not schema.temporary:
            tables[key] = logic_schema(schema, table)
    return replace(catalog, tables=tables)


def missing_columns(schema: TableSchema, table: EncryptedTable) -> list[str]:
    """The columns that the rules name and the actual tables do not have."""
    stored = [name for column in table.columns for name in column.stored]
    plain = [column.name for column in table.columns if column.plain]
    return [name for name in (*stored, *plain) if schema.column(name) is None]


def unfit_column(schema: TableSchema, table: EncryptedTable) -> ColumnSchema | None:
    """A stored column that would not give back what was written: bytes that are padded or told in no character set, and for LIKE
    a CHAR, which loses spaces."""
    for column in table.columns:
        for name in column.stored:
            stored = schema.column(name)
            compared = column.like is not None and name == column.like.name
            if stored is not None and (
                stored.family is not ColumnFamily.TEXT
                or (compared and stored.declared_type.startswith("char"))
            ):
                return stored
    return None


def capacity(column: ColumnSchema) -> int | None:
    """How many characters fit into a column whatever they are; None where that is not certain."""
    declared = _LENGTH.match(column.declared_type)
    if declared is not None:
        return int(declared[1])
    most = _TEXTS.get(column.declared_type)
    return None if most is None else most // (1 if column.collation in _ONE_BYTE else 4)


def logic_schema(schema: TableSchema, table: EncryptedTable) -> TableSchema:
    """The table as clients see it."""
    by_cipher = {column.cipher.name.lower(): column for column in table.columns if not column.plain}
    gone = {*table.hidden, *(column.name.lower() for column in table.columns if not column.plain)}
    columns: list[ColumnSchema] = []
    for stored in schema.columns:
        column = by_cipher.get(stored.name.lower())
        if column is not None:
            columns.append(_logic_column(stored, column))
        elif stored.name.lower() not in gone:
            columns.append(stored)
    names = {
        name.lower(): column.name for column in table.columns if not column.plain for name in column.stored
    }

    def of_logic(key: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(names.get(name.lower(), name) for name in key)

    return replace(
        schema,
        columns=tuple(columns),
        primary_key=of_logic(schema.primary_key),
        unique_keys=tuple(map(of_logic, schema.unique_keys)),
        indexes=tuple(map(of_logic, schema.indexes)),
    )


def _logic_column(stored: ColumnSchema, column: EncryptedColumn) -> ColumnSchema:
    kind = column.type
    return replace(
        stored,
        name=column.name,
        declared_type=kind.declared,
        family=kind.family,
        unsigned=kind.unsigned,
        collation=COLLATIONS[0] if kind.is_text else None,
    )


def key_flags(schema: TableSchema | None, name: str) -> int:
    """The flags that the keys of a table give to a column's definition."""
    if schema is None:
        return 0
    lowered = name.lower()
    flags = 0
    keys = [(schema.primary_key, True), *((key, True) for key in schema.unique_keys)]
    for key, unique in [*keys, *((key, False) for key in schema.indexes)]:
        columns = [column.lower() for column in key]
        if lowered not in columns:
            continue
        flags |= ColumnFlag.PART_KEY
        if key == schema.primary_key:
            flags |= ColumnFlag.PRIMARY_KEY
        elif columns[0] == lowered:
            flags |= ColumnFlag.UNIQUE_KEY if unique and len(columns) == 1 else ColumnFlag.MULTIPLE_KEY
    return flags
