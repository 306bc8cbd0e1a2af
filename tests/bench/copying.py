"""Copying a table that moves: from one server to four data nodes on two, beside INSERT … SELECT between two tables of one server."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

from dbmesh.assembly import assemble
from dbmesh.backend.pool import Pool
from dbmesh.governance.embedded import EmbeddedStore
from dbmesh.model import DataNode
from dbmesh.reshard.rows.chunks import ChunkJournal
from dbmesh.reshard.rows.copying import TableCopy
from dbmesh.reshard.rows.moved_rows import moved_rows
from dbmesh.reshard.rows.pacing import Pacing, read_load
from dbmesh.reshard.rows.reconcile import Reconciler
from dbmesh.reshard.rows.throttle import Limits, Throttle
from dbmesh.rules.keygen.snowflake import Worker
from dbmesh.rules.loader import load_configuration
from dbmesh.rules.ruleset import SingleTable
from tests.bench.stage import SHARDS, Stage, source

WORKERS = (1, 4)


@dataclass(frozen=True)
class Copying:
    """Rows per second of INSERT … SELECT, and by number of workers those of copying, which takes `cpu` µs a row in its process."""

    direct: float
    copied: dict[int, float]
    cpu: float


def copying(stage: Stage, rounds: int) -> Copying:
    """Medians of so many rounds, in turns."""
    rows = stage.big_rows // 5
    direct: list[float] = []
    copied: dict[int, list[float]] = {workers: [] for workers in WORKERS}
    cpu: list[float] = []
    for _ in range(rounds):
        direct.append(rows / _insert_select(stage, rows))
        for workers, found in copied.items():
            _empty(stage)
            seconds, used = asyncio.run(_copy(stage, workers, rows))
            found.append(rows / seconds)
            cpu.append(used / rows * 1e6)
    return Copying(median(direct), {workers: median(found) for workers, found in copied.items()}, median(cpu))


def _insert_select(stage: Stage, rows: int) -> float:
    first = stage.servers[0]
    first.execute("DROP TABLE IF EXISTS moving", "CREATE TABLE moving LIKE big", database="sbtest")
    began = time.monotonic()
    first.execute(f"INSERT INTO moving SELECT * FROM big WHERE id <= {rows}", database="sbtest")
    return time.monotonic() - began


def _empty(stage: Stage) -> None:
    for number, server in enumerate(stage.servers):
        for shard in range(number, SHARDS, 2):
            server.execute(
                f"DROP TABLE IF EXISTS moving_{shard}",
                f"CREATE TABLE moving_{shard} LIKE big_{shard}",
                database=f"sb_{number}",
            )


async def _copy(stage: Stage, workers: int, rows: int) -> tuple[float, float]:
    """Seconds, and seconds of CPU in this process."""
    servers = stage.servers
    sources = "".join(source(f"ds_{number}", server, f"sb_{number}") for number, server in enumerate(servers))
    database = (
        f"databaseName: moved\ndataSources:\n{source('old', servers[0], 'sbtest')}{sources}"
        "rules:\n- !SHARDING\n  autoTables:\n    moving:\n      actualDataSources: ds_0,ds_1\n"
        "      shardingStrategy: {standard: {shardingColumn: id, shardingAlgorithmName: by_id}}\n"
        f"  shardingAlgorithms:\n    by_id: {{type: MOD, props: {{sharding-count: {SHARDS}}}}}\n"
    )
    users = "authority:\n  users:\n  - {user: root@%, password: root}\n"
    configuration = load_configuration(
        {"global.yaml": users, "database-moved.yaml": database}, lambda kind, name: None
    )
    opened: list[Pool] = []
    mesh = (await assemble(configuration, opened, None, Worker())).mesh.databases["moved"]
    schema, rule = mesh.catalog.table("moving"), mesh.rule_set.table("moving")
    assert schema is not None
    assert rule is not None
    old = DataNode("old", "moving")
    reconciler = Reconciler(
        moved_rows(schema, SingleTable("moving", old), rule), {old: mesh.pools["old"]}, mesh.pools
    )
    pacing = Pacing(Throttle(Limits()), lambda: read_load(mesh.pools, {}))
    with TemporaryDirectory(prefix="dbmesh-bench-") as directory:
        store = await EmbeddedStore.open(Path(directory) / "store.db", time.monotonic)
        journal = ChunkJournal(store, "1", "moving", "bench", await store.grant(600))
        began, used = time.monotonic(), time.process_time()
        await TableCopy([old], reconciler, journal, pacing).run(workers)
        took = time.monotonic() - began, time.process_time() - used
        copied = (await journal.look()).counts
        await store.close()
    for pool in opened:
        await pool.close()
    if (copied.rows, copied.written) != (rows, rows):
        raise RuntimeError(f"{rows} rows were to be copied: {copied}")
    return took
