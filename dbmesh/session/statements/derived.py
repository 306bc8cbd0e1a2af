"""Runs a derived write: its queries, then the statements its writers make of their rows, all in one transaction.

Decides the order and what the client is told of it as one statement. The statements are planned and run like a client's
own; what they are is the planner's business.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Protocol

from dbmesh.backend.connection import Product
from dbmesh.engine.exchange import Outcome, Sink
from dbmesh.engine.warnings import (
    DEPRECATED,
    OF_INSERT,
    Explained,
    ShardWarning,
    of_literals,
    read_explained,
    renumbered,
)
from dbmesh.errors import MERGE_LIMIT, MeshError, ShardError, not_supported
from dbmesh.merge.counts import info_of_one_row, merge_counts, rows_updated, with_warnings
from dbmesh.merge.rows import MergeLimits
from dbmesh.planner.derived.literals import BINARY_CHARSET, unrounded
from dbmesh.planner.plan import BoundStatement, CountMerge, Names, Verb
from dbmesh.planner.steps import DerivedStatement, DerivedWrite, Strictness
from dbmesh.session.answering.result_sink import rename
from dbmesh.session.moment import at_one_moment
from dbmesh.session.select_limit import without_limit
from dbmesh.wire.packets import ColumnDefinition, OkPacket
from dbmesh.wire.values import decode_text_row, encode_text_row

if TYPE_CHECKING:
    from dbmesh.session.session import Session


_CONVERSIONS = MappingProxyType(
    {1264: "22003", 1265: "01000", 1292: "22007", 1300: "HY000", 1365: "22012", 1366: "22007", 1411: "HY000"}
)
"""Warnings of values that cannot be converted or divided by, and their SQLSTATE as errors."""

DUPLICATE, NO_DEFAULT = 1062, 1364

VALUES_CALL = ShardWarning(
    "Warning",
    DEPRECATED,
    "'VALUES function' is deprecated and will be removed in a future release. Please use an alias (INSERT INTO ... "
    "VALUES (...) AS alias) and replace VALUES(col) in the ON DUPLICATE KEY UPDATE clause with alias.col instead",
)
"""What MySQL says of each VALUES(column) behind ON DUPLICATE KEY UPDATE."""

_SWITCH = "optimizer_switch"
_ROW_BY_ROW = (
    f"IF(VERSION() LIKE '10.%MariaDB%', 'semijoin=off,materialization=off,subquery_cache=off', @@{_SWITCH})"
)
"""How MariaDB 10 looks for the rows of a write of one table (knowledge base, "Semi-join Subquery Optimizations")."""

_OFF = frozenset({"0", "off", "false"})


class Perform(Protocol):
    """Plans and runs one statement of the logic database; its rows go to the sink, with `exact` no number rounded. For
    `among_rows` see `Call`."""

    async def __call__(
        self, sql: str, sink: RowsInMemory, *, exact: bool = False, among_rows: bool = False
    ) -> Outcome: ...


Ask = Callable[[BoundStatement, "RowsInMemory"], Awaitable[Outcome]]
"""Runs a bound query of the write's own."""


class _Foresight:
    """What data sources know of the client's own statement before they read a row: asked once, where it matters."""

    def __init__(self, session: Session, write: DerivedWrite, ask: Ask) -> None:
        self._limits = session.mesh.limits
        self._questions = write.explained
        self._ask = ask
        self._known: Explained | None = None

    async def explained(self) -> Explained:
        """Nothing where no data source can tell. Raises MeshError."""
        if self._known is None:
            self._known = await self._explain()
        return self._known

    async def _explain(self) -> Explained:
        first: Explained | None = None
        for bound in self._questions():
            rows = RowsInMemory(self._limits)
            try:
                outcome = await self._ask(bound, rows)
            except ShardError:
                return Explained()
            known = read_explained(rows.values, outcome.warnings)
            first = first or known
            if not known.impossible:
                return replace(first, impossible=False)
        return first or Explained()


async def run_derived(
    session: Session, verb: Verb, write: DerivedWrite, perform: Perform, ask: Ask, sink: Sink, *, binary: bool
) -> Outcome:
    """Run every step; what RETURNING gives goes to `sink`, once all of it is there, exactly where the client gets `binary`
    rows. The transaction is the caller's; what a
    failed statement wrote in one that was open before is undone here. Raises MeshError or ShardError."""
    _refuse_safe_updates(session, verb)
    transaction, state = session.transaction, session.state
    # The limit is for rows a client reads; those a write reads are not limited. All its steps are one moment.
    session.state = at_one_moment(without_limit(state))
    if write.looks_row_by_row and state.variable(_SWITCH) is None:
        session.state = session.state.with_variable(_SWITCH, _ROW_BY_ROW)
    try:
        async with transaction.steps():
            foresight = _Foresight(session, write, ask)
            return await _run_steps(session, verb, write, perform, foresight, sink, binary=binary)
    finally:
        session.state = replace(state, user_variables=session.state.user_variables)


async def run_part(
    session: Session, verb: Verb, write: DerivedWrite, perform: Perform, ask: Ask, sink: Sink
) -> Outcome:
    """A derived write that is a part of another one: all but the transaction. Raises MeshError or ShardError."""
    return await _run_steps(
        session, verb, write, perform, _Foresight(session, write, ask), sink, binary=False
    )


def _refuse_safe_updates(session: Session, verb: Verb) -> None:
    """Under sql_safe_updates a server refuses writes that use no key to find their rows; it cannot see that where a query
    finds them first. Raises MeshError."""
    safe = session.state.variable("sql_safe_updates")
    if verb in (Verb.UPDATE, Verb.DELETE) and safe is not None and safe.strip("'\"").lower() not in _OFF:
        raise not_supported(
            "sql_safe_updates with a write whose rows are read first", "SET sql_safe_updates = 0 before it"
        )


async def _run_steps(
    session: Session,
    verb: Verb,
    write: DerivedWrite,
    perform: Perform,
    foresight: _Foresight,
    sink: Sink,
    *,
    binary: bool,
) -> Outcome:
    insert_id = session.last_insert_id
    await _refuse_missing_value(session, write, perform)
    # What text clients see of rows is rounded as servers do it.
    found = [
        await _read(session, step.query, perform, write, foresight, exact=binary or step.returned is None)
        for step in write.steps
    ]
    oks: list[OkPacket] = []
    given: list[bool] = []
    # Several tables are written by one condition, which one server evaluates once.
    told = found if verb in (Verb.INSERT, Verb.REPLACE) else found[:1]
    warnings = [VALUES_CALL] * write.values_calls if session.mesh.product is Product.MYSQL else []
    counted = len(warnings) + sum(one.count for one in told)
    warnings += [warning for one in told for warning in one.warnings]
    returned = RowsInMemory(session.mesh.limits)
    written = 0
    inserted = 0
    moves_if_free = write.ignores and verb is Verb.UPDATE
    for step, one in zip(write.steps, found, strict=True):
        rows, width = one.rows, step.returned
        for statement in step.writer.statements(
            one.definitions[:width], [row[:width] for row in rows.values]
        ):
            if statement.otherwise and written:
                continue
            outcome = await _write(
                statement,
                perform,
                returned,
                exact=binary and bool(write.returning),
                among_rows=bool(write.info),
                rows_before=inserted,
            )
            inserted += statement.rows
            written = outcome.ok.affected_rows
            if moves_if_free and outcome.product is not Product.MYSQL:
                # A row that stays since its new place is taken is nothing MariaDB's UPDATE IGNORE tells of.
                outcome.warnings = [one for one in outcome.warnings if one.number != DUPLICATE]
                outcome.ok = replace(outcome.ok, warnings=len(outcome.warnings))
            warnings += outcome.warnings
            if statement.counts:
                oks.append(outcome.ok)
                given.append(outcome.gives_id)
        if width is not None:
            returned.take(rows, width)
    # MySQL tells of rows matched also where it need not look for any.
    one_table = (
        verb is Verb.UPDATE
        and write.strictness is not Strictness.ALL
        and session.mesh.product is not Product.MYSQL
    )
    if one_table and not oks and (await foresight.explained()).impossible:
        write = replace(write, info=b"")
    gives_id = all(given)
    ok = _with_more_warnings(_one(_numbered(oks, given), verb, write), counted, write.strictness)
    if session.last_insert_id != insert_id and not ok.last_insert_id:
        # The query has evaluated LAST_INSERT_ID(…).
        ok, gives_id = replace(ok, last_insert_id=session.last_insert_id), False
    if not write.returning:
        return Outcome(ok, None, warnings, gives_id)
    if verb is Verb.DELETE and not returned.values and (await foresight.explained()).impossible:
        # A server that has not begun to look for rows has no columns for them either.
        return Outcome(ok, None, warnings, gives_id)
    if not returned.definitions:
        await perform(write.returning, returned)
    sink.columns(returned.definitions)
    sink.rows([encode_text_row(row) for row in returned.values])
    return Outcome(ok, len(returned.values), warnings, gives_id)


async def _refuse_missing_value(session: Session, write: DerivedWrite, perform: Perform) -> None:
    """In strict mode a column without a default needs a value, whatever rows there are. MySQL misses it at the first row it
    writes: the INSERT of that row says so. Raises ShardError."""
    before_rows = session.mesh.product is not Product.MYSQL
    if before_rows and write.without_value and not write.ignores and await _is_strict(session, perform):
        text = f"Field '{write.without_value}' doesn't have a default value"
        raise ShardError(NO_DEFAULT, "HY000", text)


async def _write(
    statement: DerivedStatement,
    perform: Perform,
    returned: RowsInMemory,
    *,
    exact: bool,
    among_rows: bool,
    rows_before: int,
) -> Outcome:
    """One statement of a writer, its rows numbered behind `rows_before`. An INSERT whose row is there becomes its UPDATE: two
    rows where that has changed one."""
    try:
        outcome = await perform(statement.sql, returned, exact=exact, among_rows=among_rows)
        if rows_before and statement.rows:
            _number_behind(outcome, rows_before)
        return outcome
    except ShardError as error:
        if error.number != DUPLICATE or not statement.on_duplicate:
            if statement.rows:
                text = renumbered(error.message, lambda row: row + rows_before)
                raise ShardError(error.number, error.sqlstate, text) from error
            raise
        outcome = await perform(statement.on_duplicate, returned)
        matched, changed = rows_updated(outcome.ok)
        if not matched:
            raise
    outcome.ok = replace(outcome.ok, affected_rows=2 * changed or outcome.ok.affected_rows, info=b"")
    return outcome


def _number_behind(outcome: Outcome, rows_before: int) -> None:
    """The warnings of a part of an INSERT: its rows are behind those of other parts, and its form has been spoken of."""
    kept = [one for one in outcome.warnings if one.number not in OF_INSERT]
    dropped = len(outcome.warnings) - len(kept)
    if dropped:
        outcome.ok = replace(outcome.ok, warnings=outcome.ok.warnings - dropped)
    outcome.warnings[:] = [
        replace(one, message=renumbered(one.message, lambda row: row + rows_before)) for one in kept
    ]


def _numbered(oks: Sequence[OkPacket], given: Sequence[bool]) -> Sequence[OkPacket]:
    """A number that a server gave comes before those that were `given` to it."""
    if all(given):
        return oks
    return [replace(ok, last_insert_id=0) if by else ok for ok, by in zip(oks, given, strict=True)]


def _one(oks: Sequence[OkPacket], verb: Verb, write: DerivedWrite) -> OkPacket:
    """What one statement would have said."""
    if not oks:
        return OkPacket(info=write.info)
    inserts = verb in (Verb.INSERT, Verb.REPLACE)
    if verb is Verb.UPDATE:
        oks = [ok if ok.info.startswith(b"Rows matched") else _as_update(ok, write) for ok in oks]
    ok = merge_counts(CountMerge(inserts=inserts), oks)
    return replace(ok, info=info_of_one_row(ok)) if inserts and write.info and not ok.info else ok


def _with_more_warnings(ok: OkPacket, count: int, strictness: Strictness) -> OkPacket:
    """With the warnings of the queries; the info of a joined UPDATE counts those of the written values only."""
    total = min(ok.warnings + count, 0xFFFF)
    info = ok.info if strictness is Strictness.ALL else with_warnings(ok.info, total)
    return replace(ok, warnings=total, info=info)


def _as_update(ok: OkPacket, write: DerivedWrite) -> OkPacket:
    """A moved row was deleted and inserted; the client updated it. With IGNORE each was inserted by itself, or not."""
    changed = ok.affected_rows
    matched = 1 if write.ignores else changed
    info = b"Rows matched: %d  Changed: %d  Warnings: %d" % (matched, changed, ok.warnings)
    return replace(ok, info=info, last_insert_id=0)


@dataclass(frozen=True, slots=True)
class _Found:
    """What a query of the write has found and warned of; `count` of the warnings."""

    rows: RowsInMemory
    definitions: Sequence[ColumnDefinition]
    warnings: list[ShardWarning]
    count: int


async def _read(
    session: Session,
    sql: str,
    perform: Perform,
    write: DerivedWrite,
    foresight: _Foresight,
    *,
    exact: bool,
) -> _Found:
    rows = RowsInMemory(session.mesh.limits)
    outcome = await perform(sql, rows, exact=exact)
    # A write of MySQL's is strict from its first row to its last, whatever it does with them.
    ever_strict = outcome.product is Product.MYSQL
    if outcome.warnings and not write.ignores and (ever_strict or write.strictness is not Strictness.NONE):
        before_rows: Sequence[ShardWarning] = () if ever_strict else (await foresight.explained()).warnings
        if write.strictness is Strictness.ROWS_AND_SUBQUERIES:
            before_rows = of_literals(before_rows, sql)
        of_rows = Counter(before_rows) - Counter(of_literals(before_rows, sql))
        kinds = set(map(_kind, of_rows))
        told = [one for one in outcome.warnings if _kind(one) not in kinds]
        refused = Counter(told) - Counter(before_rows)
        await _refuse_conversions(session, refused, perform)
    exact = all(column.character_set == BINARY_CHARSET for column in rows.definitions)
    if not exact and session.state.names.partition(" ")[0] != "utf8mb4":
        raise not_supported(
            f"rows carried between data nodes in the character set {session.state.names}",
            "SET NAMES utf8mb4 first",
        )
    definitions = unrounded(rows.definitions) if outcome.exact else rows.definitions
    return _Found(rows, definitions, outcome.warnings, outcome.ok.warnings)


_OF_ONE_ROW = re.compile(r"'.*'| at row \d+\Z", re.DOTALL)


def _kind(warning: ShardWarning) -> tuple[int, str]:
    """A warning without the value and the row it names: a subquery that a server runs before it reads a row is run over the rows
    of one data node when the client's own statement is explained."""
    return warning.number, _OF_ONE_ROW.sub("", warning.message)


async def _refuse_conversions(session: Session, warnings: Iterable[ShardWarning], perform: Perform) -> None:
    """In strict mode a value that cannot be converted while rows are written is an error, also where it only chooses them;
    the query that was sent in its place has only warned (manual, "Server SQL Modes"). Raises ShardError."""
    refused = next((warning for warning in warnings if warning.number in _CONVERSIONS), None)
    if refused is None:
        return
    if await _is_strict(session, perform):
        raise ShardError(refused.number, _CONVERSIONS[refused.number], refused.message)


async def _is_strict(session: Session, perform: Perform) -> bool:
    mode = RowsInMemory(session.mesh.limits)
    await perform("SELECT @@sql_mode", mode)
    return b"STRICT_" in (mode.values[0][0] or b"")


class RowsInMemory:
    """A sink that keeps what it is given, within the limits of merges."""

    def __init__(self, limits: MergeLimits) -> None:
        self._limits = limits
        self._bytes = 0
        self._names = Names("", {})
        self.definitions: Sequence[ColumnDefinition] = ()
        self.values: list[list[bytes | None]] = []

    def use_names(self, names: Names) -> None:
        """The names of the statement whose rows come."""
        self._names = names

    def columns(self, columns: Sequence[ColumnDefinition]) -> None:
        """See `Sink`; kept in logic names."""
        self.definitions = [rename(column, self._names) for column in columns]

    def take(self, other: RowsInMemory, start: int) -> None:
        """The rows of another, from the column `start` on."""
        self.definitions = other.definitions[start:]
        self.values += [row[start:] for row in other.values]

    def rows(self, rows: list[bytes]) -> None:
        """See `Sink`. Raises MeshError(MERGE_LIMIT)."""
        self._bytes += sum(map(len, rows))
        if len(self.values) + len(rows) > self._limits.max_rows:
            raise MeshError(MERGE_LIMIT, limit=f"{self._limits.max_rows} rows", setting="merge-max-rows")
        if self._bytes > self._limits.max_bytes:
            raise MeshError(MERGE_LIMIT, limit=f"{self._limits.max_bytes} bytes", setting="merge-max-bytes")
        self.values.extend(map(decode_text_row, rows))
