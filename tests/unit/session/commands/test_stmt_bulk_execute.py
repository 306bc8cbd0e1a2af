"""COM_STMT_BULK_EXECUTE: of rows that are one INSERT to the client all are written, or none."""

from __future__ import annotations

import asyncio

from dbmesh.errors import QUERY_INTERRUPTED
from dbmesh.session.commands.stmt_bulk_execute import _OneAnswer, _run_together
from dbmesh.wire.packets import parse_err
from tests.plugins import canned
from tests.plugins.session_world import SessionWorld

ROWS = [f"INSERT INTO t_order_item (item_id, order_id, user_id) VALUES ({key}, 1, {key})" for key in (0, 2)]
"""The first is on ds_0, the second on ds_1."""


async def test_in_a_transaction_rows_before_one_that_is_killed_are_undone() -> None:
    world, joins = SessionWorld(), asyncio.Event()
    session = world.session
    await world.command(b"\3BEGIN")

    def reply(name: str, payload: bytes) -> bytes:
        if name == "ds_1":
            joins.set()
            return b""
        return canned.ok(1, status=3)

    world.reply = reply
    sink = _OneAnswer(session, 1)
    session.use_sink(sink)
    world.client.answered.clear()
    session.run(_run_together(session, ROWS, sink))
    await asyncio.wait_for(joins.wait(), 20)
    session.kill_query()
    await world.client.answered.wait()
    assert parse_err(world.client.packets()[-1][1]).number == QUERY_INTERRUPTED.number
    assert world.statements()[-1] == ("ds_0", "ROLLBACK TO SAVEPOINT `dbmesh_bulk`")
    world.reply = lambda name, payload: canned.ok()
    await world.command(b"\3COMMIT")
    await world.end()
