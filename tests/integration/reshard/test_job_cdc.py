"""A job that takes what is written from the binlogs: clients' statements write the old side alone until little is left, no error, no wrong answer,
and every row on both sides; whoever is killed, whatever is lost."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import pymysql
import pytest

from dbmesh.cli.output import EXIT_DIFFERENT
from dbmesh.governance.store import Store
from dbmesh.reshard.jobs.documents import read_files_of, read_job, read_jobs
from dbmesh.reshard.jobs.job import Mode, Phase
from tests.chaos.reshard.moments import Look, Moment, moment, until
from tests.chaos.reshard.stage import COLUMNS, ReshardStage, open_reshard_stage
from tests.chaos.reshard.writers import Client, going_on, seen_wrong
from tests.plugins.database_server import DatabaseServer
from tests.plugins.processes import wait_until

pytestmark = pytest.mark.integration

ROWS = 2_000
SLOW = "150"
"""Rows a second: copying has a middle."""
PATIENCE = 90.0


@pytest.fixture(scope="module")
def stage(servers: list[DatabaseServer], tmp_path_factory: pytest.TempPathFactory) -> Iterator[ReshardStage]:
    """Two sidecars."""
    with open_reshard_stage(servers, tmp_path_factory.mktemp("cdc"), rows=ROWS, lease=3) as made:
        yield made


class Writers:
    """Clients of both sidecars, which know what the table must hold."""

    def __init__(self, stage: ReshardStage) -> None:
        self._stage = stage
        self._next = 0
        self.known: dict[int, tuple[int, int, str]] = {}

    @contextmanager
    def at_work(self, *, may_fail: bool = False, clients: int = 4) -> Iterator[list[Client]]:
        """They go on for the block; afterwards none has seen anything wrong."""
        first, self._next = self._next, self._next + clients
        made = [
            Client(
                number,
                lambda n=number: self._stage.connect(n % 2),  # type: ignore[misc]
                7,
                pause=0.01,
                may_fail=may_fail,
            )
            for number in range(first, first + clients)
        ]
        with going_on(made):
            yield made
        for client in made:
            if may_fail:
                client.settle()
            self.known |= client.known
        assert not seen_wrong(made)

    def answered(self, clients: Sequence[Client], more: int) -> None:
        """Each client gets some answers more."""
        wanted = [len(client.stalls) + more for client in clients]
        wait_until(
            lambda: (
                any(one.errors for one in clients)
                or all(len(one.stalls) >= count for one, count in zip(clients, wanted, strict=True))
            ),
            PATIENCE,
            "clients are answered",
        )
        assert not [error for one in clients for error in one.errors]


@pytest.fixture(scope="module")
def writers(stage: ReshardStage) -> Writers:
    """Of all tests: rows stay."""
    made = Writers(stage)
    made.known = {id_: (id_ // 2 % 4, 0, f"old {id_}") for id_ in range(1, ROWS + 1)}
    return made


def _begin(stage: ReshardStage) -> int:
    """A job whose rows are being copied, slowly; its number."""
    stage.reshard("start", str(stage.after), "--mode", "cdc", "--rate", SLOW)
    wait_until(lambda: stage.status()["phase"] == "copy", PATIENCE, "rows are copied")
    return int(stage.status()["number"])


def _go_on(stage: ReshardStage) -> dict[str, Any]:
    """Until it waits for the operator."""
    stage.reshard("throttle", "0")
    stage.reshard("watch", "--json")
    status = stage.status()
    assert (status["phase"], status["stopped"]) == ("ready", "")
    return status


@contextmanager
def _locked(stage: ReshardStage, number: int) -> Iterator[None]:
    """Nobody else writes the new tables for the block."""
    names = [f"item_0__s{number}", f"item_1__s{number}", "item_2", "item_3"]
    with ExitStack() as open_:
        for server in stage.servers:
            connection = open_.enter_context(
                pymysql.connect(
                    host=server.host,
                    port=server.port,
                    user=server.user,
                    password=server.password,
                    database="moving",
                )
            )
            connection.cursor().execute(f"LOCK TABLES {', '.join(f'{name} WRITE' for name in names)}")
        yield


def _waits_for_a_table(server: DatabaseServer) -> bool:
    shown = server.execute("SELECT STATE FROM information_schema.PROCESSLIST WHERE INFO LIKE '%%waits%%'")
    return any("metadata lock" in str(state).lower() for (state,) in shown)


def test_from_plan_to_finish(stage: ReshardStage, writers: Writers) -> None:
    said = stage.reshard("plan", str(stage.after), "--mode", "cdc")
    assert "CATCH UP" in said
    number = _begin(stage)
    # Whoever wrote both sides would wait here.
    written = {50_000 + index: (index % 8, 0, f"alone {index}") for index in range(16)}
    with _locked(stage, number):
        for sidecar in range(2):
            with stage.connect(sidecar) as connection, connection.cursor() as cursor:
                for id_, row in list(written.items())[sidecar::2]:
                    cursor.execute("INSERT INTO item VALUES (%s, %s, %s, %s)", (id_, *row))
    writers.known |= written
    wait_until(lambda: stage.new_rows(number).items() >= written.items(), PATIENCE, "they are brought over")
    assert stage.status()["phase"] == "copy"
    with writers.at_work() as clients:
        writers.answered(clients, 40)
        status = _go_on(stage)
        progress = status["progress"]
        assert progress["caught_up"]["keys"] > len(written)
        assert progress["bypassed"]["repaired"] == 0
        assert progress["tables"]["item"]["repaired"] == 0
        assert [one["phase"] for one in status["journal"]] == [
            "prepare",
            "copy",
            "catch up",
            "double write",
            "verify",
            "ready",
        ]
        assert {one["data_source"] for one in progress["sources"]} == {"ds_0", "ds_1"}
        writers.answered(clients, 20)
    assert stage.old_rows(number) == writers.known
    assert stage.new_rows(number) == writers.known
    with _locked(stage, number):
        # Now every write waits for the new tables.
        late = threading.Thread(target=_insert, args=(stage, 60_000, "waits"))
        late.start()
        wait_until(
            lambda: any(map(_waits_for_a_table, stage.servers)), PATIENCE, "a write to both sides waits"
        )
    late.join(60)
    writers.known[60_000] = (0, 0, "waits")
    with writers.at_work() as clients:
        for verb, phase in (
            ("cutover", "reverse double write"),
            ("rollback", "ready"),
            ("cutover", "reverse double write"),
        ):
            stage.reshard(verb)
            assert stage.status()["phase"] == phase
            writers.answered(clients, 20)
    assert stage.old_rows(number) == writers.known
    assert stage.new_rows(number) == writers.known
    stage.reshard("finish")
    assert stage.rows(["item_0", "item_1", "item_2", "item_3"]) == writers.known
    stage.turn_round()


def _insert(stage: ReshardStage, id_: int, note: str) -> None:
    with stage.connect(0) as connection, connection.cursor() as cursor:
        cursor.execute(f"INSERT INTO item VALUES ({id_}, 0, 0, '{note}')")


def _both_sides(stage: ReshardStage, number: int) -> tuple[dict[int, Any], dict[int, Any]]:
    (table,) = stage.ask(lambda store: read_files_of(store, number)).tables
    old = {node.table for node in table.sources}
    new = {built_as for _, built_as in table.targets}
    return stage.rows(sorted(old)), stage.rows(sorted(new))


@pytest.mark.parametrize(
    ("killed_at", "rate"),
    [
        (moment(Phase.COPY, "a first chunk is taken", Mode.CDC), SLOW),
        (moment(Phase.CATCH_UP, "it begins", Mode.CDC), "0"),
        (moment(Phase.DOUBLE_WRITE, "a sidecar holds", Mode.CDC), "0"),
        (moment(Phase.DOUBLE_WRITE, "the next rules hold", Mode.CDC), "0"),
    ],
    ids=str,
)
def test_the_runner_is_killed(stage: ReshardStage, writers: Writers, killed_at: Moment, rate: str) -> None:
    jobs = stage.ask(read_jobs)
    number = jobs[-1].number + 1 if jobs else 1

    async def copying(store: Store) -> Look:
        async def begin() -> None:
            worker = threading.Thread(
                target=stage.reshard, args=("start", str(stage.after), "--mode", "cdc", "--rate", rate)
            )
            worker.start()

        return await until(store, number, killed_at, begin)

    with writers.at_work(may_fail=True) as clients:
        writers.answered(clients, 20)
        look = stage.ask(copying)
        runner = next(one for one in stage.sidecars if look.runner.endswith(f":{one.port}"))
        runner.kill()
        other = clients[1 - stage.sidecars.index(runner) :: 2]
        writers.answered(other, 20)
        runner.start(60)
        writers.answered(clients, 20)
        for _ in range(10):
            job = stage.ask(lambda store: read_job(store, number))
            if job.stopped:
                # What the killed one's end has kept from happening is asked for again.
                stage.reshard("resume")
            elif job.phase is Phase.READY:
                break
            stage.reshard("throttle", "0")
            stage.reshard("watch", "--json", code=None)
        assert (job.phase, job.stopped) == (Phase.READY, "")
        writers.answered(clients, 20)
    old, new = _both_sides(stage, number)
    assert old == writers.known
    assert new == writers.known
    stage.reshard("cancel")
    assert stage.status()["phase"] == "cancelled"


def test_a_binlog_that_is_gone_is_said_and_what_was_missed_is_repaired(
    stage: ReshardStage, writers: Writers
) -> None:
    number = _begin(stage)
    wait_until(
        lambda: stage.status()["progress"].get("tables", {}).get("item", {}).get("copied", 0) > 100,
        PATIENCE,
        "some rows are copied",
    )
    for mesh in stage.sidecars:
        mesh.kill()
    # Behind everybody's back, and nobody can tell any more.
    old = stage.servers[0]
    ids = ", ".join(map(str, range(2, 200, 2)))
    (table,) = stage.ask(lambda store: read_files_of(store, number)).tables
    for name in {node.table for node in table.sources}:
        old.execute(f"UPDATE moving.{name} SET n = n + 1 WHERE id IN ({ids})")
    for id_ in range(2, 200, 2):
        owner, n, note = writers.known[id_]
        writers.known[id_] = owner, n + 1, note
    wait_until(lambda: _purged(old), PATIENCE, "the binlog is gone")
    for mesh in stage.sidecars:
        mesh.start(60)
    stage.reshard("watch", "--json", code=EXIT_DIFFERENT)
    status = stage.status()
    assert status["phase"] == "copy"
    assert "rows that are written are not brought over any more: data source 'ds_0'" in status["stopped"]
    assert "resume it, and verification repairs what is missed" in status["stopped"]
    stage.reshard("resume")
    _go_on(stage)
    found, new = _both_sides(stage, number)
    assert found == writers.known
    assert new == writers.known
    stage.reshard("cancel")


def _purged(server: DatabaseServer) -> bool:
    """Whether a server has none of the binlogs it had: it keeps those that somebody reads, also who is dead, until it notices that."""
    before = {str(name) for name, *_ in server.execute("SHOW BINARY LOGS")}
    server.execute("FLUSH BINARY LOGS")
    last = str(server.execute("SHOW BINARY LOGS")[-1][0])
    server.execute(f"PURGE BINARY LOGS TO '{last}'")
    return before.isdisjoint(str(name) for name, *_ in server.execute("SHOW BINARY LOGS"))


def test_a_table_that_is_emptied_past_the_mesh_is_verified(stage: ReshardStage, writers: Writers) -> None:
    number = _begin(stage)
    (table,) = stage.ask(lambda store: read_files_of(store, number)).tables
    name = table.sources[0].table
    gone = stage.servers[0].execute(f"SELECT id FROM moving.{name}")
    stage.servers[0].execute(f"TRUNCATE TABLE moving.{name}")
    for (id_,) in gone:
        del writers.known[id_]
    wait_until(lambda: stage.status()["progress"].get("statements"), PATIENCE, "it is told")
    _go_on(stage)
    # All rows were compared after that.
    found, new = _both_sides(stage, number)
    assert found == writers.known
    assert new == writers.known
    stage.reshard("cutover")
    stage.reshard("rollback")
    stage.reshard("cancel")


def test_copying_waits_for_what_has_to_be_brought_over(stage: ReshardStage, writers: Writers) -> None:
    number = _begin(stage)
    (table,) = stage.ask(lambda store: read_files_of(store, number)).tables
    first = min(id_ for id_ in writers.known if id_ % 2 == 0)
    owner, n, note = writers.known[first]
    (place,) = [
        node.table
        for node in table.sources
        if node.data_source == "ds_0"
        and stage.servers[0].execute(f"SELECT id FROM moving.{node.table} WHERE id = {first}")
    ]

    def told() -> dict[str, Any]:
        found: dict[str, Any] = stage.status()["progress"]
        return found

    wait_until(
        lambda: told().get("tables", {}).get("item", {}).get("copied", 0) > 100, PATIENCE, "some are copied"
    )
    with stage.servers[0].connect("moving", autocommit=False) as past, past.cursor() as cursor:
        # A row that has changed cannot be brought over, and so nothing behind it can.
        cursor.execute(f"UPDATE {place} SET n = n + 1 WHERE id = {first}")
        past.commit()
        cursor.execute(f"SELECT id FROM {place} WHERE id = {first} FOR UPDATE")
        stage.reshard("throttle", "20")
        held = wait_until(lambda: told().get("throttled"), PATIENCE, "copying waits")
        assert held is not None
        assert re.fullmatch(r"the binlog of ds_0 is brought over \d+(\.\d)? s late", held)
        assert f"held up: {held.partition(' over')[0]}" in stage.reshard("status")
        # On both sidecars, however fast it might be.
        stage.reshard("throttle", "0")
        late = 20.0
        wait_until(
            lambda: max(one["lag"] for one in told()["sources"]) > late, PATIENCE, f"it is {late} s late"
        )
        status = stage.status()
        assert (status["phase"], status["progress"]["throttled"][:14]) == ("copy", "the binlog of ")
        assert status["progress"]["tables"]["item"]["copied"] < len(writers.known)
        past.rollback()
    writers.known[first] = owner, n + 1, note
    status = _go_on(stage)
    assert status["progress"]["throttled"] == ""
    old, new = _both_sides(stage, number)
    assert old == writers.known
    assert new == writers.known
    stage.reshard("cancel")


def test_what_stands_in_its_way(stage: ReshardStage) -> None:
    server = stage.servers[1]
    server.execute("SET GLOBAL binlog_format = 'MIXED'")
    try:
        said = stage.reshard("start", str(stage.after), "--mode", "cdc", code=EXIT_DIFFERENT)
    finally:
        server.execute("SET GLOBAL binlog_format = 'ROW'")
    assert "ds_1: the server's binlog is MIXED: in the mode cdc nothing else tells what is written" in said
    assert all(job.ended for job in stage.ask(read_jobs))


class Passer(threading.Thread):
    """Passes unique notes round among rows of one actual table: who gets one, another has just lost."""

    def __init__(self, stage: ReshardStage, rows: Sequence[int], sidecar: int) -> None:
        super().__init__()
        self._connect = lambda: stage.connect(sidecar)
        self._rows = rows
        self.rounds = 0
        self.stopping = threading.Event()
        self.error: Exception | None = None

    def run(self) -> None:
        """Until it is stopped."""
        try:
            with self._connect() as connection, connection.cursor() as cursor:
                while not self.stopping.is_set():
                    self._round(cursor)
                    self.rounds += 1
        except Exception as error:
            self.error = error

    def _round(self, cursor: Any) -> None:
        first = self._rows[0]
        cursor.execute(f"SELECT note FROM item WHERE id = {first}")
        free = cursor.fetchone()[0]
        cursor.execute(f"UPDATE item SET note = 'nobody''s {first}' WHERE id = {first}")
        for id_ in self._rows[1:]:
            cursor.execute(f"SELECT note FROM item WHERE id = {id_}")
            (mine,) = cursor.fetchone()
            cursor.execute(f"UPDATE item SET note = '{free}' WHERE id = {id_}")
            free = mine
        cursor.execute(f"UPDATE item SET note = '{free}' WHERE id = {first}")


def test_unique_values_that_are_passed_round(
    servers: list[DatabaseServer], tmp_path_factory: pytest.TempPathFactory
) -> None:
    columns = f"{COLUMNS}, UNIQUE KEY (note)"
    with open_reshard_stage(servers, tmp_path_factory.mktemp("unique"), rows=ROWS, columns=columns) as stage:
        # All of one owner, and so of one table on either side.
        passers = [
            Passer(stage, range(start, start + 8 * 12, 8), number % 2)
            for number, start in enumerate((8, 9, 1000, 1001))
        ]
        for passer in passers:
            passer.start()
        try:
            number = _begin(stage)
            # One of the new tables cannot be written for a while.
            stage.servers[0].execute("RENAME TABLE moving.item_2 TO moving.away")
            wait_until(lambda: stage.status()["stopped"], PATIENCE, "it does not go on")
            assert "ds_0" in stage.status()["stopped"]
            stage.servers[0].execute("RENAME TABLE moving.away TO moving.item_2")
            stage.reshard("resume")
            _go_on(stage)
            before = [passer.rounds for passer in passers]
            wait_until(
                lambda: all(one.rounds > count for one, count in zip(passers, before, strict=True)),
                PATIENCE,
                "they go on",
            )
        finally:
            for passer in passers:
                passer.stopping.set()
            for passer in passers:
                passer.join(60)
        assert [passer.error for passer in passers] == [None] * len(passers)
        assert stage.status()["progress"]["tables"]["item"]["repaired"] == 0
        rows = stage.old_rows(number)
        assert stage.new_rows(number) == rows
        assert len(rows) == ROWS
        stage.reshard("cutover")
        stage.reshard("finish")
