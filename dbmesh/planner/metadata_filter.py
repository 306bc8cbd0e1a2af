"""[LIKE 'pattern' | WHERE column = 'value'] behind SHOW, over rows the mesh lists itself.

Decides which rows stay; any condition it cannot evaluate is refused.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from dbmesh.errors import not_supported
from dbmesh.planner.context import PlanContext
from dbmesh.planner.lexemes import Kind, LexemeReader
from dbmesh.planner.like import matches_like


@dataclass(frozen=True, slots=True)
class ShowFilter:
    """`column` None stands for LIKE, which looks at the first column; `operator` is LIKE, = or <>."""

    value: str
    operator: str = "LIKE"
    column: str | None = None

    @property
    def like(self) -> str | None:
        """The pattern that MySQL writes into the title of the first column."""
        return self.value if self.column is None else None

    def keeps(self, titles: Sequence[str], row: Sequence[str | None]) -> bool:
        """Whether the row stays. Raises MeshError(NOT_SUPPORTED) for a column that is not there."""
        lowered = [title.lower() for title in titles]
        if self.column is not None and self.column.lower() not in lowered:
            raise not_supported(f"SHOW … WHERE {self.column}", "use LIKE, or query information_schema")
        value = row[0 if self.column is None else lowered.index(self.column.lower())] or ""
        if self.operator == "LIKE":
            return matches_like(value, self.value)
        return (value.lower() == self.value.lower()) is (self.operator == "=")


def read_filter(context: PlanContext, reader: LexemeReader) -> ShowFilter | None:
    """The rest of a SHOW statement as a filter, None when nothing follows. Pins the literal.

    Raises MeshError: PARSE_ERROR, NOT_SUPPORTED for conditions beyond one comparison with a text.
    """
    if reader.at_end:
        return None
    column: str | None = None
    operator: str | None = "LIKE"
    if reader.accept("WHERE"):
        column = reader.expect_name().value
        operator = reader.accept_any("LIKE", "=", "<>", "!=")
        if operator is None:
            raise not_supported("this WHERE of a SHOW statement", "use LIKE, or query information_schema")
    else:
        reader.expect("LIKE")
    value = read_text(context, reader)
    if not reader.at_end:
        raise not_supported("this WHERE of a SHOW statement", "use LIKE, or query information_schema")
    return ShowFilter(value, "<>" if operator == "!=" else operator or "LIKE", column)


def read_text(context: PlanContext, reader: LexemeReader) -> str:
    """The next lexeme, a string literal, as its value; pins it."""
    lexeme = reader.peek()
    slot = next((slot for slot in context.statement.shape.slots if slot.start == lexeme.start), None)
    if lexeme.kind is not Kind.STRING or slot is None:
        raise reader.error()
    reader.take()
    return str(context.literal(slot))
