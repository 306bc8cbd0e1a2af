"""etcd, three sidecars and four data sources, one of them a group with a replica; links between them that can fail.

Decides how they are started, hurt, healed and looked into. Rules come from the store, so every sidecar has the same; each reaches etcd and
every data source over links of its own, whose ports the rules take from its environment.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Awaitable, Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from itertools import chain
from pathlib import Path
from typing import Any, TypeVar

import pymysql

from dbmesh.governance.instances import Instance, read_instances
from dbmesh.governance.opening import open_store
from dbmesh.governance.revisions import Outcome, Revision, carry_out, propose, read_files, read_known
from dbmesh.governance.store import Store, StoreError
from dbmesh.rules.loader import load_configuration
from tests.plugins.database_server import DatabaseServer, start_all
from tests.plugins.etcd import EtcdMember
from tests.plugins.mariadb import MariaDb, make_template
from tests.plugins.mesh import Mesh
from tests.plugins.network import FaultyLink
from tests.plugins.processes import wait_until

T = TypeVar("T")

SIDECARS = 3
SHARDS = 4
PLACES = 3
"""Data sources that have a table `place`, each with another row."""
LEASE_SECONDS = 4
STATEMENT_SECONDS = 3.0
"""The longest a statement may take (`statementMilliseconds`)."""
BREAKER_CALLS = 3
"""So many calls have to fail for a breaker to open (`minimumCalls`): of one client, one after another."""
OPEN_SECONDS = 1.0
"""How long a breaker stays open the first time; the longest is twice that."""
ROLL_OUT_SECONDS = 8.0

_TOKEN = "0123456789abcdef-token"
_SERVER_OPTIONS = ("--innodb-lock-wait-timeout=2", "--innodb-flush-log-at-trx-commit=1")
_GLOBAL = """\
mode:
  type: Cluster
  repository:
    type: etcd
    props: {{namespace: chaos, server-lists: 'http://{etcd}', connectionTimeout: 1, timeToLiveSeconds: {lease}}}
authority:
  users: [{{user: root@%, password: '${{env:CHAOS_ROOT}}', admin: true}}]
admin: {{port: 0, token: {token}}}
props: {{rules-drain-timeout-seconds: 2}}
protection:
  breakers:
    servers: {{per: dataSource, windowCalls: 6, minimumCalls: {calls}, openMilliseconds: {open}, longestOpenMilliseconds: {longest}, probes: 1}}
  timeouts:
    all: {{statementMilliseconds: {statement}, transactionMilliseconds: 20000}}
"""
_SOURCE = """\
  {name}:
    url: jdbc:mysql://127.0.0.1:${{env:{variable}}}/chaos?useSSL=false
    username: {user}
    password: '${{env:CHAOS_PASSWORD}}'
    maxPoolSize: 20
    connectionTimeoutMilliseconds: 3000
"""
_RULES = """\
databaseName: chaos
dataSources:
{sources}rules:
- !READWRITE_SPLITTING
  dataSourceGroups:
    ds_3:
      writeDataSourceName: primary
      readDataSourceNames: [replica]
      checkIntervalMilliseconds: 200
      causalReads: global
- !SHARDING
  tables:
    account:
      actualDataNodes: ds_${{0..3}}.account
      databaseStrategy: {{standard: {{shardingColumn: id, shardingAlgorithmName: by_id}}}}
{more}  shardingAlgorithms:
    by_id: {{type: MOD, props: {{sharding-count: {shards}}}}}
- !SINGLE
  tables: [ds_{moved}.place]
"""
_MORE = """\
    more:
      actualDataNodes: ds_${0..3}.more
      databaseStrategy: {standard: {shardingColumn: id, shardingAlgorithmName: by_id}}
"""
_SECRETS = {"CHAOS_ROOT": "*81F5E21E35407D884A6CD4A731AEBFB6AF209E1B"}  # root
_NAMES = (*(f"ds_{number}" for number in range(SHARDS - 1)), "primary", "replica")
_PORTS = tuple(f"CHAOS_PORT_OF_{name.upper()}" for name in _NAMES)
"""The variables in which a sidecar finds the ports by which it reaches its data sources."""


class MeshStage:
    """See the module's docstring. `servers` are ds_0 to ds_2, the primary and the replica of ds_3, in this order; `links` lead to
    them, those of each of `meshes` in turn, and `store_links` to etcd, one for each."""

    def __init__(
        self,
        member: EtcdMember,
        servers: Sequence[DatabaseServer],
        links: Sequence[Sequence[FaultyLink]],
        store_links: Sequence[FaultyLink],
        directory: Path,
    ) -> None:
        self.member = member
        self.servers = servers
        self.links = links
        self.store_links = store_links
        # The operator's part: gRPC knows one event loop of a process.
        self._store: Store | None = None
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="operator", daemon=True)
        self._thread.start()
        self._operator = directory / "operator"
        self._write(self._operator, member.address, 0)
        # How often `place` has been looked for elsewhere, and how often somebody has tried to have it so.
        self.moves = 0
        self.accepted = 0
        self.refused = 0
        self.meshes = []
        for number, link in enumerate(store_links):
            own = directory / str(number)
            self._write(own, f"127.0.0.1:{link.port}", 0)
            ports = {name: str(one.port) for name, one in zip(_PORTS, links[number], strict=True)}
            self.meshes.append(Mesh(own, own / "log", environment=ports))

    def _write(self, directory: Path, etcd: str, moved: int, more: str = "") -> None:
        directory.mkdir(parents=True, exist_ok=True)
        sources = "".join(
            _SOURCE.format(name=name, variable=variable, user=server.user)
            for name, variable, server in zip(_NAMES, _PORTS, self.servers, strict=True)
        )
        (directory / "global.yaml").write_text(
            _GLOBAL.format(
                etcd=etcd,
                lease=LEASE_SECONDS,
                token=_TOKEN,
                calls=BREAKER_CALLS,
                open=round(OPEN_SECONDS * 1000),
                longest=round(2 * OPEN_SECONDS * 1000),
                statement=round(STATEMENT_SECONDS * 1000),
            )
        )
        (directory / "database-chaos.yaml").write_text(
            _RULES.format(sources=sources, more=more, shards=SHARDS, moved=moved)
        )

    # ------------------------------------------------------------------------------------------ rules

    def change_rules(self, *, moves: bool) -> bool:
        """Roll another revision out: with `moves` the table `place` is looked for on the next data source, else the rules of a table come
        or go. Whether it was accepted; with a store that is away it was not."""
        try:
            accepted = self.ask(lambda store: self._rolled_out(store, moves=moves))
        except StoreError:
            # It may be rolled out all the same.
            accepted = False
        self.accepted += accepted
        self.refused += not accepted
        return accepted

    async def _rolled_out(self, store: Store, *, moves: bool) -> bool:
        known = await read_known(store)
        if known.rolling is not None:
            return False
        more = False
        if known.active:
            active = (await read_files(store, known.active))["database-chaos.yaml"]
            more = _MORE in active
            if f"[ds_{self.moves % PLACES}.place]" not in active:
                # What was tried last has come to nothing.
                self.moves -= 1
        # Readers must not see a place before it is counted.
        self.moves += moves
        self._write(
            self._operator,
            self.member.address,
            self.moves % PLACES,
            _MORE if more is moves else "",
        )
        files = {path.name: path.read_text() for path in self._operator.glob("*.yaml")}
        revision = Revision(0, "chaos", 0.0, "", "", moves, limit=ROLL_OUT_SECONDS)
        proposed = await propose(store, known, revision, files)
        ended = await carry_out(store, proposed.number, asyncio.get_running_loop().time)
        return ended.outcome is Outcome.ACCEPTED

    def ask(self, question: Callable[[Store], Awaitable[T]]) -> T:
        """What the store answers. Raises StoreError."""

        async def answer() -> T:
            if self._store is None:
                files = {path.name: path.read_text() for path in self._operator.glob("*.yaml")}
                made = load_configuration(
                    files, lambda kind, name: _SECRETS.get(name, "1" if name in _PORTS else "x")
                )
                self._store = await open_store(made, self._operator)
            assert self._store is not None
            return await question(self._store)

        return asyncio.run_coroutine_threadsafe(answer(), self._loop).result(60)

    def close(self) -> None:
        """Talk to the store no longer."""

        async def end() -> None:
            if self._store is not None:
                await self._store.close()

        asyncio.run_coroutine_threadsafe(end(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    def instances(self) -> list[Instance]:
        """The sidecars that are alive; none while the store cannot be asked."""
        try:
            return self.ask(read_instances)
        except StoreError:
            return []

    # ------------------------------------------------------------------------------------------ looking

    def connect(self, sidecar: int) -> pymysql.Connection[Any]:
        """A client's connection."""
        return self.meshes[sidecar].connect("chaos", connect_timeout=5, read_timeout=40)

    def table(self, sidecar: int, name: str) -> list[dict[str, Any]]:
        """A table of a sidecar's admin API; empty while it does not answer."""
        ports = re.findall(r"admin API on 127.0.0.1:(\d+)", self.meshes[sidecar].output())
        request = urllib.request.Request(
            f"http://127.0.0.1:{ports[-1]}/v1/{name}", headers={"Authorization": f"Bearer {_TOKEN}"}
        )
        try:
            with urllib.request.urlopen(request, timeout=5) as answer:
                found: list[dict[str, Any]] = json.load(answer)
        except (urllib.error.URLError, OSError):
            return []
        return found

    def breaker(self, sidecar: int, source: str) -> str:
        """The state of a data source's breaker on a sidecar."""
        states = {one["breaker"]: one["state"] for one in self.table(sidecar, "breakers")}
        return str(states.get(f"chaos.{source}", ""))

    def replica(self, sidecar: int) -> str:
        """How a sidecar finds the replica: `in use`, or why it is out."""
        found = [one["status"] for one in self.table(sidecar, "replicas") if one["server"] == "replica"]
        return str(found[0]) if found else ""

    def what_is_not_normal(self) -> str:
        """What is still otherwise than before anything was broken; '' when nothing is."""
        living = self.instances()
        if len(living) != SIDECARS:
            return f"{len(living)} sidecars are registered"
        if len({one.revision for one in living}) != 1 or {one.rules for one in living} != {"active"}:
            return f"revisions {[(one.revision, one.rules) for one in living]}"
        for number in range(SIDECARS):
            if open_ := [one for one in self.table(number, "breakers") if one["state"] != "closed"]:
                return f"breakers of sidecar {number}: {open_}"
            if self.replica(number) != "in use":
                return f"the replica for sidecar {number}: {self.replica(number)}"
        if doubted := self.in_doubt():
            return f"branches in doubt: {doubted}"
        return ""

    def in_doubt(self) -> set[str]:
        """Branches that stay prepared: those of transactions under way are so for a moment."""
        first = self._prepared()
        return first and first & (time.sleep(0.3) or self._prepared())

    def _prepared(self) -> set[str]:
        return {str(row[3]) for server in self.servers[:SHARDS] for row in server.execute("XA RECOVER")}

    def rows(self) -> dict[int, tuple[int, int]]:
        """All accounts of all data sources, read behind the mesh's back."""
        return {
            id_: (number, value)
            for server in self.servers[:SHARDS]
            for id_, number, value in server.execute("SELECT id, n, v FROM chaos.account")
        }

    # ------------------------------------------------------------------------------------------ hurting

    def links_to(self, server: int) -> list[FaultyLink]:
        """Every sidecar's link to a server."""
        return [links[server] for links in self.links]

    def pause_mesh(self, number: int) -> None:
        """Freeze a sidecar."""
        os.kill(self.meshes[number].pid, signal.SIGSTOP)

    def resume_mesh(self, number: int) -> None:
        """Let it go on."""
        os.kill(self.meshes[number].pid, signal.SIGCONT)

    def start_server(self, number: int) -> None:
        """Start a killed server again; a replica goes on where it was."""
        server = self.servers[number]
        server.start()
        server.wait_ready()
        if server is self.servers[-1]:
            server.execute("SET GLOBAL read_only = 1")


@contextmanager
def open_mesh_stage(directory: Path, accounts: int) -> Iterator[MeshStage]:
    """Starts everything, with so many accounts; ends everything."""
    with ExitStack() as ending:
        template = make_template(directory)
        servers: list[DatabaseServer] = [
            MariaDb(
                f"chaos{number}",
                directory,
                template,
                (*_SERVER_OPTIONS, f"--server-id={number + 1}", "--log-bin=binlog", "--gtid-strict-mode=1"),
            )
            for number in range(SHARDS + 1)
        ]
        for server in servers:
            ending.callback(server.stop)
        member = EtcdMember("etcd", directory)
        member.start([member])
        ending.callback(member.stop)
        start_all(servers)
        member.wait_ready()
        _fill(servers, accounts)
        patched = {"CHAOS_PASSWORD": servers[0].password, **_SECRETS}
        before = {name: os.environ.get(name) for name in patched}
        os.environ.update(patched)
        ending.callback(_restore, before)
        links = [
            [FaultyLink(server.host, server.port).start() for server in servers] for _ in range(SIDECARS)
        ]
        store_links = [FaultyLink("127.0.0.1", member.port).start() for _ in range(SIDECARS)]
        for link in (*chain.from_iterable(links), *store_links):
            ending.callback(link.stop)
        stage = MeshStage(member, servers, links, store_links, directory / "meshes")
        ending.callback(stage.close)
        for mesh in stage.meshes:
            ending.callback(_end_mesh, mesh)
        with ThreadPoolExecutor() as together:
            list(together.map(Mesh.start, stage.meshes))
        assert stage.change_rules(moves=False)
        wait_until(lambda: not stage.what_is_not_normal(), 20, "the first revision")
        yield stage


def _fill(servers: Sequence[DatabaseServer], accounts: int) -> None:
    for number, server in enumerate(servers[:SHARDS]):
        rows = ", ".join(f"({one}, 0, 100)" for one in range(number, accounts, SHARDS))
        server.execute(
            "RESET MASTER",
            "CREATE DATABASE chaos",
            "CREATE TABLE chaos.account (id INT PRIMARY KEY, n INT NOT NULL, v INT NOT NULL)",
            "CREATE TABLE chaos.more (id INT PRIMARY KEY)",
            "CREATE TABLE chaos.place (id INT PRIMARY KEY, number INT NOT NULL)",
            f"INSERT INTO chaos.account VALUES {rows}",
            f"INSERT INTO chaos.place VALUES (1, {number})",
        )
    primary, replica = servers[-2:]
    replica.execute(
        "RESET MASTER",
        f"CHANGE MASTER TO master_host = '{primary.host}', master_port = {primary.port}, master_user = '{primary.user}', "
        f"master_password = '{primary.password}', master_use_gtid = slave_pos, master_connect_retry = 1",
        "START SLAVE",
        "SET GLOBAL read_only = 1",
    )


def _end_mesh(mesh: Mesh) -> None:
    if mesh.running:
        os.kill(mesh.pid, signal.SIGCONT)
        mesh.stop()


def _restore(before: dict[str, str | None]) -> None:
    for name, value in before.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value
