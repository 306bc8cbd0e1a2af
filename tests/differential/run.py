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
from tests.differential.plans import planned_alike
from tests.differential.schema import Check
from tests.differential.stage import Scene, Stage
from tests.differential.tree import (
    Delete,
    Executed,
    Part,
    Script,
    TextPrepared,
    Update,
    Write,
    write,
    write_prepared,
)
from tests.differential.values import Value

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
    another, and said so in a warning. `excused` are kinds of differences that two plain servers show too.
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
    """One session at the mesh, one at the plain server, one at its copy in another physical order."""

    def __init__(self, stage: Stage, scene: Scene) -> None:
        self.stage = stage
        self.scene = scene
        self._connect()

    def _connect(self) -> None:
        self.mesh = self.stage.mesh_client(self.scene)
        self.plain = self.stage.plain_client(self.scene)
        self.shuffled = self.stage.shuffled_client(self.scene)

    def close(self) -> None:
        """Ends the sessions."""
        for client in (self.mesh, self.plain, self.shuffled):
            client.socket.close()

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
            plain[other] = planned_alike(
                statement,
                mesh,
                plain[other],
                lambda part, other=other: self.plain.ask(write(part, other=other)),
            )
            every = self._every_row(statement, expected, other=other)
            if not outcome.take(compare(mesh, plain[other], expected, every), Mode.TEXT, f"text{turn}"):
                return False
        return True

    def _prepared(self, statement: Part, outcome: Outcome) -> bool:
        expected = expect(statement)
        text, values = write_prepared(statement)
        _, others = write_prepared(statement, other=True)
        mesh, plain = self.mesh.prepare_statement(text), self.plain.prepare_statement(text)
        try:
            if isinstance(mesh, Answer) or isinstance(plain, Answer):
                return self._not_prepared(mesh, plain, outcome)
            outcome.take(compare_prepared(mesh, plain), Mode.PREPARED, "prepare")
            for other, turn in _TURNS:
                arguments = others if other else values
                cursor = turn == _BY_CURSOR and self._is_one_of(statement, _BY_CURSOR_ONE_IN)
                left = self.mesh.run(mesh, arguments, cursor=cursor)
                right = self.plain.run(plain, arguments, cursor=cursor)
                if turn and not cursor and (right.error or _columns_differ(left, right)):
                    # MariaDB resolves some statements only once, and turns outer joins into inner ones for good: a new
                    # one is the fair witness, as it is for whoever meets a connection that has not run it yet.
                    anew = _once(self.plain, text, arguments)
                    right = anew if right.error or not _columns_differ(left, anew) else right
                if not outcome.compared(left, right):
                    return False
                right = planned_alike(
                    statement,
                    left,
                    right,
                    lambda part, other=other: _once(self.plain, *write_prepared(part, other=other)),
                )
                every = self._every_row_prepared(statement, expected, other=other)
                where = f"prepared{turn}{' by a cursor' if cursor else ''}"
                if not cursor:
                    found = compare(left, right, expected, every)
                elif found := compare_rows(left, right, expected, every):
                    # Through a cursor's temporary table values may lose digits or change their types.
                    found = compare_rows(left, self.plain.run(plain, arguments), expected, every)
                if not outcome.take(found, Mode.PREPARED, where):
                    return False
            return True
        finally:
            for client, handle in ((self.mesh, mesh), (self.plain, plain)):
                if isinstance(handle, Prepared):
                    client.close_statement(handle)

    @staticmethod
    def _not_prepared(mesh: Prepared | Answer, plain: Prepared | Answer, outcome: Outcome) -> bool:
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
        return _once(self.plain, *write_prepared(unlimited(statement), other=other))

    # ------------------------------------------------------------------------------------------ scripts and writes

    def _both(self, statement: str) -> None:
        """A statement whose answers nobody looks at."""
        self.mesh.ask(statement)
        self.plain.ask(statement)

    def _script(self, script: Script, outcome: Outcome) -> bool:
        if script.tables:
            self._both("BEGIN")
        try:
            for step in script.steps:
                text = write(step)
                expected = expect(step)
                # Asked before, so that counters of the session are left by the step itself.
                every = self._every_row(step, expected, other=isinstance(step, Executed) and step.other)
                mesh, plain = self.mesh.ask_with_warnings(text), self.plain.ask_with_warnings(text)
                if isinstance(step, Executed) and _columns_differ(mesh, plain):
                    # Prepared anew, for the same reason as in `_prepared`.
                    self.plain.ask(write(script.steps[0]))
                    anew = self.plain.ask_with_warnings(text)
                    plain = plain if _columns_differ(mesh, anew) else anew
                if not outcome.compared(mesh, plain):
                    return False
                if not outcome.take(compare(mesh, plain, expected, every), Mode.TEXT, f"at {text[:100]}"):
                    return False
            return outcome.take(self._stored(script.tables), Mode.TEXT, "what the script stored")
        finally:
            if script.tables:
                self._both("ROLLBACK")

    def _write(self, statement: Write, mode: Mode, outcome: Outcome) -> bool:
        """The write in a transaction that is rolled back, cold, with other literals and warm; then for good, once."""
        for other, turn in _TURNS[: 3 if self._is_one_of(statement, _REPEATED_ONE_IN) else 2]:
            self._both("BEGIN")
            try:
                go_on = self._written(statement, mode, outcome, f"{mode.value}{turn}", other=other)
            finally:
                self._both("ROLLBACK")
            if not go_on:
                return False
        if mode is Mode.TEXT and self._is_one_of(statement, _COMMITTED_ONE_IN):
            return self._committed(statement, outcome)
        return True

    @staticmethod
    def _is_one_of(statement: Part, many: int) -> bool:
        return zlib.crc32(write(statement).encode()) % many == 0

    def _written(self, statement: Write, mode: Mode, outcome: Outcome, where: str, *, other: bool) -> bool:
        if mode is Mode.TEXT:
            text = write(statement, other=other)
            mesh, plain = self.mesh.ask_with_warnings(text), self.plain.ask_with_warnings(text)
        else:
            text, values = write_prepared(statement, other=other)
            mesh, plain = _once(self.mesh, text, values), _once(self.plain, text, values)
        return self._same_write(statement, mesh, plain, mode, outcome, where)

    def _same_write(
        self, statement: Write, mesh: Answer, plain: Answer, mode: Mode, outcome: Outcome, where: str
    ) -> bool:
        if not outcome.compared(mesh, plain):
            return False
        return outcome.take(compare(mesh, plain, expect(statement)), mode, where) and outcome.take(
            self._stored(statement.tables), mode, f"{where}, what it stored"
        )

    def _committed(self, statement: Write, outcome: Outcome) -> bool:
        try:
            text = write(statement)
            mesh, plain = self.mesh.ask_with_warnings(text), self.plain.ask_with_warnings(text)
            rest = without_not_atomic(mesh)
            outcome.not_atomic = rest is not mesh
            if not self._same_write(statement, rest, plain, Mode.TEXT, outcome, "autocommit"):
                return False
            lost = [
                row
                for table in statement.tables & set(SHARDED)
                for row in self.stage.misplaced(self.scene, table)
            ]
            found = [Difference("placement", str(lost[:3]), "")] if lost else []
            return outcome.take(found, Mode.TEXT, "autocommit")
        finally:
            self.stage.fill(self.scene, statement.tables)

    def _stored(self, tables: Iterable[str]) -> list[Difference]:
        """The first table whose rows differ."""
        for table in sorted(tables):
            text = f"SELECT * FROM {table}"
            mesh, plain = self.mesh.ask(text), self.plain.ask(text)
            found = compare(mesh, plain, Expectation((Check.EXACT,) * len(plain.columns)))
            if found:
                return [replace(found[0], kind=f"stored {found[0].kind}")]
        return []

    # ------------------------------------------------------------------------------------------ diagnosis

    def open_by_sql(self, statement: Part, outcome: Outcome) -> frozenset[str]:
        """The kinds of differences that two plain servers with the same rows show too, one without indexes and with its
        rows in another order: there the statement has no one answer. Rows are never looked at that a LIMIT has cut
        off, and conversions never made that an index spares: errors and warnings depend on both."""
        if isinstance(statement, TextPrepared):
            statement = statement.query
        queries = not isinstance(statement, Write | Script)
        if not queries and not (isinstance(statement, Write) and isinstance(statement.body, Update | Delete)):
            return frozenset()
        sorts: set[str] = set()
        for mode in outcome.modes:
            for other in (False, True):
                sorts |= self._plain_differ(statement, mode, other=other)
        if queries and Mode.PREPARED in outcome.modes:
            sorts |= self._plain_differs_from_itself(statement)
        return frozenset(kind for kind in outcome.kinds if _sort(kind) in sorts)

    def _plain_differ(self, statement: Part, mode: Mode, *, other: bool) -> set[str]:
        """The sorts of differences between the two plain servers."""
        expected = expect(statement)
        plain = self._witness(self.plain, statement, mode, other=other)
        shuffled = self._witness(self.shuffled, statement, mode, other=other)
        every = None if isinstance(statement, Write) else self._every_row(statement, expected, other=other)
        return {_sort(difference.kind) for difference in compare(shuffled, plain, expected, every)}

    def _plain_differs_from_itself(self, statement: Part) -> set[str]:
        """The sorts of differences between a statement prepared once and one prepared anew: MariaDB keeps what some
        subqueries found with the values before."""
        text, values = write_prepared(statement)
        _, others = write_prepared(statement, other=True)
        expected = expect(statement)
        handle = self.plain.prepare_statement(text)
        if isinstance(handle, Answer):
            return set()
        found: list[Difference] = []
        for other, arguments in ((False, values), (True, others), (False, values)):
            kept, anew = self.plain.run(handle, arguments), _once(self.plain, text, arguments)
            every = self._every_row_prepared(statement, expected, other=other)
            found += compare(kept, anew, expected, every)
        self.plain.close_statement(handle)
        return {sort for sort in map(_sort, (difference.kind for difference in found)) if sort == "result"}

    def _witness(self, client: Client, statement: Part, mode: Mode, *, other: bool) -> Answer:
        client.ask("BEGIN")
        try:
            if mode is Mode.PREPARED:
                return _once(client, *write_prepared(statement, other=other))
            return client.ask_with_warnings(write(statement, other=other))
        finally:
            client.ask("ROLLBACK")


def _sort(kind: str) -> str:
    """What a plain server without indexes can witness: results, or warnings. Metadata stand for themselves: they name
    the indexes."""
    if kind.startswith("warnings."):
        return "warnings"
    if kind.removeprefix("stored ") in _RESULTS:
        return "result"
    return kind


_RESULTS = frozenset(
    ("rows", "order", "affected", "info", "error", "missing error", "unexpected error", "insert_id")
)


def _columns_differ(mesh: Answer, plain: Answer) -> bool:
    return not (mesh.error or plain.error) and mesh.columns != plain.columns


def _once(client: Client, text: str, values: Sequence[Value]) -> Answer:
    """Prepared, run and closed."""
    handle = client.prepare_statement(text)
    if isinstance(handle, Answer):
        return handle
    answer = client.run(handle, values)
    client.close_statement(handle)
    return answer
