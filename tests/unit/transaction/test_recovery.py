"""The look for prepared branches goes on whatever happens, says what is wrong once, and waits for no data source twice."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

import pytest

from dbmesh.backend.connection import Connection, Flavour, Receiver
from dbmesh.backend.pool import Pool
from dbmesh.errors import DATA_SOURCE_UNREACHABLE, MeshError
from dbmesh.rules.ruleset import DataSourceConfig
from dbmesh.transaction import recovery as module
from dbmesh.transaction.compensator import Compensator
from dbmesh.transaction.coordinator import Coordinator
from dbmesh.transaction.recovery import Recovery
from dbmesh.transaction.two_phase import End
from dbmesh.transaction.xid import FORMAT, Place, Xid
from tests.plugins.scripted import ScriptedConnection, column, error

DECIDING, HOLDING = Place("a", 3306, "db"), Place("b", 3306, "db")
COLUMNS = [column(name) for name in ("formatID", "gtrid_length", "bqual_length", "data")]


class Server:
    """A data source whose XA RECOVER tells of `prepared`; `refuses` what begins so; `away` opens no connection."""

    def __init__(self) -> None:
        self.prepared: list[Xid] = []
        self.refuses = "nothing"
        self.away = False
        self.asked = 0
        self.pool = Pool(DataSourceConfig("ds", "mysql", "h", 3306, "ds_0", "u", "p"), self._open)

    async def _open(self, flavour: Flavour) -> Connection:
        self.asked += 1
        if self.away:
            raise MeshError(DATA_SOURCE_UNREACHABLE, data_source="ds", reason="away")
        connection = ScriptedConnection("ds_0", self._answer, flavour)
        connection.opened_at = asyncio.get_running_loop().time()
        return connection

    def _answer(self, connection: ScriptedConnection, sql: str, receiver: Receiver) -> None:
        if sql.startswith(self.refuses):
            error(1227, "Access denied")(connection, sql, receiver)
            return
        rows = [self._row(xid) for xid in self.prepared] if sql == "XA RECOVER" else []
        connection.rows(COLUMNS if sql == "XA RECOVER" else [column("gtrid"), column("branches")], rows)

    @staticmethod
    def _row(xid: Xid) -> bytes:
        values = (str(FORMAT), str(len(xid.gtrid)), "33", f"{xid.gtrid}{xid.decider}-{xid.own}")
        return b"".join(bytes((len(value),)) + value.encode() for value in values)


def _recovery(**servers: Server) -> Recovery:
    places = {Place(name, 3306, "db"): server.pool for name, server in servers.items()}
    return Recovery(Compensator(Coordinator(lambda: places, bytes(8))))


async def test_a_look_that_fails_in_an_unforeseen_way_is_followed_by_the_next(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(module, "FORGET_INTERVAL", 0)
    monkeypatch.setattr(module, "PASS_INTERVAL", 0)
    looked = asyncio.Event()

    def places() -> Mapping[Place, Pool]:
        if "the next follows" in caplog.text:
            looked.set()
            return {}
        raise KeyError("unforeseen")

    serving = asyncio.get_running_loop().create_task(
        Recovery(Compensator(Coordinator(places, bytes(8)))).serve()
    )
    await asyncio.wait_for(looked.wait(), 5)
    serving.cancel()
    with pytest.raises(asyncio.CancelledError):
        await serving


async def test_what_stays_wrong_is_said_once(caplog: pytest.LogCaptureFixture) -> None:
    server, other = Server(), Server()
    server.refuses = "XA RECOVER"
    other.prepared = [Xid("0123456789abcdef-1", "f" * 16, HOLDING.sign)]
    recovery = _recovery(a=server, b=other)
    for _ in range(3):
        assert await recovery.resolve(older_than=0) == []
        await recovery.clean_up()
    told = [record.getMessage() for record in caplog.records]
    assert told == [
        "a:3306/db cannot be asked for prepared branches: Access denied",
        "0123456789abcdef-1 is prepared on b:3306/db, and decided where nothing is configured",
    ]
    server.refuses = "nothing"
    await recovery.resolve(older_than=0)
    server.refuses = "XA RECOVER"
    await recovery.resolve(older_than=0)
    assert len(caplog.records) == 3, "it was well in between"


async def test_a_decider_that_is_away_is_asked_once_for_all_its_branches() -> None:
    server, other = Server(), Server()
    server.away = True
    other.prepared = [
        Xid(f"0123456789abcdef-{number}", DECIDING.sign, HOLDING.sign) for number in range(1, 9)
    ]
    ended = await _recovery(a=server, b=other).resolve(older_than=0)
    assert [end for _, end in ended] == [End.UNKNOWN] * 8
    assert server.asked == 2, "for its own branches, and as a decider"
