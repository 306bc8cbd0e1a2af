"""A few hundred random statements of one seed: the mesh answers as one server with all rows, or says that it cannot.

`make differential` runs the same with any number of statements.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.differential.judge import Judge
from tests.differential.report import Report
from tests.differential.run import Mode
from tests.differential.stage import Stage, stage_on
from tests.plugins.fix_mysql import ServerFactory

_SEED = 41
_STATEMENTS = 90
_LAYOUTS = ("key_2x2", "bound_2x2", "text_4x1", "date_4x1")
# What is not yet as on one server. Values, order and errors are no part of it.
_OPEN = {"warnings.count", "warnings.text", "warnings.not atomic", "info"}


@pytest.fixture(scope="module")
def stage(mariadb_server: ServerFactory, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """All layouts on servers of their own."""
    servers = mariadb_server("differential0", "differential1")
    with stage_on(servers, tmp_path_factory.mktemp("differential"), _SEED, _LAYOUTS) as made:
        yield made
        assert not made.mesh.troubles(), made.mesh.troubles()


def test_random_statements_answer_as_on_one_server(stage: Stage) -> None:
    said: list[str] = []
    judges = [Judge(stage, scene, _SEED, most_shrunk=0, modes=[Mode.TEXT]) for scene in stage.scenes]
    report = Report()
    try:
        for number in range(_STATEMENTS):
            judges[number % len(judges)].step(said.append)
    finally:
        for judge in judges:
            report.add(judge.report)
            judge.close()
    assert set(report.kinds) <= _OPEN, "\n\n".join(said)
    assert sum(report.ways.values()) > _STATEMENTS / 3, report.refused
