"""Warnings of data sources: asked for, and those of several shards put together as one server would tell them.

Decides which warnings belong to the statement and not to its rows: one server gives them once, of several shards every one
does. They tell of a value that the statement writes itself and a server converts when it first needs it; or a server gives
them before it has read a row, which EXPLAIN shows, since it plans a statement and runs nothing.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from operator import itemgetter

from dbmesh.backend.connection import Connection, Product
from dbmesh.backend.mysql import MySQLConnection
from dbmesh.engine.collect import Collector, Result, collect
from dbmesh.errors import MeshError, ProtocolError, ShardError
from dbmesh.planner.lexemes import Kind, split_lexemes
from dbmesh.planner.plan import Answer, CountMerge, ReturnedRows
from dbmesh.wire.commands import parse_execute
from dbmesh.wire.constants import Command
from dbmesh.wire.packets import ColumnDefinition, OkPacket

SHOW_WARNINGS = b"SHOW WARNINGS"

MOST_WARNINGS = 64
"""Warnings a server keeps for SHOW WARNINGS: MariaDB's default max_error_count."""

_EXPLAINED = 1003
"""MySQL's note with the statement as its optimizer sees it (ER_YES)."""

_IMPOSSIBLE = (b"Impossible WHERE", b"Zero limit")
"""What EXPLAIN says of a statement that need not look for rows."""

DEPRECATED = 1287
"""ER_WARN_DEPRECATED_SYNTAX: what a server says when it reads a text, at PREPARE and not at EXECUTE."""

OF_INSERT = frozenset({DEPRECATED, 1364})
"""What an INSERT is told of its form and not of a row: deprecated syntax, columns without a default that it leaves out."""

_VALUE = re.compile(r" value: '(.*)'\Z", re.DOTALL)
_ROW = re.compile(r"(?<= at row )\d+\Z")
_MISSING = re.compile(r"Unknown table '(.*)'\Z")
"""The note of DROP TABLE IF EXISTS, which names all tables that are not there."""


@dataclass(frozen=True, slots=True)
class ShardWarning:
    """One row of SHOW WARNINGS: level, number, text; and of an error the SQLSTATE it came with."""

    level: str
    number: int
    message: str
    sqlstate: str = field(default="", compare=False)


class CountedWarnings(list[ShardWarning]):
    """The warnings a server still lists of the `counted` it gave."""

    def __init__(self, listed: Iterable[ShardWarning], counted: int) -> None:
        super().__init__(listed)
        self.counted = max(counted, len(self))


def count_of(warnings: Sequence[ShardWarning]) -> int:
    """How many there were."""
    return warnings.counted if isinstance(warnings, CountedWarnings) else len(warnings)


async def fetch_warnings(connection: Connection) -> list[ShardWarning]:
    """The warnings of the statement that just ended on this connection. Raises ShardError or MeshError."""
    return warnings_in(await collect(connection, SHOW_WARNINGS))


def warnings_in(result: Result) -> list[ShardWarning]:
    """The rows of SHOW WARNINGS."""
    return [
        ShardWarning(
            (level or b"").decode("utf-8", "surrogateescape"),
            int(number or b"0"),
            (message or b"").decode("utf-8", "surrogateescape"),
        )
        for level, number, message in result.rows
    ]


async def told_once(
    connection: Connection, sql: bytes, execute: bytes | None, told: Sequence[list[ShardWarning]]
) -> list[list[ShardWarning]]:
    """The warnings of several sources of one statement without its repetitions. `sql` is the text one of them ran, at rest
    on `connection` now; `execute` the command that executed it where it was prepared. Raises MeshError when the
    connection is lost."""
    lists = without_repetitions(told, of_constants(told, sql, execute))
    sources = Counter(warning for warnings in lists for warning in set(warnings))
    if any(count > 1 for count in sources.values()):
        lists = without_repetitions(lists, await _before_rows(connection, sql, execute))
    return lists


@dataclass(frozen=True, slots=True)
class Explained:
    """What a data source knows of a statement before it reads a row: its warnings, and whether it need not read any."""

    warnings: tuple[ShardWarning, ...] = ()
    impossible: bool = False


def read_explained(rows: Sequence[Sequence[bytes | None]], warnings: Iterable[ShardWarning]) -> Explained:
    """The answer of EXPLAIN, in rows or as MySQL's tree, and what it warned of."""
    # Beside other rows a subquery has decided it, over the rows of one data node.
    said = rows[0][-1] or b"" if len(rows) == 1 else b""
    return Explained(
        tuple(one for one in warnings if one.number != _EXPLAINED),
        said in _IMPOSSIBLE or any(b"Zero rows (%s)" % reason in said for reason in _IMPOSSIBLE),
    )


async def _before_rows(connection: Connection, sql: bytes, execute: bytes | None) -> Sequence[ShardWarning]:
    """What a data source warns of before it reads a row; nothing where it does not explain the statement. The connection is
    at rest, or lost. Raises MeshError when it is lost now."""
    if not isinstance(connection, MySQLConnection) or not connection.usable:
        return ()
    # MySQL explains as a tree unless it is asked for rows; MariaDB knows no name for them.
    question = (
        b"EXPLAIN " if connection.product is Product.MARIADB else b"EXPLAIN FORMAT=TRADITIONAL "
    ) + sql
    try:
        if execute is not None and execute[0] != Command.STMT_EXECUTE:
            return ()
        if execute is None:
            explained = await collect(connection, question)
        else:
            prepared = await connection.prepare(question)
            collector = Collector(binary=True)
            connection.execute(_of_statement(execute, prepared.statement_id), collector)
            explained = await collector.future
        warnings = await fetch_warnings(connection) if explained.ok and explained.ok.warnings else []
    except ShardError:
        # What cannot be explained is told as often as the shards say it: too often rather than never.
        return ()
    return read_explained(explained.rows, warnings).warnings


def of_insert(warnings: Sequence[ShardWarning]) -> list[ShardWarning]:
    """Those of a shard's warnings that an INSERT gives whatever its rows are."""
    return [one for one in warnings if one.number in OF_INSERT and not _ROW.search(one.message)]


def of_definition(warnings: Sequence[ShardWarning]) -> list[ShardWarning]:
    """What data nodes say, in logic names, of a statement that defines tables, as one server tells it: its notes once, but
    for those of rows, and all tables that are not there in one note."""
    lists = [found[1].split(",") for one in warnings if (found := _MISSING.match(one.message))]
    missing = ",".join(dict.fromkeys(name for names in lists for name in names))
    kept: list[ShardWarning] = []
    for one in warnings:
        if _MISSING.match(one.message):
            one = replace(one, message=f"Unknown table '{missing}'")
        if one.level != "Note" or one not in kept or _ROW.search(one.message):
            kept.append(one)
    return kept


def renumbered(text: str, number: Callable[[int], int]) -> str:
    """The text of a warning or error with the row it names under another number."""
    return _ROW.sub(lambda found: str(number(int(found[0]))), text)


class RowNumbers:
    """The numbers that rows of a split INSERT have for the client; a shard counts its own."""

    def __init__(self, answer: Answer) -> None:
        self._answer = answer

    @cached_property
    def _by_shot(self) -> Sequence[Sequence[int]] | None:
        answer = self._answer
        return answer.row_numbers() if isinstance(answer, CountMerge | ReturnedRows) else None

    @property
    def known(self) -> bool:
        """Whether the statement is such an INSERT."""
        return self._by_shot is not None

    def number(self, shot: int, row: int | None) -> int:
        """A row of a shot, its first one unless given, by its number in the statement."""
        numbers = () if self._by_shot is None else self._by_shot[shot]
        at = (row or 1) - 1
        return numbers[at] if at < len(numbers) else shot

    def corrected(self, shot: int, text: str) -> str:
        """A warning or error of a shot as one server says it."""
        if self._by_shot is None:
            return text
        numbers = self._by_shot[shot]
        return renumbered(text, lambda row: numbers[row - 1] if row <= len(numbers) else row)


def in_order_of_rows(warnings: Iterable[ShardWarning], product: Product) -> list[ShardWarning]:
    """Warnings of several shards as one server tells them, row by row; one that names no row stays behind those before it.
    Those of the statement's form come before the first row, or when MySQL writes it."""
    placed: list[tuple[float, ShardWarning]] = []
    row = 0.0
    for warning in warnings:
        found = _ROW.search(warning.message)
        if found is not None:
            row = float(found[0])
        elif warning.number in OF_INSERT:
            row = 1.5 if product is Product.MYSQL else 0.0
        placed.append((row, warning))
    return [warning for _, warning in sorted(placed, key=itemgetter(0))]


def _of_statement(execute: bytes, statement_id: int) -> bytes:
    """A COM_STMT_EXECUTE for another statement with the same parameters."""
    return execute[:1] + statement_id.to_bytes(4, "little") + execute[5:]


def of_constants(
    told: Sequence[Sequence[ShardWarning]], sql: bytes, execute: bytes | None = None
) -> list[ShardWarning]:
    """Warnings of values that the statement writes itself, as often as one source gives them. A row that holds the same
    value gives the same warning: what some sources give more often than others, and more often than it is written, is
    about rows, and so is what some sources that warn do not give."""
    counts: dict[ShardWarning, list[int]] = {}
    for warnings in told:
        for warning, count in Counter(warnings).items():
            counts.setdefault(warning, []).append(count)
    repeated = {warning: found for warning, found in counts.items() if len(found) > 1}
    literals = _literals(sql.decode("utf-8", "surrogateescape")) if repeated else []
    constants: list[ShardWarning] = []
    for warning, found in repeated.items():
        value = _VALUE.search(warning.message)
        if value is None:
            continue
        parameters = _parameters(execute, value[1], sql)
        written = parameters + sum(_is_written(literal, value[1]) for literal in literals)
        if written and len(found) == sum(map(bool, told)) and max(found) <= max(written, min(found)):
            constants += [warning] * max(found)
    return constants


def _parameters(execute: bytes | None, value: str, sql: bytes) -> int:
    """How many parameters may have this value. Those of a text EXECUTE are variables of the connection."""
    if execute is None:
        return 0
    lexemes = split_lexemes(sql.decode("utf-8", "surrogateescape"))
    count = sum(one.kind is Kind.PARAMETER for one in lexemes)
    if execute[0] != Command.STMT_EXECUTE:
        return count
    try:
        values = parse_execute(execute, count).values
    except (ProtocolError, MeshError):
        return 0
    return sum(one is not None and _is_written(_written(one), value) for one in values)


def _written(value: object) -> str:
    """A parameter as a warning names it."""
    return value.decode("utf-8", "surrogateescape") if isinstance(value, bytes) else str(value)


def of_literals(warnings: Sequence[ShardWarning], sql: str) -> list[ShardWarning]:
    """Those of the warnings that tell of a value the text writes itself."""
    literals = _literals(sql)
    values = [(warning, _VALUE.search(warning.message)) for warning in warnings]
    return [
        warning
        for warning, value in values
        if value is not None and any(_is_written(literal, value[1]) for literal in literals)
    ]


def _literals(sql: str) -> list[str]:
    """The strings and numbers of a text, numbers with their sign."""
    lexemes = split_lexemes(sql)
    found = [one.value for one in lexemes if one.kind is Kind.STRING]
    for before, one in zip((None, *lexemes), lexemes, strict=False):
        if one.kind is Kind.NUMBER:
            found.append(f"-{one.text}" if before is not None and before.text == "-" else one.text)
    return found


def _is_written(literal: str, value: str) -> bool:
    """Whether a warning's value is that of a literal: a server writes numbers in its own way."""
    if literal == value:
        return True
    try:
        return float(literal) == float(value)
    except ValueError:
        return False


def without_repetitions(
    told: Sequence[Sequence[ShardWarning]], of_statement: Sequence[ShardWarning]
) -> list[list[ShardWarning]]:
    """The warnings of each source, those of the statement only where they come first: no warning of theirs is told by two
    sources."""
    wanted = Counter(of_statement)
    kept: Counter[ShardWarning] = Counter()
    found: list[list[ShardWarning]] = []
    for warnings in told:
        met: Counter[ShardWarning] = Counter()
        rest: list[ShardWarning] = []
        for warning in warnings:
            met[warning] += 1
            if met[warning] <= min(wanted[warning], kept[warning]):
                continue
            if met[warning] <= wanted[warning]:
                kept[warning] += 1
            rest.append(warning)
        found.append(rest)
    return found


class Repetition:
    """Receives a statement that is run again for its warnings: its rows are dropped, its end is told, then it is asked for
    them."""

    def __init__(
        self, connection: Connection, warnings: Collector, ended: Callable[[OkPacket], None]
    ) -> None:
        self._connection = connection
        self._warnings = warnings
        self._ended = ended

    def columns(self, columns: Sequence[ColumnDefinition]) -> None:
        """Known already."""

    def rows(self, rows: list[bytes]) -> None:
        """Sent already."""

    def done(self, ok: OkPacket, *, more: bool) -> None:
        """Ask for them."""
        del more
        self._ended(ok)
        self._connection.query(SHOW_WARNINGS, self._warnings)

    def failed(self, error: Exception) -> None:
        """Told to whoever waits for the warnings."""
        self._warnings.failed(error)
