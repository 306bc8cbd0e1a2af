"""The rows of a table that moves: how they are told apart on the old side and on the new one, and where each belongs there.

Decides the data node of a row by the values it holds, as the planner decides it by those a client writes. Pure; knows no connections.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

from dbmesh.errors import MeshError, not_supported
from dbmesh.model import ColumnFamily, ColumnSchema, DataNode, SqlValue, TableSchema
from dbmesh.planner.images import ImageColumn, ImageTable, Row, image_table
from dbmesh.planner.scans import LiteralForm
from dbmesh.rules.placement import place_rows
from dbmesh.rules.ruleset import AnyTable, Hints, ShardedTable
from dbmesh.rules.values import Key, stored_key
from dbmesh.wire.collations import encoding

KeysOf = Callable[[Sequence[bytes | None]], list[Key]]


@dataclass(frozen=True, slots=True)
class MovedRows:
    """Of one logic table. `walked` tells rows of one data node apart, by the primary key; `identity` those of all data nodes, by the
    sharding columns of both sides too. `rule` is that of the new side, whose rows go to `nodes`; `keys`: its sharding columns,
    each by the place in an image, and how its values become sharding keys."""

    walked: ImageTable
    identity: ImageTable
    rule: AnyTable
    keys: tuple[tuple[int, KeysOf], ...]

    @property
    def nodes(self) -> tuple[DataNode, ...]:
        """The data nodes of the new side."""
        return self.rule.nodes

    def by_node(self, rows: Sequence[Row]) -> Mapping[DataNode, Sequence[Row]]:
        """The rows that each data node is to have, of those that are to have any. O(rows). Raises MeshError(NO_ROUTE)."""
        if not rows:
            return {}
        if not isinstance(self.rule, ShardedTable):
            return dict.fromkeys(self.nodes, rows)
        columns = list(zip(*rows, strict=True))
        keys = [keys_of(columns[index]) for index, keys_of in self.keys]
        found: dict[int, list[Row]] = {id(node): [] for node in self.nodes}
        for node, row in zip(place_rows(self.rule, keys, len(rows), Hints()), rows, strict=True):
            found[id(node)].append(row)
        return {node: found[id(node)] for node in self.nodes if found[id(node)]}

    def image_of(self, key: Row) -> Row:
        """An image that has nothing but a key (of `identity`): enough to tell where it belongs."""
        values = dict(zip(self.identity.key, key, strict=True))
        return tuple(values.get(index) for index in range(len(self.identity.columns)))


def moved_rows(
    schema: TableSchema, former: AnyTable, rule: AnyTable, *, exact_text: bool = False
) -> MovedRows:
    """The rows of a table whose old side has the rule `former`, and the new one `rule`; `exact_text` as in `RuleSet.exact_text_keys`.
    Raises MeshError(NOT_SUPPORTED) for rows that cannot be told apart, and for values that do not say where a row belongs."""
    walked = image_table(schema.name, schema)
    wanted = rule.sharding_columns if isinstance(rule, ShardedTable) else ()
    known = former.sharding_columns if isinstance(former, ShardedTable) else ()
    names = [column.name.lower() for column in walked.columns]
    keys: list[tuple[int, KeysOf]] = []
    for name in wanted:
        column = schema.column(name)
        if column is None or name not in names:
            raise _says_nothing(name)
        index = names.index(name)
        keys.append((index, _keys_of(walked.columns[index], column, exact_text=exact_text)))
    return MovedRows(walked, walked.told_apart_by((*known, *wanted)), rule, tuple(keys))


def _keys_of(image: ImageColumn, column: ColumnSchema, *, exact_text: bool) -> KeysOf:
    read = _reader(image, column)

    def keys(values: Sequence[bytes | None]) -> list[Key]:
        return [
            stored_key(None if value is None else read(value), column, exact_text=exact_text)
            for value in values
        ]

    def integers(values: Sequence[bytes | None]) -> list[Key]:
        return [None if value is None else int(value) for value in values]

    return integers if column.family is ColumnFamily.INTEGER else keys


def _reader(image: ImageColumn, column: ColumnSchema) -> Callable[[bytes], SqlValue]:
    """How the image of a value becomes the value that a client would have written."""
    if image.form is LiteralForm.NUMBER:
        return int if column.family is not ColumnFamily.DECIMAL else lambda value: Decimal(value.decode())
    if image.form is LiteralForm.QUOTED:
        return lambda value: value.decode("utf-8", "surrogateescape")
    if image.form is LiteralForm.BYTES and column.family is ColumnFamily.BINARY:
        return bytes
    codec = encoding(image.introducer.strip(" _")) if image.form is LiteralForm.BYTES else None
    if codec is None:
        raise _says_nothing(column.name)
    return lambda value: value.decode(codec)


def _says_nothing(column: str) -> MeshError:
    """Of a moment, for one: what it is called depends on a session's time zone."""
    return not_supported(
        f"'{column}' as a sharding column of rows that move, whose images do not tell its values",
        "shard by another column",
    )
