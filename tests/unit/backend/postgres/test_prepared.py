"""XA statements on PostgreSQL: what a branch is called, and what happens to one that PostgreSQL has given up."""

from __future__ import annotations

from typing import Any

import asyncpg
import pytest

from dbmesh.backend.postgres.ddl import compile_ddl
from dbmesh.backend.postgres.prepared import Branch, XaVerb, read_xa
from dbmesh.backend.postgres.schema import DECISIONS
from dbmesh.backend.transpile.schema import restore
from dbmesh.errors import MeshError, ShardError
from dbmesh.sql.parse import parse
from dbmesh.transaction.decisions import MAKE_TABLE_ELSEWHERE
from dbmesh.transaction.xid import Xid, read_xid

XID = Xid("0011223344556677-1f", "8899aabbccddeeff", "0123456789abcdef")
NAME = "dbmesh:1684172133:0011223344556677-1f:8899aabbccddeeff-0123456789abcdef"


class Server:
    """Answers what it is told to; `told` is what it was sent."""

    def __init__(self, *answers: str | Exception, names: tuple[str, ...] = ()) -> None:
        self.answers = list(answers)
        self.names = names
        self.told: list[str] = []

    async def execute(self, sql: str) -> str:
        self.told.append(sql)
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def fetch(self, sql: str) -> list[dict[str, Any]]:
        return [{"gid": name} for name in self.names]


@pytest.mark.parametrize(
    ("statement", "verb"),
    [
        (f"XA START {XID.sql}", XaVerb.START),
        (f"xa commit {XID.sql} one phase", XaVerb.COMMIT_ONE_PHASE),
        (f"XA COMMIT {XID.sql}", XaVerb.COMMIT),
    ],
)
def test_statements_name_the_branch(statement: str, verb: XaVerb) -> None:
    assert read_xa(statement) == (verb, NAME)
    assert read_xa("XA RECOVER") == (XaVerb.RECOVER, "")


@pytest.mark.parametrize(
    "statement", ["XA START 'a'", "XA RECOVER CONVERT XID", "XA COMMIT", "XA JOIN 'a','b',1"]
)
def test_other_forms_are_refused(statement: str) -> None:
    with pytest.raises(MeshError):
        read_xa(statement)


async def test_what_postgres_has_given_up_is_not_prepared() -> None:
    server = Server("ROLLBACK")
    branch = Branch(server.execute, server.fetch)
    await branch.perform(XaVerb.START, NAME, in_transaction=True)
    with pytest.raises(ShardError) as found:
        await branch.perform(XaVerb.PREPARE, NAME, in_transaction=True)
    assert found.value.number == 1402
    # It can still be rolled back, of which nothing is left to do.
    await branch.perform(XaVerb.ROLLBACK, NAME, in_transaction=False)
    assert server.told == [f"PREPARE TRANSACTION '{NAME}'"]


async def test_a_prepared_branch_is_ended_by_its_name() -> None:
    server = Server("PREPARE TRANSACTION", "COMMIT PREPARED", asyncpg.UndefinedObjectError("there is none"))
    branch = Branch(server.execute, server.fetch)
    await branch.perform(XaVerb.START, NAME, in_transaction=True)
    await branch.perform(XaVerb.PREPARE, NAME, in_transaction=True)
    await branch.perform(XaVerb.COMMIT, NAME, in_transaction=False)
    with pytest.raises(ShardError) as found:
        await branch.perform(XaVerb.ROLLBACK, NAME, in_transaction=False)
    assert found.value.number == 1397
    assert server.told[1:] == [f"COMMIT PREPARED '{NAME}'", f"ROLLBACK PREPARED '{NAME}'"]


async def test_a_branch_that_is_not_prepared_is_rolled_back_where_it_is() -> None:
    server = Server("ROLLBACK")
    branch = Branch(server.execute, server.fetch)
    await branch.perform(XaVerb.START, NAME, in_transaction=True)
    await branch.perform(XaVerb.ROLLBACK, NAME, in_transaction=True)
    assert server.told == ["ROLLBACK"]


async def test_prepared_branches_are_listed_as_mysql_lists_them() -> None:
    server = Server(names=(NAME, "somebody's"))
    titles, rows = await Branch(server.execute, server.fetch).prepared()
    assert titles == ["formatID", "gtrid_length", "bqual_length", "data"]
    read = [read_xid(row[0], row[1], row[3].encode()) for row in rows]
    assert read == [XID, None]


def test_the_table_of_decisions_is_known_as_it_is_made() -> None:
    made = compile_ddl(parse(MAKE_TABLE_ELSEWHERE), {}, "shop")
    record = made.statements[-1].partition("VALUES ('dbmesh_txn', '")[2].removesuffix("')")
    declared = restore(record)
    assert [(one.name, one.declared, one.nullable) for one in declared.columns] == [
        (one.name, one.declared, one.nullable) for one in DECISIONS.columns
    ]
    assert (declared.name, declared.indexes) == (DECISIONS.name, DECISIONS.indexes)
