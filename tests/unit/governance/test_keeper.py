"""What the keeper asks data sources does not depend on who has used a connection before."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

from dbmesh.backend.connection import Connection, Flavour, Receiver
from dbmesh.backend.pool import Pool
from dbmesh.backend.state import SessionState
from dbmesh.governance.keeper import greatest_number
from dbmesh.model import DataNode
from dbmesh.rules.ruleset import DataSourceConfig
from dbmesh.wire.values import encode_text_row
from tests.plugins.scripted import ScriptedConnection, column


async def test_the_greatest_number_is_asked_for_without_the_limits_of_another_session() -> None:
    asked_in: list[SessionState] = []

    def answer(connection: ScriptedConnection, sql: str, receiver: Receiver) -> None:
        asked_in.append(connection.state)
        connection.rows([column("n")], [encode_text_row([b"7"])])

    async def open_connection(flavour: Flavour) -> Connection:
        made = ScriptedConnection(answer=answer, flavour=flavour)
        made.opened_at = asyncio.get_running_loop().time()
        return made

    pool = Pool(DataSourceConfig("ds_0", "mysql", "h", 3306, "db", "u", "p"), open_connection)
    used = await pool.acquire(Flavour())
    await used.bring_to(SessionState().with_variable("sql_select_limit", "0"))
    pool.release(used, asyncio.get_running_loop().time())
    rule = SimpleNamespace(key_column="id", nodes=(DataNode("ds_0", "t_0"),))
    database: Any = SimpleNamespace(rule_set=SimpleNamespace(table=lambda name: rule), pools={"ds_0": pool})
    assert await greatest_number(database, "t") == 7
    assert asked_in == [SessionState()]
    await pool.close()
