"""Reads the schemas of a MySQL or MariaDB data source's tables, in four queries however many tables it has.

Decides how information_schema rows become `TableSchema` values, and what is read again after a statement that defines tables:
those it names, views, and who refers to whom. Knows no rules.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Protocol, runtime_checkable

from sqlglot import exp

from dbmesh.backend.connection import Connection, Product
from dbmesh.engine.collect import collect
from dbmesh.errors import MeshError
from dbmesh.model import OWN_TABLES, ColumnFamily, ColumnSchema, TableSchema
from dbmesh.planner.federation.definition import TableDefinition, read_definition
from dbmesh.planner.lexemes import Kind, split_lexemes
from dbmesh.planner.template import quote_name
from dbmesh.sql.literals import literal_text
from dbmesh.sql.parse import parse


@runtime_checkable
class Cataloguing(Protocol):
    """A connection that knows its tables by itself, where no information_schema of MySQL's can be asked."""

    async def load_catalog(self) -> dict[str, TableSchema]:
        """Actual table name → schema. Raises ShardError or MeshError."""
        ...


_NAMES = frozenset((Kind.WORD, Kind.QUOTED, Kind.STRING))
# Servers take no other characters and no longer names, and compare none with those they have (error 1267).
_NAME = re.compile("[\x01-\ud7ff\ue000-\uffff]{1,64}")

_FAMILIES: Mapping[str, ColumnFamily] = {
    **dict.fromkeys(("tinyint", "smallint", "mediumint", "int", "bigint", "year"), ColumnFamily.INTEGER),
    "decimal": ColumnFamily.DECIMAL,
    **dict.fromkeys(("float", "double"), ColumnFamily.FLOAT),
    **dict.fromkeys(("char", "varchar", "tinytext", "text", "mediumtext", "longtext"), ColumnFamily.TEXT),
    **dict.fromkeys(
        ("binary", "varbinary", "tinyblob", "blob", "mediumblob", "longblob"), ColumnFamily.BINARY
    ),
    **dict.fromkeys(("date", "time", "datetime", "timestamp"), ColumnFamily.TEMPORAL),
    "enum": ColumnFamily.ENUM,
    "set": ColumnFamily.SET,
    "bit": ColumnFamily.BIT,
    "json": ColumnFamily.JSON,
}

# A text that merely reads like a clock costs a round trip; a clock that is missed would tell several times.
_CLOCK = re.compile(
    r"(current_|utc_|local)time|(current|utc|cur)_?date|curtime|timestamp|now\b", re.IGNORECASE
)

_COLUMNS = """SELECT TABLE_NAME, COLUMN_NAME, DATA_TYPE, COLUMN_TYPE, IS_NULLABLE, COLLATION_NAME, EXTRA,
 COLUMN_DEFAULT IS NOT NULL, COLUMN_DEFAULT FROM information_schema.COLUMNS WHERE TABLE_SCHEMA = DATABASE()%s
 ORDER BY TABLE_NAME, ORDINAL_POSITION"""
_KEYS = """SELECT TABLE_NAME, INDEX_NAME, COLUMN_NAME, NON_UNIQUE FROM information_schema.STATISTICS
 WHERE TABLE_SCHEMA = DATABASE()%s ORDER BY TABLE_NAME, INDEX_NAME, SEQ_IN_INDEX"""
_GUARDED = b"""SELECT EVENT_OBJECT_TABLE, NULL, NULL, ACTION_STATEMENT FROM information_schema.TRIGGERS
 WHERE EVENT_OBJECT_SCHEMA = DATABASE()
 UNION ALL SELECT IF(UNIQUE_CONSTRAINT_SCHEMA = DATABASE(), REFERENCED_TABLE_NAME, NULL),
 IF(CONSTRAINT_SCHEMA = DATABASE(), TABLE_NAME, NULL), CONSTRAINT_NAME, NULL
 FROM information_schema.REFERENTIAL_CONSTRAINTS
 WHERE DATABASE() IN (UNIQUE_CONSTRAINT_SCHEMA, CONSTRAINT_SCHEMA)"""

_VIEWS = b"""SELECT TABLE_NAME, VIEW_DEFINITION, CHECK_OPTION FROM information_schema.VIEWS WHERE TABLE_SCHEMA = DATABASE()"""


def touched_by(statements: Iterable[str]) -> frozenset[str]:
    """What statements may have changed: every name in them, and every text that could be one. O(their text)."""
    return frozenset(
        lexeme.value
        for text in statements
        for lexeme in split_lexemes(text)
        if lexeme.kind in _NAMES and _NAME.fullmatch(lexeme.value)
    )


async def load_tables(
    connection: Connection,
    known: Mapping[str, TableSchema] | None = None,
    touched: frozenset[str] = frozenset(),
) -> dict[str, TableSchema]:
    """Actual table name → schema, of the connection's own schema. Where its tables are `known`, only those `touched` and
    views are read again, and which tables others refer to. Raises ShardError or MeshError."""
    views = (await collect(connection, _VIEWS)).rows
    if known is None:
        return await _read(connection, "", views, {})
    # As they are written: servers tell tables by case, or do not.
    again = set(touched)
    again.update((row[0] or b"").decode("utf-8", "surrogateescape") for row in views)
    again.update(name for name, table in known.items() if table.definition is not None)
    lowered = {name.lower() for name in again}
    kept = {name: table for name, table in known.items() if name.lower() not in lowered}
    names = ", ".join([literal_text(name) for name in sorted(again | (known.keys() - kept.keys()))]) or "NULL"
    return await _read(connection, f" AND TABLE_NAME IN ({names})", views, kept)


async def _read(
    connection: Connection,
    condition: str,
    views: Sequence[list[bytes | None]],
    kept: Mapping[str, TableSchema],
) -> dict[str, TableSchema]:
    columns: dict[str, list[ColumnSchema]] = defaultdict(list)
    for row in (await collect(connection, _asked(_COLUMNS, condition))).rows:
        table, name, data_type, column_type, nullable, collation, extra, has_default, default = (
            (value or b"").decode("utf-8", "surrogateescape") for value in row
        )
        columns[table].append(
            _column(
                name,
                data_type,
                column_type,
                nullable,
                collation,
                extra,
                default if has_default == "1" else None,
            )
        )
    keys: dict[str, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    indexes: dict[str, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    for row in (await collect(connection, _asked(_KEYS, condition))).rows:
        table, index, column, repeats = ((value or b"").decode("utf-8", "surrogateescape") for value in row)
        (indexes if repeats == "1" else keys)[table][index].append(column)
    guarded: set[str] = set()
    timed: set[str] = set()
    foreign: dict[str, list[str]] = defaultdict(list)
    for row in (await collect(connection, _GUARDED)).rows:
        parent, child, name, trigger = ((value or b"").decode("utf-8", "surrogateescape") for value in row)
        guarded.add(parent)
        foreign[child].append(name)
        if _CLOCK.search(trigger) is not None:
            timed.add(parent)
    definitions: dict[str, str] = {}
    checked: set[str] = set()
    for row in views:
        view, definition, option = ((value or b"").decode("utf-8", "surrogateescape") for value in row)
        if option != "NONE":
            checked.add(view)
        # Of an invalid view no columns are told.
        names = [column.name for column in columns.setdefault(view, [])]
        mysql = connection.product is Product.MYSQL
        definitions[view] = _with_names(view, definition, names) if mysql and names else definition
    for own in OWN_TABLES:
        columns.pop(own, None)
    others = {
        name: _referred(table, name in guarded, name in timed, tuple(foreign.get(name, ())))
        for name, table in kept.items()
    }
    return others | {
        table: TableSchema(
            name=table,
            columns=tuple(found),
            primary_key=tuple(keys[table].get("PRIMARY", ())),
            unique_keys=tuple(tuple(parts) for index, parts in keys[table].items() if index != "PRIMARY"),
            indexes=tuple(map(tuple, indexes[table].values())),
            guarded=table in guarded,
            reads_clock=table in timed,
            foreign_keys=tuple(foreign[table]),
            definition=definitions.get(table),
            checked=table in checked,
        )
        for table, found in columns.items()
    }


def _column(
    name: str,
    data_type: str,
    column_type: str,
    nullable: str,
    collation: str,
    extra: str,
    default: str | None,
) -> ColumnSchema:
    declared, extra = column_type.lower(), extra.lower()
    return ColumnSchema(
        name=name,
        declared_type=declared,
        family=_FAMILIES.get(data_type.lower(), ColumnFamily.OTHER),
        unsigned="unsigned" in declared,
        nullable=nullable == "YES",
        collation=collation or None,
        auto_increment="auto_increment" in extra,
        has_default=default is not None,
        reads_clock="on update" in extra or _CLOCK.search(default or "") is not None,
        generated="generated" in extra.replace("default_generated", ""),
        renewed="on update" in extra,
        invisible="invisible" in extra,
    )


async def read_temporary(connection: Connection, name: str) -> tuple[TableSchema, TableDefinition]:
    """The schema of a temporary table and the definition its twins are made from, which only its own connection can tell.
    Raises ShardError or MeshError."""
    table = quote_name(name, quoted=True)
    columns: list[ColumnSchema] = []
    for row in await _shown(connection, f"SHOW FULL COLUMNS FROM {table}"):
        column, declared, collation, nullable, _, default, extra = row[:7]
        data_type = re.split(r"\W", declared or "", maxsplit=1)[0]
        columns.append(
            _column(
                column or "", data_type, declared or "", nullable or "", collation or "", extra or "", default
            )
        )
    keys: dict[str, list[str]] = defaultdict(list)
    indexes: dict[str, list[str]] = defaultdict(list)
    for row in await _shown(connection, f"SHOW INDEX FROM {table}"):
        (indexes if row[1] == "1" else keys)[row[2] or ""].append(row[4] or "")
    primary = tuple(keys.pop("PRIMARY", ()))
    unique, others = tuple(map(tuple, keys.values())), tuple(map(tuple, indexes.values()))
    schema = TableSchema(name, tuple(columns), primary, unique, others, temporary=True)
    ((_, created),) = await _shown(connection, f"SHOW CREATE TABLE {table}")
    return schema, read_definition(created or "")


async def _shown(connection: Connection, statement: str) -> list[list[str | None]]:
    rows = (await collect(connection, statement.encode("utf-8", "surrogateescape"))).rows
    return [
        [None if value is None else value.decode("utf-8", "surrogateescape") for value in row] for row in rows
    ]


def _referred(
    table: TableSchema, guarded: bool, reads_clock: bool, foreign_keys: tuple[str, ...]
) -> TableSchema:
    if (table.guarded, table.reads_clock, table.foreign_keys) == (guarded, reads_clock, foreign_keys):
        return table
    return replace(table, guarded=guarded, reads_clock=reads_clock, foreign_keys=foreign_keys)


def _asked(query: str, condition: str) -> bytes:
    return (query % condition).encode("utf-8", "surrogateescape")


def _with_names(view: str, definition: str, columns: Sequence[str]) -> str:
    """A view's query with the names its columns have: MySQL keeps those of a list before AS apart."""
    try:
        query = parse(definition)
        own = query.named_selects if isinstance(query, exp.Query) else []
    except MeshError:
        own = []
    if [name.lower() for name in own] == [name.lower() for name in columns]:
        return definition
    name = quote_name(view, quoted=True)
    listed = ", ".join(quote_name(column, quoted=True) for column in columns)
    return f"with {name} ({listed}) as ({definition}) select * from {name}"
