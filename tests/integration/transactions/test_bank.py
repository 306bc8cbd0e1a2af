"""The short form of `make chaos-bank`: a few kills, and every transfer is there once or not at all."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.chaos.__main__ import run

pytestmark = pytest.mark.integration


@pytest.mark.parametrize(("kind", "kills"), [("XA", 3), ("BASE", 1)])
def test_money_is_neither_lost_nor_made_when_sidecars_and_servers_are_killed(
    tmp_path: Path, kind: str, kills: int
) -> None:
    lines, wrong = run(tmp_path, 11, kills, kind)
    told = dict(lines)
    assert wrong == [], lines
    assert told["branches in doubt at the end"] == 0
    assert int(str(told["transfers acknowledged"])) > 0
