"""How the demo's second act looks, and what its clients count."""

from __future__ import annotations

from dataclasses import replace
from io import StringIO

import pytest
from rich.console import Console, RenderableType

from dbmesh.cli.demo_shoppers import Traffic
from dbmesh.cli.demo_stage import LINE_SECONDS, Scene, Screen, line, moved_rows, picture, summary
from dbmesh.reshard.jobs.job import Phase

_PROGRESS = {
    "rows_per_second": 9876,
    "tables": {
        "t_order": {"rows": 4000, "copied": 2000, "verified": 12},
        "t_order_item": {"rows": 8000, "copied": 0},
    },
}
_SCENE = Scene(8, Phase.COPY, _PROGRESS, 1234, 567.8, 0.0456)


def _printed(shown: RenderableType) -> str:
    console = Console(file=StringIO(), width=160)
    console.print(shown)
    assert isinstance(console.file, StringIO)
    return console.file.getvalue()


def test_a_picture_says_how_far_each_table_is_and_what_clients_notice() -> None:
    shown = _printed(picture(replace(_SCENE, switches=(("cutover", 0.021),))))
    for text in (
        "copy",
        "t_order_item",
        "2,000",
        "9,876 rows/s",
        "1,234 statements, 568/s",
        "longest stall 46 ms",
        "errors 0",
    ):
        assert text in shown
    assert "cutover: longest stall 21 ms" in shown


@pytest.mark.parametrize("phase", Phase)
def test_every_phase_is_shown(phase: Phase) -> None:
    scene = replace(_SCENE, phase=phase)
    assert f" {phase.value} " in _printed(picture(scene))
    assert line(scene).startswith(f"{phase.value}: t_order 2,000 copied, 12 verified;")


def test_before_anything_is_told_there_are_only_clients() -> None:
    scene = replace(_SCENE, phase=Phase.PREPARE, progress={})
    assert line(scene).startswith("prepare: 8 clients: 1,234 statements")
    assert moved_rows(scene.progress) == 0


def test_a_summary_names_figures_and_mistakes() -> None:
    switches = (("cutover", 0.021), ("rollback", 0.03), ("cutover", 0.0184))
    good = _printed(summary(replace(_SCENE, switches=switches), 17.26))
    assert "in 17.3 s" in good
    assert "rows moved         2,000" in good
    assert "errors             0" in good
    assert "cutover 21 ms, rollback 30 ms, cutover 18 ms" in good
    bad = _printed(summary(replace(_SCENE, mistakes=("client 3: gone",)), 1))
    assert "errors             1" in bad
    assert "client 3: gone" in bad


def test_lines_of_one_phase_come_now_and_then_and_of_another_at_once() -> None:
    console, now = Console(file=StringIO(), width=80), [100.0]
    screen = Screen(console, lambda: now[0])
    with screen:
        for seconds, phase in (
            (0.0, Phase.COPY),
            (0.1, Phase.COPY),
            (0.1, Phase.VERIFY),
            (LINE_SECONDS, Phase.VERIFY),
        ):
            now[0] += seconds
            screen.show(replace(_SCENE, phase=phase))
    assert isinstance(console.file, StringIO)
    lines = console.file.getvalue().splitlines()
    assert [one.split(":")[0] for one in lines] == ["copy", "verify", "verify"]


def test_a_terminal_has_one_picture() -> None:
    console = Console(file=StringIO(), width=160, force_terminal=True)
    with (screen := Screen(console, lambda: 0.0)):
        screen.show(_SCENE)
    assert isinstance(console.file, StringIO)
    assert "t_order_item" in console.file.getvalue()


def test_traffic_counts_statements_and_the_longest_wait() -> None:
    traffic = Traffic()
    assert traffic.rate(10.0) == 0
    for seconds in (0.01, 0.5, 0.02):
        traffic.answered(seconds)
    assert (traffic.statements, traffic.longest, traffic.window) == (3, 0.5, 0.5)
    traffic.begin_window()
    traffic.answered(0.03)
    assert (traffic.longest, traffic.window) == (0.5, 0.03)
    assert traffic.rate(11.0) == 4
    assert traffic.flawless
    traffic.wrong.append("a row too many")
    assert not traffic.flawless
