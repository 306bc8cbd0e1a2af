"""What is mirrored: statements by themselves, transactions as a whole or not at all, and nothing that has no room."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from dbmesh.governance.mirroring.recorder import Recorder, Unit
from dbmesh.governance.mirroring.report import Report, Tally
from dbmesh.rules.mirroring import Mirror
from dbmesh.session.session import Session
from dbmesh.wire.constants import ColumnType
from tests.plugins import canned
from tests.plugins.scripted import column
from tests.plugins.session_world import SessionWorld

MIRROR = Mirror("shop", "next", 1.0, writes=False, queue=20, concurrency=1, timeout=1.0)
READ = "SELECT * FROM t_order WHERE user_id = 4"
WRITE = "UPDATE t_order SET status = 'x' WHERE user_id = 4"


class Recorded:
    """A session whose statements are recorded; `units` are complete ones, as texts."""

    def __init__(self, mirror: Mirror = MIRROR, draws: Iterator[float] | None = None) -> None:
        self.world = SessionWorld()
        self.world.reply = self._reply
        self.report = Report()
        self.units: list[Unit] = []
        self.draws = draws
        recorder = Recorder({"shop": mirror}, self.report, self._draw, self._play)
        self.world.mesh.filters = (recorder,)
        self.world.mesh.keep_commands()
        self.client = self.world.session.client

    def _draw(self) -> float:
        return 0.0 if self.draws is None else next(self.draws)

    def _play(self, session: Session, unit: Unit) -> None:
        assert session is self.world.session
        self.units.append(unit)

    def _reply(self, name: str, payload: bytes) -> bytes:
        del name
        if b"SELECT" in payload:
            return canned.result_set([column("id", ColumnType.LONGLONG)], [[b"7"], [b"8"]])
        if b"'met" in payload:
            return canned.failure(int(payload.partition(b"'met ")[2][:4]))
        return canned.failure(1062) if b"'bad'" in payload else canned.ok(affected=2)

    async def run(self, *statements: str) -> list[list[str]]:
        for statement in statements:
            await self.world.command(b"\x03" + statement.encode())
            assert self.world.session.client is self.client, "nobody listens between two statements"
        return [[one.text for one in unit.statements] for unit in self.units]

    @property
    def tally(self) -> Tally:
        return self.report.tally("shop", "next")


async def test_reads_are_recorded_with_their_answers() -> None:
    recorded = Recorded()
    assert await recorded.run(READ, WRITE, f"{READ} FOR UPDATE", "SELECT 1", "SET @a = 1") == [[READ]]
    ((one,),) = [unit.statements for unit in recorded.units]
    assert (one.answer.rows, one.answer.error) == (2, 0)
    assert one.digest.text.endswith("user_id = ?")
    assert one.seconds > 0
    merged = "SELECT user_id FROM t_order ORDER BY user_id"
    assert (await recorded.run(merged))[-1] == [merged]


async def test_writes_by_choice_with_their_errors() -> None:
    recorded = Recorded(replace(MIRROR, writes=True))
    bad = "UPDATE t_order SET status = 'bad' WHERE user_id = 4"
    assert await recorded.run(WRITE, bad) == [[WRITE], [bad]]
    answers = [unit.statements[0].answer for unit in recorded.units]
    assert [(one.affected, one.error) for one in answers] == [(2, 0), (0, 1062)]


@pytest.mark.parametrize("error", [1205, 1213, 1317, 1969, 3024])
async def test_what_a_moment_has_prevented_is_not_done_in_the_mirror(error: int) -> None:
    recorded = Recorded(replace(MIRROR, writes=True))
    met = f"UPDATE t_order SET status = 'met {error}' WHERE user_id = 4"
    assert await recorded.run(met, WRITE) == [[WRITE]]
    assert recorded.tally.waiting == 1


@pytest.mark.parametrize(("statement", "skipped"), [(WRITE, 1), (READ, 0)])
async def test_a_write_of_which_nobody_knows_whether_it_was_done_is_told(
    statement: str, skipped: int
) -> None:
    recorded = Recorded(replace(MIRROR, writes=True))
    world = recorded.world
    await world.running(b"\x03" + statement.encode())
    for pool in world.pools.values():
        for connection in pool.all_connections():
            if not connection.usable:
                connection.connection_lost(None)  # type: ignore[attr-defined]
    await world.client.answered.wait()
    assert recorded.units == []
    assert recorded.tally.skipped == skipped


async def test_what_the_mesh_refuses_is_not_mirrored() -> None:
    recorded = Recorded(replace(MIRROR, writes=True))
    assert await recorded.run("INSERT INTO t_order (order_id) VALUES (1)") == []


@pytest.mark.parametrize("end", ["COMMIT", "ROLLBACK"])
async def test_a_transaction_is_one_unit(end: str) -> None:
    recorded = Recorded(replace(MIRROR, writes=True))
    statements = ["BEGIN", READ, WRITE, "SET @a = 1", end]
    assert await recorded.run(*statements) == [["BEGIN", READ, WRITE, end]]
    assert (await recorded.run(READ))[-1] == [READ]


async def test_a_transaction_that_does_something_else_is_left_out_as_a_whole() -> None:
    recorded = Recorded()
    assert await recorded.run("BEGIN", READ, WRITE, READ, "COMMIT", READ) == [[READ]]
    assert recorded.tally.skipped == 1


async def test_the_choice_is_made_once_for_a_transaction() -> None:
    recorded = Recorded(replace(MIRROR, share=0.5, writes=True), iter([0.6, 0.4, 0.9, 0.1]))
    statements = ["BEGIN", READ, "COMMIT", "BEGIN", WRITE, "COMMIT", READ, READ]
    assert await recorded.run(*statements) == [["BEGIN", WRITE, "COMMIT"], [READ]]


async def test_a_transaction_that_no_statement_has_ended_is_left_out() -> None:
    recorded = Recorded(replace(MIRROR, writes=True))
    await recorded.run("BEGIN", WRITE)
    await recorded.world.command(b"\x1f")
    assert await recorded.run(READ) == [[READ]]
    assert (recorded.tally.skipped, recorded.tally.waiting) == (1, 1)


async def test_a_unit_without_room_is_dropped_as_a_whole() -> None:
    recorded = Recorded(replace(MIRROR, writes=True, queue=4))
    assert await recorded.run("BEGIN", READ, READ, READ, READ, "COMMIT") == []
    assert (recorded.tally.dropped, recorded.tally.waiting) == (5, 0)
    assert len(await recorded.run(READ, READ, READ, READ, READ)) == 4
    assert (recorded.tally.dropped, recorded.tally.waiting) == (6, 4)


async def test_a_client_that_goes_away_inside_a_transaction_leaves_nothing_behind() -> None:
    recorded = Recorded()
    await recorded.run("BEGIN", READ, READ, READ)
    assert recorded.tally.waiting == 4
    await recorded.world.end()
    other = Recorded()
    other.world.session.connection_id = 8
    other.world.mesh.sessions = {8: other.world.session}
    other.world.mesh.filters = recorded.world.mesh.filters
    await other.run("BEGIN")
    assert (recorded.tally.waiting, recorded.tally.skipped) == (1, 1)
