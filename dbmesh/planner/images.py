"""Images of rows: how the rows of one actual table are read, named, compared and put back, value for value.

Decides the statements. Nothing in them depends on a session: values are read as `federation.values` says, and written as
literals that mean the same under every character set, time zone and sql_mode. Knows nothing of who keeps images, and why.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from types import MappingProxyType
from typing import Final

from dbmesh.errors import not_supported
from dbmesh.model import ColumnFamily, TableSchema
from dbmesh.planner.federation.values import loaded, scanned
from dbmesh.planner.scans import LiteralForm
from dbmesh.planner.template import quote_name

Row = tuple[bytes | None, ...]
"""The values of all columns of an image, as the text protocol gives them."""

_ZERO_MOMENT = b"0"

_PLAIN = frozenset(
    (ColumnFamily.INTEGER, ColumnFamily.DECIMAL, ColumnFamily.FLOAT, ColumnFamily.TEXT, ColumnFamily.BINARY)
)
"""What is in such a column, every sql_mode takes as it is; the number 0 of AUTO_INCREMENT excepted."""

STATEMENT_LENGTH = 1 << 20
"""Characters from which an INSERT of many rows is sent."""


@dataclass(frozen=True, slots=True)
class ImageColumn:
    """One column: `item` reads it; `form` and `introducer` as in `LoadedColumn`. `renewed`: it takes the current time when a row
    is changed, unless it is assigned. `lenient`: a value it holds may be refused, or be stored as another one, under some sql_mode or
    time zone."""

    name: str
    item: str
    form: LiteralForm
    introducer: str = ""
    renewed: bool = False
    lenient: bool = False

    def literal(self, value: bytes | None) -> str:
        """SQL for a value, in any session."""
        return self.writer(value)

    @property
    def writer(self) -> Callable[[bytes | None], str]:
        """`literal`, for many values."""
        if self.form is LiteralForm.BYTES:
            return partial(_of_bytes, f"{self.introducer or '_binary '}x'")
        return _WRITERS[self.form]


def _number(value: bytes | None) -> str:
    return "NULL" if value is None else value.decode()


def _quoted(value: bytes | None) -> str:
    if value is None:
        return "NULL"
    if value.isascii() and b"'" not in value and b"\\" not in value:
        return f"'{value.decode()}'"
    return f"_utf8mb4 x'{value.hex()}'"


def _moment(value: bytes | None) -> str:
    if value is None:
        return "NULL"
    if value.partition(b".")[0] == _ZERO_MOMENT:
        # Second 0 is before the first TIMESTAMP there can be: UNIX_TIMESTAMP says it of the zero date.
        return "'0000-00-00 00:00:00'"
    return f"FROM_UNIXTIME({value.decode()})"


def _of_bytes(prefix: str, value: bytes | None) -> str:
    return "NULL" if value is None else f"{prefix}{value.hex()}'"


_WRITERS: Final[Mapping[LiteralForm, Callable[[bytes | None], str]]] = MappingProxyType(
    {LiteralForm.NUMBER: _number, LiteralForm.QUOTED: _quoted, LiteralForm.MOMENT: _moment}
)


@dataclass(frozen=True, slots=True)
class ImageTable:
    """An actual table as images know it: its stored columns, and which of them (indexes) are its primary key."""

    name: str
    columns: tuple[ImageColumn, ...]
    key: tuple[int, ...]

    @property
    def _target(self) -> str:
        return quote_name(self.name, quoted=True)

    @property
    def lenient(self) -> bool:
        """Whether its rows are written in the same way by no session but one that refuses nothing; see `ImageColumn`."""
        return any(column.lenient for column in self.columns)

    @property
    def items(self) -> str:
        """The select list that reads an image."""
        return ",".join([column.item for column in self.columns])

    def key_of(self, row: Row) -> Row:
        """The values of the primary key."""
        return tuple([row[index] for index in self.key])

    def condition(self, keys: Sequence[Row]) -> str:
        """WHERE's condition for the rows of these keys. O(keys)."""
        names = [quote_name(self.columns[index].name, quoted=True) for index in self.key]
        columns = [self.columns[index] for index in self.key]
        if len(names) == 1:
            return f"{names[0]} IN ({','.join([columns[0].literal(key[0]) for key in keys])})"
        # Not (a, b) IN (…): servers find no index for it, and the mesh no data node.
        return " OR ".join(
            [
                "("
                # What more tells rows apart than a primary key may be NULL.
                + " AND ".join(
                    [
                        f"{n} IS NULL" if v is None else f"{n}={c.literal(v)}"
                        for n, c, v in zip(names, columns, key, strict=True)
                    ]
                )
                + ")"
                for key in keys
            ]
        )

    def query(self, condition: str, *, lock: bool = True) -> str:
        """Reads the images of the rows a condition names."""
        return f"SELECT {self.items} FROM {self._target} WHERE {condition}{' FOR UPDATE' if lock else ''}"

    def named(self, name: str) -> ImageTable:
        """The same rows in a table of another name."""
        return replace(self, name=name)

    def told_apart_by(self, names: Iterable[str]) -> ImageTable:
        """The same rows, told apart by these columns too: a primary key is unique on each data node only."""
        found = [column.name.lower() for column in self.columns]
        more = [found.index(name.lower()) for name in names if name.lower() in found]
        return replace(self, key=tuple(dict.fromkeys((*self.key, *more))))

    def delete(self, keys: Sequence[Row]) -> str:
        """The statement that takes away the rows of these keys. O(keys)."""
        return f"DELETE FROM {self._target} WHERE {self.condition(keys)}"

    def inserts(
        self,
        rows: Iterable[Row],
        most: int = STATEMENT_LENGTH,
        *,
        over: bool = False,
        ousting: bool = False,
        missing: bool = False,
    ) -> Iterator[str]:
        """The statements that write these rows, none much longer than `most` characters; `over` those that are there with their key, or
        `ousting` every row that has one of their unique values, or those alone that are `missing`. O(bytes)."""
        verb = "REPLACE" if ousting else "INSERT IGNORE" if missing else "INSERT"
        tail = f" ON DUPLICATE KEY UPDATE {self._renewed}" if over else ""
        names = ",".join([quote_name(column.name, quoted=True) for column in self.columns])
        texts: list[str] = []
        size = 0
        for cells in self._cells(rows):
            texts.append(f"({','.join(cells)})")
            size += len(texts[-1])
            if size >= most:
                yield f"{verb} INTO {self._target} ({names}) VALUES {','.join(texts)}{tail}"
                texts, size = [], 0
        if texts:
            yield f"{verb} INTO {self._target} ({names}) VALUES {','.join(texts)}{tail}"

    def _cells(self, rows: Iterable[Row]) -> Iterator[tuple[str, ...]]:
        """The literals of each row. Column by column: of millions of rows this is what takes most of the time."""
        columns = zip(*rows, strict=True)
        texts = [map(one.writer, values) for one, values in zip(self.columns, columns, strict=False)]
        return zip(*texts, strict=True)

    @property
    def _renewed(self) -> str:
        """Every column outside the key takes the value of the row that is written."""
        names = [
            quote_name(column.name, quoted=True)
            for index, column in enumerate(self.columns)
            if index not in self.key
        ]
        kept = quote_name(self.columns[self.key[0]].name, quoted=True)
        return ",".join([f"{name}=VALUES({name})" for name in names]) or f"{kept}={kept}"

    def put_back(self, before: Row | None, after: Row | None) -> str:
        """The statement that undoes a change: of an INSERT a DELETE, of a DELETE an INSERT, of an UPDATE an UPDATE of what
        it changed."""
        if before is None:
            assert after is not None
            return self.delete([self.key_of(after)])
        if after is None:
            return next(self.inserts([before]))
        assignments = ",".join(
            f"{quote_name(column.name, quoted=True)}={column.literal(old)}"
            for column, old, new in zip(self.columns, before, after, strict=True)
            if old != new or column.renewed
        )
        return f"UPDATE {self._target} SET {assignments} WHERE {self.condition([self.key_of(after)])}"


def image_table(name: str, schema: TableSchema) -> ImageTable:
    """How images of a table are made. Raises MeshError(NOT_SUPPORTED) for a table whose rows cannot be told apart, are changed by
    others than its statements, or hold values nobody here can carry."""
    if not schema.primary_key:
        raise not_supported(
            f"a write of a BASE transaction to the table '{schema.name}', which has no primary key",
            "give it one",
        )
    if schema.guarded:
        raise not_supported(
            f"a write of a BASE transaction to the table '{schema.name}', which has triggers or is the parent of foreign keys",
            "use type XA, or drop them",
        )
    if schema.definition is not None:
        raise not_supported(
            f"a write of a BASE transaction to the view '{schema.name}'", "write to its tables"
        )
    columns: list[ImageColumn] = []
    for column in schema.columns:
        if column.generated:
            continue
        carried = loaded(column)
        quoted = quote_name(column.name, quoted=True)
        # Under sql_mode PAD_CHAR_TO_FULL_LENGTH a CHAR is read with spaces that are not stored.
        fixed = column.family is ColumnFamily.TEXT and column.declared_type.startswith("char")
        item = scanned(column, f"RTRIM({quoted})" if fixed else quoted)
        lenient = column.auto_increment or column.family not in _PLAIN
        columns.append(
            ImageColumn(column.name, item, carried.form, carried.introducer, column.renewed, lenient)
        )
    names = [column.name.lower() for column in columns]
    missing = next((name for name in schema.primary_key if name.lower() not in names), None)
    if missing is not None:
        raise not_supported(
            f"a write of a BASE transaction to the generated column '{missing}' in the primary key of '{schema.name}'",
            "use type XA",
        )
    return ImageTable(name, tuple(columns), tuple(names.index(key.lower()) for key in schema.primary_key))
