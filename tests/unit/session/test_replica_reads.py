"""What a session has written is asked of the primary there is: no position outlives the server that has told it."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any, cast

import pytest

from dbmesh.backend.mysql import MySQLConnection
from dbmesh.rules.replica_groups import CausalReads
from dbmesh.session import replica_reads
from dbmesh.session.replica_reads import Written, _sees


async def test_a_position_that_could_not_be_asked_for_is_asked_for_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    former, primary = cast("Any", object()), cast("Any", object())
    written = Written("0-1-100", former)
    answers = [asyncio.CancelledError(), "0-2-7"]
    waited: list[str] = []

    async def position(*_: object, **__: object) -> str:
        answer = answers.pop(0)
        if isinstance(answer, BaseException):
            raise answer
        return answer

    async def wait(connection: object, position: str, seconds: float, **_: object) -> bool:
        waited.append(position)
        return True

    monkeypatch.setattr(replica_reads, "_position", position)
    monkeypatch.setattr(replica_reads, "_waited", wait)
    group = SimpleNamespace(causal_reads=CausalReads.SESSION, causal_timeout=1.0)
    session = cast("Any", SimpleNamespace(written={"shop.ds_0": written}))
    database = cast("Any", SimpleNamespace(connection_key=lambda name: "shop.ds_0", pools={"ds_0": None}))
    replicas = cast("Any", SimpleNamespace(group=group, primary=primary))
    connection = MySQLConnection.__new__(MySQLConnection)
    connection.server_version = "10.11-MariaDB"

    async def sees() -> bool:
        server = cast("Any", SimpleNamespace(name="r1"))
        return await _sees(session, database, "ds_0", replicas, server, connection)

    with pytest.raises(asyncio.CancelledError):
        await sees()
    assert await sees()
    assert waited == ["0-2-7"], "no replica may ever have what the former primary told"
    assert written.told_by is primary
