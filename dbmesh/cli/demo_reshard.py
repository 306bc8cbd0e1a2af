"""`dbmesh demo --reshard`: the shop's tables move from 4 to 8 shards while clients write and read.

Decides what is started, the order of the acts and the exit code. What clients do is `demo_shoppers`', how it looks `demo_stage`'s; the job
is carried out as any other: by a sidecar of its own process, asked through its store.
"""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import replace
from pathlib import Path

from dbmesh.backend.connection import Flavour
from dbmesh.backend.mysql_connect import open_mysql
from dbmesh.cli import demo_data
from dbmesh.cli.demo import SCHEMAS, data_directory, interrupted_once
from dbmesh.cli.demo_seed import as_client, seed
from dbmesh.cli.demo_shoppers import Shopper, Traffic
from dbmesh.cli.demo_stage import Scene, Screen, summary
from dbmesh.cli.loading import load_directory
from dbmesh.cli.mariadb_servers import MariaDbServer, missing_programs, running_servers
from dbmesh.cli.output import EXIT_INTERRUPTED, EXIT_MISTAKE, EXIT_OK, Failure, answers
from dbmesh.cli.reshard_start import begin_planned_job, planned_job
from dbmesh.cli.stores import opened_store
from dbmesh.engine.collect import collect
from dbmesh.errors import MeshError, ShardError
from dbmesh.governance.store import Store
from dbmesh.reshard.jobs.documents import change_job, read_job, read_progress
from dbmesh.reshard.jobs.job import Job, Wish, wished

ORDERS = 4_000
"""Orders of the shop; each has two items on average."""

CLIENTS = 8

LOOK = 0.25
"""Seconds between two looks at the job."""

INTERLUDE = 1.5
"""Seconds between two acts: clients are seen to go on."""

TRIES = 5
"""How often a switch is asked for that was refused: on a busy machine something may outlast the hold."""

_PASSWORD = "DBMESH_DEMO_PASSWORD_{number}"
_READY = re.compile(r"ready on (\S+):(\d+)")
_SUMS = (
    "SELECT COUNT(*), SUM(amount), SUM(user_id) FROM t_order WHERE order_id <= {orders}",
    "SELECT COUNT(*), SUM(price), SUM(quantity) FROM t_order_item WHERE order_id <= {orders}",
)
_SWITCHES = (Wish.CUTOVER, Wish.ROLLBACK, Wish.CUTOVER)
_SOURCE = """\
  ds_{number}:
    url: 'mysql://{host}:{port}/{schema}'
    username: {user}
    password: '${{env:{password}}}'
    maxPoolSize: 60
"""
_GLOBAL = """\
mode:
  type: Standalone
  repository: {type: SQLite, props: {path: store.db}}
authority:
  users:
  - user: root@%
    password: '*81F5E21E35407D884A6CD4A731AEBFB6AF209E1B'  # root
    admin: true
transaction:
  defaultType: XA
"""


def run_reshard_demo(host: str, port: int, data_dir: Path | None, orders: int = ORDERS) -> int:
    """Runs the second act to its end and returns the exit code: EXIT_MISTAKE when a client has seen an error or a wrong answer. Raises
    Failure."""
    missing = missing_programs()
    if missing:
        raise Failure(
            f"--reshard moves tables of real servers and needs {' and '.join(missing)} on PATH: install mariadb-server "
            "(apt install mariadb-server, dnf install mariadb-server, brew install mariadb)"
        )
    try:
        with interrupted_once() as started:
            directory = started.enter_context(data_directory(data_dir, "reshard"))
            storage = directory / "data"
            shutil.rmtree(storage, ignore_errors=True)
            storage.mkdir()
            answers().print("starting two MariaDB servers and a sidecar …")
            servers = started.enter_context(running_servers(storage, SCHEMAS, binlog=True))
            before, after = _write_files(storage, servers)
            os.environ.update(_passwords(servers))
            bound_host, bound_port = started.enter_context(_sidecar(before, host, port))
            return asyncio.run(_Show(before, after, bound_host, bound_port).play(orders))
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED


def _write_files(storage: Path, servers: Sequence[MariaDbServer]) -> tuple[Path, Path]:
    """The directories of the rules that hold and of those to come."""
    sources = "".join(
        _SOURCE.format(
            number=number,
            host=server.host,
            port=server.port,
            schema=server.schema,
            user=server.user,
            password=_PASSWORD.format(number=number),
        )
        for number, server in enumerate(servers)
    )
    made = []
    for name, tables in (("rules", 2), ("rules.new", 4)):
        directory = storage / name
        directory.mkdir()
        (directory / "global.yaml").write_text(_GLOBAL)
        (directory / "database-shop.yaml").write_text(demo_data.database_file(sources, tables))
        made.append(directory)
    return made[0], made[1]


def _passwords(servers: Sequence[MariaDbServer]) -> Mapping[str, str]:
    """Files of a mesh's store name no secret: the environment of this process and of the sidecar has them."""
    return {_PASSWORD.format(number=number): server.password for number, server in enumerate(servers)}


@contextmanager
def _sidecar(directory: Path, host: str, port: int) -> Iterator[tuple[str, int]]:
    """`dbmesh serve` in a process of its own, ready; where it listens. Raises Failure."""
    log = directory / "sidecar.log"
    program = "from dbmesh.cli.main import main; main()"
    command = [sys.executable, "-c", program, "serve", "--config", str(directory), "--host", host]
    with log.open("w") as said:
        # A session of its own: Ctrl-C in the terminal reaches the demo alone, which then stops the sidecar in order.
        process = subprocess.Popen(
            [*command, "--port", str(port)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=said,
            text=True,
            start_new_session=True,
            env={**os.environ, "PYTHONUNBUFFERED": "1", "COLUMNS": "200"},
        )
    with process:
        assert process.stdout is not None
        try:
            found = next(filter(None, map(_READY.search, process.stdout)), None)
            if found is None:
                last = (log.read_text(errors="replace").splitlines() or ["it said nothing"])[-1]
                raise Failure(f"the sidecar did not start: {last}")
            yield found[1], int(found[2])
        finally:
            process.terminate()


class _Show:
    """The acts, in front of clients. `before` and `after` are the directories of both sides' files."""

    def __init__(self, before: Path, after: Path, host: str, port: int) -> None:
        self._before = before
        self._after = after
        self._host = host
        self._port = port
        self._console = answers()
        self._traffic = Traffic()
        self._switches: list[tuple[str, float]] = []
        self._screen = Screen(self._console, time.monotonic)

    async def play(self, orders: int) -> int:
        """From the seed to the end; the exit code. Raises Failure."""
        await seed(self._console, self._host, self._port, orders)
        seeded = await self._sums(orders)
        self._console.print(
            f"t_order and t_order_item move from 4 to 8 shards under {CLIENTS} clients, on {self._host}:{self._port}",
            soft_wrap=True,
        )
        async with opened_store(load_directory(self._before), self._before) as store:
            assert store is not None
            began = time.monotonic()
            async with self._shopping():
                with self._screen:
                    job = await self._move(store)
            took = time.monotonic() - began
            if await self._sums(orders) != seeded:
                self._traffic.wrong.append("the orders that nobody touched are not what they were")
            self._console.print(summary(await self._scene(store, job), took))
        return EXIT_OK if self._traffic.flawless else EXIT_MISTAKE

    async def _move(self, store: Store) -> Job:
        plan, job = await planned_job(store, self._before, self._after, None)
        if not plan.possible:
            raise Failure("the tables cannot be moved", tuple(one.sentence for one in plan.findings))
        job = replace(job, comment="4 to 8 shards")
        job = await begin_planned_job(store, plan, job, self._before, self._after)
        job = await self._until_at_rest(store, job)
        for switch in _SWITCHES:
            job = await self._switch(store, job, switch)
            await self._show_for(store, job, INTERLUDE)
        return await self._ask(store, job, Wish.FINISH)

    async def _switch(self, store: Store, job: Job, wish: Wish) -> Job:
        for left in reversed(range(TRIES)):
            self._traffic.begin_window()
            try:
                job = await self._ask(store, job, wish)
            except Failure:
                if not left:
                    raise
            else:
                break
        self._switches.append((wish.value, self._traffic.window))
        return job

    async def _ask(self, store: Store, job: Job, wish: Wish) -> Job:
        asked = await change_job(store, job.number, lambda one: wished(one, wish, time.time()))
        return await self._until_at_rest(store, asked)

    async def _until_at_rest(self, store: Store, job: Job) -> Job:
        """Show it until it waits or has ended. Raises Failure when it does not go on."""
        while job.works:
            await self._show_for(store, job, LOOK)
            job = await read_job(store, job.number)
        if job.stopped:
            raise Failure(f"the job does not go on in phase '{job.phase.value}': {job.stopped}")
        self._screen.show(await self._scene(store, job))
        return job

    async def _show_for(self, store: Store, job: Job, seconds: float) -> None:
        """Show the job as it is now, and what clients see until then."""
        ends = time.monotonic() + seconds
        while (left := ends - time.monotonic()) > 0:
            self._screen.show(await self._scene(store, job))
            await asyncio.sleep(min(left, LOOK))

    async def _scene(self, store: Store, job: Job) -> Scene:
        traffic = self._traffic
        return Scene(
            CLIENTS,
            job.phase,
            await read_progress(store, job.number),
            traffic.statements,
            traffic.rate(time.monotonic()),
            traffic.longest,
            (*traffic.errors, *traffic.wrong),
            tuple(self._switches),
        )

    @asynccontextmanager
    async def _shopping(self) -> AsyncIterator[None]:
        """Clients write and read for the block."""
        mesh = as_client(self._host, self._port)
        shoppers = [Shopper(number, mesh, self._traffic) for number in range(1, CLIENTS + 1)]
        at_it = asyncio.gather(*(shopper.shop() for shopper in shoppers))
        try:
            yield
        finally:
            for shopper in shoppers:
                shopper.stop()
            await at_it

    async def _sums(self, orders: int) -> list[list[bytes | None]]:
        """What the seed's rows come to. Raises Failure."""
        try:
            connection = await open_mysql(as_client(self._host, self._port), Flavour())
            try:
                found = [await collect(connection, query.format(orders=orders).encode()) for query in _SUMS]
            finally:
                await connection.close()
        except (MeshError, ShardError) as error:
            raise Failure(f"the shop cannot be read: {error}") from error
        return [row for result in found for row in result.rows]
