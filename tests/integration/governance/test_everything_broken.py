"""etcd, three sidecars, four data sources: one thing after another is broken under load while rules change, and no answer is wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.chaos.mesh.__main__ import run
from tests.chaos.mesh.breakages import BREAKAGES

pytestmark = pytest.mark.integration


def test_one_thing_after_another(tmp_path: Path) -> None:
    lines, wrong = run(tmp_path, seed=1, seconds=0.5, order=BREAKAGES)
    assert not wrong, "\n".join(wrong[:20])
    record = dict(lines)
    assert int(str(record["statements, every answer checked"])) > 1000
    assert int(str(record["its moves"])) >= 2
