"""Columns of a statement on a data source that does not prepare."""

from __future__ import annotations

import pytest

from dbmesh.backend.sqlite.connection import SQLiteConnection
from dbmesh.engine.collect import collect
from dbmesh.engine.describe import describe
from dbmesh.errors import MeshError, ShardError
from tests.plugins.scripted import ScriptedConnection


async def test_an_embedded_data_source_tells_its_columns() -> None:
    connection = await SQLiteConnection.open(":memory:", data_source="ds_0")
    try:
        await collect(connection, b"CREATE TABLE t (a BIGINT, b VARCHAR(9))")
        assert [found.name for found in await describe(connection, b"SELECT b, a FROM t WHERE a = ?")] == [
            b"b",
            b"a",
        ]
        with pytest.raises(ShardError):
            await describe(connection, b"SELECT c FROM t")
    finally:
        await connection.close()


async def test_another_kind_is_refused() -> None:
    with pytest.raises(MeshError, match="not supported: PREPARE"):
        await describe(ScriptedConnection(), b"SELECT 1")
