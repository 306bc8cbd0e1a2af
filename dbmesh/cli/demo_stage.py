"""How the demo's second act looks: how far the tables are, and what their clients notice.

Decides wording and layout, for a terminal and for lines in a file. It is told everything.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from rich import box
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from dbmesh.reshard.jobs.job import PAUSABLE, Phase

PATH = (
    Phase.PREPARE,
    Phase.DOUBLE_WRITE,
    Phase.COPY,
    Phase.VERIFY,
    Phase.READY,
    Phase.CUTOVER,
    Phase.REVERSE,
    Phase.CLEAN_UP,
    Phase.FINISHED,
)
"""The phases on the way to the end."""


@dataclass(frozen=True, slots=True)
class Scene:
    """One moment. `progress` is what the job tells, `rate` statements a second, `longest` the longest wait for an answer in seconds;
    `switches` are the switches there were, each with the longest wait during it. `mistakes` are errors and wrong answers."""

    clients: int
    phase: Phase
    progress: Mapping[str, Any]
    statements: int
    rate: float
    longest: float
    mistakes: tuple[str, ...] = ()
    switches: tuple[tuple[str, float], ...] = field(default=())


class Screen:
    """Shows scenes, as one picture that changes where there is a terminal, else as lines. `clock` gives seconds."""

    def __init__(self, console: Console, clock: Callable[[], float]) -> None:
        self._console = console
        self._clock = clock
        self._live = Live(console=console, auto_refresh=False) if console.is_terminal else None
        self._last: tuple[Phase | None, float] = (None, 0.0)

    def __enter__(self) -> None:
        if self._live is not None:
            self._live.start()

    def __exit__(self, *error: object) -> None:
        if self._live is not None:
            self._live.stop()

    def show(self, scene: Scene) -> None:
        """Show it; a line of the phase that was shown last only every `LINE_SECONDS`."""
        if self._live is not None:
            self._live.update(picture(scene), refresh=True)
            return
        now, (phase, moment) = self._clock(), self._last
        if scene.phase is not phase or now - moment >= LINE_SECONDS:
            self._last = scene.phase, now
            self._console.print(line(scene), soft_wrap=True)


LINE_SECONDS = 2.0
"""Seconds between two lines of the same phase."""


def picture(scene: Scene) -> RenderableType:
    """For a terminal."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for heading in ("table", "copied", "", "verified", "repaired"):
        table.add_column(heading, justify="left" if heading in ("table", "") else "right")
    for name, one in _tables(scene.progress):
        rows = max(one.get("rows", 0), one.get("copied", 0), 1)
        bar = ProgressBar(total=rows, completed=one.get("copied", 0), width=30)
        figures = (f"{one.get(column, 0):,}" for column in ("copied", "verified", "repaired"))
        copied, verified, repaired = figures
        table.add_row(name, copied, bar, verified, repaired)
    return Group(_path(scene.phase), table, *_speed(scene), _clients(scene), *_switches(scene))


def line(scene: Scene) -> str:
    """For a file."""
    tables = "; ".join(
        f"{name} {one.get('copied', 0):,} copied, {one.get('verified', 0):,} verified"
        for name, one in _tables(scene.progress)
    )
    parts = [tables, *(speed.plain for speed in _speed(scene)), _clients(scene).plain]
    return f"{scene.phase.value}: {'; '.join(filter(None, parts))}"


def summary(scene: Scene, seconds: float) -> RenderableType:
    """What to remember. `seconds` is how long the move took."""
    rows = moved_rows(scene.progress)
    stalls = ", ".join(f"{name} {_milliseconds(stall)}" for name, stall in scene.switches)
    mistakes = len(scene.mistakes)
    lines = [
        Text(f"4 shards have become 8 in {seconds:.1f} s, under traffic", "bold"),
        Text(f"  rows moved         {rows:,}"),
        Text(f"  statements served  {scene.statements:,} meanwhile, from {scene.clients} clients"),
        Text(f"  errors             {mistakes}", "bold red" if mistakes else "green"),
        Text(f"  longest stall      {_milliseconds(scene.longest)}"),
        Text(f"  at the switches    {stalls}"),
        *(Text(f"  {mistake}", "red") for mistake in scene.mistakes[:MOST_MISTAKES]),
    ]
    return Group(*lines)


MOST_MISTAKES = 5
"""Errors and wrong answers that are shown."""


def moved_rows(progress: Mapping[str, Any]) -> int:
    """Rows that were copied."""
    return sum(one.get("copied", 0) for _, one in _tables(progress))


def _tables(progress: Mapping[str, Any]) -> Iterable[tuple[str, Mapping[str, Any]]]:
    tables: Mapping[str, Mapping[str, Any]] = progress.get("tables", {})
    return sorted(tables.items())


def _path(phase: Phase) -> Text:
    """Where the job is; on its way back it stands behind the path."""
    text = Text()
    for one in PATH:
        style = "bold reverse" if one is phase else "dim"
        text.append(f" {one.value} ", style)
        text.append(" ")
    if phase not in PATH:
        text.append(f" {phase.value} ", "bold reverse")
    return text


def _speed(scene: Scene) -> Iterable[Text]:
    """Of the phases in which rows are gone through."""
    if scene.phase in PAUSABLE:
        yield Text(f"{scene.progress.get('rows_per_second', 0):,} rows/s")


def _clients(scene: Scene) -> Text:
    mistakes = len(scene.mistakes)
    text = Text(
        f"{scene.clients} clients: {scene.statements:,} statements, {scene.rate:,.0f}/s, "
        f"longest stall {_milliseconds(scene.longest)}, "
    )
    return text.append(f"errors {mistakes}", "bold red" if mistakes else "green")


def _switches(scene: Scene) -> Iterable[Text]:
    return (Text(f"{name}: longest stall {_milliseconds(stall)}") for name, stall in scene.switches)


def _milliseconds(seconds: float) -> str:
    return f"{seconds * 1000:,.0f} ms"
