"""One SQLite connection that runs MySQL statements. Synchronous: it lives in its connection's own thread.

Decides how a statement becomes SQLite statements, what the answer is, and how transactions map. Every transaction
that may write takes SQLite's write lock when it begins (BEGIN IMMEDIATE), so that it can never fail later because
another one wrote in between; readers see the snapshot of their first statement (WAL).
"""

from __future__ import annotations

import datetime
import re
import sqlite3
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random

from sqlglot import exp

from dbmesh.backend.sqlite import names
from dbmesh.backend.sqlite.catalog import CREATE_CATALOG, read_tables
from dbmesh.backend.sqlite.constants import known
from dbmesh.backend.sqlite.errors import (
    COMPUTED,
    breaks_reference,
    duplicate,
    referenced,
    translate,
    violated_key,
)
from dbmesh.backend.sqlite.functions import Functions
from dbmesh.backend.sqlite.insert_template import InsertTemplates
from dbmesh.backend.sqlite.place import PLACE
from dbmesh.backend.sqlite.selects import Selects
from dbmesh.backend.sqlite.table_changes import TableChanges
from dbmesh.backend.sqlite.transactions import CONTROLS, Atomic, Transactions
from dbmesh.backend.sqlite.writes import Change, Insert, Writes
from dbmesh.backend.transcode import Printer, printer_of, rows_payloads
from dbmesh.backend.transpile import metadata, types, variables
from dbmesh.backend.transpile.answers import Done
from dbmesh.backend.transpile.coerce import Coercion, Stored
from dbmesh.backend.transpile.scope import Scope, Typed
from dbmesh.backend.transpile.selects import UNNAMED, definitions, select_list_texts
from dbmesh.errors import UNKNOWN_VARIABLE, MeshError, ShardError, not_supported
from dbmesh.model import TableSchema
from dbmesh.sql.fingerprint import fingerprint
from dbmesh.sql.lexer import starts_insert
from dbmesh.sql.parse import parse
from dbmesh.wire.packets import ColumnDefinition

BATCH_ROWS = 1_000
BUSY_SECONDS = 10.0
CACHED_SELECTS = 256
_VERSION = "8.0.36-dbmesh-sqlite"
_SETTINGS: Mapping[str, Stored] = {
    **variables.DEFAULTS,
    **dict.fromkeys(("transaction_isolation", "tx_isolation"), "SERIALIZABLE"),
    "version": _VERSION,
    "version_comment": "dbmesh embedded SQLite",
}


@dataclass(frozen=True, slots=True)
class Rows:
    """A result set: its columns, and batches of text row payloads, read as they are asked for."""

    columns: tuple[ColumnDefinition, ...]
    batches: Iterator[list[bytes]]


@dataclass(frozen=True, slots=True)
class _CachedSelect:
    sql: str
    columns: tuple[ColumnDefinition, ...]


class Database:
    """See the module's docstring. Not thread-safe but for `interrupt`."""

    def __init__(self, path: str, now: Callable[[], datetime.datetime], random: Random) -> None:
        self.name = Path(path).stem
        self._sqlite = sqlite3.connect(
            path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False
        )
        self.settings: dict[str, Stored] = {}
        self._clock = now
        self._functions = Functions(self._now, random)
        self._functions.install(self._sqlite)
        for pragma in ("journal_mode = WAL", "synchronous = NORMAL", "foreign_keys = ON"):
            self._sqlite.execute(f"PRAGMA {pragma}").fetchall()
        self._sqlite.execute(CREATE_CATALOG)
        self._version = -1
        self._tables = read_tables(self._sqlite)
        self._selects: OrderedDict[str, _CachedSelect] = OrderedDict()
        self._inserts = InsertTemplates()
        self._consulted = False
        self._last_insert_id = 0
        self._row_count = -1
        self._transactions = Transactions(self._sqlite)
        self.user_variables: dict[str, Stored] = {}
        self.found_rows = False

    @property
    def in_transaction(self) -> bool:
        """Whether a transaction is open."""
        return self._sqlite.in_transaction

    def _now(self) -> datetime.datetime:
        """The session's moment: that of the variable `timestamp` (seconds since 1970) while it is not 0."""
        fixed = float(self.settings.get("timestamp") or 0)
        if not fixed:
            return self._clock()
        return datetime.datetime.fromtimestamp(fixed, datetime.UTC).replace(tzinfo=None)

    def interrupt(self) -> None:
        """Stop the running statement; may be called from another thread."""
        self._sqlite.interrupt()

    def close(self) -> None:
        """Close; an open transaction is rolled back."""
        self._sqlite.close()

    def tables(self) -> dict[str, TableSchema]:
        """Schemas of every table."""
        self._refresh()
        return {table.name: table.as_schema() for table in self._tables.values()}

    def run(self, sql: str) -> Done | Rows:
        """Run one statement. Raises ShardError or MeshError."""
        self._functions.start_statement()
        try:
            self._refresh()
            cached = self._selects.get(sql)
            if cached is not None:
                self._selects.move_to_end(sql)
                return self._rows(cached)
            return self._insert_again(sql) or self._dispatch(sql)
        except sqlite3.Error as error:
            raise self._functions.take_failure() or translate(error) from error

    def describe(self, sql: str) -> tuple[ColumnDefinition, ...]:
        """The columns of a statement that may hold `?`, without running it. Raises ShardError or MeshError."""
        self._refresh()
        tree = parse(sql)
        if not isinstance(tree, exp.Select | exp.Union | exp.Subquery):
            answer = self.run(sql)
            return answer.columns if isinstance(answer, Rows) else ()
        for node in list(tree.find_all(exp.Placeholder)):
            counts = isinstance(node.parent, exp.Limit | exp.Offset)
            node.replace(exp.Literal.number(0) if counts else exp.Null())
        _, columns = self._compiler().compile(tree, None, select_list_texts(sql))
        return definitions(columns, self.name)

    # ------------------------------------------------------------------ dispatch

    def _dispatch(self, sql: str) -> Done | Rows:
        words = sql.strip().rstrip(";").split()
        first = words[0].upper() if words else ""
        if first in CONTROLS:
            return self._transactions.control(first, words)
        is_replace = first == "REPLACE"
        sql = _SHOW_KEYS.sub("SHOW INDEX", sql)
        tree = parse("INSERT" + sql.lstrip()[len("REPLACE") :] if is_replace else sql)
        if isinstance(tree, exp.Select | exp.Union | exp.Subquery):
            return self._select(sql, tree)
        if isinstance(tree, exp.Insert):
            return self._write(lambda writes: self._insert_new(sql, tree, writes, is_replace=is_replace))
        if isinstance(tree, exp.Update):
            return self._write(lambda writes: self._change(writes.update(tree)))
        if isinstance(tree, exp.Delete):
            return self._write(lambda writes: self._change(writes.delete(tree)))
        if isinstance(tree, exp.Show):
            return self._metadata_rows(self._metadata().show(tree))
        if isinstance(tree, exp.Describe):
            return self._describe(tree)
        if isinstance(tree, exp.Set | exp.Command) and first == "SET":
            raise PLACE.refusal("this SET", "set one plain value at a time")
        return self._ddl(tree)

    def _insert_again(self, sql: str) -> Done | None:
        """Run an INSERT whose shape was compiled before; None for any other statement."""
        if not starts_insert(sql):
            return None
        insert = self._inserts.bind(fingerprint(sql))
        return None if insert is None else self._write(lambda _: self._insert(insert))

    def _insert_new(self, sql: str, tree: exp.Insert, writes: Writes, *, is_replace: bool) -> Done:
        insert = writes.insert(tree, replace=is_replace)
        self._inserts.keep(fingerprint(sql), tree, insert)
        return self._insert(insert)

    def _refresh(self) -> None:
        """Another connection may have changed the tables."""
        version = self._sqlite.execute("PRAGMA schema_version").fetchone()[0]
        if version != self._version:
            self._tables = read_tables(self._sqlite)
            self._selects.clear()
            self._inserts.clear()
            self._version = version

    # ------------------------------------------------------------------ SELECT and SHOW

    def _compiler(self) -> Selects:
        self._consulted = False
        return Selects(self, self._tables, self.name)

    def _select(self, sql: str, tree: exp.Expression) -> Rows:
        if "information_schema" in sql.lower():
            raise PLACE.refusal("information_schema", "use SHOW and DESCRIBE")
        text, columns = self._compiler().compile(tree, None, select_list_texts(sql))
        select = _CachedSelect(text, definitions(columns, self.name))
        rows = self._rows(select)
        if not self._consulted:
            self._selects[sql] = select
            if len(self._selects) > CACHED_SELECTS:
                self._selects.popitem(last=False)
        return rows

    def _rows(self, select: _CachedSelect) -> Rows:
        cursor = self._sqlite.execute(select.sql)
        return Rows(select.columns, self._batches(cursor, [printer_of(column) for column in select.columns]))

    def _batches(self, cursor: sqlite3.Cursor, printers: Sequence[Printer]) -> Iterator[list[bytes]]:
        count = 0
        try:
            while rows := cursor.fetchmany(BATCH_ROWS):
                count += len(rows)
                yield rows_payloads(rows, printers)
        except sqlite3.Error as error:
            raise self._functions.take_failure() or translate(error) from error
        finally:
            cursor.close()
            self._row_count = -1

    def _metadata(self) -> metadata.Metadata:
        return metadata.Metadata(self.name, self._tables, {**_SETTINGS, **self.settings})

    def _metadata_rows(self, answer: metadata.Answer) -> Rows:
        titles, rows = answer
        columns = []
        for index, title in enumerate(titles):
            values = [row[index] for row in rows]
            is_number = any(isinstance(value, int) for value in values)
            width = max((len(str(value)) for value in values), default=64)
            kind = types.LONGLONG if is_number else types.text(max(width, 64))
            columns.append(types.definition(title, kind))
        printers = [printer_of(column) for column in columns]
        return Rows(tuple(columns), iter([rows_payloads(rows, printers)] if rows else []))

    def _describe(self, tree: exp.Describe) -> Rows:
        if not isinstance(tree.this, exp.Table) or tree.args.get("style") or tree.expressions:
            raise PLACE.refusal("EXPLAIN of a statement", "use DESCRIBE table")
        return self._metadata_rows(
            self._metadata().columns(self._metadata().table(tree.this.name), None, full=False)
        )

    # ------------------------------------------------------------------ writes

    def _write(self, work: Callable[[Writes], Done]) -> Done:
        if self._transactions.read_only:
            raise ShardError(1792, "25006", "Cannot execute statement in a READ ONLY transaction.")
        selects = self._compiler()
        done = work(Writes(self, selects, found_rows=self.found_rows))
        self._row_count = done.affected_rows
        return done

    def _insert(self, insert: Insert) -> Done:
        with self._atomic():
            deleted = self._delete_replaced(insert) if insert.replace else 0
            try:
                changes, ids = self._run_insert(insert)
            except sqlite3.IntegrityError as error:
                key = violated_key(error, insert.table)
                if key is not None:
                    raise self._duplicate(insert, *key) from error
                raise
            last = self._last_id(insert, ids)
        affected = changes + deleted
        if insert.upsert:
            affected = changes + self._functions.changed
            if self.found_rows:
                affected += self._functions.matched - self._functions.changed
        count = insert.count or changes
        duplicates = affected - changes if not insert.ignore else count - changes
        info = (
            f"Records: {count}  Duplicates: {duplicates}  Warnings: 0"
            if count > 1 or not insert.count
            else ""
        )
        return Done(affected, last, info)

    def _delete_replaced(self, insert: Insert) -> int:
        """REPLACE counts the rows it deletes; a row that stays as it is is not one of them."""
        if insert.rows is None:
            raise PLACE.refusal("REPLACE … SELECT", "REPLACE with plain values")
        deleted, table, quoted = 0, insert.table, names.name(insert.table.name)
        seen: set[tuple[Stored, ...]] = set()
        for row in insert.rows:
            values = dict(zip(insert.columns, row, strict=True))
            if row in seen:
                raise not_supported(
                    "REPLACE of one row twice in a statement, on the embedded data source", "send two"
                )
            seen.add(row)
            keys = [
                " AND ".join(f"{names.name(part)} = {names.literal(values[part])}" for part in index.columns)
                for index in table.indexes
                if index.unique
            ]
            if not keys:
                continue
            same = " AND ".join(
                f"{names.name(name)} IS {names.literal(value)}" for name, value in values.items()
            )
            sql = f"DELETE FROM {quoted} WHERE (({') OR ('.join(keys)})) AND NOT ({same})"
            deleted += self._sqlite.execute(sql).rowcount
        return deleted

    def _duplicate(self, insert: Insert, key: str, columns: tuple[str, ...]) -> ShardError:
        """Error 1062 with the entry MySQL names: the first row whose key is there already or repeats."""
        rows = insert.entries
        positions = [insert.columns.index(column) for column in columns]
        quoted = names.name(insert.table.name)
        seen: set[tuple[Stored, ...]] = set()
        for row in rows:
            values = tuple(row[position] for position in positions)
            condition = " AND ".join(
                f"{names.name(column)} = {names.literal(value)}"
                for column, value in zip(columns, values, strict=True)
            )
            folded = tuple(value.casefold() if isinstance(value, str) else value for value in values)
            if (
                folded in seen
                or self._sqlite.execute(f"SELECT 1 FROM {quoted} WHERE {condition} LIMIT 1").fetchone()
            ):
                return duplicate(key, values)
            seen.add(folded)
        return duplicate(key, (COMPUTED,))

    def _run_insert(self, insert: Insert) -> tuple[int, list[int]]:
        """How many rows were written, and their AUTO_INCREMENT values."""
        auto = insert.table.auto_column
        if auto is None:
            return self._sqlite.execute(insert.sql).rowcount, []
        returned = self._sqlite.execute(f"{insert.sql} RETURNING {names.name(auto.name)}").fetchall()
        return len(returned), [int(number) for (number,) in returned]

    def _last_id(self, insert: Insert, ids: list[int]) -> int:
        """The first generated value; an updated row's own, or the last value given, where nothing was generated."""
        if not ids:
            return 0
        if insert.upsert or not insert.generates:
            last = ids[-1]
        else:
            last = ids[0]
        if insert.generates:
            self._last_insert_id = last
        return last

    def _change(self, change: Change) -> Done:
        with self._atomic():
            try:
                count = self._sqlite.execute(change.sql).rowcount
            except sqlite3.IntegrityError as error:
                if breaks_reference(error) and not _refers(change):
                    raise referenced() from error
                key = violated_key(error, change.table)
                if key is None:
                    raise
                entry = tuple(change.assigned.get(column, "?") for column in key[1])
                raise duplicate(key[0], entry) from error
        if not change.update:
            return Done(count)
        matched, changed = self._functions.matched, self._functions.changed
        info = f"Rows matched: {matched}  Changed: {changed}  Warnings: 0"
        return Done(matched if self.found_rows else changed, 0, info)

    def _atomic(self) -> Atomic:
        return Atomic(self._sqlite)

    # ------------------------------------------------------------------ DDL

    def _ddl(self, tree: exp.Expression) -> Done:
        if self._sqlite.in_transaction:
            self._transactions.control("COMMIT", ())
        with self._atomic():
            TableChanges(self._sqlite, self._tables, self.name).run(tree)
        self._version = -1
        return Done()

    # ------------------------------------------------------------------ Environment

    def variable(self, name: str, *, user: bool) -> Stored:
        """See `Environment`."""
        self._consulted = True
        if user:
            return self.user_variables.get(name.lower())
        lowered = name.lower()
        if lowered in self.settings:
            return self.settings[lowered]
        if lowered not in _SETTINGS:
            raise MeshError(UNKNOWN_VARIABLE, name=name)
        return _SETTINGS[lowered]

    def information(self, name: str) -> Typed | None:
        """See `Environment`."""
        answers: dict[str, Stored] = {
            "VERSION": _VERSION,
            "DATABASE": self.name,
            "SCHEMA": self.name,
            "USER": "root@localhost",
            "CURRENT_USER": "root@%",
            "CONNECTION_ID": 1,
            "LAST_INSERT_ID": self._last_insert_id,
            "ROW_COUNT": self._row_count,
        }
        if name not in answers:
            return None
        self._consulted = True
        return known(answers[name])

    def subquery(self, query: exp.Expression, scope: Scope) -> tuple[str, list[Typed]]:
        """See `Environment`."""
        selects = Selects(self, self._tables, self.name)
        sql, columns = selects.compile(query, scope, UNNAMED)
        return sql, [column for _, column in columns]

    def register(self, coercion: Coercion) -> str:
        """See `Environment`."""
        key = coercion.key
        self._functions.stores[key] = coercion
        return key


_SHOW_KEYS = re.compile(r"\A\s*SHOW\s+(?:KEYS|INDEXES)\b", re.IGNORECASE)


def _refers(change: Change) -> bool:
    """Whether a change writes a column that refers to another table, so that a broken reference is its own."""
    return any(column in change.assigned for key in change.table.foreign_keys for column in key.columns)
