"""What stands in a job's way while it runs: rows changed behind the mesh's back, a transaction that does not end, a sidecar that is cut off, and
rows that cannot be in one table. Each is found and named, and no row is lost."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pymysql
import pytest

from dbmesh.cli.output import EXIT_DIFFERENT
from dbmesh.governance.store import Store
from dbmesh.reshard.jobs.documents import change_job, read_job
from dbmesh.reshard.jobs.job import Phase, Wish, wished
from tests.chaos.reshard.moments import moment, until
from tests.chaos.reshard.stage import COLUMNS, ReshardStage, open_reshard_stage
from tests.plugins.database_server import DatabaseServer
from tests.plugins.processes import wait_until

pytestmark = pytest.mark.integration

ROWS = 400
LEASE = 3
HOLD = 4.0
"""Seconds that a switch may take: longer than a registration lasts."""


@pytest.fixture(scope="module")
def stage(servers: list[DatabaseServer], tmp_path_factory: pytest.TempPathFactory) -> Iterator[ReshardStage]:
    """A job whose sides are equal; notes are unique."""
    with open_reshard_stage(
        servers,
        tmp_path_factory.mktemp("obstacles"),
        rows=ROWS,
        columns=f"{COLUMNS}, UNIQUE KEY (note)",
        lease=LEASE,
    ) as made:
        made.start("--hold", str(HOLD))
        assert made.status()["phase"] == "ready"
        yield made


def test_rows_changed_behind_the_mesh_are_found_and_repaired(stage: ReshardStage) -> None:
    number = stage.status()["number"]
    old, new = stage.servers[1], stage.servers[0]
    # On the new side nobody looks but who verifies.
    new.execute(
        f"UPDATE moving.item_0__s{number} SET n = 7 WHERE id = 8",
        f"DELETE FROM moving.item_0__s{number} WHERE id = 16",
        "INSERT INTO moving.item_2 VALUES (90000, 2, 0, 'nobody''s')",
    )
    # On the old side the binlog tells of it.
    old.execute("UPDATE moving.item_0 SET n = 9 WHERE id = 1")
    wait_until(lambda: stage.new_rows(number)[1][1] == 9, 30, "what came past the mesh is on both sides")
    stage.reshard("verify")
    status = stage.status()
    assert (status["phase"], status["stopped"]) == ("ready", "")
    found = status["progress"]["tables"]["item"]
    assert sorted(found["differing"]) == ["16, 0", "8, 0", "90000, 2"]
    # One was another, one was missing, and one is nobody's.
    assert found["repaired"] == 3
    assert status["progress"]["bypassed"]["repaired"] == 1
    assert stage.new_rows(number) == stage.old_rows(number)


def test_a_transaction_that_does_not_end_refuses_the_cutover(stage: ReshardStage) -> None:
    number = stage.status()["number"]
    stuck = stage.connect(1)
    with stuck.cursor() as cursor:
        cursor.execute("BEGIN")
        cursor.execute("UPDATE item SET n = n + 1 WHERE id = 2")
        said = stage.reshard("cutover", code=EXIT_DIFFERENT)
        assert f"the transaction of connection {stuck.thread_id()} (root@%)" in said
        assert stage.status()["phase"] == "ready"
        # Everybody else goes on, and so does he.
        with stage.connect(0) as other, other.cursor() as others:
            others.execute("UPDATE item SET n = n + 1 WHERE id = 3")
        cursor.execute("UPDATE item SET n = n + 1 WHERE id = 2")
        cursor.execute("COMMIT")
    stuck.close()
    rows = stage.new_rows(number)
    assert (rows[2][1], rows[3][1]) == (2, 1)
    assert rows == stage.old_rows(number)


class Counter(threading.Thread):
    """Counts a row up at one sidecar; `done` and `failed` are when each try began. One that failed with another error than `refused` may
    have happened."""

    REFUSED = 1053

    def __init__(self, stage: ReshardStage, sidecar: int) -> None:
        super().__init__()
        self._connect = lambda: stage.connect(sidecar)
        self.stopping = threading.Event()
        self.done: list[float] = []
        self.refused: list[float] = []
        self.unknown = 0

    def run(self) -> None:
        """Until it is stopped."""
        connection = self._connect()
        while not self.stopping.wait(0.01):
            began = time.monotonic()
            try:
                connection.cursor().execute("UPDATE item SET n = n + 1 WHERE id = 5")
                self.done.append(began)
            except pymysql.err.MySQLError as error:
                if error.args[0] == self.REFUSED:
                    self.refused.append(began)
                else:
                    self.unknown += 1
        connection.close()


def test_a_sidecar_that_is_cut_off_at_the_cutover_writes_nothing_by_former_rules(stage: ReshardStage) -> None:
    number = stage.status()["number"]
    told = moment(Phase.CUTOVER, "sidecars are told to hold")

    async def cut_off_at_the_cutover(store: Store) -> int:
        async def wish() -> None:
            await change_job(store, number, lambda job: wished(job, Wish.CUTOVER, time.time()))

        look = await until(store, number, told, wish)
        cut_off = next(
            index for index, mesh in enumerate(stage.sidecars) if not look.runner.endswith(f":{mesh.port}")
        )
        stage.links[cut_off].stall()
        return cut_off

    counters = [Counter(stage, sidecar) for sidecar in range(len(stage.sidecars))]
    for counter in counters:
        counter.start()
    try:
        wait_until(lambda: all(len(one.done) > 5 for one in counters), 30, "rows are written")
        before = [len(one.done) for one in counters]
        cut_off = stage.ask(cut_off_at_the_cutover)
        wait_until(
            lambda: not stage.ask(lambda store: read_job(store, number)).works, 30, "the others have gone on"
        )
        active = time.monotonic()
        status = stage.status()
        assert (status["phase"], status["stopped"]) == ("reverse double write", "")
        other = counters[1 - cut_off]
        wait_until(lambda: other.done[-1] > active, 30, "others go on by the new rules")
        wait_until(lambda: counters[cut_off].refused, 30, "it refuses what it may not do")
        assert counters[cut_off].done[-1] < active
        stage.links[cut_off].restore()
        wait_until(lambda: counters[cut_off].done[-1] > active, 60, "it serves again")
    finally:
        for link in stage.links:
            link.restore()
        for counter in counters:
            counter.stopping.set()
        for counter in counters:
            counter.join(30)
    assert all(len(one.done) > count for one, count in zip(counters, before, strict=True))
    least = sum(len(one.done) for one in counters)
    counted = stage.new_rows(number)[5][1]
    assert least <= counted <= least + sum(one.unknown for one in counters)
    assert stage.old_rows(number) == stage.new_rows(number)


def test_rows_that_cannot_be_in_one_table_stop_a_job_that_names_them(stage: ReshardStage) -> None:
    stage.reshard("finish")
    stage.turn_round()
    with stage.connect(0) as connection, connection.cursor() as cursor:
        # Two tables become one.
        cursor.execute("INSERT INTO item VALUES (50001, 0, 0, 'the same'), (50003, 2, 0, 'the same')")
        stage.reshard("start", str(stage.after))
        stage.reshard("watch", "--json", code=EXIT_DIFFERENT)
        status = stage.status()
        assert status["phase"] == "copy"
        assert "'the same'" in status["stopped"]
        cursor.execute("UPDATE item SET note = 'another' WHERE id = 50003")
    stage.reshard("resume")
    stage.reshard("watch", "--json")
    status = stage.status()
    assert (status["phase"], status["stopped"]) == ("ready", "")
    stage.reshard("cancel")
    assert stage.status()["phase"] == "cancelled"
