"""Writes of BASE transactions whose undo rows cannot be made, and the lock of a process that cannot be taken."""

from __future__ import annotations

import asyncio

import pytest

from dbmesh.backend.connection import Connection, Flavour, Receiver
from dbmesh.backend.pool import Pool
from dbmesh.backend.tasks import TaskOwner
from dbmesh.errors import DATA_SOURCE_UNREACHABLE, TABLE_CHANGED, MeshError, ShardError
from dbmesh.planner.images import ImageColumn, ImageTable
from dbmesh.planner.scans import LiteralForm
from dbmesh.rules.ruleset import DataSourceConfig
from dbmesh.transaction.compensator import Compensator, Saga
from dbmesh.transaction.coordinator import Branch, Coordinator
from dbmesh.transaction.ownership import Ownership
from dbmesh.transaction.undo import Change, TableChanges
from dbmesh.transaction.xid import Place
from tests.plugins.scripted import ScriptedConnection, column, error, ok

FIRST, SECOND = Place("a", 3306, "db"), Place("b", 3306, "db")
TABLE = ImageTable("t", (ImageColumn("k", "`k`", LiteralForm.NUMBER),), (0,))
IMAGES = [TableChanges(TABLE, (Change(None, (b"1",)),))]


class Server:
    """Connections of the process's own to a place."""

    def __init__(self) -> None:
        self.opened: list[ScriptedConnection] = []
        self.answer = ok()
        self.away = False
        self.pool = Pool(DataSourceConfig("ds", "mysql", "h", 3306, "ds_0", "u", "p"), self.open)

    async def open(self, flavour: Flavour) -> Connection:
        if self.away:
            raise MeshError(DATA_SOURCE_UNREACHABLE, data_source="ds", reason="away")
        self.opened.append(ScriptedConnection(answer=self.answer, flavour=flavour))
        return self.opened[-1]


def _failed(error: BaseException) -> None:
    raise AssertionError(error)


def _coordinator(server: Server) -> Coordinator:
    return Coordinator(lambda: {FIRST: server.pool, SECOND: server.pool}, bytes(8))


def _branches(*connections: ScriptedConnection) -> list[Branch]:
    places = (FIRST, SECOND)
    return [
        Branch(one.data_source, one, place, changes=list(IMAGES))
        for one, place in zip(connections, places, strict=True)
    ]


async def test_a_write_is_rolled_back_when_no_undo_row_is_under_way_any_more() -> None:
    slow: list[Receiver] = []
    asked = asyncio.Event()

    def answer(connection: ScriptedConnection, sql: str, receiver: Receiver) -> None:
        if sql.startswith("INSERT"):
            slow.append(receiver)
            asked.set()
        else:
            ok()(connection, sql, receiver)

    first, second = ScriptedConnection("ds_0", error(1146)), ScriptedConnection("ds_1", answer)
    saga = Saga("0" * 16 + "-1", FIRST)
    work = Compensator(_coordinator(Server())).end_write(_branches(first, second), saga)
    ending = TaskOwner(_failed).start(work, "ending")
    await asked.wait()
    for _ in range(5):
        # The first error has been told by now.
        await asyncio.sleep(0)
    assert second.sent[-1].startswith("INSERT"), "it has not been answered"
    ok(1)(second, "", slow[0])
    with pytest.raises(ShardError):
        await ending
    assert second.sent[-1] == "ROLLBACK"
    assert not saga.places


async def test_a_table_with_other_columns_than_its_images_is_not_written() -> None:
    connection = ScriptedConnection("ds_0", ok(0))
    with pytest.raises(MeshError) as caught:
        await Compensator(_coordinator(Server())).end_write(
            _branches(connection, ScriptedConnection("ds_1", ok(1))), Saga("0" * 16 + "-1", FIRST)
        )
    assert caught.value.kind is TABLE_CHANGED
    assert connection.sent[-1] == "ROLLBACK"


async def test_a_connection_that_may_hold_the_lock_of_the_process_is_not_left_behind() -> None:
    server = Server()
    asked = asyncio.Event()
    server.answer = lambda *_: asked.set()
    taking = TaskOwner(_failed).start(Ownership(_coordinator(server)).hold(FIRST), "taking")
    await asked.wait()
    taking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await taking
    assert not server.opened[0].open
    server.answer = error(1226)
    with pytest.raises(MeshError):
        await Ownership(_coordinator(server)).hold(FIRST)
    assert not server.opened[1].open


async def test_a_lock_that_was_lost_with_its_server_is_taken_again_when_that_is_back() -> None:
    """Transactions that are open meanwhile need it, and whoever begins another one may be long in coming."""
    server = Server()
    server.answer = lambda connection, sql, receiver: connection.rows([column("taken")], [b"\x011"])
    ownership = Ownership(_coordinator(server))
    await ownership.hold(FIRST)
    server.away = True
    server.opened[0].abort()
    for _ in range(2):
        await ownership.keep()
    server.away = False
    await ownership.keep()
    assert [one.usable for one in server.opened] == [False, True]
    await ownership.keep()
    assert len(server.opened) == 2
    await ownership.close()
