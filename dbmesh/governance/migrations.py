"""Migrations: numbered files of statements, each applied once, in order, and remembered in the store.

Decides what is left to apply and which files contradict what was applied. Runs no statement.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass

from dbmesh.governance import layout
from dbmesh.governance.store import Store, Write
from dbmesh.sql.lexer import split_statements


class MigrationError(Exception):
    """The files and what was applied do not fit together; the text says how."""


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


async def remember(store: Store, database: str, migration: Pending, count: int) -> None:
    """The first `count` statements of a file have been run."""
    value = {
        "statements": [checksum(text) for text in migration.statements[:count]],
        "complete": count == len(migration.statements),
    }
    key = layout.migrations_prefix(database) + migration.name
    await store.commit([Write(key, json.dumps(value).encode())])


def checksum(statement: str) -> str:
    """SHA-256 of a statement's text."""
    return hashlib.sha256(statement.encode()).hexdigest()
