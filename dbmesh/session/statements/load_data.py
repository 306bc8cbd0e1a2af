"""Runs LOAD DATA LOCAL INFILE: asks the client for the file, writes its rows by INSERTs, all in one transaction.

Decides what the client is told, and that a file once asked for is read to its end, whatever happened: the client sends
it in any case. No more of it is read than is being written.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from dbmesh.engine.exchange import Outcome
from dbmesh.engine.warnings import MOST_WARNINGS, CountedWarnings, ShardWarning, renumbered
from dbmesh.errors import (
    LOCAL_FILES_DISABLED,
    NO_DATABASE,
    PACKET_TOO_LARGE,
    QUERY_INTERRUPTED,
    UNKNOWN_TABLE,
    MeshError,
    ShardError,
    not_supported,
)
from dbmesh.planner.derived.writers import (
    ROWS_PER_STATEMENT,
    TEXT_PER_STATEMENT,
    Literals,
    insert_statements,
)
from dbmesh.planner.load_data import LoadedRows
from dbmesh.planner.session_plan import LoadData, LoadTarget
from dbmesh.session.answering.result_sink import ResultSink
from dbmesh.session.mesh import Database
from dbmesh.session.statements import execution
from dbmesh.session.statements.derived import RowsInMemory
from dbmesh.session.statements.doubled import on_both_sides
from dbmesh.session.statements.own_transaction import in_own_transaction
from dbmesh.session.user_variables import assigned
from dbmesh.sql.delimited import FileReader, FileRow
from dbmesh.sql.literals import literal_text
from dbmesh.wire.collations import encoding
from dbmesh.wire.constants import Capability
from dbmesh.wire.packets import OkPacket

if TYPE_CHECKING:
    from dbmesh.session.session import Session

TOO_MANY_FIELDS = 1262
"""ER_WARN_TOO_MANY_RECORDS."""

_UTF8 = ("utf8", "utf8mb3", "utf8mb4")
_READABLE = re.compile(
    r"utf8(mb[34])?|ascii|binary|latin[1257]|cp(125[0167]|85[02]|866)|koi8[ru]|greek|hebrew"
)


async def load_data(session: Session, load: LoadData, sink: ResultSink, more: int) -> None:
    """See the module's docstring. Raises MeshError or ShardError (in logic names)."""
    if not session.capabilities & Capability.LOCAL_FILES:
        raise MeshError(LOCAL_FILES_DISABLED)
    own = session.autocommit and not session.transaction.open
    work = partial(_steps, session, load, sink)
    outcome = await (in_own_transaction(session, work) if own else work())
    session.warnings = CountedWarnings(outcome.warnings, outcome.ok.warnings)
    session.row_count = outcome.ok.affected_rows
    if outcome.ok.last_insert_id:
        session.last_insert_id = outcome.ok.last_insert_id
    sink.ok(replace(outcome.ok, last_insert_id=0, status=session.status | more))


async def _steps(session: Session, load: LoadData, sink: ResultSink) -> Outcome:
    transaction = session.transaction
    if transaction.compensates:
        raise not_supported("LOAD DATA in a BASE transaction", "use type XA, or INSERT … VALUES")
    async with transaction.steps():
        writer = await _Loading.prepare(session, load)
        session.given = None
        file = _File(session, sink, sink.request_file(load.file))
        try:
            return await writer.run(file)
        except asyncio.CancelledError:
            if not session.killed:
                raise
            task = asyncio.current_task()
            if task is not None:
                task.uncancel()
            await file.skip()
            raise MeshError(QUERY_INTERRUPTED) from None
        except (MeshError, ShardError):
            await file.skip()
            raise


def _database(session: Session, load: LoadData) -> Database:
    """The logic database of the table. Raises MeshError; one the account may not use need not be known of."""
    if load.database is None:
        if session.logic_database is None:
            raise MeshError(NO_DATABASE)
        return session.current_database()
    found = session.find_database(load.database)
    if found is None or not session.privileges.sees_database(found.name):
        raise MeshError(UNKNOWN_TABLE, database=load.database, table=load.table)
    return found


class _File:
    """The file as the client sends it: packets, an empty one at its end."""

    def __init__(self, session: Session, sink: ResultSink, sequence: int) -> None:
        self._client = session.client
        self._sink = sink
        self._sequence = sequence
        self._ended = False

    async def read(self) -> bytes:
        """The next piece, b'' at the end. Raises MeshError."""
        last, payload = await self._client.read_packet(self._sequence)
        self._sequence = (last + 1) & 0xFF
        if not payload:
            self._ended = True
            self._sink.continue_after(last)
        return payload

    async def skip(self) -> None:
        """Read what is left and forget it; who interrupts that loses the connection, whose bytes would be read as
        commands."""
        try:
            while not self._ended:
                await self.read()
        except asyncio.CancelledError:
            self._client.abort()
            raise


class _Loading:
    """One file on its way into a table."""

    def __init__(
        self, session: Session, database: Database, load: LoadData, rows: LoadedRows, charset: str
    ) -> None:
        self._session = session
        self._database = database
        self._load = load
        self._rows = rows
        self._charset = charset
        self._names = "utf8mb4" if session.state.client else session.state.names.partition(" ")[0]
        self._records = 0
        self._affected = 0
        self._insert_id = 0
        self._warnings: list[ShardWarning] = []
        self._warned = 0
        self._pending: list[Literals] = []
        self._size = 0
        self._last: list[str] = []

    @classmethod
    async def prepare(cls, session: Session, load: LoadData) -> _Loading:
        """What can be known before the file. Raises MeshError and ShardError."""
        if session.lexer_flags.no_backslash_escapes:
            raise not_supported("LOAD DATA under NO_BACKSLASH_ESCAPES", "SET sql_mode without it first")
        database = _database(session, load)
        charset = load.charset
        if charset is None:
            found = RowsInMemory(session.mesh.limits)
            await execution.perform(session, database, "SELECT @@character_set_database", found)
            charset = (found.values[0][0] or b"").decode()
        if _READABLE.fullmatch(charset) is None:
            raise not_supported(f"LOAD DATA of a file in {charset}", "convert the file to utf8mb4")
        targets = load.fields
        if targets is None:
            schema = database.plans.planner.catalog.table(load.table)
            if schema is None:
                raise MeshError(UNKNOWN_TABLE, database=database.name, table=load.table)
            if any(column.generated for column in schema.visible_columns):
                raise not_supported(
                    "LOAD DATA without a column list into generated columns", "list the columns"
                )
            targets = tuple(LoadTarget(column.name) for column in schema.visible_columns)
        return cls(session, database, load, LoadedRows(load, targets), charset)

    async def run(self, file: _File) -> Outcome:
        """Read and write all of it."""
        reader = FileReader(self._load.layout, len(self._rows.targets), self._load.skipped)
        while data := await file.read():
            await self._take(reader.feed(data))
            if reader.waiting > self._session.mesh.max_allowed_packet:
                raise MeshError(PACKET_TOO_LARGE)
        await self._take(reader.finish())
        await self._write()
        self._keep_variables()
        return self._outcome()

    async def _take(self, rows: Iterable[FileRow]) -> None:
        """Rows wait until an INSERT is full: packets of a file are small."""
        for row in rows:
            if row.cut:
                number = self._records + len(self._pending) + 1
                text = f"Row {number} was truncated; it contained more data than there were input columns"
                self._warn([ShardWarning("Warning", TOO_MANY_FIELDS, text)], 1)
            self._last = [self._literal(field) for field in row.fields]
            cells = self._rows.values(self._last)
            self._pending.append(cells)
            self._size += sum(map(len, cells))
            if len(self._pending) == ROWS_PER_STATEMENT or self._size > TEXT_PER_STATEMENT:
                await self._write()

    async def _write(self) -> None:
        rows, self._pending, self._size = self._pending, [], 0
        for statement in insert_statements(self._rows.head, rows, ""):
            outcome = await self._insert(statement.sql)
            self._affected += outcome.ok.affected_rows
            self._insert_id = self._insert_id or outcome.ok.last_insert_id
            self._warn([self._shifted(warning) for warning in outcome.warnings], outcome.ok.warnings)
        self._records += len(rows)

    async def _insert(self, sql: str) -> Outcome:
        session = self._session
        write = partial(execution.perform, session, self._database, sql, RowsInMemory(session.mesh.limits))
        if self._load.table.lower() not in self._database.doubles:
            return await write()
        return await on_both_sides(session, self._database, write, partial(execution.send, session))

    def _shifted(self, warning: ShardWarning) -> ShardWarning:
        """A row's number in an INSERT as its number in the file."""
        return replace(warning, message=renumbered(warning.message, lambda row: row + self._records))

    def _warn(self, warnings: Sequence[ShardWarning], count: int) -> None:
        self._warned += count
        self._warnings += warnings[: MOST_WARNINGS - len(self._warnings)]

    def _keep_variables(self) -> None:
        """The variables hold what the last row gave them."""
        for target, literal in zip(self._rows.targets, self._last, strict=False):
            if target.variable:
                self._session.state = assigned(self._session.state, target.name, literal)

    def _outcome(self) -> Outcome:
        replaced = self._affected - self._records if self._load.replaces else 0
        ignored = 0 if self._load.replaces else self._records - self._affected
        info = b"Records: %d  Deleted: %d  Skipped: %d  Warnings: %d"
        ok = OkPacket(
            affected_rows=self._affected,
            last_insert_id=self._insert_id,
            warnings=min(self._warned, 0xFFFF),
            info=info % (self._records, replaced, ignored, self._warned),
        )
        return Outcome(ok, None, self._warnings)

    def _literal(self, value: bytes | None) -> str:
        return literal_text(None if value is None else self._decoded(value))

    def _decoded(self, value: bytes) -> str:
        """The field as the text of an SQL literal. A field of ASCII is the same in every character set there is here."""
        if value.isascii():
            return value.decode("ascii")
        same = self._charset == self._names or (self._charset in _UTF8 and self._names in _UTF8)
        narrow = "utf8mb4" not in (self._charset, self._names) or self._charset == self._names
        if same and (narrow or max(value) < 0xF0):
            return value.decode("utf-8", "surrogateescape")
        codec = encoding(self._charset) if self._charset != "binary" else None
        if codec is not None and self._names == "utf8mb4":
            try:
                return value.decode(codec)
            except UnicodeDecodeError:
                pass
        raise not_supported(
            f"LOAD DATA of these bytes in {self._charset} under SET NAMES {self._names}",
            "name the file's CHARACTER SET, and SET NAMES utf8mb4",
        )
