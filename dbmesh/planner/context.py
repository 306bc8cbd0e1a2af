"""What a planner sees of one statement: its reading, the rules, the catalog, and the values it may look at.

Decides which literals a plan depends on: reading a literal while planning pins it, so that the plan cache never
serves the plan to a statement with another value there.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from dbmesh.errors import INTERNAL, MeshError, not_supported
from dbmesh.model import Catalog, SqlValue
from dbmesh.planner.template import Edits, Rows, rows_text
from dbmesh.rules.ruleset import Hints, RuleSet
from dbmesh.sql.fingerprint import Literal, RowSet
from dbmesh.sql.lexer import LexerFlags
from dbmesh.sql.literals import literal_value
from dbmesh.sql.shape import Slot
from dbmesh.sql.statement import Statement


@dataclass(frozen=True, slots=True)
class PlannerSettings:
    """Settings that change plans. `temporary`: tables, each with its database, that are the session's own, in lower case."""

    audit: bool = True
    temporary: frozenset[tuple[str, str]] = frozenset()


class PlanContext:
    """One statement being planned. `database` is the session's current logic database, None when none was chosen;
    `databases` are the rule sets of all logic databases by lower-case name. `system_schema` is what names without a database are
    of where it is the current one instead. `stored_catalog`: the tables as data sources have them, where that is not what clients
    see of them."""

    def __init__(
        self,
        statement: Statement,
        rule_set: RuleSet,
        catalog: Catalog,
        *,
        literals: Sequence[Literal] = (),
        database: str | None = None,
        settings: PlannerSettings | None = None,
        databases: Mapping[str, RuleSet] | None = None,
        system_schema: str | None = None,
        stored_catalog: Catalog | None = None,
    ) -> None:
        self.statement = statement
        self.rule_set = rule_set
        self.catalog = catalog
        self.stored_catalog = catalog if stored_catalog is None else stored_catalog
        self.database = database
        self.settings = settings or PlannerSettings()
        self.databases: Mapping[str, RuleSet] = databases or {}
        self.system_schema = system_schema
        self._literals = literals
        self._pinned: set[int] = set()

    @property
    def flags(self) -> LexerFlags:
        """The lexer flags the statement was read under."""
        return self.statement.flags

    @property
    def pinned(self) -> frozenset[int]:
        """Indexes of the literals the plan depends on."""
        return frozenset(self._pinned)

    @property
    def hints(self) -> Hints:
        """The statement's routing hints, as rules take them. Raises MeshError for unknown ones."""
        read = self.statement.hints
        if read.data_source is not None and read.data_source not in self.rule_set.data_sources:
            raise not_supported(
                f"the hint DATA_SOURCE_NAME={read.data_source} in database '{self.rule_set.database}'",
                f"name one of {', '.join(self.rule_set.data_sources)}",
            )
        return Hints(
            read.database_values,
            read.table_values,
            read.data_source,
            read.write_route_only,
            read.disabled_auditors,
        )

    def raw(self, slot: Slot) -> str:
        """The text of a literal slot (not of a parameter or row set); pins it."""
        literal = None if slot.parameter or slot.cell is not None else self._literals[slot.index]
        if literal is None:
            raise MeshError(INTERNAL, reason="planning asked for a value that is not one literal")
        self._pinned.add(slot.index)
        return str(literal)

    def literal(self, slot: Slot) -> SqlValue:
        """The value of a literal slot (not of a parameter, list or row set); pins it."""
        raw = self.raw(slot)
        return literal_value(raw, slot.kind, self.flags)

    @property
    def literal_texts(self) -> Sequence[object]:
        """The statement's literals as `Call` has them; pins them all."""
        self._pinned.update(slot.index for slot in self.statement.shape.slots if not slot.parameter)
        return self._literals

    @property
    def all_literals(self) -> Sequence[Literal]:
        """The statement's literals, for who plans another text with some of them: that plan's pins are this one's."""
        return self._literals

    @property
    def original_text(self) -> str:
        """The statement with its literals in place and comments gone; pins every literal."""
        return self.original_from(self.statement.shape.start)

    def original_from(self, position: int) -> str:
        """`original_text` from a position of the shape on; of rows that are one slot, from the first of them on."""
        text = self.statement.text
        out: list[str] = []
        row = self.statement.shape.row
        for slot in self.statement.shape.slots:
            if slot.parameter or slot.start < position:
                continue
            self._pinned.add(slot.index)
            literal = self._literals[slot.index]
            if slot.cell is not None and row is not None:
                assert isinstance(literal, RowSet)
                out += (text[position : row[0]], _rows(self, literal, row))
                position = row[1]
                continue
            out += (text[position : slot.start], str(literal))
            position = slot.end
        out.append(text[position:])
        return "".join(out)

    def of_part(self, start: int) -> PlanContext:
        """The same for the statement that begins at `start` (EXPLAIN SELECT …), with the literals from there on."""
        before = sum(not slot.parameter and slot.start < start for slot in self.statement.shape.slots)
        part = Statement(self.statement.shape.hints + self.statement.text[start:], self.flags)
        return PlanContext(
            part,
            self.rule_set,
            self.catalog,
            literals=self._literals[before:],
            database=self.database,
            settings=self.settings,
            databases=self.databases,
            system_schema=self.system_schema,
            stored_catalog=self.stored_catalog,
        )

    def edits(self) -> Edits:
        """A new collection of edits of this statement's text."""
        return Edits(self.statement.shape, self.flags)


def _rows(context: PlanContext, literal: RowSet, row: tuple[int, int]) -> str:
    [rows] = context.edits().between(*row)
    assert isinstance(rows, Rows)
    return rows_text(rows, literal)
