"""Transactions of one SQLite connection: BEGIN, COMMIT, ROLLBACK, savepoints, and statements of several steps.

Decides how MySQL's words map. A transaction that may write takes SQLite's write lock when it begins.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping, Sequence

from dbmesh.backend.sqlite import names
from dbmesh.backend.sqlite.place import PLACE
from dbmesh.backend.transpile.answers import Done
from dbmesh.errors import ShardError


class Transactions:
    """The transaction that is open on a connection, or none. `read_only`: it may not write."""

    def __init__(self, database: sqlite3.Connection) -> None:
        self._sqlite = database
        self.read_only = False

    def control(self, word: str, words: Sequence[str]) -> Done:
        """Run a statement that begins with one of `CONTROLS`. Raises ShardError or MeshError."""
        return CONTROLS[word](self, words)

    def _begin(self, words: Sequence[str]) -> Done:
        if self._sqlite.in_transaction:
            self._sqlite.execute("COMMIT")
        text = " ".join(words).upper()
        self.read_only = "READ ONLY" in text
        self._sqlite.execute("BEGIN DEFERRED" if self.read_only else "BEGIN IMMEDIATE")
        return Done()

    def _commit(self, words: Sequence[str]) -> Done:
        if self._sqlite.in_transaction:
            self._sqlite.execute("COMMIT")
        self.read_only = False
        return self._chained(words)

    def _rollback(self, words: Sequence[str]) -> Done:
        upper = [word.upper() for word in words]
        if "TO" in upper:
            return self._savepoint_command(f"ROLLBACK TO SAVEPOINT {_name(words[-1])}", words[-1])
        if self._sqlite.in_transaction:
            self._sqlite.execute("ROLLBACK")
        self.read_only = False
        return self._chained(words)

    def _chained(self, words: Sequence[str]) -> Done:
        upper = " ".join(words).upper()
        return self._begin(()) if "AND CHAIN" in upper else Done()

    def _savepoint(self, words: Sequence[str]) -> Done:
        if self._sqlite.in_transaction:
            self._sqlite.execute(f"SAVEPOINT {_name(words[-1])}")
        return Done()

    def _release(self, words: Sequence[str]) -> Done:
        return self._savepoint_command(f"RELEASE SAVEPOINT {_name(words[-1])}", words[-1])

    def _savepoint_command(self, statement: str, name: str) -> Done:
        try:
            self._sqlite.execute(statement)
        except sqlite3.OperationalError as error:
            if "no such savepoint" in str(error):
                raise ShardError(1305, "42000", f"SAVEPOINT {name.strip('`')} does not exist") from error
            raise
        return Done()

    def _set(self, words: Sequence[str]) -> Done:
        """SET TRANSACTION …: every transaction here is serializable, which is at least what was asked for."""
        if "TRANSACTION" in [word.upper() for word in words[1:3]]:
            return Done()
        raise PLACE.refusal("this SET", "set it on the session")


class Atomic:
    """A statement of several steps: all or none of them, inside a transaction or without one."""

    def __init__(self, database: sqlite3.Connection) -> None:
        self._database = database
        self._inside = False

    def __enter__(self) -> None:
        self._inside = self._database.in_transaction
        self._database.execute("SAVEPOINT dbmesh_statement" if self._inside else "BEGIN IMMEDIATE")

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        if kind is None:
            self._database.execute("RELEASE dbmesh_statement" if self._inside else "COMMIT")
        elif self._inside:
            if self._database.in_transaction:
                self._database.execute("ROLLBACK TO dbmesh_statement")
                self._database.execute("RELEASE dbmesh_statement")
        elif self._database.in_transaction:
            self._database.execute("ROLLBACK")


def _name(word: str) -> str:
    return names.name(word.strip("`").replace("``", "`"))


CONTROLS: Mapping[str, Callable[[Transactions, Sequence[str]], Done]] = {
    "BEGIN": Transactions._begin,
    "START": Transactions._begin,
    "COMMIT": Transactions._commit,
    "ROLLBACK": Transactions._rollback,
    "SAVEPOINT": Transactions._savepoint,
    "RELEASE": Transactions._release,
    "SET": Transactions._set,
}
"""The words transactions are controlled by."""
