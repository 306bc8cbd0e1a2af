"""Two generations of one table's rules on real servers: two actual tables a data source, and four that are being filled."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest

from dbmesh.assembly import assemble
from dbmesh.backend.pool import Pool
from dbmesh.backend.state import SessionState
from dbmesh.backend.tasks import TaskOwner
from dbmesh.model import DataNode
from dbmesh.reshard.binlogs.changes import FollowedTable, followed_table
from dbmesh.reshard.binlogs.rechecking import Rechecker
from dbmesh.reshard.jobs.generation import generations as both_sides
from dbmesh.reshard.planning.plan import make_plan
from dbmesh.reshard.planning.survey import survey
from dbmesh.reshard.rows.moved_rows import moved_rows
from dbmesh.reshard.rows.reconcile import WRITER_STATE, Reconciler
from dbmesh.rules.keygen.snowflake import Worker
from dbmesh.rules.loader import load_configuration
from dbmesh.rules.moving import Side
from dbmesh.rules.ruleset import Configuration, DataSourceConfig
from tests.plugins.database_server import DatabaseServer
from tests.plugins.fix_mysql import ServerFactory
from tests.plugins.inner_client import InnerClient


@pytest.fixture(scope="package")
def servers(database_server: ServerFactory) -> list[DatabaseServer]:
    """Two servers for all tests of this folder, which keep binlogs."""
    return database_server(
        "reshard0", "reshard1", options=("--log-bin=binlog", "--binlog-format=ROW", "--server-id=71")
    )


COLUMNS = (
    "order_id BIGINT, user_id BIGINT NOT NULL, note VARCHAR(200), amount DECIMAL(10,2), at DATETIME(3), moment TIMESTAMP NULL, "
    "raw VARBINARY(40), ratio DOUBLE, PRIMARY KEY (order_id, user_id), KEY (note)"
)
EVERYTHING = "SELECT order_id, user_id, note, amount, at, moment, HEX(raw), ratio FROM t_order ORDER BY order_id, user_id"

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


def rules(servers: list[DatabaseServer], shards: int) -> str:
    """The file of the logic database."""
    sources = "".join(
        f"  ds_{number}: {{url: 'mysql://{one.host}:{one.port}/moving_{number}', username: {one.user}, "
        f"password: '{one.password}'}}\n"
        for number, one in enumerate(servers)
    )
    return (
        f"databaseName: shop\ndataSources:\n{sources}rules:\n{_RULES.format(last=shards - 1, count=shards)}"
    )


def _configuration(servers: list[DatabaseServer], shards: int) -> Configuration:
    files = {
        "global.yaml": "authority:\n  users:\n  - {user: root@%, password: root}\n",
        "database-shop.yaml": rules(servers, shards),
    }
    return load_configuration(files, lambda kind, name: None)


class Generations:
    """`old` and `new` are clients by the rules there were and by those to come; `reconciler` makes the new side equal to the old
    one's data nodes `sources`, `rechecker` looks whether they are; `followed` are the old one's actual tables."""

    def __init__(
        self,
        old: InnerClient,
        new: InnerClient,
        sources: dict[DataNode, Pool],
        reconciler: Reconciler,
        tasks: TaskOwner,
        rechecker: Rechecker,
        followed: Sequence[tuple[DataSourceConfig, FollowedTable]],
    ) -> None:
        self.tasks = tasks
        self.old = old
        self.new = new
        self.sources = sources
        self.reconciler = reconciler
        self.rechecker = rechecker
        self.followed = followed

    async def copy(self, most: int) -> int:
        """Everything, chunk by chunk; how many rows were written."""
        written = 0
        for node in self.sources:
            after = None
            while True:
                chunk = await self.reconciler.chunk(node, after, most)
                written += chunk.written
                if (after := chunk.last) is None:
                    break
        return written

    async def rows(self) -> tuple[list[list[bytes | None]], list[list[bytes | None]]]:
        """All rows of both sides."""
        return (await self.old.run(EVERYTHING)).rows, (await self.new.run(EVERYTHING)).rows


def fill(servers: list[DatabaseServer], rows: int) -> None:
    """The old tables with this many rows, and the new ones, which are empty."""
    for number, server in enumerate(servers):
        name = f"moving_{number}"
        server.execute(f"DROP DATABASE IF EXISTS {name}", f"CREATE DATABASE {name} CHARACTER SET utf8mb4")
        made = ["t_order_0", "t_order_1", "t_order_0__s7", "t_order_1__s7", "t_order_2", "t_order_3"]
        server.execute(*(f"CREATE TABLE {table} ({COLUMNS})" for table in made), database=name)
        for table in range(2):
            values = ", ".join(
                f"({key}, {key % 20 // 2 * 2 + number}, 'note é {key}', {key}.25, '2024-02-03 04:05:06.789', "
                f"'2024-05-06 07:08:09', x'00ff{key:04x}', {key}/3)"
                for key in range(1, rows + 1)
                if key % 2 == table
            )
            server.execute(f"INSERT INTO t_order_{table} VALUES {values}", database=name)


@asynccontextmanager
async def generations(servers: list[DatabaseServer]) -> AsyncIterator[Generations]:
    """Both, with every write of the old one's client going to the new tables as well."""
    before, after = _configuration(servers, 2), _configuration(servers, 4)
    old_rules, new_rules = before.databases["shop"], after.databases["shop"]
    found = await survey(old_rules.data_sources.values())
    for facts in found.values():
        for name in ("t_order_0__s7", "t_order_1__s7", "t_order_2", "t_order_3"):
            del facts.tables[name]  # type: ignore[attr-defined]
    plan = make_plan(old_rules, new_rules, found, before.transaction_type, "7")
    assert plan.possible, plan.findings
    pools: list[Pool] = []
    tasks = TaskOwner(lambda error: None)
    read, other = both_sides(plan.scope, Side.BEFORE, doubled=True)
    new = await assemble(replace(after, databases={"shop": other}), pools, None, Worker())
    old = await assemble(replace(before, databases={"shop": read}), pools, None, Worker())
    database = old.mesh.databases["shop"]
    old.mesh.databases["shop"] = replace(database, doubles={"t_order": new.mesh.databases["shop"]})
    schema = database.catalog.table("t_order")
    assert schema is not None
    clients = (
        InnerClient(old.mesh, tasks, 1, "shop", SessionState()),
        InnerClient(new.mesh, tasks, 1, "shop", WRITER_STATE),
    )
    move, filled = plan.scope.moves[0], new.mesh.databases["shop"]
    rule = filled.rule_set.table("t_order")
    assert rule is not None
    sources = {node: database.pools[node.data_source] for node in move.sources}
    moved = moved_rows(schema, move.before, rule)
    reconciler = Reconciler(moved, sources, filled.pools)
    rechecker = Rechecker(moved, sources, filled.pools, reconciler)
    followed = [
        (old_rules.data_sources[node.data_source], followed_table(node, schema, moved.identity))
        for node in sources
    ]
    try:
        yield Generations(*clients, sources, reconciler, tasks, rechecker, followed)
    finally:
        await tasks.close()
        for client in clients:
            await client.close()
        for pool in pools:
            await pool.close()
