"""etcd, two servers and some sidecars before and after a table is given other shards: two actual tables a server, then four.

Decides how they are started and asked. The rules before are in the store; the files of those to come lie beside them.
"""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Awaitable, Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Any, TypeVar

import pymysql

from dbmesh.cli.main import run as cli
from dbmesh.governance import layout
from dbmesh.governance.opening import open_store
from dbmesh.governance.store import Store, StoreError
from dbmesh.rules.loader import load_configuration
from tests.plugins.database_server import DatabaseServer, start_all
from tests.plugins.etcd import EtcdMember
from tests.plugins.mesh import Mesh
from tests.plugins.network import FaultyLink
from tests.plugins.processes import wait_until

T = TypeVar("T")

ROOT = "'*81F5E21E35407D884A6CD4A731AEBFB6AF209E1B'"  # root
COLUMNS = "id BIGINT PRIMARY KEY, owner INT NOT NULL, n INT NOT NULL, note VARCHAR(60) NOT NULL, KEY (owner)"

_PASSWORD = "MOVING_PASSWORD"

GLOBAL = """\
mode:
  type: Cluster
  repository:
    type: etcd
    props: {{namespace: moving, server-lists: 'http://{etcd}', connectionTimeout: 2, timeToLiveSeconds: {lease}}}
authority:
  users: [{{user: root@%, password: {root}, admin: true}}]
props: {{rules-drain-timeout-seconds: 2}}
"""
_SOURCE = """\
  ds_{number}:
    url: 'mysql://{host}:{port}/moving'
    username: {user}
    password: '${{env:MOVING_PASSWORD}}'
    maxPoolSize: 60
"""
RULES = """\
rules:
- !SHARDING
  tables:
    item:
      actualDataNodes: ds_${{0..1}}.item_${{0..{last}}}
      databaseStrategy: {{standard: {{shardingColumn: id, shardingAlgorithmName: by_source}}}}
      tableStrategy: {{standard: {{shardingColumn: owner, shardingAlgorithmName: by_table}}}}
  shardingAlgorithms:
    by_source: {{type: INLINE, props: {{algorithm-expression: 'ds_${{id % 2}}'}}}}
    by_table: {{type: INLINE, props: {{algorithm-expression: 'item_${{owner % {count}}}'}}}}
- !SINGLE
  tables: ['*.*']
"""


class ReshardStage:
    """See the module's docstring. `before` and `after` are the directories of both sides' files; `lease`: seconds a registration lasts. `has_binlogs`: writes past the mesh are followed."""

    has_binlogs = True

    def __init__(
        self,
        member: EtcdMember,
        servers: Sequence[DatabaseServer],
        directory: Path,
        sidecars: int,
        lease: int,
    ) -> None:
        self.lease = lease
        self.member = member
        self.servers = servers
        self.before, self.after = directory / "before", directory / "after"
        self._write(self.before, 2, member.address)
        self._write(self.after, 4, member.address)
        files = {path.name: path.read_text() for path in self.before.glob("*.yaml")}
        self._configuration = load_configuration(files, lambda kind, name: "secret")
        self.links = [FaultyLink("127.0.0.1", member.port).start() for _ in range(sidecars)]
        self.sidecars: list[Mesh] = []
        for number, link in enumerate(self.links):
            own = directory / f"sidecar{number}"
            self._write(own, 2, f"127.0.0.1:{link.port}")
            self.sidecars.append(Mesh(own, own / "log"))

    def _write(self, directory: Path, shards: int, etcd: str) -> None:
        directory.mkdir(parents=True)
        (directory / "global.yaml").write_text(GLOBAL.format(etcd=etcd, root=ROOT, lease=self.lease))
        sources = "".join(
            _SOURCE.format(number=number, host=server.host, port=server.port, user=server.user)
            for number, server in enumerate(self.servers)
        )
        rules = RULES.format(last=shards - 1, count=shards)
        (directory / "database-shop.yaml").write_text(f"databaseName: shop\ndataSources:\n{sources}{rules}")

    # ------------------------------------------------------------------------------------------ asking

    def connect(self, sidecar: int) -> pymysql.Connection[Any]:
        """A client's connection."""
        return self.sidecars[sidecar].connect("shop", connect_timeout=5, read_timeout=40)

    def reshard(self, verb: str, *arguments: str, code: int | None = 0) -> str:
        """Run `dbmesh reshard`, which ends with this code, if it is not None; what it prints."""
        printed = StringIO()
        with redirect_stdout(printed):
            found = cli(["reshard", verb, *arguments, "--config", str(self.before)])
        assert code is None or found == code, printed.getvalue()
        return printed.getvalue()

    def start(self, *options: str) -> None:
        """Begin a job to the rules after, and wait until it waits."""
        self.reshard("start", str(self.after), *options)
        self.reshard("watch", "--json")

    def status(self) -> dict[str, Any]:
        """The job, with how far it is."""
        found: dict[str, Any] = json.loads(self.reshard("status", "--json", code=None))
        return found

    def ask(self, question: Callable[[Store], Awaitable[T]]) -> T:
        """What the store answers."""

        async def answer() -> T:
            store = await open_store(self._configuration, self.before)
            assert store is not None
            try:
                return await question(store)
            finally:
                await store.close()

        return asyncio.run(answer())

    # ------------------------------------------------------------------------------------------ changing

    def kill_server(self, number: int) -> None:
        """SIGKILL the server of a data source."""
        self.servers[number].kill()

    def start_server(self, number: int) -> None:
        """Again, until it answers."""
        start_all([self.servers[number]])

    def start_etcd(self) -> None:
        """Again, after it was killed, until it answers: it listens before it does."""
        self.member.start([self.member])
        self.member.wait_ready()
        wait_until(self._answers, 60, "etcd answers")

    def _answers(self) -> bool:
        try:
            self.ask(lambda store: store.get(layout.active_revision()))
        except StoreError:
            return False
        return True

    def turn_round(self) -> None:
        """A job has ended: the next one goes back."""
        self.before, self.after = self.after, self.before

    # ------------------------------------------------------------------------------------------ looking

    def settled(self, moment: float) -> bool:
        """Whether a client that reads under locks reads all that was in doubt at a moment, in seconds since 1970: here it waits for that."""
        return True

    def tables(self) -> list[set[str]]:
        """The actual tables of each server."""
        return [
            {str(name) for (name,) in server.execute("SHOW TABLES FROM moving")} for server in self.servers
        ]

    def rows(self, names: Sequence[str]) -> dict[int, tuple[int, int, str]]:
        """All rows of actual tables, read behind the mesh's back; none is there twice."""
        found: dict[int, tuple[int, int, str]] = {}
        for server in self.servers:
            for name in names:
                for id_, *rest in server.execute(f"SELECT id, owner, n, note FROM moving.{name}"):
                    assert id_ not in found, f"{id_} is in {name} and elsewhere"
                    found[id_] = tuple(rest)
        return found

    def old_rows(self, job: int, *, named: bool = False) -> dict[int, tuple[int, int, str]]:
        """Those of the former tables."""
        return self.rows(["item_0", "item_1"] if not named else [f"item_0__d{job}", f"item_1__d{job}"])

    def new_rows(self, job: int) -> dict[int, tuple[int, int, str]]:
        """Those of the tables to come."""
        return self.rows([f"item_0__s{job}", f"item_1__s{job}", "item_2", "item_3"])


@contextmanager
def password_of_sources(password: str) -> Iterator[None]:
    """What the rules of data sources take from the environment, for the block."""
    before = os.environ.get(_PASSWORD)
    os.environ[_PASSWORD] = password
    try:
        yield
    finally:
        if before is None:
            del os.environ[_PASSWORD]
        else:
            os.environ[_PASSWORD] = before


@contextmanager
def open_reshard_stage(
    servers: Sequence[DatabaseServer],
    directory: Path,
    *,
    sidecars: int = 2,
    rows: int = 1000,
    columns: str = COLUMNS,
    lease: int = 4,
) -> Iterator[ReshardStage]:
    """Fills the old tables, and starts etcd and sidecars; ends what it has started. `lease`: seconds a registration lasts."""
    with ExitStack() as ending:
        for number, server in enumerate(servers):
            server.execute("DROP DATABASE IF EXISTS moving", "CREATE DATABASE moving CHARACTER SET utf8mb4")
            server.execute(
                *(f"CREATE TABLE item_{table} ({columns})" for table in range(2)), database="moving"
            )
            for table in range(2):
                ids = [id_ for id_ in range(1, rows + 1) if id_ % 2 == number and id_ // 2 % 2 == table]
                for start in range(0, len(ids), 1000):
                    values = ", ".join(
                        f"({id_}, {id_ // 2 % 4}, 0, 'old {id_}')" for id_ in ids[start : start + 1000]
                    )
                    server.execute(f"INSERT INTO item_{table} VALUES {values}", database="moving")
        ending.enter_context(password_of_sources(servers[0].password))
        member = EtcdMember("etcd", directory)
        member.start([member])
        ending.callback(member.stop)
        member.wait_ready()
        stage = ReshardStage(member, servers, directory, sidecars, lease)
        for link in stage.links:
            ending.callback(link.stop)
        for mesh in stage.sidecars:
            ending.callback(_end, mesh)
        with ThreadPoolExecutor() as together:
            list(together.map(lambda mesh: mesh.start(60), stage.sidecars))
        yield stage


def _end(mesh: Mesh) -> None:
    if mesh.running:
        mesh.stop()
