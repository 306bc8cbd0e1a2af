"""One statement on the mesh and on the plain server: by text and prepared, plan cache cold and warm.

Decides the order of the runs and what an outcome is. A refusal (error 1235 in dbmesh's own words) is an outcome of its
own, and the statement is not run further then. Runs go on after a difference of metadata or warnings, so that it hides
nothing; after any other they end.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from enum import Enum
from functools import partial

from tests.differential.client import Answer, Client, Prepared
from tests.differential.compare import (
    Difference,
    Expectation,
    compare,
    compare_prepared,
    compare_rows,
    expect,
    leaves_values,
    unlimited,
    without_not_atomic,
)
from tests.differential.layouts import SHARDED
from tests.differential.schema import Check
from tests.differential.stage import Scene, Stage
from tests.differential.tree import Executed, Part, Script, TextPrepared, Write, write, write_prepared
from tests.differential.witnesses import Asked, Reply, Witnesses, once, settle

_NOT_SUPPORTED = 1235
_TURNS = ((False, ""), (True, ", other literals"), (False, ", again"))
"""Cold, then with other literals in between, then warm."""
_COMMITTED_ONE_IN = 4
"""Putting committed rows back is slow: a part of the writes is enough, the same ones for the same seed."""
_BY_CURSOR = _TURNS[-1][1]
_BY_CURSOR_ONE_IN = 4
"""Prepared queries whose last run fetches its rows by a cursor."""
_REPEATED_ONE_IN = 3
"""Writes that are sent a third time, with the first literals: their rows are compared after each."""


class Mode(Enum):
    """How a statement is sent."""

    TEXT = "text"
    PREPARED = "prepared"


@dataclass
class Outcome:
    """What came of one statement.

    `failed` is the error number both sides answered, `runs` how often it was compared, `where` the run of the first
    difference and `modes` those with any. `not_atomic` says that the mesh committed on several data sources, one after
    another, and said so in a warning. `excused` are kinds of differences from one plain server that others have explained.
    """

    refused: str = ""
    differences: dict[str, Difference] = field(default_factory=dict)
    failed: int = 0
    runs: int = 0
    where: str = ""
    modes: list[Mode] = field(default_factory=list)
    not_atomic: bool = False
    excused: frozenset[str] = frozenset()

    @property
    def kinds(self) -> frozenset[str]:
        """The kinds of its differences."""
        return frozenset(self.differences)

    def take(self, found: Iterable[Difference], mode: Mode, where: str) -> bool:
        """Notes differences, the first of each kind. Whether the runs may go on."""
        found = list(found)
        if found and not self.where:
            self.where = where
        if found and mode not in self.modes:
            self.modes.append(mode)
        for difference in found:
            self.differences.setdefault(difference.kind, difference)
        return all(leaves_values(difference.kind) for difference in found)

    def compared(self, mesh: Answer, plain: Answer) -> bool:
        """Counts a run. False when the mesh refused it."""
        if mesh.error and mesh.error[0] == _NOT_SUPPORTED and mesh.error[2].startswith("dbmesh:"):
            self.refused = mesh.error[2]
            return False
        self.runs += 1
        self.failed = self.failed or (plain.error[0] if plain.error else 0)
        return True


class Sides:
    """One session at the mesh, one at the plain server, and others that are asked when these two differ."""

    def __init__(self, stage: Stage, scene: Scene) -> None:
        self.stage = stage
        self.scene = scene
        self._connect()

    def _connect(self) -> None:
        self.mesh = self.stage.mesh_client(self.scene)
        self.plain = self.stage.plain_client(self.scene)
        self.witnesses = Witnesses(partial(self.stage.plain_client, self.scene))

    def close(self) -> None:
        """Ends the sessions."""
        for client in (self.mesh, self.plain):
            client.socket.close()
        self.witnesses.close()

    def _settled(
        self,
        outcome: Outcome,
        found: Sequence[Difference],
        replies: tuple[Reply, Reply],
        asked: Asked,
        every: Answer | None = None,
    ) -> Sequence[Difference]:
        """What no other plain server explains of the differences between the mesh's reply and plain's."""
        if not found:
            return found
        mesh, plain = replies
        step = asked.statement
        if isinstance(step, Script):
            step = step.steps[asked.step]
        expected = expect(step)

        def differs(reply: Reply) -> Sequence[Difference]:
            return _compare_replies(mesh, reply, expected, every)

        left = settle(found, mesh, plain, self.witnesses.replies(asked), differs)
        outcome.excused |= {one.kind for one in found} - {one.kind for one in left}
        return left

    def run(self, statement: Part, modes: Sequence[Mode] = tuple(Mode)) -> Outcome:
        """Runs a statement in the given modes, until one refuses it or answers other values."""
        outcome = Outcome()
        for mode in modes:
            try:
                go_on = self._run_in(statement, mode, outcome)
            except (OSError, AssertionError) as lost:
                self.close()
                self._connect()
                go_on = outcome.take([Difference("lost", repr(lost), "")], mode, mode.value)
            if not go_on or outcome.refused:
                break
        return outcome

    def _run_in(self, statement: Part, mode: Mode, outcome: Outcome) -> bool:
        if isinstance(statement, TextPrepared):
            statement = statement.script()
        if isinstance(statement, Script):
            return mode is not Mode.TEXT or self._script(statement, outcome)
        if isinstance(statement, Write):
            return self._write(statement, mode, outcome)
        if mode is Mode.TEXT:
            return self._by_text(statement, outcome)
        return self._prepared(statement, outcome)

    # ------------------------------------------------------------------------------------------ queries

    def _by_text(self, statement: Part, outcome: Outcome) -> bool:
        expected = expect(statement)
        plain: dict[bool, Answer] = {}
        for other, turn in _TURNS:
            text = write(statement, other=other)
            mesh = self.mesh.ask_with_warnings(text)
            if other not in plain:
                plain[other] = self.plain.ask_with_warnings(text)
            if not outcome.compared(mesh, plain[other]):
                return False
            every = self._every_row(statement, expected, other=other)
            found = compare(mesh, plain[other], expected, every)
            asked = Asked(statement, other=other)
            left = self._settled(outcome, found, (Reply(mesh), Reply(plain[other])), asked, every)
            if not outcome.take(left, Mode.TEXT, f"text{turn}"):
                return False
        return True

    def _prepared(self, statement: Part, outcome: Outcome) -> bool:
        expected = expect(statement)
        text, values = write_prepared(statement)
        _, others = write_prepared(statement, other=True)
        mesh, plain = self.mesh.prepare_statement(text), self.plain.prepare_statement(text)
        try:
            if isinstance(mesh, Answer) or isinstance(plain, Answer):
                return self._not_prepared(statement, mesh, plain, outcome)
            outcome.take(compare_prepared(mesh, plain), Mode.PREPARED, "prepare")
            for run, (other, turn) in enumerate(_TURNS):
                arguments = others if other else values
                cursor = turn == _BY_CURSOR and self._is_one_of(statement, _BY_CURSOR_ONE_IN)
                left = self.mesh.run(mesh, arguments, cursor=cursor)
                right = self.plain.run(plain, arguments, cursor=cursor)
                if not outcome.compared(left, right):
                    return False
                every = self._every_row_prepared(statement, expected, other=other)
                where = f"prepared{turn}{' by a cursor' if cursor else ''}"
                if not cursor:
                    found = compare(left, right, expected, every)
                elif found := compare_rows(left, right, expected, every):
                    # Through a cursor's temporary table values may lose digits or change their types.
                    found = compare_rows(left, self.plain.run(plain, arguments), expected, every)
                asked = Asked(statement, prepared=True, other=other, step=run)
                rest = self._settled(outcome, found, (Reply(left), Reply(right)), asked, every)
                if not outcome.take(rest, Mode.PREPARED, where):
                    return False
            return True
        finally:
            for client, handle in ((self.mesh, mesh), (self.plain, plain)):
                if isinstance(handle, Prepared):
                    client.close_statement(handle)

    def _not_prepared(
        self, statement: Part, mesh: Prepared | Answer, plain: Prepared | Answer, outcome: Outcome
    ) -> bool:
        left = mesh if isinstance(mesh, Answer) else Answer()
        right = plain if isinstance(plain, Answer) else Answer()
        if not outcome.compared(left, right):
            return False
        return outcome.take(compare(left, right, Expectation()), Mode.PREPARED, "prepare")

    def _every_row(self, statement: Part, expected: Expectation, *, other: bool = False) -> Answer | None:
        """The rows a LIMIT or a group chooses from, where it may choose."""
        return self.plain.ask(write(unlimited(statement), other=other)) if expected.chooses else None

    def _every_row_prepared(self, statement: Part, expected: Expectation, *, other: bool) -> Answer | None:
        if not expected.chooses:
            return None
        return once(self.plain, *write_prepared(unlimited(statement), other=other))

    # ------------------------------------------------------------------------------------------ scripts and writes

    def _both(self, statement: str) -> None:
        """A statement whose answers nobody looks at."""
        self.mesh.ask(statement)
        self.plain.ask(statement)

    def _script(self, script: Script, outcome: Outcome) -> bool:
        seen: list[tuple[int, list[Difference], Reply, Reply, Answer | None]] = []
        stored: list[Difference] = []
        if script.tables:
            self._both("BEGIN")
        try:
            for place, step in enumerate(script.steps):
                text = write(step)
                expected = expect(step)
                # Asked before, so that counters of the session are left by the step itself.
                every = self._every_row(step, expected, other=isinstance(step, Executed) and step.other)
                mesh, plain = self.mesh.ask_with_warnings(text), self.plain.ask_with_warnings(text)
                if not outcome.compared(mesh, plain):
                    return False
                if found := compare(mesh, plain, expected, every):
                    seen.append((place, found, Reply(mesh), Reply(plain), every))
                if not all(leaves_values(one.kind) for one in found):
                    break
            else:
                stored = _compare_stored(self._stored(self.mesh, script), self._stored(self.plain, script))
        finally:
            if script.tables:
                self._both("ROLLBACK")
        for place, found, left, right, every in seen:
            rest = self._settled(outcome, found, (left, right), Asked(script, step=place), every)
            if not outcome.take(rest, Mode.TEXT, f"at {write(script.steps[place])[:100]}"):
                return False
        return outcome.take(stored, Mode.TEXT, "what the script stored")

    def _write(self, statement: Write, mode: Mode, outcome: Outcome) -> bool:
        """The write in a transaction that is rolled back, cold, with other literals and warm; then for good, once."""
        for other, turn in _TURNS[: 3 if self._is_one_of(statement, _REPEATED_ONE_IN) else 2]:
            asked = Asked(statement, mode is Mode.PREPARED, other)
            self._both("BEGIN")
            try:
                replies = self._replies(asked)
            finally:
                self._both("ROLLBACK")
            if not self._same_write(asked, replies, outcome, f"{mode.value}{turn}"):
                return False
        if mode is Mode.TEXT and self._is_one_of(statement, _COMMITTED_ONE_IN):
            return self._committed(statement, outcome)
        return True

    @staticmethod
    def _is_one_of(statement: Part, many: int) -> bool:
        return zlib.crc32(write(statement).encode()) % many == 0

    def _replies(self, asked: Asked) -> tuple[Reply, Reply]:
        """Those of mesh and plain, with what they stored."""
        statement = asked.statement
        assert isinstance(statement, Write)
        if asked.prepared:
            text, values = write_prepared(statement, other=asked.other)
            mesh, plain = once(self.mesh, text, values), once(self.plain, text, values)
        else:
            text = write(statement, other=asked.other)
            mesh, plain = self.mesh.ask_with_warnings(text), self.plain.ask_with_warnings(text)
        return Reply(mesh, self._stored(self.mesh, statement)), Reply(
            plain, self._stored(self.plain, statement)
        )

    def _same_write(self, asked: Asked, replies: tuple[Reply, Reply], outcome: Outcome, where: str) -> bool:
        mesh, plain = replies
        if not outcome.compared(mesh.answer, plain.answer):
            return False
        found = _compare_replies(mesh, plain, expect(asked.statement))
        mode = Mode.PREPARED if asked.prepared else Mode.TEXT
        return outcome.take(self._settled(outcome, found, replies, asked), mode, where)

    def _committed(self, statement: Write, outcome: Outcome) -> bool:
        asked = Asked(statement)
        try:
            mesh, plain = self._replies(asked)
            lost = [
                row
                for table in statement.tables & set(SHARDED)
                for row in self.stage.misplaced(self.scene, table)
            ]
        finally:
            self.stage.fill(self.scene, statement.tables)
        rest = without_not_atomic(mesh.answer)
        outcome.not_atomic = rest is not mesh.answer
        if not self._same_write(asked, (replace(mesh, answer=rest), plain), outcome, "autocommit"):
            return False
        found = [Difference("placement", str(lost[:3]), "")] if lost else []
        return outcome.take(found, Mode.TEXT, "autocommit")

    @staticmethod
    def _stored(client: Client, statement: Write | Script) -> tuple[Answer, ...]:
        """The rows of the tables it changes, by their names."""
        return tuple(client.ask(f"SELECT * FROM {table}") for table in sorted(statement.tables))


def _compare_replies(
    mesh: Reply, plain: Reply, expected: Expectation, every: Answer | None = None
) -> list[Difference]:
    found = compare(mesh.answer, plain.answer, expected, every)
    return found or _compare_stored(mesh.stored, plain.stored)


def _compare_stored(mesh: Sequence[Answer], plain: Sequence[Answer]) -> list[Difference]:
    """The first table that differs: in its rows, else in its columns."""
    for left, right in zip(mesh, plain, strict=True):
        found = compare(left, right, Expectation((Check.EXACT,) * len(right.columns)))
        if found:
            worst = next((one for one in found if not leaves_values(one.kind)), found[0])
            return [replace(worst, kind=f"stored {worst.kind}")]
    return []
