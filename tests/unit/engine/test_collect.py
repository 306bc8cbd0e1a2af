"""Whole answers in memory, and what a cancelled wait leaves."""

from __future__ import annotations

import asyncio

import pytest

from dbmesh.engine.collect import collect
from dbmesh.errors import ShardError
from dbmesh.wire.values import encode_text_row
from tests.plugins.scripted import ScriptedConnection, column, error, ok, silence


async def test_rows_are_decoded_and_the_ok_is_kept() -> None:
    connection = ScriptedConnection(answer=silence)
    work = asyncio.get_running_loop().create_task(collect(connection, b"SELECT"))
    await asyncio.sleep(0)
    connection.rows([column("a"), column("b")], [encode_text_row([b"1", None])])
    result = await work
    assert result.rows == [[b"1", None]]
    assert [found.name for found in result.columns] == [b"a", b"b"]
    result = await collect(ScriptedConnection(answer=ok(3)), b"UPDATE")
    assert result.ok is not None
    assert result.ok.affected_rows == 3


async def test_an_error_is_raised_and_the_connection_stays() -> None:
    connection = ScriptedConnection(answer=error(1064))
    with pytest.raises(ShardError):
        await collect(connection, b"SELEC")
    assert connection.usable


async def test_a_cancelled_wait_closes_the_connection() -> None:
    connection = ScriptedConnection(answer=silence)
    work = asyncio.get_running_loop().create_task(collect(connection, b"SELECT SLEEP(9)"))
    await asyncio.sleep(0)
    work.cancel()
    with pytest.raises(asyncio.CancelledError):
        await work
    assert not connection.open
