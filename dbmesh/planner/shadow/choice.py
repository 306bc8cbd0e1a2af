"""Production or shadow: what the tables of a statement say for these values, and that they agree.

Decides nothing in doubt: rows of both sides in one statement, and values of which nobody knows what a server makes of them, are
refused. A statement of which nothing says that it belongs to the shadow is production's.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from enum import Enum
from typing import Protocol

from dbmesh.errors import MeshError, not_supported
from dbmesh.model import ColumnSchema, SqlValue
from dbmesh.planner.conditions import Equals, Operand, Predicate
from dbmesh.planner.insert_rows import Source, row_values
from dbmesh.planner.known_columns import operand_values
from dbmesh.planner.plan import Call
from dbmesh.rules.shadow.matching import TEXTUAL
from dbmesh.rules.shadow.rule import Matcher, Verdict
from dbmesh.sql.lexer import LexerFlags


class Vote(Enum):
    """What one table says."""

    SHADOW = "shadow"
    PRODUCTION = "production"
    OPEN = "open"


class Voter(Protocol):
    """What one column of a table says."""

    def vote(self, call: Call) -> Vote:
        """For these values. Raises MeshError(NOT_SUPPORTED)."""
        ...


@dataclass(frozen=True, slots=True)
class DecidingColumn:
    """A column whose values decide, and by what."""

    table: str
    name: str
    schema: ColumnSchema | None
    matchers: tuple[Matcher, ...]

    def vote(self, values: Iterable[SqlValue]) -> Vote:
        """What all these values together say; OPEN for none. Raises MeshError(NOT_SUPPORTED) for those of both sides."""
        votes = {self._of(value) for value in values}
        if len(votes) > 1:
            raise not_supported(
                f"values of '{self.name}' of '{self.table}' for production and for the shadow in one statement",
                "use one statement for each",
            )
        return votes.pop() if votes else Vote.OPEN

    def compared(self, value: SqlValue) -> SqlValue:
        """A value that the column is compared with. Raises MeshError(NOT_SUPPORTED) for a number beside texts: a server compares numbers then, and
        'anna' is 0."""
        textual = self.schema is not None and self.schema.family in TEXTUAL
        if textual and isinstance(value, (int, float, Decimal)):
            raise not_supported(
                f"'{self.name}' of '{self.table}', a column of texts, compared with a number",
                "write it as a text",
            )
        return value

    def _of(self, value: SqlValue) -> Vote:
        verdicts = {matcher.verdict(value, self.schema) for matcher in self.matchers}
        if Verdict.MATCHES in verdicts:
            return Vote.SHADOW
        if Verdict.UNSURE in verdicts:
            raise not_supported(
                f"a value of '{self.name}' of '{self.table}' that may belong to production or to the shadow",
                "write it as the shadow algorithm has it",
            )
        return Vote.PRODUCTION


@dataclass(frozen=True, slots=True)
class ByConditions:
    """A column that conditions compare with values: what each disjunct says of it."""

    column: DecidingColumn
    disjuncts: tuple[tuple[Predicate, ...], ...]
    flags: LexerFlags

    def vote(self, call: Call) -> Vote:
        """See `Voter`. A disjunct that leaves the column open leaves the statement to production, unless another one names the
        shadow."""
        votes = {self.column.vote(self._values(predicates, call)) for predicates in self.disjuncts}
        if Vote.SHADOW in votes and len(votes) > 1:
            raise not_supported(
                f"conditions on '{self.column.name}' of '{self.column.table}' for production and for the shadow in one statement",
                "use one statement for each",
            )
        return votes.pop() if len(votes) == 1 else Vote.OPEN

    def _values(self, predicates: Iterable[Predicate], call: Call) -> Iterable[SqlValue]:
        for predicate in predicates:
            if isinstance(predicate, Equals):
                for operand in predicate.operands:
                    for value in operand_values(operand, call, self.flags):
                        # Nothing is equal to NULL.
                        if value is not None:
                            yield self.column.compared(value)


@dataclass(frozen=True, slots=True)
class ByRows:
    """A column that an INSERT gives values."""

    column: DecidingColumn
    sources: tuple[Source, ...]
    flags: LexerFlags

    def vote(self, call: Call) -> Vote:
        """See `Voter`."""
        return self.column.vote(
            value for source in self.sources for value in row_values(source, call, self.flags)
        )


@dataclass(frozen=True, slots=True)
class ByHint:
    """What the hint says."""

    hinted: bool

    def vote(self, call: Call) -> Vote:
        """See `Voter`."""
        del call
        return Vote.SHADOW if self.hinted else Vote.OPEN


@dataclass(frozen=True, slots=True)
class Assigned:
    """A column that decides, and the value it becomes."""

    column: DecidingColumn
    value: Operand


@dataclass(frozen=True, slots=True)
class Choice:
    """Where a statement goes. `voters`: of each table that has a shadow; `others`: tables that have none;
    `hinted`: the hint asks for the shadow."""

    voters: tuple[tuple[Voter, ...], ...]
    others: tuple[str, ...]
    assigned: tuple[Assigned, ...]
    hinted: bool
    flags: LexerFlags

    def shadow(self, call: Call) -> bool:
        """Whether a statement with these values is the shadow's. Raises MeshError(NOT_SUPPORTED)."""
        votes = {_of_table(voters, call) for voters in self.voters}
        shadow = Vote.SHADOW in votes
        if shadow and Vote.PRODUCTION in votes:
            raise not_supported(
                "rows of production and of the shadow in one statement", "use one statement for each"
            )
        if (shadow or self.hinted) and self.others:
            raise not_supported(
                f"a statement for the shadow that names '{self.others[0]}', which has none",
                "name the table in tables of !SHADOW",
            )
        if self.hinted and not shadow:
            raise not_supported(
                "the hint SHADOW on tables that it does not decide about", "give them a SQL_HINT algorithm"
            )
        for one in self.assigned:
            becomes = one.column.vote(operand_values(one.value, call, self.flags))
            if (becomes is Vote.SHADOW) is not shadow:
                raise moves_rows(one.column.table, one.column.name)
        return shadow


def moves_rows(table: str, column: str) -> MeshError:
    """The refusal of a write that would take rows to the other side."""
    return not_supported(
        f"a new value of '{column}' of '{table}' that may take rows to the other side of production and shadow",
        "delete the rows and insert them again",
    )


def deciding_columns(
    table: str, matchers: Mapping[str, tuple[Matcher, ...]], schemas: Mapping[str, ColumnSchema | None]
) -> list[DecidingColumn]:
    """The columns of a table that decide."""
    return [DecidingColumn(table, name, schemas.get(name), found) for name, found in matchers.items()]


def _of_table(voters: Iterable[Voter], call: Call) -> Vote:
    votes = {voter.vote(call) for voter in voters}
    for vote in (Vote.SHADOW, Vote.PRODUCTION):
        if vote in votes:
            return vote
    return Vote.OPEN
