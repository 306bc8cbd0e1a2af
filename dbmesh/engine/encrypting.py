"""Encrypts the rows of one actual table anew, chunk by chunk along its primary key, while clients read and write it.

Decides how rows are read, locked and written; what becomes of a row, `rules.encryption.renewal` decides. A chunk is one transaction, and doing
it again changes nothing: whoever stops goes on from the last chunk that is known to be done.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Final

from dbmesh.backend.connection import Connection
from dbmesh.engine.collect import collect
from dbmesh.errors import ShardError
from dbmesh.planner.key_range import behind
from dbmesh.planner.template import quote_name
from dbmesh.rules.encryption.renewal import Unreadable, renewed
from dbmesh.rules.encryption.rule import EncryptedColumn
from dbmesh.sql.literals import literal_text

_AGAIN: Final = frozenset((1205, 1213))
"""Lock wait timeout and deadlock."""
_ATTEMPTS: Final = 20
_BINARY: Final = ("binary", "varbinary", "blob", "tinyblob", "mediumblob", "longblob", "bit")


class CannotEncrypt(Exception):
    """The table cannot be worked through; the text is one sentence for the operator."""


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a table is: the key of the last row looked at (None before the first), rows looked at and rows changed."""

    after: tuple[str, ...] | None = None
    rows: int = 0
    changed: int = 0
    done: bool = False


@dataclass(frozen=True, slots=True)
class _Key:
    """The primary key, and whether each of its columns holds bytes."""

    columns: tuple[str, ...]
    binary: tuple[bool, ...]


@dataclass(frozen=True, slots=True)
class Pace:
    """How many rows a transaction has, and how many are looked at in a second at most (0: no limit)."""

    chunk: int = 500
    rows_per_second: float = 0


class TableEncryption:
    """One actual table on one connection, which is this one's alone."""

    def __init__(
        self, connection: Connection, table: str, columns: Sequence[EncryptedColumn], pace: Pace
    ) -> None:
        self._connection = connection
        self._table = table
        self._columns = columns
        self._pace = pace
        self._names = list(
            dict.fromkeys(
                name
                for column in columns
                for name in (*column.stored, *((column.name,) if column.plain else ()))
            )
        )

    async def run(self, progress: Progress, remember: Callable[[Progress], Awaitable[None]]) -> Progress:
        """Work through the rows behind `progress`; `remember` is told after each chunk. Raises CannotEncrypt, MeshError, ShardError."""
        await self._ask("SET NAMES utf8mb4")
        key, kept = await self._key(), await self._renewed_columns()
        now = asyncio.get_running_loop().time
        while not progress.done:
            began = now()
            progress = await self._chunk_again(key, kept, progress)
            await remember(progress)
            if self._pace.rows_per_second and not progress.done:
                await asyncio.sleep(max(0.0, self._pace.chunk / self._pace.rows_per_second - (now() - began)))
        return progress

    async def _chunk_again(self, key: _Key, kept: Sequence[str], progress: Progress) -> Progress:
        """One chunk, again where another transaction was in the way."""
        for attempt in range(_ATTEMPTS):
            try:
                return await self._chunk(key, kept, progress)
            except ShardError as error:
                await self._ask("ROLLBACK")
                if error.number not in _AGAIN or attempt + 1 == _ATTEMPTS:
                    raise
        raise CannotEncrypt(f"{self._table} is locked by others all the time")

    async def _chunk(self, key: _Key, kept: Sequence[str], progress: Progress) -> Progress:
        names = ", ".join(quote_name(name, quoted=True) for name in (*key.columns, *self._names))
        quoted = [quote_name(name, quoted=True) for name in key.columns]
        order = ", ".join(quoted)
        rest = "" if progress.after is None else f" WHERE {behind(quoted, progress.after)}"
        own = quote_name(self._table, quoted=True)
        await self._ask("BEGIN")
        rows = await self._ask(
            f"SELECT {names} FROM {own}{rest} ORDER BY {order} LIMIT {self._pace.chunk} FOR UPDATE"
        )
        changed = 0
        after = progress.after
        for row in rows:
            after = tuple(
                _literal(value, binary=binary) for value, binary in zip(row, key.binary, strict=False)
            )
            changes = self._changes(row[len(key.columns) :], after)
            if changes:
                values = [
                    f"{quote_name(name, quoted=True)} = {literal_text(value)}"
                    for name, value in changes.items()
                ]
                # What ON UPDATE would renew stays: the row has not changed for anybody.
                values += [
                    f"{quote_name(name, quoted=True)} = {quote_name(name, quoted=True)}" for name in kept
                ]
                await self._ask(
                    f"UPDATE {own} SET {', '.join(values)} WHERE ({order}) = ({', '.join(after)})"
                )
                changed += 1
        await self._ask("COMMIT")
        done = len(rows) < self._pace.chunk
        return Progress(after, progress.rows + len(rows), progress.changed + changed, done)

    def _changes(self, values: Sequence[bytes | None], key: Sequence[str]) -> dict[str, str | None]:
        row = {
            name.lower(): None if value is None else value.decode("utf-8", "surrogateescape")
            for name, value in zip(self._names, values, strict=True)
        }
        try:
            return renewed(self._columns, row, os.urandom)
        except Unreadable as error:
            raise CannotEncrypt(f"{self._table}, row ({', '.join(key)}): {error}") from None

    async def _key(self) -> _Key:
        rows = await self._ask(
            "SELECT s.COLUMN_NAME, c.DATA_TYPE FROM information_schema.STATISTICS s JOIN information_schema.COLUMNS c ON "
            "c.TABLE_SCHEMA = s.TABLE_SCHEMA AND c.TABLE_NAME = s.TABLE_NAME AND c.COLUMN_NAME = s.COLUMN_NAME "
            f"WHERE s.TABLE_SCHEMA = DATABASE() AND s.TABLE_NAME = {literal_text(self._table)} AND s.INDEX_NAME = 'PRIMARY' "
            "ORDER BY s.SEQ_IN_INDEX"
        )
        if not rows:
            raise CannotEncrypt(f"{self._table} has no primary key, along which its rows could be read")
        triggers = await self._ask(
            "SELECT TRIGGER_NAME FROM information_schema.TRIGGERS WHERE EVENT_OBJECT_SCHEMA = DATABASE() AND "
            f"EVENT_OBJECT_TABLE = {literal_text(self._table)} AND EVENT_MANIPULATION = 'UPDATE'"
        )
        if triggers:
            raise CannotEncrypt(
                f"{self._table} has a trigger on UPDATE, which would run for every row: drop it meanwhile"
            )
        names, kinds = zip(*((_text(name), _text(kind)) for name, kind in rows), strict=True)
        return _Key(names, tuple(kind.lower() in _BINARY for kind in kinds))

    async def _renewed_columns(self) -> list[str]:
        rows = await self._ask(
            "SELECT COLUMN_NAME FROM information_schema.COLUMNS WHERE TABLE_SCHEMA = DATABASE() AND "
            f"TABLE_NAME = {literal_text(self._table)} AND EXTRA LIKE '%on update%'"
        )
        return [_text(name) for (name,) in rows]

    async def _ask(self, sql: str) -> Sequence[Sequence[bytes | None]]:
        return (await collect(self._connection, sql.encode("utf-8", "surrogateescape"))).rows


def _literal(value: bytes | None, *, binary: bool) -> str:
    if value is None:
        return "NULL"
    if binary:
        return f"x'{value.hex()}'"
    return literal_text(value.decode("utf-8", "surrogateescape"))


def _text(value: bytes | None) -> str:
    return (value or b"").decode("utf-8", "surrogateescape")
