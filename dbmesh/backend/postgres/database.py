"""One PostgreSQL connection that runs MySQL statements.

Decides how a statement becomes PostgreSQL statements, what the answer is, and how transactions map. An error aborts a
PostgreSQL transaction, so every statement inside one runs behind a savepoint of its own. Knows no receivers.
"""

from __future__ import annotations

import datetime
import re
from collections import ChainMap
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import asyncpg
from sqlglot import exp

from dbmesh.backend.postgres import types as postgres_types
from dbmesh.backend.postgres.ddl import compile_ddl
from dbmesh.backend.postgres.errors import ABORTS, LOST, translate
from dbmesh.backend.postgres.place import PLACE
from dbmesh.backend.postgres.prepared import Branch, XaVerb, read_xa
from dbmesh.backend.postgres.schema import DECISIONS, PostgresTable, read_tables
from dbmesh.backend.postgres.selects import Selects
from dbmesh.backend.postgres.writes import Change, Insert, Writes
from dbmesh.backend.state import ACCESS_MODE, ISOLATION, SessionState
from dbmesh.backend.transcode import Printer, printer_of, rows_payloads
from dbmesh.backend.transpile import metadata, types, variables
from dbmesh.backend.transpile.answers import Done
from dbmesh.backend.transpile.coerce import Stored, moment_text
from dbmesh.backend.transpile.selects import definitions, select_list_texts
from dbmesh.errors import UNKNOWN_VARIABLE, MeshError, ShardError
from dbmesh.model import DECISION_TABLE, OWN_TABLES, TableSchema
from dbmesh.sql.parse import parse
from dbmesh.sql.user_values import plain_literal
from dbmesh.wire.constants import ColumnType
from dbmesh.wire.packets import ColumnDefinition

BATCH_ROWS = 1_000
VERSION = "8.0.36-dbmesh-postgresql"
_LETTERS = "SELECT collname FROM pg_collation WHERE collname IN ('pg_c_utf8', 'C.utf8', 'C.UTF-8', 'en_US.utf8') ORDER BY collname = 'pg_c_utf8' DESC, collname LIMIT 1"
_PREPARED = "SELECT current_setting('max_prepared_transactions')::int"
_LOCK_WAIT = 50
"""Seconds, unless a session says otherwise; what a connection is opened with."""
_SETTINGS: Mapping[str, Stored] = {
    **variables.DEFAULTS,
    **dict.fromkeys(
        ("collation_connection", "collation_database", "collation_server"), postgres_types.COLLATION
    ),
    **dict.fromkeys(("transaction_isolation", "tx_isolation"), "REPEATABLE-READ"),
    "version": VERSION,
    "version_comment": "dbmesh over PostgreSQL",
    "innodb_lock_wait_timeout": _LOCK_WAIT,
}


_KNOWN = {DECISION_TABLE: DECISIONS}
"""Tables whose declaration is known before they are read: a transaction does not see in the catalog what was made after it began."""

_ROLLED_BACK = (1180, "HY000", "Got error 25P02 - 'the transaction was rolled back' during COMMIT")


@dataclass(frozen=True, slots=True)
class Rows:
    """A result set: its columns, and batches of text row payloads, read as they are asked for."""

    columns: tuple[ColumnDefinition, ...]
    batches: AsyncIterator[list[bytes]]


class Database:
    """See the module's docstring. `name` is what error texts call the schema; `outdated`: somebody may have changed tables since they were
    read."""

    def __init__(self, connection: asyncpg.Connection, name: str) -> None:
        self.name = name
        self.found_rows = False
        self.user_variables: dict[str, Stored] = {}
        self._connection = connection
        self._tables: dict[str, PostgresTable] = {}
        self.outdated = False
        self._letters: str | None = None
        self._last_insert_id = 0
        self._row_count = -1
        self._settings: dict[str, Stored] = {}
        # Milliseconds as they were told, and whether that was inside the transaction that is open.
        self._lock_timeout = _lock_timeout(_LOCK_WAIT)
        self._told_inside = False
        self._mode = self._next_mode = _DEFAULT_MODE
        self.prepares = False
        self._branch = Branch(connection.execute, connection.fetch)

    @property
    def in_transaction(self) -> bool:
        """Whether a transaction is open."""
        return bool(self._connection.is_in_transaction())

    @property
    def letters(self) -> str | None:
        """See `Environment`."""
        return self._letters

    async def prepare(self) -> None:
        """Read what the compiler needs to know. Raises asyncpg.PostgresError."""
        self._letters = await self._connection.fetchval(_LETTERS)
        self.prepares = await self._connection.fetchval(_PREPARED) > 0
        self._tables = await read_tables(self._connection)

    async def tables(self) -> dict[str, TableSchema]:
        """Schemas of every table, read anew; the mesh's own left out."""
        await self._read()
        return {
            table.name: table.as_schema() for table in self._tables.values() if table.name not in OWN_TABLES
        }

    async def _read(self) -> None:
        self._tables = await read_tables(self._connection)
        self.outdated = False

    async def bring_to(self, state: SessionState) -> None:
        """Take over a session's variables. Raises MeshError for those that would have to change answers."""
        settings = variables.settings_of(state)
        lock_timeout = _lock_timeout(float(str(settings.get("innodb_lock_wait_timeout", _LOCK_WAIT))))
        # What may fail comes first: the connection is as it was then.
        if lock_timeout != self._lock_timeout:
            await self._tell_lock_timeout(lock_timeout)
        self._mode = _mode(
            f"{state.variable(ISOLATION) or ''} {state.variable(ACCESS_MODE) or ''}", _DEFAULT_MODE
        )
        self._next_mode = self._mode
        self._settings = settings
        self.user_variables = {
            name: variables.value_of(plain_literal(value)) for name, value in state.user_variables
        }

    async def _tell_lock_timeout(self, milliseconds: int) -> None:
        self._told_inside = self._told_inside or self.in_transaction
        await self._connection.execute(f"SET lock_timeout = {milliseconds}")
        self._lock_timeout = milliseconds
        self._told_inside = self.in_transaction

    async def _tell_again(self) -> None:
        """PostgreSQL takes back what was SET inside a transaction, or behind a savepoint, when that is rolled back: variables of MySQL
        stay."""
        if not self._told_inside or self._connection.is_closed():
            return
        try:
            await self._tell_lock_timeout(self._lock_timeout)
        except BaseException as error:
            # How long it waits, nobody knows now: whoever uses it next finds it closed.
            self._connection.terminate()
            if not isinstance(error, asyncpg.PostgresError):
                raise

    async def run(self, sql: str) -> Done | Rows:
        """Run one statement. Raises ShardError or MeshError, or what `LOST` lists; what its rows raise comes with
        them."""
        try:
            return await self._dispatch(sql)
        except LOST:
            raise
        except asyncpg.PostgresError as error:
            raise translate(error, self._tables) from error

    async def describe(self, sql: str) -> tuple[ColumnDefinition, ...]:
        """The columns of a statement that may hold `?`, without running it. Raises ShardError or MeshError."""
        tree = parse(sql)
        if not isinstance(tree, exp.Select | exp.Union | exp.Subquery):
            answer = await self.run(sql)
            return answer.columns if isinstance(answer, Rows) else ()
        for node in list(tree.find_all(exp.Placeholder)):
            counts = isinstance(node.parent, exp.Limit | exp.Offset)
            node.replace(exp.Literal.number(0) if counts else exp.Null())
        _, columns = await self._compiled(lambda: self._selects().compile(tree, None, select_list_texts(sql)))
        return definitions(columns, self.name)

    # ------------------------------------------------------------------ dispatch

    async def _dispatch(self, sql: str) -> Done | Rows:
        words = sql.strip().rstrip(";").split()
        first = words[0].upper() if words else ""
        if self.outdated and not self.in_transaction:
            # A transaction does not see in the catalog what was made after it began.
            await self._read()
        control = _CONTROLS.get(first)
        if control is not None:
            return await control(self, words)
        replaces = first == "REPLACE"
        sql = _SHOW_KEYS.sub("SHOW INDEX", sql)
        try:
            tree = parse("INSERT" + sql.lstrip()[len("REPLACE") :] if replaces else sql)
        except (MeshError, ShardError) as error:
            # What the planner could read by its words alone, the compiler has to read whole.
            raise PLACE.refusal("this form of statement", "write it plainly") from error
        if isinstance(tree, exp.Select | exp.Union | exp.Subquery):
            return await self._select(sql, tree)
        if isinstance(tree, exp.Insert):
            insert = await self._compiled(lambda: self._writes().insert(tree, replace=replaces))
            return self._counted(await self._insert(insert))
        if isinstance(tree, exp.Update):
            return self._counted(
                await self._change(await self._compiled(lambda: self._writes().update(tree)))
            )
        if isinstance(tree, exp.Delete):
            return self._counted(
                await self._change(await self._compiled(lambda: self._writes().delete(tree)))
            )
        if isinstance(tree, exp.Show | exp.Describe):
            return await self._show(tree)
        if first == "SET":
            raise PLACE.refusal("this SET", "set one plain value at a time")
        return await self._ddl(tree)

    async def _compiled(self, compile_: Callable[[], Any]) -> Any:
        """Compile with the tables known; another connection may have changed them, so an unknown name is looked up
        once more."""
        try:
            return compile_()
        except ShardError as error:
            if error.number not in (1146, 1054):
                raise
        self._tables = await read_tables(self._connection)
        return compile_()

    def _selects(self) -> Selects:
        return Selects(self, ChainMap(self._tables, _KNOWN), self.name)

    def _writes(self) -> Writes:
        return Writes(self, self._selects())

    def _counted(self, done: Done) -> Done:
        self._row_count = done.affected_rows
        return done

    # ------------------------------------------------------------------ SELECT and SHOW

    async def _select(self, sql: str, tree: exp.Expression) -> Rows:
        if "information_schema" in sql.lower():
            raise PLACE.refusal("information_schema", "use SHOW and DESCRIBE")
        text, columns = await self._compiled(
            lambda: self._selects().compile(tree, None, select_list_texts(sql))
        )
        described = definitions(columns, self.name)
        return Rows(described, self._batches(text, [_printer(column) for column in described]))

    async def _batches(self, sql: str, printers: Sequence[Printer]) -> AsyncIterator[list[bytes]]:
        try:
            async with self._statement():
                cursor = await self._connection.cursor(sql)
                while rows := await cursor.fetch(BATCH_ROWS):
                    yield rows_payloads([tuple(row) for row in rows], printers)
        except LOST:
            raise
        except asyncpg.PostgresError as error:
            raise translate(error, self._tables) from error
        finally:
            self._row_count = -1

    async def _show(self, tree: exp.Expression) -> Rows:
        self._tables = await read_tables(self._connection)
        shown = metadata.Metadata(
            self.name, self._tables, {**_SETTINGS, **self._settings}, postgres_types.COLLATION
        )
        if isinstance(tree, exp.Show):
            titles, rows = shown.show(tree)
        elif isinstance(tree.this, exp.Table) and not tree.args.get("style") and not tree.expressions:
            titles, rows = shown.columns(shown.table(tree.this.name), None, full=False)
        else:
            raise PLACE.refusal("EXPLAIN of a statement", "use DESCRIBE table")
        return self._listed(titles, rows)

    def _listed(self, titles: Sequence[str], rows: Sequence[Sequence[Stored]]) -> Rows:
        """Rows made here."""
        columns = []
        for index, title in enumerate(titles):
            values = [row[index] for row in rows]
            width = max((len(str(value)) for value in values), default=64)
            is_number = any(isinstance(value, int) for value in values)
            columns.append(
                types.definition(title, types.LONGLONG if is_number else types.text(max(width, 64)))
            )
        return Rows(tuple(columns), _once(rows_payloads(rows, [printer_of(column) for column in columns])))

    # ------------------------------------------------------------------ writes

    async def _insert(self, insert: Insert) -> Done:
        deleted = first = 0
        rows: list[asyncpg.Record] = []
        async with self._statement():
            for step in insert.steps:
                if step.delete:
                    deleted += sum(not row["stays"] for row in await self._connection.fetch(step.delete))
                written = await self._connection.fetch(step.sql)
                if step.generates and written and not first:
                    first = written[0]["id"]
                if step.highest_id:
                    await self._advance(insert.table, step.highest_id)
                rows += written
        new = sum(row["is_new"] for row in rows)
        count = insert.count or len(rows)
        affected = new + deleted + 2 * (len(rows) - new)
        if insert.upsert and self.found_rows:
            affected += count - len(rows)
        last = rows[-1]["id"] if rows and (insert.upsert or not first) else first
        if insert.generates and rows:
            self._last_insert_id = last
        info = ""
        if count > 1 or not insert.count:
            duplicates = count - new if insert.ignore or insert.upsert else deleted
            info = f"Records: {count}  Duplicates: {duplicates}  Warnings: 0"
        return Done(affected, last if insert.table.auto_column is not None else 0, info)

    async def _advance(self, table: PostgresTable, highest: int) -> None:
        """An explicit id moves AUTO_INCREMENT behind it, as in MySQL."""
        auto = table.auto_column
        assert auto is not None
        quoted = '"' + table.name.replace('"', '""') + '"'
        sequence = await self._connection.fetchval("SELECT pg_get_serial_sequence($1, $2)", quoted, auto.name)
        if sequence is not None:
            await self._connection.execute(
                f"SELECT setval('{sequence}', {highest}) FROM {sequence} "
                f"WHERE last_value < {highest} OR (last_value = {highest} AND NOT is_called)"
            )

    async def _change(self, change: Change) -> Done:
        matched = 0
        async with self._statement():
            if change.matching is not None:
                matched = await self._connection.fetchval(change.matching)
            count = _changed_rows(await self._connection.execute(change.sql))
        if change.matching is None:
            return Done(count)
        info = f"Rows matched: {matched}  Changed: {count}  Warnings: 0"
        return Done(matched if self.found_rows else count, 0, info)

    @asynccontextmanager
    async def _statement(self) -> AsyncIterator[None]:
        """A statement of several steps: all or none of them, inside a transaction or without one."""
        inside = self.in_transaction
        execute = self._connection.execute
        alone = f"BEGIN ISOLATION LEVEL READ COMMITTED {self._mode[1]}"
        await execute("SAVEPOINT dbmesh_statement" if inside else alone)
        try:
            yield
        except BaseException as error:
            if self._connection.is_closed():
                raise
            if not inside or getattr(error, "sqlstate", None) in ABORTS:
                await execute("ROLLBACK")
                await self._tell_again()
            else:
                await execute("ROLLBACK TO SAVEPOINT dbmesh_statement")
                await execute("RELEASE SAVEPOINT dbmesh_statement")
            raise
        await execute("RELEASE SAVEPOINT dbmesh_statement" if inside else "COMMIT")

    # ------------------------------------------------------------------ DDL

    async def _ddl(self, tree: exp.Expression) -> Done:
        await self._commit_open()
        self._tables = await read_tables(self._connection)
        definition = compile_ddl(tree, self._tables, self.name)
        async with self._statement():
            for statement in definition.statements:
                await self._connection.execute(statement)
        self._tables = await read_tables(self._connection)
        return Done()

    # ------------------------------------------------------------------ transactions

    async def _begin(self, words: Sequence[str]) -> Done:
        await self._commit_open()
        level, access = _mode(" ".join(words), self._next_mode)
        self._next_mode = self._mode
        await self._connection.execute(f"BEGIN ISOLATION LEVEL {level} {access}")
        return Done()

    async def _commit(self, words: Sequence[str]) -> Done:
        await self._commit_open()
        return await self._chained(words)

    async def _commit_open(self) -> None:
        """Commit the transaction, if one is open. One that an error has ended is rolled back by COMMIT, which is no error there: raises
        ShardError."""
        if not self.in_transaction:
            return
        try:
            tag = await self._connection.execute("COMMIT")
        finally:
            await self._tell_again()
        if tag != "COMMIT":
            raise ShardError(*_ROLLED_BACK)

    async def _xa(self, words: Sequence[str]) -> Done | Rows:
        """A statement about a branch of a transaction of several data sources."""
        verb, name = read_xa(" ".join(words))
        if verb is XaVerb.RECOVER:
            titles, rows = await self._branch.prepared()
            return self._listed(titles, rows)
        if verb is XaVerb.START:
            await self._begin(())
        try:
            await self._branch.perform(verb, name, in_transaction=self.in_transaction)
        finally:
            if not self.in_transaction:
                await self._tell_again()
        return Done()

    async def _rollback(self, words: Sequence[str]) -> Done:
        if "TO" in [word.upper() for word in words]:
            done = await self._savepoint_command("ROLLBACK TO SAVEPOINT", words[-1])
            await self._tell_again()
            return done
        if self.in_transaction:
            await self._connection.execute("ROLLBACK")
            await self._tell_again()
        return await self._chained(words)

    async def _chained(self, words: Sequence[str]) -> Done:
        return await self._begin(()) if "AND CHAIN" in " ".join(words).upper() else Done()

    async def _savepoint(self, words: Sequence[str]) -> Done:
        if self.in_transaction:
            # A second savepoint of a name takes the first one's place in MySQL and hides it in PostgreSQL: what is
            # seen from outside is the same, but for a RELEASE, which uncovers the hidden one.
            await self._connection.execute(f"SAVEPOINT {_name(words[-1])}")
        return Done()

    async def _release(self, words: Sequence[str]) -> Done:
        return await self._savepoint_command("RELEASE SAVEPOINT", words[-1])

    async def _savepoint_command(self, command: str, word: str) -> Done:
        missing = ShardError(1305, "42000", f"SAVEPOINT {word.strip('`')} does not exist")
        if not self.in_transaction:
            raise missing
        execute = self._connection.execute
        await execute("SAVEPOINT dbmesh_statement")
        try:
            # Where it succeeds, the savepoint made behind it is gone too.
            await execute(f"{command} {_name(word)}")
        except asyncpg.InvalidSavepointSpecificationError as error:
            await execute("ROLLBACK TO SAVEPOINT dbmesh_statement")
            await execute("RELEASE SAVEPOINT dbmesh_statement")
            raise missing from error
        return Done()

    async def _set(self, words: Sequence[str]) -> Done:
        """SET TRANSACTION …: the level and access mode of the next transaction."""
        text = " ".join(words).upper()
        if " TRANSACTION " not in f" {text} ":
            raise PLACE.refusal("this SET", "set it on the session")
        self._next_mode = _mode(text, self._mode)
        return Done()

    # ------------------------------------------------------------------ Environment

    def variable(self, name: str, *, user: bool) -> Stored:
        """See `Environment`."""
        lowered = name.lower()
        if user:
            return self.user_variables.get(lowered)
        if lowered in self._settings:
            return self._settings[lowered]
        if lowered not in _SETTINGS:
            raise MeshError(UNKNOWN_VARIABLE, name=name)
        return _SETTINGS[lowered]

    def information(self, name: str) -> Stored | tuple[()]:
        """See `Environment`."""
        answers: dict[str, Stored] = {
            "VERSION": VERSION,
            "DATABASE": self.name,
            "SCHEMA": self.name,
            "USER": "root@localhost",
            "CURRENT_USER": "root@%",
            "CONNECTION_ID": self._connection.get_server_pid(),
            "LAST_INSERT_ID": self._last_insert_id,
            "ROW_COUNT": self._row_count,
        }
        return answers.get(name, ())


_SHOW_KEYS = re.compile(r"\A\s*SHOW\s+(?:KEYS|INDEXES)\b", re.IGNORECASE)
_DEFAULT_MODE = ("REPEATABLE READ", "READ WRITE")
_ACCESS = re.compile(r"READ ONLY|READ WRITE")
_LEVEL = re.compile(r"ISOLATION LEVEL (READ UNCOMMITTED|READ COMMITTED|REPEATABLE READ|SERIALIZABLE)")


def _mode(text: str, default: tuple[str, str]) -> tuple[str, str]:
    """The isolation level and access mode a statement names, else the default ones."""
    level, access = _LEVEL.search(text.upper()), _ACCESS.search(text.upper())
    return level[1] if level else default[0], access[0] if access else default[1]


async def _once(batch: list[bytes]) -> AsyncIterator[list[bytes]]:
    if batch:
        yield batch


def _changed_rows(status: str) -> int:
    """The count of a command's status: `UPDATE 3`."""
    return int(status.rpartition(" ")[2])


def _name(word: str) -> str:
    return '"' + word.strip("`").replace("``", "`").replace('"', '""') + '"'


def _printer(column: ColumnDefinition) -> Printer:
    """How a value of asyncpg's types is printed as MySQL prints the column's."""
    if column.type in (ColumnType.DATETIME, ColumnType.TIMESTAMP):
        return _moment_printer(column.decimals)
    if column.type == ColumnType.TIME:
        return _clock_printer(column.decimals)
    if column.type == ColumnType.DATE:
        return _print_day
    return printer_of(column)


def _moment_printer(decimals: int) -> Printer:
    def print_moment(value: object) -> bytes | None:
        if value is None:
            return None
        assert isinstance(value, datetime.datetime)
        return moment_text(value, decimals).encode("ascii")

    return print_moment


def _clock_printer(decimals: int) -> Printer:
    def print_clock(value: object) -> bytes | None:
        if value is None:
            return None
        assert isinstance(value, datetime.time)
        text = f"{value:%H:%M:%S}"
        return (f"{text}.{value.microsecond:06d}"[: 9 + decimals] if decimals else text).encode("ascii")

    return print_clock


def _print_day(value: object) -> bytes | None:
    if value is None:
        return None
    assert isinstance(value, datetime.date)
    return value.isoformat().encode("ascii")


_CONTROLS: Mapping[str, Callable[[Database, Sequence[str]], Coroutine[object, object, Done | Rows]]] = {
    "BEGIN": Database._begin,
    "START": Database._begin,
    "COMMIT": Database._commit,
    "ROLLBACK": Database._rollback,
    "SAVEPOINT": Database._savepoint,
    "RELEASE": Database._release,
    "SET": Database._set,
    "XA": Database._xa,
}


def _lock_timeout(seconds: float) -> int:
    """Milliseconds that PostgreSQL takes: an integer of 32 bits, in which 0 would be for ever (manual, "lock_timeout")."""
    return max(1, min(int(seconds * 1000), 2**31 - 1))
