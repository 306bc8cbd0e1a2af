"""INSERT … ON DUPLICATE KEY UPDATE that may move the row it meets: each row is inserted by itself, and where a server has it
already an UPDATE by the row's keys is sent instead, which moves rows as any UPDATE does.

Decides when a row may have to move, what names the row that was met, and what VALUES(column) stands for there. Values that
a server would change on their way into such a column are refused: the UPDATE must see them as they are stored.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from dbmesh.errors import COLUMN_COUNT, MeshError, not_supported
from dbmesh.model import ColumnFamily, ColumnSchema, TableSchema
from dbmesh.planner.derived.keyed import render
from dbmesh.planner.derived.literals import literal_writers, refuse_bits, row_literals, typed_columns
from dbmesh.planner.insert_reading import Updates
from dbmesh.planner.lexemes import Lexeme
from dbmesh.planner.plan import Call
from dbmesh.planner.resolve import TableReference
from dbmesh.planner.steps import DerivedStatement
from dbmesh.planner.template import Edits, Frame, Template, quote_name
from dbmesh.planner.text_plan import part_frame
from dbmesh.rules.ruleset import BroadcastTable, ShardedTable, SingleTable
from dbmesh.sql.lexer import LexerFlags
from dbmesh.wire.packets import ColumnDefinition

_INTEGER = re.compile(r"-?\d+\Z")
_NUMBER = re.compile(r"-?[\d.]")
_QUOTED = re.compile(r"(?:[xX]|_\w+ ?|DATE|TIME(?:STAMP)?)?'")
_CASTS = (
    (re.compile(r"decimal\(\d+,\d+\)|date\b|time(?:\(\d\))?\Z|datetime(?:\(\d\))?\Z"), ""),
    (re.compile(r"timestamp((?:\(\d\))?)\Z"), "datetime"),
)


class Given(NamedTuple):
    """VALUES(column): what the row would have in it."""

    column: str


def moves_row(table: ShardedTable | BroadcastTable | SingleTable, updates: Updates) -> bool:
    """Whether these assignments can give a row of the table another data node."""
    if not isinstance(table, ShardedTable) or len(table.nodes) == 1:
        return False
    placing = set(table.sharding_columns)
    given: set[str] = set()
    for name, lexemes in updates:
        column = name.lower()
        words = [lexeme.value.lower() for lexeme in lexemes]
        if column not in placing or words in ([column], ["last_insert_id", "(", column, ")"]):
            continue
        if words not in (["values", "(", column, ")"], ["value", "(", column, ")"]):
            return True
        given.add(column)
    # Rows that meet are on one data node; with all values of one of them they stay there, with some they may not.
    return bool(given) and given != placing


@dataclass(frozen=True, slots=True)
class Upsert:
    """The assignments before their literals are known, and the table they are of."""

    table: str
    schema: TableSchema = field(repr=False)
    numbered: str
    assignments: tuple[Frame | Given, ...]
    flags: LexerFlags

    def bind(self, head: str, columns: Sequence[ColumnSchema | None], call: Call) -> UpsertWriter:
        """The writer of rows with these columns; `head` is their INSERT up to VALUES."""
        parts = tuple(one if isinstance(one, Given) else render(one, call) for one in self.assignments)
        return UpsertWriter(head, tuple(columns), self, parts)

    @property
    def values_calls(self) -> int:
        """How often VALUES(column) stands in the assignments."""
        return sum(isinstance(part, Given) for part in self.assignments)

    @property
    def keys(self) -> tuple[tuple[str, ...], ...]:
        """Columns that name one row, in the order in which a server looks at them."""
        return tuple(key for key in (self.schema.primary_key, *self.schema.unique_keys) if key)


def read_upsert(
    table: str, target: TableReference, tail: Sequence[Lexeme], edits: Edits, flags: LexerFlags
) -> Upsert:
    """The assignments of `tail`, the lexemes from ON DUPLICATE KEY UPDATE on, with `table` the name of the target in
    statements of the mesh's own. Raises MeshError(NOT_SUPPORTED)."""
    schema = target.schema
    if schema is None:
        raise not_supported(
            f"ON DUPLICATE KEY UPDATE that may move a row of '{target.table.name}', whose columns are unknown",
            "leave the sharding column as it is",
        )
    assignments: list[Frame | Given] = []
    start = tail[3].end
    position = 4
    while position < len(tail):
        given = _given(tail[position:])
        if given is None:
            position += 1
            continue
        column, length = given
        assignments += (_part(edits, start, tail[position].start, flags), Given(column))
        position += length
        start = tail[position - 1].end
    assignments.append(_part(edits, start, tail[-1].end, flags))
    generated = target.table.key_column if isinstance(target.table, ShardedTable) else None
    numbered = next((column.name for column in schema.columns if column.auto_increment), "")
    return Upsert(table, schema, (generated or numbered).lower(), tuple(assignments), flags)


def _given(lexemes: Sequence[Lexeme]) -> tuple[str, int] | None:
    """The column of VALUES(column) at the beginning, and how many lexemes that is."""
    if lexemes[0].word not in ("VALUES", "VALUE") or [one.text for one in lexemes[1:2]] != ["("]:
        return None
    end = next((at for at, one in enumerate(lexemes) if one.text == ")"), 0)
    return (lexemes[end - 1].value.lower(), end + 1) if end > 2 else None


def _part(edits: Edits, start: int, end: int, flags: LexerFlags) -> Frame:
    return part_frame(Template(tuple(edits.between(start, end)), flags))


@dataclass(frozen=True, slots=True)
class UpsertWriter:
    """Inserts rows one by one, each with the UPDATE that is sent where its row is there already."""

    head: str
    columns: tuple[ColumnSchema | None, ...] = field(repr=False)
    upsert: Upsert
    assignments: tuple[str | Given, ...]

    def statements(
        self, columns: Sequence[ColumnDefinition], rows: Sequence[Sequence[bytes | None]]
    ) -> Iterator[DerivedStatement]:
        """See `RowWriter`."""
        if len(columns) != len(self.columns):
            raise MeshError(COLUMN_COUNT, row=1)
        for column in columns:
            refuse_bits(column)
        writers = literal_writers(columns, self.upsert.flags, typed_columns(columns, self.columns))
        names = ["" if column is None else column.name.lower() for column in self.columns]
        for row in rows:
            literals = row_literals(writers, row)
            update = self._update(dict(zip(names, literals, strict=True)))
            yield DerivedStatement(f"{self.head} VALUES ({','.join(literals)})", on_duplicate=update, rows=1)

    def _update(self, row: Mapping[str, str]) -> str:
        """'' where the row has no key that a row of the table could have."""
        conditions = [self._condition(key, row) for key in self.upsert.keys]
        keys = [condition for condition in conditions if condition]
        if not keys:
            return ""
        assignments = [
            part if isinstance(part, str) else self._value(part.column, row) for part in self.assignments
        ]
        # A server updates the row it meets first, by its keys in their order.
        order = f" ORDER BY {', '.join([f'{key} DESC' for key in keys])} LIMIT 1" if keys[1:] else ""
        return f"UPDATE {self.upsert.table} SET{''.join(assignments)} WHERE {' OR '.join(keys)}{order}"

    def _condition(self, key: Sequence[str], row: Mapping[str, str]) -> str:
        """What is true of the row that has these columns' values; '' where none can have."""
        parts = []
        for name in key:
            column = self.upsert.schema.column(name)
            optional = name.lower() == self.upsert.numbered or column is None or column.nullable
            if optional and row.get(name.lower(), "NULL") == "NULL":
                return ""
            parts.append(f"{quote_name(name, quoted=True)} = {self._value(name, row)}")
        return f"({' AND '.join(parts)})"

    def _value(self, name: str, row: Mapping[str, str]) -> str:
        """What the row would have in a column. Raises MeshError(NOT_SUPPORTED)."""
        column = self.upsert.schema.column(name)
        literal = row.get(name.lower())
        if column is None or literal is None:
            raise not_supported(
                f"ON DUPLICATE KEY UPDATE that may move a row, without a value for '{name}'",
                "name the column and give it a value in every row",
            )
        stored = literal if literal == "NULL" else _as_stored(column, literal)
        if stored is None:
            raise not_supported(
                f"ON DUPLICATE KEY UPDATE that may move a row, with a value of another type for '{name}'",
                "give the column a value of its own type",
            )
        return stored


def _as_stored(column: ColumnSchema, literal: str) -> str | None:
    """The literal as a column of its kind holds it; None where that is not known."""
    if column.family is ColumnFamily.INTEGER and not column.declared_type.startswith("year"):
        return literal if _INTEGER.match(literal) else None
    if column.family in (ColumnFamily.TEXT, ColumnFamily.BINARY, ColumnFamily.ENUM, ColumnFamily.SET):
        if _QUOTED.match(literal):
            return literal
        is_text = column.family is ColumnFamily.TEXT and _INTEGER.match(literal)
        return f"'{literal}'" if is_text else None
    if column.declared_type.startswith("double"):
        return f"CAST({literal} AS DOUBLE)" if _NUMBER.match(literal) else None
    if not (_QUOTED if column.family is ColumnFamily.TEMPORAL else _NUMBER).match(literal):
        return None
    for pattern, instead in _CASTS:
        if found := pattern.match(column.declared_type):
            return f"CAST({literal} AS {instead + found[1] if instead else found[0]})"
    return None
