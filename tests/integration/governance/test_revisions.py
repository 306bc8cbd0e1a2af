"""Rules in the store: three sidecars change them under load as one, or not at all, whoever dies meanwhile."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from pathlib import Path
from typing import TypeVar

import pymysql
import pytest

from dbmesh.cli.main import run as cli
from dbmesh.governance.instances import Instance, State, read_instances
from dbmesh.governance.opening import open_store
from dbmesh.governance.revisions import Revision, propose, read_known
from dbmesh.governance.store import Store, StoreError
from dbmesh.rules.loader import load_configuration
from dbmesh.transaction.xid import Place, Xid
from tests.plugins.database_server import DatabaseServer
from tests.plugins.etcd import EtcdMember
from tests.plugins.mesh import Mesh
from tests.plugins.network import FaultyLink
from tests.plugins.processes import free_port, wait_until

T = TypeVar("T")

pytestmark = pytest.mark.integration

_ROOT = "'*81F5E21E35407D884A6CD4A731AEBFB6AF209E1B'"  # root
_TABLE = """\
    {name}:
      actualDataNodes: {nodes}
      tableStrategy: {{standard: {{shardingColumn: id, shardingAlgorithmName: two}}}}
"""
_ACCOUNTS = 8
_SUM = _ACCOUNTS * 100


class RuledMesh:
    """etcd, two servers with a schema `ruled` each, and three sidecars with the same files, but for the link to etcd that each has of
    its own."""

    def __init__(self, member: EtcdMember, servers: list[DatabaseServer], directory: Path) -> None:
        self.member = member
        self.servers = servers
        self.files = directory / "rules"
        self.files.mkdir()
        self.number = 0
        for number, server in enumerate(servers):
            server.execute("DROP DATABASE IF EXISTS ruled", "CREATE DATABASE ruled CHARACTER SET utf8mb4")
            names = (f"t_{number}", f"u_{number}", "w")
            server.execute(
                *(f"CREATE TABLE {name} (id INT PRIMARY KEY, v INT)" for name in names), database="ruled"
            )
        self.write()
        self.links = [FaultyLink("127.0.0.1", member.port).start() for _ in range(3)]
        self.sidecars = [
            self._sidecar(directory / str(number), link) for number, link in enumerate(self.links)
        ]
        with ThreadPoolExecutor() as together:
            list(together.map(Mesh.start, self.sidecars))

    def _sidecar(self, directory: Path, link: FaultyLink) -> Mesh:
        directory.mkdir()
        for path in self.files.glob("*.yaml"):
            text = path.read_text().replace(self.member.address, f"127.0.0.1:{link.port}")
            (directory / path.name).write_text(text)
        return Mesh(directory, directory / "log")

    def write(self, tables: str = "t", users: str = "", port: int | None = None, w: str = "ds_0") -> None:
        """The files of the next revision: sharded tables, further users, another port of the second server, and where the
        table `w` is."""
        props = (
            f"{{namespace: ruled, server-lists: 'http://{self.member.address}', connectionTimeout: 2, "
            "timeToLiveSeconds: 4}"
        )
        (self.files / "global.yaml").write_text(
            f"mode: {{type: Cluster, repository: {{type: etcd, props: {props}}}}}\n"
            f"authority:\n  users:\n  - {{user: root@%, password: {_ROOT}, admin: true}}\n{users}"
            "props: {rules-drain-timeout-seconds: 2}\n"
        )
        sources = "".join(
            f"  ds_{number}: {{url: 'mysql://{server.host}:{(number and port) or server.port}/ruled', "
            f"username: {server.user}, password: '${{env:RULED_PASSWORD}}', "
            f"maxPoolSize: {50 + len(tables)}, connectionTimeoutMilliseconds: 5000}}\n"
            for number, server in enumerate(self.servers)
        )
        sharded = "".join(
            _TABLE.format(name=one, nodes=f"ds_0.{one}_0,ds_1.{one}_1") for one in tables.split(",")
        )
        (self.files / "database-app.yaml").write_text(
            f"databaseName: app\ndataSources:\n{sources}rules:\n- !SHARDING\n  tables:\n{sharded}"
            f"  shardingAlgorithms:\n    two: {{type: MOD, props: {{sharding-count: 2}}}}\n"
            f"- !SINGLE\n  tables: [{w}.w]\n"
        )

    def apply(self, *options: str) -> None:
        """Rolls the files out; they are what every sidecar runs afterwards."""
        assert cli(["rules", "apply", str(self.files), *options]) == 0
        self.expect(self.number + 1)

    def expect(self, number: int) -> None:
        """Wait until every sidecar runs this revision."""
        self.number = number
        wait_until(lambda: {one.revision for one in self.instances()} == {number}, 30, f"revision {number}")

    def propose(self, *, moves: bool = False) -> None:
        """As `apply` by a process that dies at once. `moves`: its rows are where it looks for them."""

        async def write(store: Store) -> None:
            known = await read_known(store)
            files = {path.name: path.read_text() for path in self.files.glob("*.yaml")}
            await propose(store, known, Revision(0, "nobody", time.time(), "", "", moves), files)

        self.ask(write)

    def instances(self) -> list[Instance]:
        """The sidecars that are alive; none while the store cannot be asked."""
        try:
            return self.ask(read_instances)
        except StoreError:
            return []

    def prepared(self) -> int:
        """How many sidecars have the next revision ready."""
        return sum(one.ready for one in self.ask(read_known).acknowledgements)

    def ask(self, question: Callable[[Store], Awaitable[T]]) -> T:
        """What the store answers."""

        async def answer() -> T:
            files = {path.name: path.read_text() for path in self.files.glob("*.yaml")}
            store = await open_store(load_configuration(files, lambda kind, name: "secret"), self.files)
            assert store is not None
            try:
                return await question(store)
            finally:
                await store.close()

        return asyncio.run(answer())


@pytest.fixture(scope="module")
def ruled(
    auto_servers: list[DatabaseServer], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RuledMesh]:
    directory = tmp_path_factory.mktemp("ruled")
    with ExitStack() as ends:
        patched = ends.enter_context(pytest.MonkeyPatch.context())
        patched.setenv("RULED_PASSWORD", auto_servers[0].password)
        patched.setenv("COLUMNS", "200")
        member = EtcdMember("etcd", directory)
        member.start([member])
        ends.callback(member.stop)
        member.wait_ready()
        made = RuledMesh(member, auto_servers, directory)
        for link in made.links:
            ends.callback(link.stop)
        try:
            made.apply("--comment", "the first")
            yield made
            for sidecar in made.sidecars:
                sidecar.stop_cleanly()
        finally:
            for sidecar in made.sidecars:
                if sidecar.running:
                    os.kill(sidecar.pid, signal.SIGCONT)
                    sidecar.stop()


class Load(threading.Thread):
    """Moves amounts between accounts of its own on both shards in transactions, and reads their sum, which never changes."""

    def __init__(self, mesh: Mesh, seed: int) -> None:
        super().__init__()
        self._mesh = mesh
        self._first = seed * _ACCOUNTS
        self._stopping = threading.Event()
        self.done = 0
        self.wrong: list[object] = []

    def run(self) -> None:
        """Until told to end."""
        with closing(self._mesh.connect("app")) as connection, connection.cursor() as cursor:
            while not self._stopping.is_set():
                one = self._first + self.done % _ACCOUNTS
                other = self._first + (self.done + 1) % _ACCOUNTS
                asked = f"SELECT COUNT(*), SUM(v) FROM t WHERE id >= {self._first} AND id < {self._first + _ACCOUNTS}"
                try:
                    connection.begin()
                    for account, amount in ((one, -1), (other, 1)):
                        cursor.execute("UPDATE t SET v = v + %s WHERE id = %s", (amount, account))
                    cursor.execute(asked)
                    found = [cursor.fetchone()]
                    connection.commit()
                    cursor.execute(asked)
                    found.append(cursor.fetchone())
                    self.wrong += [rows for rows in found if rows != (_ACCOUNTS, _SUM)]
                except pymysql.err.MySQLError as error:
                    self.wrong.append(error)
                    connection.rollback()
                self.done += 1

    def end(self) -> None:
        """Wait until it has ended."""
        self._stopping.set()
        self.join(30)


def test_rules_change_under_load(ruled: RuledMesh, capsys: pytest.CaptureFixture[str]) -> None:
    first, second, _ = ruled.sidecars
    with closing(first.connect("app")) as connection, connection.cursor() as cursor:
        cursor.execute("INSERT INTO t VALUES " + ", ".join(f"({id_}, 100)" for id_ in range(3 * _ACCOUNTS)))
    for number, server in enumerate(ruled.servers):
        server.execute(f"INSERT INTO w VALUES (1, {10 + number})", database="ruled")
    assert cli(["rules", "diff", str(ruled.files)]) == 0
    load = [Load(sidecar, seed) for seed, sidecar in enumerate(ruled.sidecars)]
    for one in load:
        one.start()
    try:
        held = second.connect("app")
        cursor = held.cursor()
        held.begin()
        cursor.execute("SELECT COUNT(*) FROM t")
        cursor.execute("PREPARE one FROM 'SELECT v FROM w WHERE id = ?'")
        # Another table, another user, other pools.
        ruled.write("t,u", f"  - {{user: guest@%, password: {_ROOT}}}\n")
        assert cli(["rules", "diff", str(ruled.files)]) == 3
        ruled.apply()
        for sidecar in ruled.sidecars:
            with closing(sidecar.connect("app", user="guest")) as connection, connection.cursor() as other:
                other.execute("SELECT COUNT(*) FROM u")
                assert other.fetchone() == (0,)
        # The transaction goes on under the rules it began with.
        with pytest.raises(pymysql.err.ProgrammingError, match="doesn't exist"):
            cursor.execute("SELECT COUNT(*) FROM u")
        cursor.execute("SELECT COUNT(*) FROM t")
        assert cursor.fetchone() == (3 * _ACCOUNTS,)
        held.commit()
        cursor.execute("INSERT INTO u VALUES (1, 1), (2, 2)")
        cursor.execute("SET @id = 1")
        cursor.execute("EXECUTE one USING @id")
        assert cursor.fetchone() == (10,)
        ruled.write("t,u", w="ds_1")
        assert cli(["rules", "apply", str(ruled.files)]) == 1, "its rows are not known to be there"
        ruled.apply("--rows-are-moved")
        cursor.execute("EXECUTE one USING @id")
        assert cursor.fetchone() == (11,), "planned again under the new rules"
        with pytest.raises(pymysql.err.OperationalError):
            first.connect("app", user="guest")
        # A transaction that does not end.
        held.begin()
        cursor.execute("UPDATE u SET v = 7 WHERE id = 1")
        assert cli(["rules", "rollback", "--config", str(ruled.files), "--rows-are-moved"]) == 0
        ruled.expect(ruled.number + 1)

        def refused() -> str:
            try:
                cursor.execute("SELECT v FROM u WHERE id = 1")
            except pymysql.err.MySQLError as error:
                return str(error)
            return ""

        assert "revision 4 of the rules is being rolled out" in (
            wait_until(refused, 10, "the end of patience") or ""
        )
        held.rollback()
        cursor.execute("SELECT v FROM u WHERE id = 1")
        assert cursor.fetchone() == (1,)
        cursor.execute("EXECUTE one USING @id")
        assert cursor.fetchone() == (10,)
        held.close()
    finally:
        for one in load:
            one.end()
    assert not [one.wrong for one in load if one.wrong]
    assert all(one.done > 5 for one in load)
    capsys.readouterr()
    assert cli(["rules", "history", "--config", str(ruled.files), "--json"]) == 0
    history = json.loads(capsys.readouterr().out)
    assert [(one["number"], one["outcome"]) for one in history] == [
        (number, "accepted") for number in (4, 3, 2, 1)
    ]
    assert (history[0]["active"], history[0]["comment"]) == (True, "back to revision 2")
    assert history[3]["comment"] == "the first"


def test_a_revision_that_cannot_be_run_changes_nothing(
    ruled: RuledMesh, capsys: pytest.CaptureFixture[str]
) -> None:
    def refused(*options: str) -> str:
        capsys.readouterr()
        assert cli(["rules", "apply", str(ruled.files), *options]) == 1
        return capsys.readouterr().err

    ruled.write("t,u,t2", port=free_port())
    assert "--rows-are-moved" in refused()
    said = refused("--rows-are-moved")
    assert f"revision {ruled.number + 1} is refused, and nothing has changed" in said
    assert "data source 'ds_1' cannot be reached" in said
    # A branch that a process has left prepared, and nobody here can end.
    ruled.write("t,u,t2")
    server = ruled.servers[0]
    place = Place(server.host, server.port, "ruled")
    xid = Xid("00000000000000aa-1", "0" * 16, place.sign).sql
    with closing(server.connect("ruled")) as gone, gone.cursor() as cursor:
        for sql in (
            f"XA START {xid}",
            "UPDATE w SET v = v + 1 WHERE id = 1",
            f"XA END {xid}",
            f"XA PREPARE {xid}",
        ):
            cursor.execute(sql)
    said = refused("--rows-are-moved", "--timeout", "1")
    assert f"transaction 00000000000000aa-1 was left on {place}" in said
    server.execute(f"XA ROLLBACK {xid}", database="ruled")
    rules = ruled.files / "database-app.yaml"
    good = rules.read_text()
    rules.write_text(good.replace("${env:RULED_PASSWORD}", "open"))
    assert "a password in clear text" in refused()
    rules.write_text(good.replace("sharding-count", "sharding-number"))
    assert "database-app.yaml:" in refused()
    rules.write_text(good)
    ruled.expect(ruled.number)
    capsys.readouterr()
    assert cli(["mesh", "status", "--config", str(ruled.files), "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert [(one["revision"], one["rules"]) for one in shown] == [(ruled.number, "active")] * 3
    ruled.number += 2


def test_a_roll_out_survives_those_who_carry_it_out(ruled: RuledMesh) -> None:
    first, second, third = ruled.sidecars
    # A sidecar does not answer, and dies; so does whoever applied.
    os.kill(third.pid, signal.SIGSTOP)
    ruled.write("t")
    ruled.propose()
    wait_until(lambda: ruled.prepared() == 2, 10, "two prepared sidecars")
    third.kill()
    ruled.expect(ruled.number + 1)
    third.start()
    ruled.expect(ruled.number)
    # The store is away between both phases.
    os.kill(second.pid, signal.SIGSTOP)
    ruled.write("t,u")
    ruled.propose()
    wait_until(lambda: ruled.prepared() == 2, 10, "two prepared sidecars")
    ruled.member.kill()
    os.kill(second.pid, signal.SIGCONT)
    with closing(first.connect("app")) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT COUNT(*) FROM t")
        assert cursor.fetchone() == (3 * _ACCOUNTS,)
        with pytest.raises(pymysql.err.ProgrammingError):
            cursor.execute("SELECT COUNT(*) FROM u")
    ruled.member.start([ruled.member])
    ruled.member.wait_ready()
    ruled.expect(ruled.number + 1)
    for sidecar in ruled.sidecars:
        with closing(sidecar.connect("app")) as connection, connection.cursor() as cursor:
            cursor.execute("SELECT COUNT(*) FROM u")
            assert cursor.fetchone() == (2,)


def test_nobody_serves_by_old_rules_while_others_move_rows(
    ruled: RuledMesh, capsys: pytest.CaptureFixture[str]
) -> None:
    first, second, third = ruled.sidecars
    link = ruled.links[2]

    def w(mesh: Mesh) -> object:
        try:
            with closing(mesh.connect("app")) as connection, connection.cursor() as cursor:
                cursor.execute("SELECT v FROM w WHERE id = 1")
                return cursor.fetchone()
        except pymysql.err.MySQLError as error:
            return error.args[0], str(error.args[1])

    # Cut off before it knows anything: no rows move without it; what moves none goes on.
    link.refuse()
    ruled.write("t,u", w="ds_1")
    capsys.readouterr()
    assert cli(["rules", "apply", str(ruled.files), "--rows-are-moved", "--timeout", "6"]) == 1
    assert f"127.0.0.1:{third.port} may still serve by the rules there are" in capsys.readouterr().err
    ruled.number += 1
    assert (w(first), w(third)) == ((10,), (10,))
    ruled.write("t")
    assert cli(["rules", "apply", str(ruled.files)]) == 0
    ruled.number += 1
    assert w(third) == (10,)
    link.restore()
    ruled.expect(ruled.number)
    # Cut off when it is prepared: the others go on without it, and it knows that they may.
    os.kill(second.pid, signal.SIGSTOP)
    ruled.write("t", w="ds_1")
    ruled.propose(moves=True)
    wait_until(lambda: ruled.prepared() == 2, 10, "two prepared sidecars")
    link.stall()
    os.kill(second.pid, signal.SIGCONT)
    wait_until(lambda: w(first) == (11,), 15, "the move")
    refused = w(third)
    assert isinstance(refused, tuple)
    assert refused[0] == 1053
    assert "it cannot reach the store, and rows are being moved" in str(refused[1])
    link.restore()
    wait_until(lambda: w(third) == (11,), 15, "the sidecar that was cut off")
    ruled.expect(ruled.number + 1)
    # One that is paused for longer than it counts as alive, and has been told nothing.
    ruled.write("t,u")
    ruled.propose(moves=True)
    wait_until(lambda: ruled.prepared() == 3 or w(first) == (10,), 10, "three prepared sidecars")
    os.kill(third.pid, signal.SIGSTOP)
    wait_until(lambda: w(first) == (10,), 15, "the move")
    os.kill(third.pid, signal.SIGCONT)
    wait_until(lambda: w(third) == (10,), 15, "the sidecar that was paused")
    ruled.expect(ruled.number + 1)


def test_who_starts_without_the_store(ruled: RuledMesh) -> None:
    third, link = ruled.sidecars[2], ruled.links[2]

    def asked() -> object:
        try:
            with closing(third.connect("app")) as connection, connection.cursor() as cursor:
                cursor.execute("SELECT v FROM w WHERE id = 1")
                return cursor.fetchone()
        except pymysql.err.MySQLError as error:
            return error.args[0]

    # A crash: others wait for it before they move rows.
    copy = third.configuration / "dbmesh-snapshot.json"
    wait_until(lambda: '"/rules/rollout"' not in copy.read_text(), 10, "the copy on disk")
    before = {one.id for one in ruled.instances()}
    link.refuse()
    third.kill()
    third.start()
    assert asked() == (10,)
    link.restore()
    wait_until(lambda: {one.id for one in ruled.instances()} - before, 20, "the new process")
    ruled.expect(ruled.number)
    # It has said that it ended, so nobody would wait for it.
    third.stop_cleanly()
    link.refuse()
    third.start()
    assert asked() == 1053
    link.restore()
    wait_until(lambda: asked() == (10,), 20, "the store")
    ruled.expect(ruled.number)


def test_out_of_service_and_back(ruled: RuledMesh) -> None:
    first, second, third = ruled.sidecars
    configured = ["--config", str(ruled.files)]

    def asked(mesh: Mesh, sql: str) -> object:
        try:
            with closing(mesh.connect("app")) as connection, connection.cursor() as cursor:
                cursor.execute(sql)
                return cursor.fetchone()
        except pymysql.err.MySQLError as error:
            return error.args[0]

    everything, one_shard = "SELECT COUNT(*) FROM t", "SELECT id FROM t WHERE id = 2"
    assert cli(["data-sources", "disable", "app.ds_1", *configured]) == 0
    for sidecar in (first, second):
        wait_until(lambda one=sidecar: asked(one, everything) == 3168, 10, "the refusal")  # type: ignore[misc]
        assert asked(sidecar, one_shard) == (2,)
    ruled.write("t")
    ruled.apply()
    assert asked(first, everything) == 3168, "also under other rules"
    assert cli(["data-sources", "enable", "app.ds_1", *configured]) == 0
    wait_until(lambda: asked(second, everything) == (3 * _ACCOUNTS,), 10, "the data source")
    assert cli(["data-sources", "disable", "app.ds_7", *configured]) == 1
    address = f"127.0.0.1:{third.port}"
    [id_] = [one.id for one in ruled.instances() if one.address == address]
    with closing(third.connect("app")) as held, held.cursor() as cursor:
        held.begin()
        cursor.execute(everything)
        assert cli(["mesh", "disable-instance", id_, *configured]) == 0
        wait_until(lambda: asked(third, everything) == 1053, 10, "the refusal")
        cursor.execute(everything)
        held.commit()
    assert asked(first, everything) == (3 * _ACCOUNTS,)
    assert {one.state for one in ruled.instances() if one.id == id_} == {State.DISABLED}
    assert cli(["mesh", "enable-instance", id_, *configured]) == 0
    wait_until(lambda: asked(third, everything) == (3 * _ACCOUNTS,), 10, "the sidecar")


def test_sessions_of_other_sidecars(ruled: RuledMesh) -> None:
    first, second, third = ruled.sidecars
    with closing(second.connect("app")) as victim, closing(first.connect("app")) as other:
        ids = {victim.thread_id(), other.thread_id()}
        assert len({id_ >> 22 for id_ in ids}) == 2, "each sidecar's ids are its own"
        with closing(third.connect("app")) as connection, connection.cursor() as cursor:
            cursor.execute("SHOW PROXY PROCESSLIST")
            rows = {row[1]: row for row in cursor.fetchall()}
            assert {str(id_) for id_ in ids} <= set(rows)
            assert rows[str(victim.thread_id())][0] == f"127.0.0.1:{second.port}"
            cursor.execute(f"KILL {victim.thread_id()}")
            with pytest.raises(pymysql.err.OperationalError, match="Unknown thread id"):
                cursor.execute(f"KILL {other.thread_id() + 1000}")
            connection.kill(other.thread_id())
        for gone in (victim, other):
            with gone.cursor() as asking, pytest.raises(pymysql.err.MySQLError):
                asking.execute("SELECT 1")
