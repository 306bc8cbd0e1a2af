"""What carries a job out is killed where it is worst: the job ends where it should, and no row is lost, doubled or stale. All steps are
killed by `make chaos-reshard`."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from dbmesh.reshard.jobs.job import Phase
from tests.chaos.reshard.kills import Case, Kills
from tests.chaos.reshard.moments import moment
from tests.chaos.reshard.stage import open_reshard_stage
from tests.plugins.database_server import DatabaseServer

pytestmark = pytest.mark.integration

ROWS = 1_000

CASES = (
    (Phase.DOUBLE_WRITE, "the next rules hold", "server 0"),
    (Phase.CUTOVER, "a sidecar holds", "runner"),
    (Phase.CLEAN_UP, "tables are renamed", "runner"),
)
"""The most telling ones, in this order one job goes from one to the next; `make chaos-reshard` runs them all."""


@pytest.fixture(scope="module")
def kills(servers: list[DatabaseServer], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kills]:
    """Two sidecars."""
    with open_reshard_stage(servers, tmp_path_factory.mktemp("killed"), rows=ROWS) as stage:
        yield Kills(stage, ROWS, 3, away=2.0)


@pytest.mark.parametrize(("phase", "name", "victim"), CASES)
def test_killed(kills: Kills, phase: Phase, name: str, victim: str) -> None:
    outcome = kills.run(Case(moment(phase, name), victim))
    assert not outcome.wrong
