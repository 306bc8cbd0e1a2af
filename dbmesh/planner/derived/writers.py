"""What becomes of the rows a query named: the statements that write them.

Decides how many rows one statement takes and how a row is named by its key. Statements are text in logic names; they are
planned like any client's.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from dbmesh.errors import COLUMN_COUNT, NULL_REFUSED, MeshError, not_supported
from dbmesh.model import ColumnSchema
from dbmesh.planner.derived.literals import (
    literal_writers,
    refuse_bits,
    refuse_numbered,
    row_literals,
    typed_columns,
)
from dbmesh.planner.steps import DerivedStatement
from dbmesh.planner.template import quote_name
from dbmesh.rules.stored_values import holds_already
from dbmesh.sql.lexer import LexerFlags
from dbmesh.sql.literals import decode_literal
from dbmesh.wire.packets import ColumnDefinition

ROWS_PER_STATEMENT = 500
"""Rows one statement names or inserts at most."""

TEXT_PER_STATEMENT = 256 * 1024
"""Characters of values after which a statement takes no further row."""

Literals = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Key:
    """How rows of a table are named: the columns of its primary key, then the sharding columns outside of it, which lead
    the statement to the rows' nodes."""

    columns: tuple[str, ...]
    sharding: tuple[str, ...] = ()

    @property
    def width(self) -> int:
        """How many values of a row belong to the key."""
        return len(self.columns) + len(self.sharding)

    def condition(self, rows: Sequence[Literals], qualifier: str = "") -> str:
        """WHERE's condition for these rows, each given by the literals of its key. O(rows)."""
        names = [f"{qualifier}{quote_name(name, quoted=True)}" for name in self.columns]
        if len(names) == 1:
            condition = f"{names[0]} IN ({','.join([row[0] for row in rows])})"
        else:
            members = ",".join([f"({','.join(row[: len(names)])})" for row in rows])
            condition = f"({','.join(names)}) IN ({members})"
        for at, name in enumerate(self.sharding, len(names)):
            values = dict.fromkeys(row[at] for row in rows)
            if "NULL" not in values:
                condition += f" AND {qualifier}{quote_name(name, quoted=True)} IN ({','.join(values)})"
        return condition


@dataclass(frozen=True, slots=True)
class KeyedWriter:
    """Writes rows by their keys, which the query puts first. `parts` are the statement's text up to WHERE, with indexes
    of row values between; rows with equal values there share a statement."""

    parts: tuple[str | int, ...]
    suffix: str
    key: Key
    qualifier: str
    flags: LexerFlags

    def statements(
        self, columns: Sequence[ColumnDefinition], rows: Sequence[Sequence[bytes | None]]
    ) -> Iterator[DerivedStatement]:
        """See `RowWriter`."""
        indexes = [part for part in self.parts if isinstance(part, int)]
        groups: dict[Literals, list[Literals]] = {}
        for row in distinct_rows(self.key, columns, rows, self.flags, indexes):
            groups.setdefault(tuple([row[index] for index in indexes]), []).append(row[: self.key.width])
        for values, keys in groups.items():
            given = iter(values)
            head = "".join([part if isinstance(part, str) else next(given) for part in self.parts])
            for chunk in chunks(keys):
                yield DerivedStatement(
                    f"{head} WHERE {self.key.condition(chunk, self.qualifier)}{self.suffix}"
                )


@dataclass(frozen=True, slots=True)
class MovingWriter:
    """Writes rows whose sharding columns change. The query gives the key, then the values of `columns`, then the new values
    of `assigned` (indexes into `columns`). A row that stays where it is is updated, another is deleted and inserted with
    its new values; `renewed` are columns that take the time of the change, `reset` those that take their default,
    `required` those of `placing` that a server would number where they were NULL or 0. With `ignores` a row whose new place
    is taken goes back. `schemas` are those of `columns`, where they are known."""

    table: str
    key: Key
    columns: tuple[str, ...]
    assigned: tuple[int, ...]
    placing: tuple[int, ...]
    renewed: tuple[int, ...]
    flags: LexerFlags
    reset: tuple[int, ...] = field(default=(), repr=False)
    required: tuple[int, ...] = field(default=(), repr=False)
    ignores: bool = field(default=False, repr=False)
    schemas: tuple[ColumnSchema, ...] = field(default=(), repr=False)

    def statements(
        self, columns: Sequence[ColumnDefinition], rows: Sequence[Sequence[bytes | None]]
    ) -> Iterator[DerivedStatement]:
        """See `RowWriter`."""
        first = self.key.width + len(self.columns)
        typed = [first + at for at, index in enumerate(self.assigned) if index not in self.placing]
        staying: list[tuple[Literals, Literals]] = []
        leaving: list[tuple[Literals, Literals]] = []
        arriving: list[Literals] = []
        for row in distinct_rows(self.key, columns, rows, self.flags, typed):
            key, old = row[: self.key.width], row[self.key.width : self.key.width + len(self.columns)]
            new = list(old)
            for index, value in zip(self.assigned, row[self.key.width + len(self.columns) :], strict=True):
                new[index] = value
            for index in self.reset:
                new[index] = "DEFAULT"
            if all(self._stays(index, new[index], old[index]) for index in self.placing):
                staying.append((key, tuple(new)))
                continue
            for index in self.renewed:
                new[index] = "CURRENT_TIMESTAMP(6)"
            self._check_numbers(new)
            leaving.append((key, old))
            arriving.append(tuple(new))
        for key, values in staying:
            yield DerivedStatement(self._update(key, values))
        names = ",".join([quote_name(name, quoted=True) for name in self.columns])
        target = f"INTO {self.table} ({names})"
        if self.ignores:
            for (key, old), new_values in zip(leaving, arriving, strict=True):
                yield self._delete([key])
                yield DerivedStatement(f"INSERT IGNORE {target} VALUES ({','.join(new_values)})")
                back = f"INSERT {target} VALUES ({','.join(old)})"
                yield DerivedStatement(back, counts=False, otherwise=True)
            return
        for chunk in chunks([key for key, _ in leaving]):
            yield self._delete(chunk)
        yield from insert_statements(f"INSERT {target}", arriving, "")

    def _stays(self, index: int, new: str, old: str) -> bool:
        """Whether a sharding column holds the same afterwards, also where the new value is written in another way."""
        if new == old or not self.schemas:
            return new == old
        plain = self.flags.no_backslash_escapes
        value, held = (decode_literal(text, no_backslash_escapes=plain) for text in (new, old))
        return holds_already(value, held, self.schemas[index])

    def _check_numbers(self, new: Sequence[str]) -> None:
        """An INSERT would give a new number where the UPDATE gives NULL or 0. Raises MeshError."""
        for index in self.required:
            if new[index] == "NULL":
                raise MeshError(NULL_REFUSED, column=self.columns[index])
            if new[index] == "0":
                raise not_supported(
                    f"UPDATE of '{self.columns[index]}' to 0, for which a moved row would get a new number",
                    "choose another value",
                )

    def _delete(self, keys: Sequence[Literals]) -> DerivedStatement:
        return DerivedStatement(f"DELETE FROM {self.table} WHERE {self.key.condition(keys)}", counts=False)

    def _update(self, key: Literals, values: Literals) -> str:
        assignments = ", ".join(
            f"{quote_name(self.columns[index], quoted=True)} = {values[index]}"
            for index in (*self.assigned, *self.reset)
            if index not in self.placing
        )
        if not assignments:
            name = quote_name(self.columns[self.placing[0]], quoted=True)
            assignments = f"{name} = {name}"
        return f"UPDATE{' IGNORE' if self.ignores else ''} {self.table} SET {assignments} WHERE {self.key.condition([key])}"


@dataclass(frozen=True, slots=True)
class InsertWriter:
    """Inserts the rows of a query. `head` is the statement up to VALUES, which lists `columns` (None where nothing is known of
    one); `tail` is what follows the rows."""

    head: str
    columns: tuple[ColumnSchema | None, ...] = field(repr=False)
    tail: str
    flags: LexerFlags

    def statements(
        self, columns: Sequence[ColumnDefinition], rows: Sequence[Sequence[bytes | None]]
    ) -> Iterator[DerivedStatement]:
        """See `RowWriter`."""
        if len(columns) != len(self.columns):
            raise MeshError(COLUMN_COUNT, row=1)
        for column, target in zip(columns, self.columns, strict=True):
            refuse_numbered(column, target)
            refuse_bits(column)
        writers = literal_writers(columns, self.flags, typed_columns(columns, self.columns))
        yield from insert_statements(self.head, [row_literals(writers, row) for row in rows], self.tail)


def insert_statements(head: str, rows: Sequence[Literals], tail: str) -> Iterator[DerivedStatement]:
    """INSERTs of these rows."""
    for chunk in chunks(rows):
        values = ",".join([f"({','.join(row)})" for row in chunk])
        yield DerivedStatement(f"{head} VALUES {values}{tail}", rows=len(chunk))


def distinct_rows(
    key: Key,
    columns: Sequence[ColumnDefinition],
    rows: Iterable[Sequence[bytes | None]],
    flags: LexerFlags,
    typed: Container[int],
) -> Iterator[Literals]:
    """Rows as literals, each key once: a join meets a row several times, and an outer join meets rows that are none
    (their key is NULL). For `typed` see `literal_writers`."""
    for column in columns:
        refuse_bits(column)
    writers = literal_writers(columns, flags, typed)
    seen: set[tuple[bytes | None, ...]] = set()
    width = len(key.columns)
    for row in rows:
        name = tuple(row[:width])
        if name not in seen and None not in name:
            seen.add(name)
            yield row_literals(writers, row)


def chunks(rows: Sequence[Literals]) -> Iterator[Sequence[Literals]]:
    """Rows in portions one statement can take."""
    start = size = 0
    for at, row in enumerate(rows):
        size += sum(map(len, row))
        if at + 1 - start == ROWS_PER_STATEMENT or size > TEXT_PER_STATEMENT:
            yield rows[start : at + 1]
            start, size = at + 1, 0
    if start < len(rows):
        yield rows[start:]
