"""A few hundred random statements of fixed seeds over every layout: the mesh answers as one server with all rows, or says
that it cannot. Text and prepared, plan cache cold and warm, everything compared.

`make differential` runs the same with any number of statements.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.differential.judge import Judge, judge_together
from tests.differential.stage import Stage, stage_on
from tests.plugins.fix_mysql import ServerFactory

_SEEDS = (41, 42)
_STATEMENTS = 280


@pytest.fixture(scope="module", params=_SEEDS)
def stage(
    request: pytest.FixtureRequest, mariadb_server: ServerFactory, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Stage]:
    """All layouts on servers of their own."""
    seed: int = request.param
    servers = mariadb_server(f"differential{seed}a", f"differential{seed}b")
    with stage_on(servers, tmp_path_factory.mktemp("differential"), seed) as made:
        yield made
        assert not made.mesh.troubles(), made.mesh.troubles()


def test_random_statements_answer_as_on_one_server(stage: Stage) -> None:
    said: list[str] = []
    judges = [Judge(stage, scene, stage.seed, most_shrunk=1) for scene in stage.scenes]
    try:
        report = judge_together(judges, _STATEMENTS, said.append)
    finally:
        for judge in judges:
            judge.close()
    assert report.clean, "\n\n".join(said)
    assert sum(report.refused.values()) <= _STATEMENTS / 100, report.refused
