"""Rows of a table of information_schema from several data sources to the rows one server would have.

Decides names (logic ones), which data node describes a table, and which numbers add up. Knows no SQL and no connections.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal

from dbmesh.planner.system_tables import Combined, SystemNode, SystemTable
from dbmesh.planner.views import logic_definition

Row = list[bytes | None]


@dataclass(frozen=True, slots=True)
class SourceRows:
    """Rows of one data source. `database` is the logic database, `schema` the data source's own, `nodes` its actual
    tables; `rows` are text values in the order of the columns. `schemas` tells the logic database of every schema that rows
    may name beside it."""

    database: str
    schema: str
    nodes: Mapping[str, SystemNode]
    rows: Sequence[Sequence[bytes | None]]
    schemas: Mapping[str, str] = field(default_factory=dict)

    def logic_database(self, schema: str) -> str:
        """The logic database of a schema; a schema nobody knows stays."""
        return self.database if schema == self.schema else self.schemas.get(schema, schema)


def merge_system_rows(table: SystemTable, columns: Sequence[str], sources: Sequence[SourceRows]) -> list[Row]:
    """The rows of the mesh, ordered by database and table. `columns` are the columns' names in upper case. O(rows).

    Only nodes that describe a table give rows; those that count add to them.
    """
    return _Merge(table, columns).rows(sources)


class _Merge:
    def __init__(self, table: SystemTable, columns: Sequence[str]) -> None:
        self._about_tables = bool(table.table)
        at = {column: index for index, column in enumerate(columns)}
        self._table = at[table.table] if table.table else -1
        self._schemas = [at[name] for name in (table.schema, *table.schemas) if name in at]
        self._tables = [at[name] for name in table.tables if name in at]
        self._texts = [at[name] for name in table.texts if name in at]
        self._suffixed = [
            at[name] for name in ("CONSTRAINT_NAME", "INDEX_NAME", "TRIGGER_NAME") if name in at
        ]
        self._key = [at[name] for name in table.key if name in at]
        self._combined = [(at[name], how) for name, how in table.combined.items() if name in at]
        self._average = (
            tuple(at[name] for name in ("AVG_ROW_LENGTH", "DATA_LENGTH", "TABLE_ROWS"))
            if self._combined and "AVG_ROW_LENGTH" in at
            else ()
        )

    def rows(self, sources: Sequence[SourceRows]) -> list[Row]:
        merged: dict[tuple[str | bytes | None, ...], Row] = {}
        others: list[tuple[tuple[str | bytes | None, ...], Row]] = []
        for source in sources:
            for row in source.rows:
                node = self._node(source, row)
                if node is None:
                    continue
                logic = self._in_logic_names(source, node, list(row))
                key = (source.database, node.logic, *(logic[index] for index in self._key))
                if node.first:
                    merged.setdefault(key, logic)
                elif node.counts:
                    others.append((key, logic))
        for key, row in others:
            if key in merged:
                self._add(merged[key], row)
        return [merged[key] for key in sorted(merged, key=_database_and_table)]

    def _node(self, source: SourceRows, row: Sequence[bytes | None]) -> SystemNode | None:
        if not self._about_tables:
            return SystemNode("", first=True, counts=True)
        return source.nodes.get(_text(row[self._table]))

    def _in_logic_names(self, source: SourceRows, node: SystemNode, row: Row) -> Row:
        for index in self._schemas:
            if row[index] is not None:
                row[index] = _bytes(source.logic_database(_text(row[index])))
        for index in self._texts:
            row[index] = _in_logic_names(row[index], source)
        for index in self._tables:
            other = source.nodes.get(_text(row[index]))
            if other is not None:
                row[index] = _bytes(other.logic)
        if not self._about_tables:
            return row
        row[self._table] = _bytes(node.logic)
        for index in self._suffixed:
            row[index] = _bytes(_text(row[index]).removesuffix(node.suffix))
        return row

    def _add(self, row: Row, other: Row) -> None:
        for index, how in self._combined:
            row[index] = _combine(row[index], other[index], how)
        if self._average:
            average, length, rows = self._average
            count = int(row[rows] or 0)
            if row[average] is not None and count:
                row[average] = str(int(row[length] or 0) // count).encode()


def _combine(one: bytes | None, two: bytes | None, how: Combined) -> bytes | None:
    if one is None or two is None:
        return one if two is None else two
    if how is Combined.SUM:
        return str(Decimal(one.decode()) + Decimal(two.decode())).encode()
    # Times as text order like times; counters are brought to one length.
    least, greatest = sorted((one, two), key=lambda value: (len(value), value))
    return least if how is Combined.LEAST else greatest


def _in_logic_names(definition: bytes | None, source: SourceRows) -> bytes | None:
    """A view's query, in which a server writes every table with its schema."""
    if definition is None:
        return None
    names = {source.schema: {actual: node.logic for actual, node in source.nodes.items()}}
    text = _text(definition)
    logic = logic_definition(text, names, source.database)
    return _bytes(text.replace(f"`{source.schema}`.", f"`{source.database}`.") if logic is None else logic)


def _database_and_table(key: tuple[str | bytes | None, ...]) -> tuple[str, str]:
    return str(key[0]).lower(), str(key[1]).lower()


def _text(value: bytes | None) -> str:
    return (value or b"").decode("utf-8", "surrogateescape")


def _bytes(value: str) -> bytes:
    return value.encode("utf-8", "surrogateescape")
