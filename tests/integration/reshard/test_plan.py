"""`dbmesh reshard plan` tells what real servers have, what an account may do there, and what stands in the way."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from dbmesh.cli.main import run as cli
from tests.plugins.database_server import DatabaseServer

pytestmark = pytest.mark.integration

_RULES = """\
- !SHARDING
  tables:
    t_order:
      actualDataNodes: ds_${{0..1}}.t_order_${{0..{last}}}
      databaseStrategy: {{standard: {{shardingColumn: user_id, shardingAlgorithmName: by_user}}}}
      tableStrategy: {{standard: {{shardingColumn: order_id, shardingAlgorithmName: by_order}}}}
  shardingAlgorithms:
    by_user: {{type: INLINE, props: {{algorithm-expression: 'ds_${{user_id % 2}}'}}}}
    by_order: {{type: INLINE, props: {{algorithm-expression: 't_order_${{order_id % {count}}}'}}}}
- !SINGLE
  tables: ['*.*']
"""


def _write(directory: Path, servers: list[DatabaseServer], shards: int, account: tuple[str, str]) -> Path:
    directory.mkdir()
    (directory / "global.yaml").write_text("authority:\n  users:\n  - {user: root@%, password: root}\n")
    user, password = account
    sources = "".join(
        f"  ds_{number}: {{url: 'mysql://{one.host}:{one.port}/planned_{number}', username: {user}, password: '{password}'}}\n"
        for number, one in enumerate(servers)
    )
    rules = _RULES.format(last=shards - 1, count=shards)
    (directory / "database-shop.yaml").write_text(
        f"databaseName: shop\ndataSources:\n{sources}rules:\n{rules}"
    )
    return directory


def test_a_plan_from_two_tables_to_four(
    servers: list[DatabaseServer], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for number, server in enumerate(servers):
        server.execute(f"DROP DATABASE IF EXISTS planned_{number}", f"CREATE DATABASE planned_{number}")
        server.execute(
            *(
                f"CREATE TABLE t_order_{table} (order_id BIGINT PRIMARY KEY, user_id BIGINT NOT NULL, note VARCHAR(20))"
                for table in range(2)
            ),
            "INSERT INTO t_order_0 VALUES (2, 4, 'x'), (4, 6, 'y')",
            "ANALYZE TABLE t_order_0",
            "DROP USER IF EXISTS planner@'%'",
            "CREATE USER planner@'%' IDENTIFIED BY 'planner'",
            f"GRANT SELECT, INSERT, UPDATE, DELETE, CREATE ON planned_{number}.* TO planner@'%'",
            database=f"planned_{number}",
        )
    now = _write(tmp_path / "now", servers, 2, (servers[0].user, servers[0].password))
    new = _write(tmp_path / "new", servers, 4, (servers[0].user, servers[0].password))
    assert cli(["reshard", "plan", str(new), "--config", str(now), "--json"]) == 0
    plan = json.loads(capsys.readouterr().out)
    assert plan["possible"]
    (table,) = plan["tables"]
    assert table["table"] == "t_order"
    assert {one["node"]: one["rows"] for one in table["sources"]} == {
        "ds_0.t_order_0": 2,
        "ds_0.t_order_1": 0,
        "ds_1.t_order_0": 2,
        "ds_1.t_order_1": 0,
    }
    assert [one["built_as"] for one in table["targets"]][:4] == [
        "t_order_0__s0",
        "t_order_1__s0",
        "t_order_2",
        "t_order_3",
    ]
    assert len(plan["steps"]) == 8
    assert not any(one["blocks"] for one in plan["findings"])
    assert cli(["reshard", "plan", str(new), "--config", str(now)]) == 0
    assert "about 4 rows" in capsys.readouterr().out

    servers[1].execute(
        "CREATE TRIGGER logged AFTER INSERT ON t_order_1 FOR EACH ROW SET @x = 1",
        "CREATE TABLE t_order_3 (id INT PRIMARY KEY)",
        "CREATE PROCEDURE remove_all() DELETE FROM T_Order_0",
        "CREATE PROCEDURE t_order_0() SELECT 1",
        database="planned_1",
    )
    limited = _write(tmp_path / "limited", servers, 4, ("planner", "planner"))
    assert cli(["reshard", "plan", str(limited), "--config", str(now)]) == 3
    said = " ".join(capsys.readouterr().out.split())
    assert "obstacle: ds_1.t_order_1: it has triggers (logged)" in said
    assert "obstacle: ds_1.t_order_0: stored programs name it (procedure remove_all)" in said
    assert "obstacle: ds_1.t_order_3: there is such a table already" in said
    assert "obstacle: ds_0: the account 'planner' has not got ALTER" in said
    assert "the job cannot begin: 5 obstacles" in said
    assert cli(["reshard", "plan", str(now), "--config", str(now)]) == 3
    assert "looks for every row" in capsys.readouterr().out.replace("look for", "looks for")
