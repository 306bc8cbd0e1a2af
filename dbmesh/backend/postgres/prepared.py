"""XA statements as PostgreSQL's PREPARE TRANSACTION and what belongs to it.

Decides how a branch is called there and what each statement becomes. A transaction that PostgreSQL has given up answers COMMIT and
PREPARE TRANSACTION without an error: their tags tell. Knows neither who coordinates nor what is written.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Sequence
from enum import Enum
from typing import Any, Final

import asyncpg

from dbmesh.backend.postgres import names
from dbmesh.backend.postgres.place import PLACE
from dbmesh.errors import ShardError

_STATEMENT: Final = re.compile(
    r"XA\s+(?P<verb>\w+)(?:\s+'(?P<gtrid>[^']*)','(?P<branch>[^']*)',(?P<format>\d+))?(?P<once>\s+ONE PHASE)?\s*;?\s*\Z",
    re.IGNORECASE,
)
_NAME: Final = re.compile(r"dbmesh:(\d+):([^:]*):([^:]*)\Z")
_LISTED: Final = "SELECT gid FROM pg_prepared_xacts ORDER BY prepared"


class XaVerb(Enum):
    """What is done to a branch."""

    START = "START"
    END = "END"
    PREPARE = "PREPARE"
    COMMIT = "COMMIT"
    COMMIT_ONE_PHASE = "COMMIT ONE PHASE"
    ROLLBACK = "ROLLBACK"
    RECOVER = "RECOVER"


def read_xa(sql: str) -> tuple[XaVerb, str]:
    """What an XA statement does, and what PostgreSQL calls the branch; '' for RECOVER. Raises MeshError for other forms."""
    found = _STATEMENT.match(sql.strip())
    word = "" if found is None else found["verb"].upper() + (" ONE PHASE" if found["once"] else "")
    if found is None or word not in {verb.value for verb in XaVerb}:
        raise PLACE.refusal("this XA statement", "use BEGIN and COMMIT")
    verb = XaVerb(word)
    if (verb is XaVerb.RECOVER) is not (found["gtrid"] is None):
        raise PLACE.refusal("this XA statement", "use BEGIN and COMMIT")
    if verb is XaVerb.RECOVER:
        return verb, ""
    return verb, f"dbmesh:{found['format']}:{found['gtrid']}:{found['branch']}"


class Branch:
    """The branch that a connection has begun, if any. `execute` and `fetch` are asyncpg's."""

    def __init__(
        self, execute: Callable[[str], Awaitable[str]], fetch: Callable[[str], Awaitable[list[Any]]]
    ) -> None:
        self._execute = execute
        self._fetch = fetch
        self._name = ""

    async def perform(self, verb: XaVerb, name: str, *, in_transaction: bool) -> None:
        """Do what a statement other than RECOVER says; of START the transaction is open already. Raises ShardError: 1397 where there is no
        such branch, 1402 where it was rolled back; and asyncpg.PostgresError."""
        own = bool(self._name) and name == self._name
        if verb is XaVerb.START:
            self._name = name
        elif verb is XaVerb.PREPARE:
            await self._finish(f"PREPARE TRANSACTION {names.text(name)}", "PREPARE TRANSACTION")
            self._name = ""
        elif verb is XaVerb.COMMIT_ONE_PHASE:
            await self._finish("COMMIT", "COMMIT")
            self._name = ""
        elif verb is XaVerb.ROLLBACK and own:
            self._name = ""
            if in_transaction:
                await self._execute("ROLLBACK")
        elif verb in (XaVerb.COMMIT, XaVerb.ROLLBACK):
            try:
                await self._execute(f"{verb.value} PREPARED {names.text(name)}")
            except asyncpg.UndefinedObjectError as error:
                raise ShardError(1397, "XAE04", "XAER_NOTA: Unknown XID") from error

    async def _finish(self, statement: str, tag: str) -> None:
        if await self._execute(statement) != tag:
            raise ShardError(1402, "XA100", "XA_RBROLLBACK: Transaction branch was rolled back")

    async def prepared(self) -> tuple[list[str], list[tuple[int, int, int, str]]]:
        """What XA RECOVER answers: titles and rows, of all databases of the server. Raises asyncpg.PostgresError."""
        rows = [_listed(row["gid"]) for row in await self._fetch(_LISTED)]
        return ["formatID", "gtrid_length", "bqual_length", "data"], rows


def _listed(name: str) -> tuple[int, int, int, str]:
    """Another's name is its global part, whole."""
    found: Sequence[str] | re.Match[str] | None = _NAME.match(name)
    form, gtrid, branch = ("0", name, "") if found is None else (found[1], found[2], found[3])
    return int(form), len(gtrid.encode()), len(branch.encode()), gtrid + branch
