"""A run of the tester: statements of every layout in turn, counted, and what differs shrunk.

Decides how much is shrunk. Prints through the callback it is given.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

from tests.differential.grammar.grammar import Grammar
from tests.differential.report import Mismatch, Report
from tests.differential.run import Mode, Outcome, Sides
from tests.differential.shrink import shrink
from tests.differential.stage import Scene, Stage
from tests.differential.tree import (
    Call,
    ColumnRef,
    Delete,
    Insert,
    Item,
    Part,
    Script,
    Select,
    TextPrepared,
    Update,
    Write,
    write,
)

_WAYS = (
    (b"relay", "pushed to one data node"),
    (b"federated", "federated"),
    (b"rows of the query", "written by keys that a query names"),
    (b"first count", "written to every data source (broadcast)"),
    (b"rows returned by the first", "written to every data source (broadcast)"),
    (b"sum of counts", "written to several data nodes"),
    (b"rows in the order", "written to several data nodes"),
)
"""How PREVIEW's word for what happens to the answers begins, and what the statement is counted as."""


_PROGRESS = 500
"""Statements after which it is said how many are done."""


def chooses_rows(statement: Part) -> bool:
    """Whether a write takes any few of the rows, or the last of equal keys, so that it has no one result."""
    body = statement.body if isinstance(statement, Write) else statement
    if isinstance(body, Insert) and isinstance(body.query, Select):
        first = body.query.items[0]
        return body.verb != "INSERT" and not (
            isinstance(first, Item) and isinstance(first.body, Call | ColumnRef)
        )
    return isinstance(body, Update | Delete) and body.limit is not None and body.tail is None


class Judge:
    """Runs the statements of one scene."""

    def __init__(
        self,
        stage: Stage,
        scene: Scene,
        seed: int,
        *,
        most_shrunk: int = 3,
        modes: Sequence[Mode] = tuple(Mode),
    ) -> None:
        self.scene = scene
        self.sides = Sides(stage, scene)
        self.report = Report()
        self._grammar = Grammar(scene, f"{scene.name} {seed}")
        self._most_shrunk = most_shrunk
        self._shrunk: Counter[frozenset[str]] = Counter()
        self._modes = modes

    def close(self) -> None:
        """Ends the sessions."""
        self.sides.close()

    def step(self, say: Callable[[str], None] = print) -> None:
        """The next statement."""
        statement = self._grammar.statement()
        outcome = self.sides.run(statement, self._modes)
        report = self.report
        report.statements += 1
        report.runs += outcome.runs
        report.not_atomic += outcome.not_atomic
        if outcome.refused:
            report.refuse(outcome.refused, write(statement))
        elif outcome.excused and not outcome.differences:
            report.open(write(statement))
        elif outcome.differences:
            report.differ(outcome.kinds)
            self._explain(statement, outcome, say)
        elif outcome.failed:
            report.fail(outcome.failed, write(statement))
        if not outcome.refused:
            report.ways[self._way(statement)] += 1

    def _way(self, statement: Part) -> str:
        if isinstance(statement, Script | TextPrepared):
            return "of several statements"
        rows = self.preview(statement)
        if not rows or len(rows[0]) < 3:
            return "answered by the session"
        answer = rows[0][2] or b""
        found = next((way for beginning, way in _WAYS if answer.startswith(beginning)), None)
        return found or ("merged" if len(rows) > 1 else "pushed to one data node")

    def preview(self, statement: Part) -> list[tuple[bytes | None, ...]]:
        """The rows of PREVIEW."""
        if isinstance(statement, Script | TextPrepared):
            return []
        return self.sides.mesh.ask(f"PREVIEW {write(statement)}").cells()

    def _explain(self, statement: Part, outcome: Outcome, say: Callable[[str], None]) -> None:
        # So many of each sort: what is common must not hide what is rare.
        if self._shrunk[outcome.kinds] >= self._most_shrunk:
            return
        self._shrunk[outcome.kinds] += 1

        def fails(candidate: Part) -> bool:
            if chooses_rows(candidate):
                return False
            return bool(self.sides.run(candidate, outcome.modes).kinds & outcome.kinds)

        smallest = shrink(statement, fails)
        final = self.sides.run(smallest, outcome.modes)
        rows = self.preview(smallest)
        mismatch = Mismatch(
            self.scene.name,
            write(statement),
            write(smallest),
            final.where or outcome.where,
            tuple((final.differences or outcome.differences).values()),
            "\n".join(" | ".join((cell or b"").decode("utf-8", "replace") for cell in row) for row in rows),
        )
        self.report.mismatches.append(mismatch)
        say(str(mismatch) + "\n")


def judge_together(judges: Sequence[Judge], statements: int, say: Callable[[str], None]) -> Report:
    """So many statements, of all scenes side by side. `say` is called by one thread at a time."""
    said, stopped = threading.Lock(), threading.Event()
    began = time.monotonic()

    def say_alone(text: str) -> None:
        with said:
            say(text)

    def share(number: int) -> None:
        for _ in range(number, statements, len(judges)):
            if stopped.is_set():
                return
            judges[number].step(say_alone)
            done = sum(judge.report.statements for judge in judges)
            if done % _PROGRESS == 0:
                say_alone(f"{done} statements, {done / (time.monotonic() - began):.0f} per second")

    with ThreadPoolExecutor(len(judges)) as threads:
        try:
            list(threads.map(share, range(len(judges))))
        except BaseException:
            stopped.set()
            raise
    report = Report()
    for judge in judges:
        report.add(judge.report)
    return report
