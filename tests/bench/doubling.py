"""What a write costs while its table moves: by the same client, without a job and with every write going to both sides."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from statistics import median

from dbmesh.assembly import assemble
from dbmesh.backend.pool import Pool
from dbmesh.backend.state import SessionState
from dbmesh.backend.tasks import TaskOwner
from dbmesh.model import DataNode
from dbmesh.reshard.jobs.files import JobFiles
from dbmesh.rules.keygen.snowflake import Worker
from dbmesh.rules.loader import load_configuration
from dbmesh.rules.moving import MovingTable, Side
from tests.bench.stage import Stage, source
from tests.plugins.inner_client import InnerClient

_COLUMNS = "id INT PRIMARY KEY, k INT NOT NULL, c CHAR(120) NOT NULL, KEY (k)"
_RULES = """\
rules:
- !SHARDING
  tables:
    doubled:
      actualDataNodes: ds_${{0..1}}.doubled_${{0..{last}}}
      databaseStrategy: {{standard: {{shardingColumn: id, shardingAlgorithmName: by_source}}}}
      tableStrategy: {{standard: {{shardingColumn: id, shardingAlgorithmName: by_table}}}}
  shardingAlgorithms:
    by_source: {{type: INLINE, props: {{algorithm-expression: 'ds_${{id % 2}}'}}}}
    by_table: {{type: INLINE, props: {{algorithm-expression: 'doubled_${{id % {count}}}'}}}}
"""
_STATEMENTS = {
    "point INSERT": "INSERT INTO doubled VALUES ({id}, 1, 'c')",
    "point UPDATE": "UPDATE doubled SET c = 'changed' WHERE id = {id}",
    "point DELETE": "DELETE FROM doubled WHERE id = {id}",
}


@dataclass(frozen=True)
class Written:
    """A single write under autocommit: milliseconds until it is answered, and those of CPU in the mesh's process."""

    milliseconds: float
    cpu_ms: float


def doubling(stage: Stage, rounds: int, writes: int) -> dict[str, dict[str, Written]]:
    """Statement → without a job, and to both sides; medians of rounds in turns."""
    job = _job(stage)
    (table,) = job.tables
    there = {node.table for node in table.sources}
    built = {built_as for _, built_as in table.targets}
    ways = {
        "no job": (there, job.unmoved(Side.BEFORE)),
        "to both sides": (there | built, job.moving(Side.BEFORE, doubled=True)),
    }
    found: dict[str, dict[str, list[Written]]] = {
        statement: {way: [] for way in ways} for statement in _STATEMENTS
    }
    for _ in range(rounds):
        for way, (tables, files) in ways.items():
            _make(stage, there | built, tables)
            for statement, written in asyncio.run(_write(files, writes)).items():
                found[statement][way].append(written)
    return {
        statement: {
            way: Written(median(one.milliseconds for one in all_), median(one.cpu_ms for one in all_))
            for way, all_ in by_way.items()
        }
        for statement, by_way in found.items()
    }


def _job(stage: Stage) -> JobFiles:
    """From two actual tables a server to four."""
    sources = "".join(source(f"ds_{n}", server, f"sb_{n}") for n, server in enumerate(stage.servers))
    head = f"databaseName: doubled\ndataSources:\n{sources}"
    base = {
        "global.yaml": "authority:\n  users:\n  - {user: root@%, password: root}\n",
        "database-doubled.yaml": head + _RULES.format(last=1, count=2),
    }
    table = MovingTable(
        "doubled",
        tuple(DataNode(f"ds_{n}", f"doubled_{t}") for n in range(2) for t in range(2)),
        tuple(
            (DataNode(f"ds_{n}", f"doubled_{t}"), f"doubled_{t}" + ("__s1" if t < 2 else ""))
            for n in range(2)
            for t in range(4)
        ),
    )
    after = head + _RULES.format(last=3, count=4)
    return JobFiles(1, "doubled", base, "database-doubled.yaml", after, (table,))


def _make(stage: Stage, former: Collection[str], tables: Collection[str]) -> None:
    """On every server these tables, empty, and none of the `former` ones."""
    for number, server in enumerate(stage.servers):
        server.execute(
            *(f"DROP TABLE IF EXISTS {name}" for name in former),
            *(f"CREATE TABLE {name} ({_COLUMNS})" for name in tables),
            database=f"sb_{number}",
        )


async def _write(files: Mapping[str, str], writes: int) -> dict[str, Written]:
    configuration = load_configuration(files, lambda kind, name: None)
    opened: list[Pool] = []
    mesh = (await assemble(configuration, opened, None, Worker())).mesh
    tasks = TaskOwner(lambda error: None)
    client = InnerClient(mesh, tasks, 1, "doubled", SessionState())
    found: dict[str, Written] = {}
    for name, statement in _STATEMENTS.items():
        began, used = time.monotonic(), time.process_time()
        for id_ in range(1, writes + 1):
            await client.run(statement.format(id=id_))
        seconds, cpu = time.monotonic() - began, time.process_time() - used
        found[name] = Written(seconds / writes * 1000, cpu / writes * 1000)
    await client.close()
    await tasks.close()
    for pool in opened:
        await pool.close()
    return found
