"""One statement on the mesh and on the plain server: by text and prepared, plan cache cold and warm.

Decides the order of the runs and what an outcome is. A refusal (error 1235 in dbmesh's own words) is an outcome of its
own, and the statement runs nowhere then.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from enum import Enum

from tests.differential.client import Answer, Client, Prepared
from tests.differential.compare import (
    Difference,
    Expectation,
    compare,
    compare_prepared,
    expect,
    unlimited,
)
from tests.differential.layouts import SHARDED
from tests.differential.schema import Check
from tests.differential.stage import Scene, Stage
from tests.differential.tree import Part, Script, TextPrepared, Write, write, write_prepared
from tests.differential.values import Value

_NOT_SUPPORTED = 1235


class Mode(Enum):
    """How a statement is sent."""

    TEXT = "text"
    PREPARED = "prepared"


@dataclass(frozen=True)
class Outcome:
    """What came of one statement. `failed` is the error number both sides answered, `runs` how often it was compared."""

    refused: str = ""
    differences: tuple[Difference, ...] = ()
    failed: int = 0
    runs: int = 0
    where: str = ""

    @property
    def kinds(self) -> frozenset[str]:
        """The kinds of its differences."""
        return frozenset(difference.kind for difference in self.differences)


def refusal(answer: Answer) -> str:
    """The mesh's own refusal, or nothing."""
    if answer.error and answer.error[0] == _NOT_SUPPORTED and answer.error[2].startswith("dbmesh:"):
        return answer.error[2]
    return ""


class Sides:
    """One session at the mesh, one at the plain server, one at its copy in another physical order."""

    def __init__(self, stage: Stage, scene: Scene) -> None:
        self.stage = stage
        self.scene = scene
        self.mesh = stage.mesh_client(scene)
        self.plain = stage.plain_client(scene)
        self.shuffled = stage.shuffled_client(scene)

    def close(self) -> None:
        """Ends the sessions."""
        for client in (self.mesh, self.plain, self.shuffled):
            client.socket.close()

    def reconnect(self) -> None:
        """New sessions, after one was lost."""
        self.close()
        self.mesh = self.stage.mesh_client(self.scene)
        self.plain = self.stage.plain_client(self.scene)
        self.shuffled = self.stage.shuffled_client(self.scene)

    def run(self, statement: Part, modes: Sequence[Mode] = tuple(Mode)) -> Outcome:
        """Runs a statement in the given modes."""
        total = 0
        failed = 0
        for mode in modes:
            try:
                outcome = self._run_in(statement, mode)
            except (OSError, AssertionError) as lost:
                self.reconnect()
                return Outcome(
                    differences=(Difference("lost", repr(lost), ""),), runs=total, where=mode.value
                )
            total += outcome.runs
            failed = failed or outcome.failed
            if outcome.refused or outcome.differences:
                return replace(outcome, runs=total)
        return Outcome(failed=failed, runs=total)

    def _run_in(self, statement: Part, mode: Mode) -> Outcome:
        if isinstance(statement, Script):
            return self._script(statement) if mode is Mode.TEXT else Outcome()
        if isinstance(statement, TextPrepared):
            return self._script(statement.script()) if mode is Mode.TEXT else Outcome()
        if isinstance(statement, Write):
            return self._write(statement, mode)
        expected = expect(statement)
        return (
            self._by_text(statement, expected) if mode is Mode.TEXT else self._prepared(statement, expected)
        )

    def _both(self, statement: str) -> None:
        """A statement whose answers nobody looks at."""
        self.mesh.ask(statement)
        self.plain.ask(statement)

    def _script(self, script: Script) -> Outcome:
        if script.tables:
            self._both("BEGIN")
        try:
            runs = 0
            failed = 0
            for step in script.steps:
                text = write(step)
                expected = expect(step)
                mesh, plain = self.mesh.ask_with_warnings(text), self.plain.ask_with_warnings(text)
                if sentence := refusal(mesh):
                    return Outcome(refused=sentence)
                runs += 1
                failed = failed or (plain.error[0] if plain.error else 0)
                every = self._every_row(step, expected, other=False, prepared=False)
                if found := compare(mesh, plain, expected, every):
                    return Outcome(differences=tuple(found), runs=runs, where=f"script, at {text[:120]}")
            found = self._stored(script.tables)
            return Outcome(differences=tuple(found), runs=runs, where="script, what it stored", failed=failed)
        finally:
            if script.tables:
                self._both("ROLLBACK")

    def _write(self, statement: Write, mode: Mode) -> Outcome:
        """The write in a transaction that is rolled back, cold, with other literals and warm; then for good, once."""
        runs = 0
        failed = 0
        for turn, other in enumerate((False, True, False)):
            self._both("BEGIN")
            try:
                outcome = self._written(statement, mode, other=other)
            finally:
                self._both("ROLLBACK")
            runs += 1
            failed = failed or outcome.failed
            if outcome.refused or outcome.differences:
                where = f"{mode.value}, {('first', 'other literals', 'again')[turn]}{outcome.where}"
                return replace(outcome, runs=runs, where=where)
        # Putting committed rows back is slow: a part of the statements is enough, the same ones for the same seed.
        if mode is Mode.TEXT and zlib.crc32(write(statement).encode()) % 4 == 0:
            outcome = self._committed(statement)
            return replace(outcome, runs=runs + 1, failed=failed)
        return Outcome(runs=runs, failed=failed)

    def _committed(self, statement: Write) -> Outcome:
        try:
            outcome = self._written(statement, Mode.TEXT, other=False)
            if outcome.refused or outcome.differences:
                return replace(outcome, where=f"autocommit{outcome.where}")
            for table in sorted(statement.tables & set(SHARDED)):
                if lost := self.stage.misplaced(self.scene, table):
                    return Outcome(
                        differences=(Difference("placement", str(lost[:3]), table),), where="autocommit"
                    )
            return outcome
        finally:
            self.stage.fill(self.scene, statement.tables)

    def _written(self, statement: Write, mode: Mode, *, other: bool) -> Outcome:
        expected = expect(statement)
        if mode is Mode.TEXT:
            text = write(statement, other=other)
            mesh = self.mesh.ask_with_warnings(text)
            if sentence := refusal(mesh):
                return Outcome(refused=sentence)
            plain = self.plain.ask_with_warnings(text)
        else:
            text, values = write_prepared(statement, other=other)
            mesh = self._once(self.mesh, text, values)
            if sentence := refusal(mesh):
                return Outcome(refused=sentence)
            plain = self._once(self.plain, text, values)
        failed = plain.error[0] if plain.error else 0
        if found := compare(mesh, plain, expected):
            return Outcome(differences=tuple(found), failed=failed)
        return Outcome(
            differences=tuple(self._stored(statement.tables)), failed=failed, where=", what it stored"
        )

    @staticmethod
    def _once(client: Client, text: str, values: Sequence[Value]) -> Answer:
        handle = client.prepare_statement(text)
        if isinstance(handle, Answer):
            return handle
        answer = client.run(handle, values)
        client.close_statement(handle)
        return answer

    def _stored(self, tables: Iterable[str]) -> list[Difference]:
        """The first table whose rows differ."""
        for table in sorted(tables):
            text = f"SELECT * FROM {table}"
            mesh, plain = self.mesh.ask(text), self.plain.ask(text)
            found = compare(mesh, plain, Expectation((Check.EXACT,) * len(plain.columns)))
            if found:
                return [replace(found[0], kind=f"stored {found[0].kind}")]
        return []

    def _every_row(
        self, statement: Part, expected: Expectation, *, other: bool, prepared: bool
    ) -> Answer | None:
        if not expected.cut:
            return None
        if not prepared:
            return self.plain.ask(write(unlimited(statement), other=other))
        text, values = write_prepared(unlimited(statement), other=other)
        handle = self.plain.prepare_statement(text)
        if isinstance(handle, Answer):
            return None
        answer = self.plain.run(handle, values)
        self.plain.close_statement(handle)
        return answer

    def _by_text(self, statement: Part, expected: Expectation) -> Outcome:
        texts = write(statement), write(statement, other=True)
        kept: list[Answer] = []
        runs = 0
        # Cold, then with other literals, then warm.
        for turn, number in enumerate((0, 1, 0)):
            mesh = self.mesh.ask_with_warnings(texts[number])
            if sentence := refusal(mesh):
                return Outcome(refused=sentence)
            if turn < 2:
                kept.append(self.plain.ask_with_warnings(texts[number]))
            every = self._every_row(statement, expected, other=number == 1, prepared=False)
            runs += 1
            if found := compare(mesh, kept[number], expected, every):
                where = ("text", "text, other literals", "text, again")[turn]
                return Outcome(differences=tuple(found), runs=runs, where=where)
        return Outcome(failed=kept[0].error[0] if kept[0].error else 0, runs=runs)

    def _prepared(self, statement: Part, expected: Expectation) -> Outcome:
        text, values = write_prepared(statement)
        _, others = write_prepared(statement, other=True)
        mesh, plain = self.mesh.prepare_statement(text), self.plain.prepare_statement(text)
        try:
            if isinstance(mesh, Answer) or isinstance(plain, Answer):
                return self._not_prepared(mesh, plain, expected)
            runs = 1
            found = compare_prepared(mesh, plain)
            if found:
                return Outcome(differences=tuple(found), runs=runs, where="prepare")
            for turn, arguments in enumerate((values, others, values)):
                left, right = self.mesh.run(mesh, arguments), self.plain.run(plain, arguments)
                if sentence := refusal(left):
                    return Outcome(refused=sentence)
                every = self._every_row(statement, expected, other=turn == 1, prepared=True)
                runs += 1
                if found := compare(left, right, expected, every):
                    where = ("prepared", "prepared, other parameters", "prepared, again")[turn]
                    return Outcome(differences=tuple(found), runs=runs, where=where)
            return Outcome(runs=runs)
        finally:
            for client, handle in ((self.mesh, mesh), (self.plain, plain)):
                if isinstance(handle, Prepared):
                    client.close_statement(handle)

    @staticmethod
    def _not_prepared(mesh: Prepared | Answer, plain: Prepared | Answer, expected: Expectation) -> Outcome:
        left = mesh if isinstance(mesh, Answer) else Answer()
        right = plain if isinstance(plain, Answer) else Answer()
        if sentence := refusal(left):
            return Outcome(refused=sentence)
        found = compare(left, right, expected)
        return Outcome(
            differences=tuple(found), runs=1, where="prepare", failed=right.error[0] if right.error else 0
        )

    def open_by_sql(self, statement: Part) -> bool:
        """Whether two plain servers with the same rows answer differently: then the statement has no one answer."""
        if isinstance(statement, Write | Script):
            return False
        if isinstance(statement, TextPrepared):
            statement = statement.query
        expected = expect(statement)
        for other in (False, True):
            text = write(statement, other=other)
            plain, shuffled = self.plain.ask(text), self.shuffled.ask(text)
            every = self._every_row(statement, expected, other=other, prepared=False)
            if any(
                difference.kind in ("rows", "order")
                for difference in compare(shuffled, plain, expected, every)
            ):
                return True
        return False
