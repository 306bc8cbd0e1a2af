"""The types a column can have, and tables made of them by a seed.

Decides which types exist, which values are worth storing in each (the ends of its range, empty and padded texts,
letters that collations fold) and which tables a layout has. Knows no statement and no server.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import Enum

from tests.differential import values
from tests.differential.values import NULL, Value


class Family(Enum):
    """What may be done with a value."""

    INTEGER = "integer"
    DECIMAL = "decimal"
    FLOAT = "float"
    TEXT = "text"
    BINARY = "binary"
    DATE = "date"
    TIME = "time"
    DATETIME = "datetime"
    YEAR = "year"
    ENUM = "enum"
    SET = "set"
    BIT = "bit"
    JSON = "json"


class Check(Enum):
    """How a result column is compared, because SQL leaves the rest open."""

    EXACT = "byte for byte"
    SPELLING = "any of the spellings the collation holds equal"
    APPROXIMATE = "to 1e-12"
    PARTS = "parts between '|' in any order"
    PARTS_SPELLING = "parts between '|' in any order and spelling"
    ELEMENTS = "elements of a JSON array in any order"
    MEMBER = "any value of the group"


@dataclass(frozen=True)
class Type:
    """A type of a column or an expression.

    `values` are literals worth comparing with. `huge` values overflow in arithmetic, and their floating-point sums
    depend on the order of addition.
    """

    family: Family
    values: tuple[Value, ...]
    declaration: str = ""
    collation: str = ""
    huge: bool = False
    check: Check = Check.EXACT

    @property
    def numeric(self) -> bool:
        """Whether arithmetic is natural."""
        return self.family in (Family.INTEGER, Family.DECIMAL, Family.FLOAT)

    @property
    def folds(self) -> bool:
        """Whether different bytes can be equal (letters folded, or trailing spaces)."""
        return self.family is Family.TEXT and self.collation not in (
            "utf8mb4_nopad_bin",
            "utf8mb4_0900_bin",
            "binary",
        )

    def grouped(self) -> Type:
        """The type after GROUP BY, DISTINCT, MIN or MAX chose one of several equal values."""
        return replace(self, check=Check.SPELLING) if self.folds and self.check is Check.EXACT else self


def _integers(declaration: str, low: int, high: int) -> Type:
    pool = (low, low + 1, -1, 0, 1, 2, 3, 5, 7, 100, high - 1, high)
    kept = tuple(values.integer(number) for number in pool if low <= number <= high)
    return Type(Family.INTEGER, kept, declaration, huge=high > 1 << 40)


def _integer_types() -> list[Type]:
    widths = (("TINYINT", 8), ("SMALLINT", 16), ("MEDIUMINT", 24), ("INT", 32), ("BIGINT", 64))
    made: list[Type] = []
    for name, bits in widths:
        made.append(_integers(name, -(1 << bits - 1), (1 << bits - 1) - 1))
        made.append(_integers(f"{name} UNSIGNED", 0, (1 << bits) - 1))
    return made


_WORDS = (
    "a",
    "A",
    "a ",
    "ä",
    "b",
    "B ",
    "",
    " ",
    "ß",
    "ss",
    "zebra",
    "Zebra",
    "10",
    "9",
    "1e1",
    "x'y",
    "a\\b",
    "a%b",
    "é",
    "e",
)
_WIDE_WORDS = (*_WORDS, "😀", "😎", "日本", "Ñandú")


def _texts(declaration: str, collation: str, words: Sequence[str] = _WIDE_WORDS) -> Type:
    character_set = collation.partition("_")[0]
    return Type(
        Family.TEXT,
        tuple(map(values.text, words)),
        f"{declaration} CHARACTER SET {character_set} COLLATE {collation}",
        collation,
    )


_TEXT_TYPES = (
    _texts("CHAR(8)", "utf8mb4_general_ci"),
    _texts("VARCHAR(20)", "utf8mb4_general_ci"),
    _texts("VARCHAR(30)", "utf8mb4_bin"),
    _texts("VARCHAR(30)", "utf8mb4_unicode_ci"),
    _texts("VARCHAR(30)", "utf8mb4_nopad_bin"),
    _texts("VARCHAR(30)", "utf8mb4_general_nopad_ci"),
    _texts("VARCHAR(30)", "latin1_swedish_ci", _WORDS),
    _texts("CHAR(5)", "latin1_bin", [word for word in _WORDS if len(word) <= 5]),
    _texts("TEXT", "utf8mb4_general_ci"),
    _texts("MEDIUMTEXT", "utf8mb4_unicode_ci"),
)

_NO_DATE = "0000-00-00"
_DATES = (
    "1000-01-01",
    "1999-12-31",
    "2000-02-29",
    "2023-01-01",
    "2023-06-15",
    "2038-01-19",
    "9999-12-31",
    _NO_DATE,
)
_TIMES = ("-838:59:59", "-00:00:01", "00:00:00", "12:34:56", "23:59:59", "838:59:59")
_BYTES = (b"", b"\0", b"a", b"A", b"a ", b"\xff\xfe", b"\0\0\0\1")
_DOUBLES = (-1024.5, -1.0, -0.25, 0.0, 0.5, 1.0, 1.5, 2.0, 7.75, 4096.125)


def _datetimes(texts: Sequence[str]) -> tuple[Value, ...]:
    return tuple(map(values.datetime, texts))


_OTHER_TYPES = (
    Type(Family.DECIMAL, tuple(map(values.decimal, ("-99999999.99", "-1.50", "0.00", "0.01", "1.50", "2.00", "99999999.99"))), "DECIMAL(10,2)"),
    Type(Family.DECIMAL, tuple(map(values.decimal, ("-12345678901234567890.0123456789", "-0.5", "0", "0.0000000001", "7.25", "12345678901234567890.0123456789"))), "DECIMAL(30,10)"),
    Type(Family.DECIMAL, tuple(map(values.decimal, ("0", "1", "5", "99999"))), "DECIMAL(5,0) UNSIGNED"),
    Type(Family.FLOAT, tuple(map(values.double, _DOUBLES)), "FLOAT"),
    Type(Family.FLOAT, tuple(map(values.double, _DOUBLES)), "DOUBLE"),
    Type(Family.FLOAT, tuple(map(values.double, (-1e300, -0.1, 0.0, 0.1, 1e-300, 3.141592653589793, 1e300))), "DOUBLE", huge=True),
    Type(Family.BINARY, tuple(map(values.binary, (b"\0\0\0\0", b"a\0\0\0", b"abcd", b"\xff\xff\xff\xff"))), "BINARY(4)"),
    Type(Family.BINARY, tuple(map(values.binary, _BYTES)), "VARBINARY(16)"),
    Type(Family.BINARY, tuple(map(values.binary, _BYTES)), "BLOB"),
    Type(Family.DATE, tuple(map(values.date, _DATES)), "DATE"),
    Type(Family.TIME, tuple(map(values.time, _TIMES)), "TIME"),
    Type(Family.TIME, tuple(map(values.time, ("-00:00:01.5", "00:00:00", "00:00:00.001", "100:00:00.999"))), "TIME(3)"),
    Type(Family.DATETIME, _datetimes(("1000-01-01 00:00:00", "2023-01-01 00:00:00", "2023-06-15 12:34:56", "9999-12-31 23:59:59")), "DATETIME"),
    Type(Family.DATETIME, _datetimes(("1999-12-31 23:59:59.999999", "2023-01-01 00:00:00", "2023-01-01 00:00:00.000001", "2023-06-15 12:34:56.5")), "DATETIME(6)"),
    Type(Family.DATETIME, _datetimes(("1970-01-02 00:00:01", "2023-01-01 00:00:00", "2023-06-15 12:34:56", "2038-01-18 00:00:00")), "TIMESTAMP"),
    Type(Family.DATETIME, _datetimes(("2001-01-01 00:00:00.25", "2023-01-01 00:00:00", "2023-06-15 12:34:56.789")), "TIMESTAMP(3)"),
    Type(Family.YEAR, tuple(map(values.integer, (1901, 1999, 2000, 2023, 2155))), "YEAR"),
    Type(Family.ENUM, tuple(map(values.text, ("small", "Medium", "large", "x y"))), "ENUM('small','Medium','large','x y')"),
    Type(Family.SET, tuple(map(values.text, ("", "a", "b", "a,c", "a,b,c"))), "SET('a','b','c')"),
    Type(Family.BIT, tuple(map(values.integer, (0, 1))), "BIT(1)"),
    Type(Family.BIT, tuple(map(values.integer, (0, 1, 5, 512, 1023))), "BIT(10)"),
    Type(Family.JSON, tuple(map(values.text, ('{"n": 1, "s": "x"}', '{"n": 2}', "[1, 2, 3]", "null", '"text"', "7"))), "JSON", "utf8mb4_bin"),
)  # fmt: skip

TYPES: tuple[Type, ...] = (*_integer_types(), *_TEXT_TYPES, *_OTHER_TYPES)

# What tells trailing spaces apart has another name on each server.
_COLLATIONS_OF_MYSQL = {
    "utf8mb4_nopad_bin": "utf8mb4_0900_bin",
    "utf8mb4_general_nopad_ci": "utf8mb4_0900_ai_ci",
}


def _on_mysql(column: Column) -> Column:
    """The column as MySQL takes it: collations of its own, no zero dates."""
    type_ = column.type
    collation = _COLLATIONS_OF_MYSQL.get(type_.collation, type_.collation)
    type_ = replace(
        type_,
        values=tuple(value for value in type_.values if _NO_DATE not in value.sql),
        declaration=type_.declaration.replace(type_.collation, collation)
        if type_.collation
        else type_.declaration,
        collation=collation,
    )
    return replace(column, type=type_)


# What expressions give: the values are those worth comparing with.
INTEGER = Type(Family.INTEGER, tuple(map(values.integer, (-1, 0, 1, 2, 3, 5, 10, 100))))
DECIMAL = Type(Family.DECIMAL, tuple(map(values.decimal, ("-1.5", "0.0", "1.5", "2.00", "10.0"))))
FLOAT = Type(Family.FLOAT, tuple(map(values.double, (-1.0, 0.0, 0.5, 1.5, 2.0))))
TEXT = Type(
    Family.TEXT, tuple(map(values.text, ("a", "A", "b", "", "zebra"))), collation="utf8mb4_general_ci"
)
DATE = Type(Family.DATE, tuple(map(values.date, _DATES[3:6])))
DATETIME = Type(Family.DATETIME, _datetimes(("2023-01-01 00:00:00", "2023-06-15 12:34:56")))

_NAMES = (
    "alpha",
    "b",
    "order",
    "group",
    "key",
    "Value",
    "select",
    "desc",
    "rank",
    "my col",
    "größe",
    "a`b",
    "c1",
    "Mixed_Case",
    "limit",
    "x",
    "rows",
    "count",
    "note",
    "data",
)


def quoted(name: str) -> str:
    """A name as it must be written when it is a keyword or has odd letters; plain ones stay bare."""
    plain = {"alpha", "b", "Value", "c1", "Mixed_Case", "x", "note", "data", "count"}
    if name in plain or (name.isascii() and name.replace("_", "").isalnum() and name not in _NAMES):
        return name
    return f"`{name.replace('`', '``')}`"


@dataclass(frozen=True)
class Column:
    """A column of a table; `name` as declared."""

    name: str
    type: Type
    nullable: bool = True

    @property
    def rest(self) -> str:
        """What follows the type."""
        return " NULL" if self.nullable else " NOT NULL"


_LONG = ("TEXT", "BLOB")
"""Only the beginning of these is indexed."""


@dataclass(frozen=True)
class Table:
    """A logic table: columns, primary key, unique keys and rows."""

    name: str
    columns: tuple[Column, ...]
    key: tuple[str, ...]
    rows: tuple[tuple[Value, ...], ...] = ()
    indexes: tuple[str, ...] = ()

    def column(self, name: str) -> Column:
        """The column of that name. Raises StopIteration without one."""
        return next(column for column in self.columns if column.name == name)

    def index(self, name: str) -> int:
        """Where the column stands."""
        return next(place for place, column in enumerate(self.columns) if column.name == name)

    def definition(self, *, keys: bool = True, every: bool = False) -> str:
        """What stands between the brackets of CREATE TABLE: with its keys and indexes or none, or with one of every column."""
        lines = [f"{quoted(column.name)} {column.type.declaration}{column.rest}" for column in self.columns]
        if keys:
            lines.append(f"PRIMARY KEY ({', '.join(map(quoted, self.key))})")
            lines += [f"KEY k{place} ({quoted(name)})" for place, name in enumerate(self.indexes)]
        if every:
            lines += [
                f"KEY ({quoted(column.name)} {'(20)' if column.type.declaration.split()[0].endswith(_LONG) else ''})"
                for column in self.columns
                if column.type.family is not Family.JSON
            ]
        return ", ".join(lines)


# Columns by which layouts shard; their values are few, so that joins and groups meet.
IDS = Type(Family.INTEGER, tuple(values.integer(n) for n in (*range(1, 41), -1, -6, 9_000_000_001)), "BIGINT")
OWNERS = Type(Family.INTEGER, tuple(values.integer(n) for n in (1, 2, 3, 4, 5, 6, 7, 8)), "INT")
_CODES = ("k1", "K1", "k2", "k3", "ä7", "Ä7", "😀", "long code", "x", "42", "43")
CODES = _texts("VARCHAR(20)", "utf8mb4_bin", _CODES)
CODES_FOLDED = _texts("VARCHAR(20)", "utf8mb4_general_ci", _CODES)
DAYS = Type(
    Family.DATE,
    tuple(values.date(f"2023-{month:02}-{day:02}") for month in range(1, 13) for day in (1, 28)),
    "DATE",
)
MOMENTS = Type(
    Family.DATETIME,
    tuple(
        values.datetime(f"2023-{month:02}-{day:02} {month:02}:30:00")
        for month in range(1, 13)
        for day in (1, 30 if month != 2 else 27)
    ),
    "DATETIME",
)


def _random_columns(chooser: random.Random, count: int) -> list[Column]:
    # One of each group, so that every table has numbers, texts and times.
    numbers = [type_ for type_ in TYPES if type_.numeric]
    texts = list(_TEXT_TYPES)
    rest = [type_ for type_ in TYPES if type_ not in numbers and type_ not in texts]
    chosen = [*chooser.sample(numbers, 3), *chooser.sample(texts, 3), *chooser.sample(rest, count - 6)]
    names = chooser.sample(_NAMES, count)
    # NULL stored in a TIMESTAMP that is NOT NULL becomes the time of the statement; a CHECK that fails under IGNORE is an
    # error for a row alone and a warning for one of several.
    return [
        Column(
            name,
            type_,
            nullable=chooser.random() < 0.8 or type_.declaration.startswith(("TIMESTAMP", "JSON")),
        )
        for name, type_ in zip(names, chosen, strict=True)
    ]


def _rows(chooser: random.Random, table: Table, count: int) -> tuple[tuple[Value, ...], ...]:
    rows: dict[tuple[str, ...], tuple[Value, ...]] = {}
    for _ in range(count * 3):
        row = tuple(_stored(chooser, column) for column in table.columns)
        key = tuple(row[table.index(name)].sql.rstrip().casefold() for name in table.key)
        rows.setdefault(key, row)
        if len(rows) == count:
            break
    return tuple(rows.values())


def _stored(chooser: random.Random, column: Column) -> Value:
    if column.nullable and chooser.random() < 0.2:
        return NULL
    return chooser.choice(column.type.values)


def make_tables(
    chooser: random.Random, keys: dict[str, tuple[str, ...]], folded_codes: bool, *, on_mysql: bool = False
) -> tuple[Table, ...]:
    """The five tables of a layout: three sharded ones (`item`, `part`, `event`), a broadcast one and a single one.

    `on_mysql`: of types MySQL has, and not MariaDB alone. `keys` names the columns that must stand in the primary key, so that it is unique over all shards.
    """

    def columns_of(count: int) -> list[Column]:
        columns = _random_columns(chooser, count)
        return [_on_mysql(column) for column in columns] if on_mysql else columns

    codes = CODES_FOLDED if folded_codes else CODES
    base = (
        Column("id", IDS, nullable=False),
        Column("owner", OWNERS, nullable=False),
        Column("code", codes, nullable=False),
        Column("day", DAYS, nullable=False),
    )
    made: list[Table] = []
    for name, rows in (("item", 40), ("part", 30), ("event", 24)):
        columns = (*base[:3], Column("day", MOMENTS, nullable=False)) if name == "event" else base
        rest = columns_of(11)
        key = tuple(dict.fromkeys((*keys[name], "id")))
        indexes = tuple(column.name for column in rest if column.type.numeric)[:1]
        table = Table(name, (*columns, *rest), key, indexes=("owner", *indexes))
        made.append(replace(table, rows=_rows(chooser, table, rows)))
    land = Table("land", (Column("code", codes, nullable=False), *columns_of(7)), ("code",))
    made.append(replace(land, rows=_rows(chooser, land, 8)))
    single = Table("setting", (Column("id", IDS, nullable=False), *columns_of(8)), ("id",))
    made.append(replace(single, rows=_rows(chooser, single, 10)))
    return tuple(made)
