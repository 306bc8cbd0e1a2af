"""Writes to tables that move: what changes on the side that is read changes on the other side too, in the same transaction.

Decides the order (the side that is read first, always, so that two writes never wait for one another crosswise), that rows are captured
instead of statements sent twice, since a statement may mean other rows on the other side, and that a statement fails or succeeds on
both. Which tables these are, and what the other side is, `Database.doubles` says.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING

from dbmesh.backend.connection import Connection
from dbmesh.engine.exchange import Outcome
from dbmesh.errors import ShardError, not_supported
from dbmesh.planner.capture import MOVING
from dbmesh.planner.images import ImageTable, Row
from dbmesh.planner.lexemes import Kind, split_lexemes
from dbmesh.planner.plan import BoundStatement, Names, ShardPlan
from dbmesh.rules.ruleset import AnyTable, BroadcastTable, ShardedTable
from dbmesh.session.connections import keeps_snapshot
from dbmesh.session.doubled_writes import DoubledWrites
from dbmesh.session.mesh import Database
from dbmesh.session.reading import lexer_flags
from dbmesh.session.select_limit import without_limit
from dbmesh.session.statements.compensated import Keep, Runner, readable
from dbmesh.session.statements.returned import returning, returns
from dbmesh.transaction.undo import Change, TableChanges

if TYPE_CHECKING:
    from dbmesh.session.session import Session


MOST_KEYS = 100
"""Rows that one DELETE names by keys of several columns."""


def doubles(database: Database, plan: ShardPlan) -> bool:
    """Whether a plan's statement writes to a table that moves. O(tables of the statement)."""
    return bool(database.doubles) and any(table.lower() in database.doubles for table in plan.tables)


def refuse_altering(
    session: Session, database: Database, tables: Sequence[str], texts: Iterable[str]
) -> None:
    """Raises MeshError(NOT_SUPPORTED) for DDL on a table of a job, or whose `texts` name one, from the job's first step on: its new tables are made like
    the old ones, and a trigger, a routine or a foreign key would reach the rows of one side alone."""
    moving = session.mesh.configuration.moving
    names = dict.fromkeys(database.doubles)
    if moving is not None and moving.database.lower() == database.name.lower():
        for one in moving.tables:
            names.update(dict.fromkeys((one.name.lower(), *(node.table.lower() for node in one.sources))))
    if not names:
        return
    for table in (*tables, *_names_in(texts, session)):
        if table.lower() in names:
            raise not_supported(
                f"changing the table '{table}', whose rows are being moved, or what names it",
                "wait until they are moved",
            )


def _names_in(texts: Iterable[str], session: Session) -> Iterator[str]:
    lexemes = (one for text in texts for one in split_lexemes(text, session.lexer_flags))
    return (one.value for one in lexemes if one.kind in (Kind.WORD, Kind.QUOTED))


def _sharding_columns(database: Database, table: str) -> tuple[str, ...]:
    rule = database.rule_set.table(table)
    return rule.sharding_columns if isinstance(rule, ShardedTable) else ()


@dataclass(slots=True)
class _Changed:
    """What a statement has changed of a table: by key the `rows` as they are now, and those that were there `before`."""

    other: Database
    table: ImageTable
    rows: dict[Row, Row | None] = field(default_factory=dict)
    before: dict[Row, Row] = field(default_factory=dict)

    def add(self, changes: Iterable[Change]) -> None:
        for change in changes:
            if change.before is not None:
                key = self.table.key_of(change.before)
                self.rows[key] = None
                self.before.setdefault(key, change.before)
            if change.after is not None:
                self.rows[self.table.key_of(change.after)] = change.after

    def former(self, keys: Iterable[Row]) -> Iterator[Row]:
        """Those of these rows that were there."""
        return (self.before[key] for key in keys if key in self.before)


def _hides_prepared(other: Database, rule: AnyTable | None) -> bool:
    """Whether who takes a row away does not find one that a transaction is about to commit there, though it has been seen on the side that
    is read, which commits first: as on PostgreSQL, where an INSERT alone waits for it."""
    return rule is not None and any(
        other.sources[node.data_source].kind == "postgresql" for node in rule.nodes
    )


class Doubling:
    """What one statement has changed so far, table by table: the rows of each key as they are now. The other side may be `behind`: a row of
    it that has a unique value of one that is written has lost that on this side. `rows`: how many it has written, `other_rows` are
    written on the other side for it."""

    def __init__(self, *, behind: bool = False) -> None:
        self._behind = behind
        self._tables: dict[str, _Changed] = {}
        self.rows = 0
        self.other_rows = 0

    def keeper(self, database: Database, names: Names) -> Keep | None:
        """Who keeps the changes of a part of the statement, whose actual tables have these `names`."""
        return partial(self._keep, database, names) if database.doubles else None

    def _keep(self, database: Database, names: Names, connection: Connection, changes: TableChanges) -> None:
        del connection
        logic = names.tables.get(changes.table.name, changes.table.name)
        other = database.doubles.get(logic.lower())
        if other is None:
            return
        if logic.lower() not in self._tables:
            columns = (*_sharding_columns(database, logic), *_sharding_columns(other, logic))
            self._tables[logic.lower()] = _Changed(other, changes.table.named(logic).told_apart_by(columns))
        self.rows += len(changes.changes)
        self._tables[logic.lower()].add(changes.changes)

    @property
    def lenient(self) -> bool:
        """Whether rows are written that some sessions would write otherwise."""
        return any(one.table.lenient for one in self._tables.values())

    def statements(self) -> Iterator[tuple[Database, str]]:
        """What makes the other side equal. Where only the primary key is unique, rows are written over what is there: taking away a row
        that has not been copied yet would lock the gap it is in. Else they are taken away before any is written, so that none meets
        the former place of another."""
        for changed in self._tables.values():
            other, table, rows = changed.other, changed.table, changed.rows
            schema = other.catalog.table(table.name)
            over = schema is not None and not schema.unique_keys
            gone = [key for key, row in rows.items() if row is None or not over]
            rule = other.rule_set.table(table.name)
            copies = len(rule.nodes) if isinstance(rule, BroadcastTable) else 1
            self.other_rows += copies * (len(gone) + sum(row is not None for row in rows.values()))
            if _hides_prepared(other, rule):
                for statement in table.inserts(changed.former(gone), missing=True):
                    yield other, statement
            # Keys of several columns are conditions one beside the other, which the parser takes one inside the other.
            most = len(gone) if len(table.key) == 1 else MOST_KEYS
            for start in range(0, len(gone), most or 1):
                yield other, table.delete(gone[start : start + most])
            there = (row for row in rows.values() if row is not None)
            for statement in table.inserts(there, over=over, ousting=self._behind and not over):
                yield other, statement


_OTHER_SIDE = "dbmesh: on the other side of a table whose rows are being moved"

Send = Callable[[Database, str], Awaitable[Outcome]]
"""Plans a statement in that generation of a logic database, and runs it inside the session's transaction."""


async def doubled(
    session: Session, database: Database, bound: BoundStatement, run: Runner, send: Send
) -> Outcome:
    """Run a write, and make the same of the other side. Raises MeshError or ShardError: nothing of it is left then."""
    transaction = session.transaction
    if transaction.compensates:
        raise not_supported(
            "a write of a BASE transaction to a table whose rows are being moved", "use type XA"
        )
    bound = traceable(session, database, bound)
    async with transaction.steps():
        return await on_both_sides(session, database, partial(run, bound), send)


def traceable(session: Session, database: Database, bound: BoundStatement) -> BoundStatement:
    """A write in a form that tells which rows it changes. Raises MeshError(NOT_SUPPORTED)."""
    return (
        readable(session, database, bound, MOVING)
        if not returns(session, bound)
        else returning(session, database, bound)
    )


async def on_both_sides(
    session: Session, database: Database, run: Callable[[], Awaitable[Outcome]], send: Send
) -> Outcome:
    """Run one statement of a transaction, and make what it has changed of tables that move the same on the other side. What is left when
    it fails is the caller's to undo. Raises MeshError or ShardError."""
    if keeps_snapshot(session) and any(one.kind == "postgresql" for one in database.sources.values()):
        raise not_supported(
            "a write at REPEATABLE READ or SERIALIZABLE, asked for by name, to a table on PostgreSQL whose rows are being moved",
            "use READ COMMITTED",
        )
    state = session.state
    moving = session.mesh.configuration.moving
    doubling = session.doubling = Doubling(behind=moving is not None and moving.follows)
    # A query of images tells every row.
    session.state = without_limit(state)
    try:
        outcome = await run()
        session.doubling = None
        sent = await _write_through(session, doubling, send)
        _count(session, doubling, sent)
        return outcome
    finally:
        session.state = replace(state, user_variables=session.state.user_variables)
        session.doubling = None


def _count(session: Session, doubling: Doubling, sent: int) -> None:
    moving = session.mesh.configuration.moving
    if moving is not None and doubling.rows:
        counts = session.mesh.doubled_writes.setdefault(moving.job, DoubledWrites())
        counts.statements += 1
        counts.rows += doubling.rows
        counts.other_statements += sent
        counts.other_rows += doubling.other_rows


async def _write_through(session: Session, doubling: Doubling, send: Send) -> int:
    """Nothing is refused, rounded or filled in that the table held already. How many statements were sent."""
    state, flags = session.state, session.lexer_flags
    sent = 0
    if doubling.lenient:
        loading = state.with_variable("sql_mode", "'NO_AUTO_VALUE_ON_ZERO'")
        session.state = loading.with_variable("time_zone", "'+00:00'")
        session.lexer_flags = lexer_flags(session.state)
    try:
        for other, statement in doubling.statements():
            await send(other, statement)
            sent += 1
        return sent
    except ShardError as error:
        # Where the client looks for the table nothing may be wrong.
        raise ShardError(error.number, error.sqlstate, f"{error.message} ({_OTHER_SIDE})") from error
    finally:
        session.state = replace(state, user_variables=session.state.user_variables)
        session.lexer_flags = flags
