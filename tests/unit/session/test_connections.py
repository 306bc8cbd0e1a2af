"""What a lost pin and a deadlock do to the connections a session holds, and that statements share connections."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

from dbmesh.backend.state import SessionState
from dbmesh.errors import MeshError, ShardError
from dbmesh.model import DataNode
from dbmesh.planner.plan import PinReason
from dbmesh.session.connections import Loan, free_after_error
from dbmesh.session.session import Session
from dbmesh.session.temporary import TemporaryTables
from dbmesh.transaction.transaction import Transaction
from dbmesh.wire.constants import ColumnType
from tests.plugins import canned
from tests.plugins.scripted import ScriptedConnection, column, silence
from tests.plugins.session_world import SessionWorld


def _session() -> SimpleNamespace:
    made = SimpleNamespace(
        pins={},
        transaction=Transaction(),
        autocommit=True,
        broken_transaction=None,
        now=lambda: 0.0,
        state=SessionState(),
    )
    made.release_branches = lambda branches: Session.release_branches(made, branches)
    return made


def _logic_database(name: str, key: str) -> Any:
    return SimpleNamespace(name=name, pools={"ds_0": None}, connection_key=lambda source: key)


@pytest.mark.parametrize(("number", "pinned"), [(1213, False), (1213, True), (1020, False)])
async def test_what_ends_a_transaction_gives_back_what_is_not_pinned(number: int, pinned: bool) -> None:
    session, connection = _session(), ScriptedConnection()
    session.transaction.begin("")
    await session.transaction.join("shop.ds_0", connection)
    if pinned:
        session.pins["shop.ds_0"] = (connection, PinReason.USER_LOCK)
    await free_after_error(session, ShardError(number, "40001", "Deadlock found"))
    assert connection.home.released == ([] if pinned else [connection])
    assert connection.sent[-1] == "ROLLBACK"
    assert not session.transaction.open
    assert session.broken_transaction is None


async def test_a_lost_branch_breaks_the_transaction() -> None:
    session, connection = _session(), ScriptedConnection()
    session.transaction.begin("")
    await session.transaction.join("shop.ds_0", connection)
    connection.open = False
    await free_after_error(session, ShardError(1064, "42000", "gone"))
    assert session.broken_transaction == "gone"


async def test_a_rollback_that_is_cancelled_gives_every_branch_back() -> None:
    session, connections = _session(), [ScriptedConnection(name) for name in ("ds_0", "ds_1", "ds_2")]
    session.transaction.begin("")
    for one in connections:
        await session.transaction.join(f"shop.{one.data_source}", one)
    lost, slow, other = connections
    lost.open = False
    slow.answer = silence
    work = asyncio.get_running_loop().create_task(
        free_after_error(session, ShardError(2013, "HY000", "gone"))
    )
    await asyncio.sleep(0)
    assert slow.sent[-1] == "ROLLBACK"
    work.cancel()
    with pytest.raises(asyncio.CancelledError):
        await work
    # Their pools close what is in a transaction or not open any more.
    assert [one.home.released for one in connections] == [[lost], [slow], [other]]
    assert other.in_transaction


async def test_any_other_error_leaves_the_transaction_open() -> None:
    session, connection = _session(), ScriptedConnection()
    session.transaction.begin("")
    await session.transaction.join("shop.ds_0", connection)
    await free_after_error(session, ShardError(1062, "23000", "Duplicate entry"))
    assert session.transaction.open
    assert connection.in_transaction


@pytest.mark.parametrize("reason", list(PinReason))
def test_a_lost_pin_is_told_unless_it_was_a_cursor(reason: PinReason) -> None:
    session, connection = _session(), ScriptedConnection()
    database, other, elsewhere = (
        _logic_database(name, key)
        for name, key in (("shop", "shop.ds_0"), ("hr", "shop.ds_0"), ("far", "far.ds_0"))
    )
    session.databases = {one.name: one for one in (database, other, elsewhere)}
    session.pins["shop.ds_0"] = (connection, reason)
    session.temporary = TemporaryTables()
    for one in (database, other, elsewhere):
        session.temporary.add(one, DataNode("ds_0", "mine"))
    loan = Loan(session)
    if reason is PinReason.CURSOR:
        loan._unpin(database, "ds_0", connection, reason)
    else:
        with pytest.raises(MeshError, match=f"its {reason.value} is gone"):
            loan._unpin(database, "ds_0", connection, reason)
    assert session.pins == {}
    for one in (database, other):
        assert session.temporary.on(one, "ds_0") == [], "both were on that connection"
    assert session.temporary.on(elsewhere, "ds_0") == ["mine"]
    assert connection.home.discarded == [connection]


async def test_the_connections_of_a_merged_statement_serve_the_next_one() -> None:
    world = SessionWorld()
    columns = [column("status"), column("dbmesh_0", ColumnType.LONGLONG)]
    world.reply = lambda name, payload: canned.result_set(columns, [[b"paid", b"1"]])
    for _ in range(2):
        packets = await world.command(b"\x03SELECT status FROM t_order ORDER BY order_id")
        assert packets[-1][1][0] == 0xFE
        assert [pool.idle for pool in world.pools.values()] == [2, 2]
    assert len(world.sent) == 8
    await world.end()


async def test_a_query_that_locks_rows_has_one_connection_to_a_data_source() -> None:
    world = SessionWorld()
    columns = [column("status"), column("dbmesh_0", ColumnType.LONGLONG)]
    world.reply = lambda name, payload: canned.result_set(columns, [[b"paid", b"1"]])
    packets = await world.command(b"\x03SELECT status FROM t_order ORDER BY order_id FOR UPDATE")
    assert packets[-1][1][0] == 0xFE
    assert len(world.sent) == 4, "two actual tables on each of two data sources"
    assert [pool.idle for pool in world.pools.values()] == [1, 1]
    await world.end()
