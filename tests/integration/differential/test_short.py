"""A few hundred random statements of one seed: the mesh answers as one server with all rows, or says that it cannot.

`make differential` runs the same with any number of statements.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.differential.compare import METADATA
from tests.differential.judge import Judge
from tests.differential.report import Report
from tests.differential.run import Mode
from tests.differential.stage import Stage, stage_on
from tests.plugins.fix_mesh import Shop

_SEED = 11
_STATEMENTS = 700
# What is not yet as on one server. Values, order and errors are no part of it.
_OPEN = METADATA | {"warnings.count", "warnings.text"}


@pytest.fixture(scope="module")
def stage(shop: Shop, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """All layouts on the session's servers."""
    with stage_on(shop.sources, tmp_path_factory.mktemp("differential"), _SEED) as made:
        yield made
        made.drop()
        assert not made.mesh.troubles(), made.mesh.troubles()


def test_random_statements_answer_as_on_one_server(stage: Stage) -> None:
    said: list[str] = []
    judges = [Judge(stage, scene, _SEED, most_shrunk=0, modes=[Mode.TEXT]) for scene in stage.scenes]
    report = Report()
    for number in range(_STATEMENTS):
        judges[number % len(judges)].step(said.append)
    for judge in judges:
        report.add(judge.report)
        judge.close()
    assert set(report.kinds) <= _OPEN, "\n\n".join(said)
    assert sum(report.ways.values()) > _STATEMENTS / 3, report.refused
