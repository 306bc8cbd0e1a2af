"""Conditions a shard may evaluate in the merge node's stead: they cannot fail, warn, or have two values for one row.

Decides by form and by type: comparisons of columns with constants of their own kind. A comparison that converts (a text
with a number) warns of every row it looks at, and the client would miss the warnings of rows that were never loaded; what
kind a constant is shows when values are bound, so a condition comes with guards.
"""

from __future__ import annotations

import datetime
import re
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from enum import Enum

from sqlglot import exp

from dbmesh.model import ColumnFamily, SqlValue
from dbmesh.planner.plan import Call
from dbmesh.planner.resolve import Scopes
from dbmesh.planner.template import slot_value
from dbmesh.sql.fingerprint import ListLiteral
from dbmesh.sql.lexer import LexerFlags
from dbmesh.sql.literals import literal_value
from dbmesh.sql.shape import Slot
from dbmesh.sql.statement import Statement


class Kind(Enum):
    """What a column compares with, without conversion."""

    NUMBER = "number"
    TEXT = "text"
    MOMENT = "moment"


_KINDS = {
    ColumnFamily.INTEGER: Kind.NUMBER,
    ColumnFamily.DECIMAL: Kind.NUMBER,
    ColumnFamily.FLOAT: Kind.NUMBER,
    ColumnFamily.TEXT: Kind.TEXT,
    ColumnFamily.BINARY: Kind.TEXT,
    ColumnFamily.ENUM: Kind.TEXT,
    ColumnFamily.TEMPORAL: Kind.MOMENT,
}
_MOMENT = re.compile(r"\d{4}-\d\d-\d\d(?: \d\d:\d\d:\d\d(?:\.\d{1,6})?)?|-?\d{1,3}:\d\d:\d\d(?:\.\d{1,6})?")
_COMPARISONS = (exp.EQ, exp.NEQ, exp.NullSafeEQ, exp.LT, exp.LTE, exp.GT, exp.GTE)


@dataclass(frozen=True, slots=True)
class Guard:
    """The values of a slot must be of this kind, or NULL."""

    slot: Slot
    kind: Kind

    def holds(self, call: Call, flags: LexerFlags) -> bool:
        """Whether they are."""
        slot = self.slot
        literal = None if slot.parameter else call.literals[slot.index]
        if isinstance(literal, ListLiteral):
            values = [literal_value(raw, slot.kind, flags) for raw in literal.members]
        else:
            values = [slot_value(slot, call, flags)]
        return all(value is None or _is(value, self.kind) for value in values)


def _is(value: SqlValue, kind: Kind) -> bool:
    if kind is Kind.NUMBER:
        return isinstance(value, int | float | Decimal)
    if kind is Kind.TEXT:
        return isinstance(value, str | bytes)
    if isinstance(value, str):
        return _MOMENT.fullmatch(value) is not None
    return isinstance(value, datetime.date | datetime.timedelta)


def read_harmless(statement: Statement, scopes: Scopes, condition: exp.Expr) -> tuple[Guard, ...] | None:
    """The guards of a condition that is harmless while they hold; None for any other condition."""
    reader = _Reader(statement, scopes)
    return tuple(reader.guards) if reader.condition(condition) else None


class _Reader:
    """Walks a condition and collects what its constants must be."""

    def __init__(self, statement: Statement, scopes: Scopes) -> None:
        self._statement = statement
        self._scopes = scopes
        self.guards: list[Guard] = []

    def condition(self, node: exp.Expr) -> bool:
        if isinstance(node, exp.Paren | exp.Not):
            return self.condition(node.this)
        if isinstance(node, exp.And | exp.Or):
            return self.condition(node.left) and self.condition(node.right)
        if isinstance(node, exp.Column):
            return self._kind(node) is Kind.NUMBER
        if isinstance(node, _COMPARISONS):
            return self._compared((node.left, node.right))
        if isinstance(node, exp.Between):
            return not node.args.get("symmetric") and self._compared(
                (node.this, node.args["low"], node.args["high"])
            )
        if isinstance(node, exp.In):
            listed = not node.args.get("query") and bool(node.expressions)
            return listed and self._compared((node.this, *node.expressions))
        if isinstance(node, exp.Like):
            return self._kind(node.this) is Kind.TEXT and self._compared((node.this, node.expression))
        if isinstance(node, exp.Is):
            return isinstance(node.this, exp.Column) and isinstance(node.expression, exp.Null)
        return False

    def _compared(self, operands: Sequence[exp.Expr]) -> bool:
        """Columns of one kind, at least one, and constants."""
        columns = [operand for operand in operands if isinstance(operand, exp.Column)]
        kinds = {self._kind(column) for column in columns}
        if len(kinds) != 1:
            return False
        [kind] = kinds
        if kind is None:
            return False
        return all(operand in columns or self._constant(operand, kind) for operand in operands)

    def _constant(self, node: exp.Expr, kind: Kind) -> bool:
        if isinstance(node, exp.Null):
            return True
        if isinstance(node, exp.Neg):
            return kind is Kind.NUMBER and self._constant(node.this, kind)
        slot = self._statement.slot(node) if isinstance(node, exp.Literal) else None
        if slot is None or slot.cell is not None:
            return False
        self.guards.append(Guard(slot, kind))
        return True

    def _kind(self, node: exp.Expr) -> Kind | None:
        found = self._scopes.column(node) if isinstance(node, exp.Column) else None
        return None if found is None or found[1] is None else _KINDS.get(found[1].family)
