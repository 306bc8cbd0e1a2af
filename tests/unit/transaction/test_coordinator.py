"""What a coordinator sends: which branches are prepared, and what becomes of connections and rows when things go wrong."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from dbmesh.backend.connection import Connection, Flavour, Receiver
from dbmesh.backend.pool import Pool
from dbmesh.backend.state import SessionState
from dbmesh.errors import DATA_SOURCE_UNREACHABLE, TRANSACTION_UNKNOWN, MeshError, ShardError
from dbmesh.rules.ruleset import DataSourceConfig
from dbmesh.transaction import coordinator as module
from dbmesh.transaction.coordinator import Coordinator
from dbmesh.transaction.transaction import Transaction
from dbmesh.transaction.xid import Place
from tests.plugins.scripted import ScriptedConnection, column, error, silence

FIRST, SECOND = Place("a", 3306, "db"), Place("b", 3306, "db")


class Preparable(ScriptedConnection):
    """A connection to a server that knows XA."""

    def query_all(self, statements: Sequence[bytes], receiver: Receiver) -> None:
        for statement in statements:
            self.query(statement, receiver)

    def execute_all(self, payloads: Sequence[bytes], receiver: Receiver) -> None:
        raise AssertionError(payloads, receiver)


class Server:
    """A pool of the coordinator's own connections to a place. It `hangs`, or is `away`: no connection is opened."""

    def __init__(self) -> None:
        self.connection = Preparable()
        self.hangs = self.away = False
        self.pool = Pool(DataSourceConfig("ds", "mysql", "h", 3306, "ds_0", "u", "p"), self.open)

    async def open(self, flavour: Flavour) -> Connection:
        if self.hangs:
            await asyncio.get_running_loop().create_future()
        if self.away:
            raise MeshError(DATA_SOURCE_UNREACHABLE, data_source="ds", reason="away")
        self.connection.flavour = flavour
        self.connection.opened_at = asyncio.get_running_loop().time()
        return self.connection


@pytest.fixture
def decider() -> Server:
    return Server()


@pytest.fixture
def transaction(decider: Server) -> Transaction:
    places = {FIRST: decider.pool, SECOND: decider.pool}
    return Transaction(Coordinator(lambda: places, bytes(8)))


async def _join(
    transaction: Transaction, name: str, place: Place | None, *, wrote: bool = True
) -> Preparable:
    connection = Preparable(name)
    await transaction.join(name, connection, name, place)
    transaction.branches[name].wrote = wrote
    return connection


async def test_beside_a_writer_that_cannot_be_prepared_a_branch_commits_in_its_own_way(
    transaction: Transaction,
) -> None:
    first, second = await _join(transaction, "a", FIRST), await _join(transaction, "b", SECOND)
    other = await _join(transaction, "c", None)
    assert await transaction.commit() == "dbmesh: committed one after another on a, b, c: not atomic"
    assert (first.sent[-1], other.sent[-1]) == ("COMMIT", "COMMIT")
    assert [text[:6] for text in second.sent] == ["XA STA", "XA END", "XA COM"]
    assert second.sent[-1].endswith(" ONE PHASE")


async def test_a_reader_that_cannot_be_prepared_keeps_nobody_from_committing_as_one(
    transaction: Transaction,
) -> None:
    first, second = await _join(transaction, "a", FIRST), await _join(transaction, "b", SECOND)
    reader = await _join(transaction, "c", None, wrote=False)
    assert await transaction.commit() is None
    assert first.sent[-2].startswith("INSERT INTO `db`.dbmesh_txn")
    assert second.sent[-2].startswith("XA PREPARE")
    assert reader.sent[-1] == "COMMIT"


async def test_a_commit_abandoned_between_two_rounds_leaves_no_prepared_connection_behind(
    transaction: Transaction,
) -> None:
    first, second = await _join(transaction, "a", FIRST), await _join(transaction, "b", SECOND)
    deciding = asyncio.Event()

    def answer(connection: ScriptedConnection, sql: str, receiver: Receiver) -> None:
        if sql == "COMMIT":
            deciding.set()
            silence(connection, sql, receiver)
        else:
            plain(connection, sql, receiver)

    plain = first.answer
    first.answer = answer
    work = asyncio.get_running_loop().create_task(transaction.commit())
    await deciding.wait()
    assert second.sent[-1].startswith("XA PREPARE")
    work.cancel()
    with pytest.raises(asyncio.CancelledError):
        await work
    assert (first.open, second.open) == (False, False)


async def test_a_decider_that_does_not_answer_is_not_asked_for_longer_than_told(
    transaction: Transaction, decider: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "SETTLE_SECONDS", 0.01)
    first, second = await _join(transaction, "a", FIRST), await _join(transaction, "b", SECOND)

    def answer(connection: ScriptedConnection, sql: str, receiver: Receiver) -> None:
        if sql == "COMMIT":
            decider.hangs = True
            decider.connection.abort()
            connection.abort()
        else:
            plain(connection, sql, receiver)

    plain = first.answer
    first.answer = answer
    with pytest.raises(MeshError) as caught:
        await asyncio.wait_for(transaction.commit(), 5)
    assert caught.value.kind is TRANSACTION_UNKNOWN
    assert not second.open


async def test_what_a_connection_was_told_by_its_last_borrower_is_forgotten(decider: Server) -> None:
    coordinator = Coordinator(lambda: {FIRST: decider.pool}, bytes(8))
    decider.connection.state = SessionState().with_variable("max_statement_time", "0.001")
    async with coordinator.connection(FIRST) as connection:
        assert connection.state == SessionState().with_variable("innodb_lock_wait_timeout", "2")


def _failing(connection: Preparable, beginning: str, number: int) -> None:
    """Statements that begin so fail with this error."""
    plain, fails = connection.answer, error(number, "no")

    def answer(own: ScriptedConnection, sql: str, receiver: Receiver) -> None:
        (fails if sql.startswith(beginning) else plain)(own, sql, receiver)

    connection.answer = answer


@pytest.mark.parametrize("ended_by_recovery", [False, True])
async def test_a_prepared_branch_that_recovery_has_ended_is_no_news(
    transaction: Transaction, decider: Server, *, ended_by_recovery: bool
) -> None:
    await _join(transaction, "a", FIRST)
    second = await _join(transaction, "b", SECOND)
    if ended_by_recovery:
        _failing(second, "XA COMMIT", 1397)
    assert transaction.coordinator is not None
    coordinator = transaction.coordinator
    assert await transaction.commit() is None
    await coordinator.forget()
    # It may be at it, and ask once more if that fails: without the row it would undo the branch.
    assert any(sent.startswith("DELETE") for sent in decider.connection.sent) is not ended_by_recovery


@pytest.mark.parametrize(
    ("beginning", "number"), [("XA PREPARE", 1614), ("INSERT INTO `db`.dbmesh_txn", 1205)]
)
async def test_a_commit_that_cannot_be_decided_says_that_nothing_is_committed(
    transaction: Transaction, beginning: str, number: int
) -> None:
    first, second = await _join(transaction, "a", FIRST), await _join(transaction, "b", SECOND)
    for connection in (first, second):
        _failing(connection, beginning, number)
    with pytest.raises(ShardError, match="nothing was committed") as refusal:
        await transaction.commit()
    assert refusal.value.number == number
    assert first.sent[-1] == "ROLLBACK"
    assert second.sent[-1].startswith("XA ROLLBACK")


async def test_data_sources_of_one_name_in_two_places_commit_both(transaction: Transaction) -> None:
    first, second = Preparable("a"), Preparable("b")
    for key, connection, place in (("shop.ds_0", first, FIRST), ("shop.ds_1", second, SECOND)):
        await transaction.join(key, connection, "shop.ds_0", place)
        transaction.branches[key].wrote = True
    assert await transaction.commit() is None
    assert first.sent[-1] == "COMMIT"
    assert second.sent[-1].startswith("XA COMMIT")


@pytest.mark.parametrize("number", [0, 1397], ids=["committed", "by recovery"])
async def test_a_branch_that_could_not_be_told_is_told_when_its_data_source_is_back(
    decider: Server, number: int
) -> None:
    other = Server()
    coordinator = Coordinator(lambda: {FIRST: decider.pool, SECOND: other.pool}, bytes(8))
    transaction = Transaction(coordinator)
    await _join(transaction, "a", FIRST)
    second = await _join(transaction, "b", SECOND)
    plain = second.answer

    def answer(connection: ScriptedConnection, sql: str, receiver: Receiver) -> None:
        if sql.startswith("XA COMMIT"):
            other.away = True
            connection.abort()
        else:
            plain(connection, sql, receiver)

    second.answer = answer
    told = await transaction.commit()
    assert told is not None
    assert "b could not be told yet" in told
    await coordinator.follow()
    assert not other.connection.sent
    other.away = False
    if number:
        _failing(other.connection, "XA COMMIT", number)
    for _ in range(2):
        await coordinator.follow()
    assert other.connection.sent == [second.sent[-1]], "once, whatever it says"
    assert not any("dbmesh_txn" in sent for sent in decider.connection.sent[1:]), "its row stays"


@pytest.mark.parametrize("settled", ["0", "away"])
async def test_a_branch_whose_transaction_is_not_known_to_be_committed_is_not_hurried(
    decider: Server, monkeypatch: pytest.MonkeyPatch, settled: str
) -> None:
    monkeypatch.setattr(module, "SETTLE_ATTEMPTS", (0.0,))
    other = Server()
    coordinator = Coordinator(lambda: {FIRST: decider.pool, SECOND: other.pool}, bytes(8))
    transaction = Transaction(coordinator)
    first, second = await _join(transaction, "a", FIRST), await _join(transaction, "b", SECOND)
    plain, settling = first.answer, decider.connection.answer

    def answer(connection: ScriptedConnection, sql: str, receiver: Receiver) -> None:
        if sql == "COMMIT":
            connection.abort()
        else:
            plain(connection, sql, receiver)

    def settle(connection: ScriptedConnection, sql: str, receiver: Receiver) -> None:
        if settled == "away" and "dbmesh_txn" in sql and not sql.startswith("CREATE"):
            connection.abort()
        elif sql.startswith("SELECT"):
            connection.rows([column("committed")], [b"\x010"])
        else:
            settling(connection, sql, receiver)

    first.answer, decider.connection.answer = answer, settle
    _failing(second, "XA ROLLBACK", 1105)
    with pytest.raises(MeshError):
        await transaction.commit()
    assert not second.open
    await coordinator.follow()
    assert not other.connection.sent
