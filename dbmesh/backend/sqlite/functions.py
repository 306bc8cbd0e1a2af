"""Every function, aggregate and collation a connection of the embedded data source gives to SQLite.

Decides their names inside SQLite (`mysql_…`) and keeps what they need: the clock, the random numbers, and the error a
function raised, which SQLite itself would lose. Knows nothing of MySQL's syntax.
"""

from __future__ import annotations

import datetime
import sqlite3
from collections.abc import Callable
from random import Random
from uuid import UUID

from dbmesh.backend.sqlite import arithmetic, strings, temporal
from dbmesh.backend.sqlite.collation import DECIMAL, TextOrder, compare_decimals, compare_padded
from dbmesh.backend.transpile.coerce import Coercion, Stored, moment_text
from dbmesh.backend.transpile.collations import BINARY, GENERAL_CI
from dbmesh.errors import MeshError, ShardError


class Functions:
    """The functions of one connection. `failure` is the error of the last statement's function, until it is taken."""

    def __init__(self, now: Callable[[], datetime.datetime], random: Random) -> None:
        self._clock = now
        self._random = random
        self._order = TextOrder()
        self._failure: Exception | None = None
        self.moment = now()
        self.matched = 0
        self.changed = 0
        self.stores: dict[str, Coercion] = {}

    def start_statement(self) -> None:
        """A statement begins: one moment for all of its NOW(), and fresh counters."""
        self.moment = self._clock()
        self.matched = self.changed = 0
        self._failure = None

    def take_failure(self) -> Exception | None:
        """The error a function raised, once."""
        failure, self._failure = self._failure, None
        return failure

    def install(self, database: sqlite3.Connection) -> None:
        """Register everything."""
        order = self._order
        database.create_collation(GENERAL_CI, order.compare_general)
        database.create_collation(BINARY, compare_padded)
        database.create_collation(DECIMAL, compare_decimals)
        for name, (count, function) in self._table().items():
            database.create_function(f"mysql_{name}", count, self._guarded(function), deterministic=True)
        for name, count, function in (
            ("now", 1, self._now),
            ("rand", 0, self._random.random),
            ("uuid", 0, self._uuid),
            ("count_change", 1, self._count_change),
            ("store", 3, self._store),
        ):
            database.create_function(f"mysql_{name}", count, self._guarded(function))
        database.create_aggregate("mysql_sum", 1, arithmetic.Sum)  # type: ignore[arg-type]
        database.create_aggregate("mysql_avg", 2, arithmetic.Average)  # type: ignore[arg-type]

    def _table(self) -> dict[str, tuple[int, Callable[..., Stored]]]:
        on = strings.on_texts
        table: dict[str, tuple[int, Callable[..., Stored]]] = {
            "add": (2, arithmetic.add),
            "subtract": (2, arithmetic.subtract),
            "multiply": (2, arithmetic.multiply),
            "divide": (3, arithmetic.divide),
            "modulo": (2, arithmetic.modulo),
            "whole_quotient": (2, arithmetic.whole_quotient),
            "compare": (2, arithmetic.compare),
            "integer": (3, arithmetic.integer),
            **{f"bits_{name}": (2, arithmetic.bits(name)) for name in arithmetic.BIT_OPERATORS},
            "negate": (1, arithmetic.negate),
            "number": (1, arithmetic.number),
            "truth": (1, arithmetic.truth),
            "round": (2, arithmetic.round_to),
            "truncate": (2, arithmetic.truncate_to),
            "floor": (1, arithmetic.floor),
            "ceiling": (1, arithmetic.ceiling),
            "abs": (1, arithmetic.absolute),
            "sign": (1, arithmetic.sign),
            "pow": (2, arithmetic.power),
            "sqrt": (1, arithmetic.square_root),
            "concat": (-1, strings.concat),
            "concat_ws": (-1, strings.concat_ws),
            "left": (2, on(strings.left, "ti")),
            "right": (2, on(strings.right, "ti")),
            "lpad": (3, on(strings.pad_left, "tit")),
            "rpad": (3, on(strings.pad_right, "tit")),
            "substring": (-1, on(strings.substring, "tii")),
            "substring_index": (3, on(strings.substring_index, "tti")),
            "trim": (3, on(strings.trim, "ttt")),
            "repeat": (2, on(strings.repeat, "ti")),
            "upper": (1, on(str.upper, "t")),
            "lower": (1, on(str.lower, "t")),
            "reverse": (1, on(lambda text: text[::-1], "t")),
            "replace": (3, on(lambda text, old, new: text.replace(old, new) if old else text, "ttt")),
            "char_length": (1, on(len, "t")),
            "length": (1, lambda value: None if value is None else len(strings.content(value))),
            "text": (1, on(lambda text: text, "t")),
            "bytes": (1, lambda value: None if value is None else strings.content(value)),
            "ascii": (1, lambda value: None if value is None else next(iter(strings.content(value)), 0)),
            "hex": (1, strings.hexadecimal),
            "unhex": (1, on(strings.unhex, "t")),
            "md5": (1, strings.digest("md5")),
            "sha1": (1, strings.digest("sha1")),
            "sha2": (2, strings.sha2),
            "crc32": (1, strings.crc32),
            "moment": (1, temporal.moment_key),
            "date": (1, temporal.date_of),
            "date_format": (2, temporal.date_format),
            "datediff": (2, temporal.days_between),
            "convert_tz": (3, temporal.convert_time_zone),
            "shift": (3, temporal.shift),
            "last_day": (1, temporal.last_day),
            "unix_timestamp": (1, temporal.unix_timestamp),
            "from_unixtime": (1, temporal.from_unixtime),
            "weight": (2, self._weight),
            "like": (4, self._like),
            "regexp": (3, self._regexp),
            "locate": (4, self._locate),
            "cast": (2, self._cast),
        }
        table.update({f"part_{name.lower()}": (1, temporal.part(name)) for name in temporal.PARTS})
        return table

    def _guarded(self, function: Callable[..., Stored]) -> Callable[..., Stored]:
        """`function`, with the error it raises kept: SQLite only says that there was one."""

        def guarded(*values: Stored) -> Stored:
            try:
                return function(*values)
            except (MeshError, ShardError) as error:
                self._failure = error
                raise

        return guarded

    def _now(self, decimals: int) -> str:
        micros = self.moment.microsecond
        cut = self.moment.replace(microsecond=micros - micros % 10 ** (6 - decimals))
        return moment_text(cut, decimals)

    def _uuid(self) -> str:
        return str(UUID(int=self._random.getrandbits(128), version=4))

    def _count_change(self, changes: Stored) -> int:
        """Called for every row an UPDATE matched; tells whether the row is to be written."""
        self.matched += 1
        self.changed += bool(changes)
        return int(bool(changes))

    def _store(self, column: str, value: Stored, row: int) -> Stored:
        return self.stores[column].store(value, row)

    def _cast(self, column: str, value: Stored) -> Stored:
        return None if value is None else self.stores[column].store(value)

    def _weight(self, value: Stored, collation: str) -> bytes | None:
        return None if value is None else self._order.weight(strings.printed(value), collation)

    def _like(self, value: Stored, pattern: Stored, escape: str, collation: str) -> int | None:
        if value is None or pattern is None:
            return None
        text, wanted = strings.printed(value), strings.printed(pattern)
        fold = self._order.fold
        compiled = strings.cached_like_pattern(fold(wanted, collation), fold(escape, collation))
        return int(compiled.fullmatch(fold(text, collation)) is not None)

    def _regexp(self, value: Stored, pattern: Stored, collation: str) -> int | None:
        if value is None or pattern is None:
            return None
        compiled = strings.regular_expression(strings.printed(pattern), collation != BINARY)
        return int(compiled.search(strings.printed(value)) is not None)

    def _locate(self, needle: Stored, value: Stored, start: Stored, collation: str) -> int | None:
        if needle is None or value is None or start is None:
            return None
        text = self._order.fold(strings.printed(value), collation)
        wanted = self._order.fold(strings.printed(needle), collation)
        first = strings.index(start)
        return text.find(wanted, first - 1) + 1 if 1 <= first <= len(text) + 1 else 0
