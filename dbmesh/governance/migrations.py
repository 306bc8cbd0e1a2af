"""Migrations: numbered files of statements, each applied once, in order, and remembered in the store.

Decides what is left to apply, which files contradict what was applied, and whose turn it is to apply them. Runs no statement.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from dbmesh.governance import layout
from dbmesh.governance.store import ABSENT, Conflict, Guard, LeaseLost, Store, StoreError, Write
from dbmesh.sql.lexer import split_statements

TURN_SECONDS = 30.0
"""Seconds after which it is the next one's turn where somebody has died who had it."""

LOOK = 0.5
"""Seconds between two looks whether it is over."""


class MigrationError(Exception):
    """The files and what was applied do not fit together, or it is not this process's turn any more; the text says how."""


@dataclass(frozen=True, slots=True)
class Turn:
    """Of those that run migrations of a database one does at a time: whoever has this, as long as the guard holds."""

    lease: int
    guard: Guard


async def take_turn(store: Store, database: str, by: str, waits_for: Callable[[str], None]) -> Turn:
    """The turn of `by`, once everybody else's is over; who it is waited for is told once. Raises StoreError."""
    key = layout.migrating(database)
    told = False
    while True:
        entry = await store.get(key)
        if entry is None:
            lease = await store.grant(TURN_SECONDS)
            try:
                revision = await store.commit([Write(key, by.encode(), ABSENT, lease)])
            except Conflict:
                await store.revoke(lease)
                continue
            return Turn(lease, Guard(key, revision))
        if not told:
            waits_for(entry.value.decode())
            told = True
        await asyncio.sleep(LOOK)


async def keep_turn(store: Store, turn: Turn) -> None:
    """Keep it until cancelled, or until it is lost: the guard does not hold then."""
    while True:
        await asyncio.sleep(TURN_SECONDS / 6)
        try:
            await store.keep_alive(turn.lease)
        except LeaseLost:
            return
        except StoreError:
            # It may be back in time.
            continue


@dataclass(frozen=True, slots=True)
class Applied:
    """What is known of a file: the checksums of its statements that were run, and whether these are all."""

    statements: tuple[str, ...]
    complete: bool


@dataclass(frozen=True, slots=True)
class Pending:
    """A file with statements left: those from `first` on."""

    name: str
    statements: tuple[str, ...]
    first: int


async def read_applied(store: Store, database: str) -> dict[str, Applied]:
    """File name → what was applied of it."""
    prefix = layout.migrations_prefix(database)
    snapshot = await store.range(prefix)
    found: dict[str, Applied] = {}
    for entry in snapshot.entries:
        value = json.loads(entry.value)
        found[entry.key.removeprefix(prefix)] = Applied(tuple(value["statements"]), value["complete"])
    return found


def left_to_apply(files: Mapping[str, str], applied: Mapping[str, Applied]) -> list[Pending]:
    """The files to run, in the order of their names. Raises MigrationError for a file that was changed after it was
    applied, that is gone, or that comes before one that was applied."""
    for name in applied:
        if name not in files:
            raise MigrationError(f"'{name}' was applied and is not there any more")
    pending: list[Pending] = []
    last = max((name for name, known in applied.items() if known.complete), default="")
    for name in sorted(files):
        statements = tuple(split_statements(files[name]))
        known = applied.get(name, Applied((), False))
        sums = tuple(map(checksum, statements))
        if sums[: len(known.statements)] != known.statements or (known.complete and sums != known.statements):
            raise MigrationError(f"'{name}' was changed after it was applied; write the change as a new file")
        if known.complete:
            continue
        if name < last:
            raise MigrationError(f"'{name}' comes before '{last}', which was applied; give it a later name")
        pending.append(Pending(name, statements, len(known.statements)))
    return pending


async def remember(store: Store, database: str, migration: Pending, count: int, turn: Turn) -> None:
    """The first `count` statements of a file have been run. Raises MigrationError when somebody else may be at it by now."""
    value = {
        "statements": [checksum(text) for text in migration.statements[:count]],
        "complete": count == len(migration.statements),
    }
    key = layout.migrations_prefix(database) + migration.name
    try:
        await store.commit([Write(key, json.dumps(value).encode())], [turn.guard])
    except Conflict as error:
        raise MigrationError(
            f"the store has not heard of this process for {TURN_SECONDS:g} s, and somebody else may run migrations; "
            f"{count} of {len(migration.statements)} statements of '{migration.name}' were run here"
        ) from error


def checksum(statement: str) -> str:
    """SHA-256 of a statement's text."""
    return hashlib.sha256(statement.encode()).hexdigest()
