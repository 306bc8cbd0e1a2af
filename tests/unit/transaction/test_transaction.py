"""A transaction over several data sources: who joins, how it ends, and what an interrupted end leaves."""

from __future__ import annotations

import asyncio

import pytest

from dbmesh.errors import TRANSACTION_ROLLED_BACK, MeshError, ShardError
from dbmesh.transaction.decisions import quoted
from dbmesh.transaction.transaction import Transaction
from tests.plugins.scripted import ScriptedConnection, error, silence


async def _joined(*names: str, wrote: bool = True) -> tuple[Transaction, list[ScriptedConnection]]:
    transaction = Transaction()
    transaction.begin("")
    connections = [ScriptedConnection(name) for name in names]
    for connection in connections:
        await transaction.join(connection.data_source, connection)
        transaction.branches[connection.data_source].wrote = wrote
    return transaction, connections


async def test_beginning_reaches_nobody_and_joining_says_how() -> None:
    transaction = Transaction()
    transaction.isolation = "ISOLATION LEVEL SERIALIZABLE"
    transaction.begin("READ ONLY")
    assert transaction.open
    await transaction.savepoint("a`b")
    connection = ScriptedConnection()
    await transaction.join("ds_0", connection)
    assert connection.sent == [
        "SET TRANSACTION ISOLATION LEVEL SERIALIZABLE",
        "START TRANSACTION READ ONLY",
        "SAVEPOINT `a``b`",
    ]


@pytest.mark.parametrize("fails_at", [0, 1, 2])
async def test_a_connection_that_could_not_join_is_closed(fails_at: int) -> None:
    transaction = Transaction(isolation="ISOLATION LEVEL SERIALIZABLE", savepoints=["s"])
    connection = ScriptedConnection()

    def answer(own: ScriptedConnection, sql: str, receiver: object) -> None:
        step = error(1568) if len(own.sent) == fails_at + 1 else plain
        step(own, sql, receiver)  # type: ignore[arg-type]

    plain = connection.answer
    connection.answer = answer
    with pytest.raises(ShardError):
        await transaction.join("ds_0", connection)
    assert not connection.open, "the isolation of its next transaction may have been changed"
    assert not transaction.branches


async def test_one_writer_commits_without_a_warning() -> None:
    transaction, (first, second) = await _joined("ds_0", "ds_1", wrote=False)
    transaction.branches["ds_1"].wrote = True
    assert await transaction.commit() is None
    assert (first.sent[-1], second.sent[-1]) == ("COMMIT", "COMMIT")
    assert not transaction.open


async def test_several_writers_are_told_to_be_not_atomic() -> None:
    transaction, _ = await _joined("ds_0", "ds_1")
    warning = await transaction.commit()
    assert warning == "dbmesh: committed one after another on ds_0, ds_1: not atomic"


async def test_a_commit_that_fails_half_way_says_what_stays() -> None:
    transaction, (first, second, third) = await _joined("ds_0", "ds_1", "ds_2")
    second.answer = error(1180, "Got error during COMMIT")
    with pytest.raises(ShardError, match="already committed on ds_0"):
        await transaction.commit()
    assert first.sent[-1] == "COMMIT"
    assert third.sent[-1] == "ROLLBACK"
    assert not transaction.open


async def test_with_a_lost_branch_nothing_is_committed() -> None:
    transaction, (first, second) = await _joined("ds_0", "ds_1")
    second.open = False
    with pytest.raises(MeshError) as caught:
        await transaction.commit()
    assert caught.value.kind is TRANSACTION_ROLLED_BACK
    assert first.sent[-1] == "ROLLBACK"


@pytest.mark.parametrize("at", [0, 1, 2])
async def test_interrupted_at_any_commit_no_connection_stays_open_in_a_transaction(at: int) -> None:
    transaction, connections = await _joined("ds_0", "ds_1", "ds_2")
    connections[at].answer = silence
    work = asyncio.get_running_loop().create_task(transaction.commit())
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    work.cancel()
    with pytest.raises(asyncio.CancelledError):
        await work
    assert not connections[at].open
    assert not transaction.open
    for position, connection in enumerate(connections):
        # Their pool closes what is still in a transaction when it comes back.
        assert connection.in_transaction == (position >= at)


async def test_rolling_back_reaches_all_and_closes_those_that_cannot() -> None:
    transaction, (first, second, third) = await _joined("ds_0", "ds_1", "ds_2")
    first.answer = error(2013)
    second.busy = True
    await transaction.roll_back()
    assert not first.open
    assert not second.open
    assert third.sent[-1] == "ROLLBACK"
    assert third.usable
    assert not transaction.open


async def test_savepoints_are_kept_as_one_server_keeps_them() -> None:
    transaction, (first,) = await _joined("ds_0")
    for name in ("a", "b", "A"):
        await transaction.savepoint(name)
    assert transaction.savepoints == ["b", "A"]
    assert await transaction.roll_back_to("B")
    assert transaction.savepoints == ["b"]
    assert not await transaction.roll_back_to("a")
    assert await transaction.release_savepoint("b")
    assert not await transaction.release_savepoint("b")
    assert first.sent[-2:] == ["ROLLBACK TO SAVEPOINT `B`", "RELEASE SAVEPOINT `b`"]


def test_names_are_quoted() -> None:
    assert quoted("a`; DROP TABLE t; --") == "`a``; DROP TABLE t; --`"


async def test_a_transaction_that_ends_has_no_readers_left_however_it_ends() -> None:
    for commits in (True, False):
        transaction, (written,) = await _joined("ds_0")
        reader = ScriptedConnection("ds_1")
        await transaction.join_reader("ds_1", reader, "ds_1")
        await (transaction.commit() if commits else transaction.roll_back())
        assert not transaction.open
        assert reader.sent == ["START TRANSACTION READ ONLY", "COMMIT"]
        assert written.sent[-1] == ("COMMIT" if commits else "ROLLBACK")


async def test_a_reader_that_does_not_answer_holds_up_no_commit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dbmesh.transaction.transaction.READERS_END", 0.01)
    transaction, (written,) = await _joined("ds_0")
    reader = ScriptedConnection("ds_1")
    await transaction.join_reader("ds_1", reader, "ds_1")
    reader.answer = silence
    await transaction.commit()
    assert (written.sent[-1], reader.open) == ("COMMIT", False)
