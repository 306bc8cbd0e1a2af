"""HAVING over merged groups: a small language of comparisons of numbers.

Decides which HAVING conditions the merge can evaluate exactly; others are refused. Values are filled in at bind time.
Knows nothing of how the columns came about: it asks for their index.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal

from sqlglot import exp

from dbmesh.errors import MeshError, not_supported
from dbmesh.model import SqlValue
from dbmesh.planner.context import PlanContext
from dbmesh.planner.plan import Call, Having, HavingOperator
from dbmesh.planner.template import slot_value
from dbmesh.sql.fingerprint import ListLiteral
from dbmesh.sql.lexer import LexerFlags
from dbmesh.sql.literals import literal_value
from dbmesh.sql.shape import Slot

ColumnFinder = Callable[[exp.Expr], int | None]
"""The provisional index of the numeric column an expression is, None when it is none."""

_COMPARISONS: dict[type[exp.Expr], HavingOperator] = {
    exp.EQ: HavingOperator.EQUAL,
    exp.NEQ: HavingOperator.NOT_EQUAL,
    exp.LT: HavingOperator.LESS,
    exp.LTE: HavingOperator.LESS_EQUAL,
    exp.GT: HavingOperator.GREATER,
    exp.GTE: HavingOperator.GREATER_EQUAL,
    exp.NullSafeEQ: HavingOperator.NULL_SAFE_EQUAL,
}


@dataclass(frozen=True, slots=True)
class HavingTemplate:
    """A HAVING condition before its values. `operator` None is a slot's value, or, with `among`, `operands[0] IN` the
    members of a slot."""

    operator: HavingOperator | None
    operands: tuple[HavingTemplate, ...] = ()
    column: int = 0
    slot: Slot | None = None
    negated: bool = False
    among: bool = False

    def bind(self, call: Call, flags: LexerFlags) -> Having:
        """The condition with its values. Raises MeshError(NOT_SUPPORTED) for a value that is no number."""
        if self.slot is not None and self.among:
            column = self.operands[0].bind(call, flags)
            return Having(
                HavingOperator.OR,
                tuple(
                    Having(HavingOperator.EQUAL, (column, Having(HavingOperator.VALUE, value=value)))
                    for value in _members(self.slot, call, flags)
                ),
            )
        if self.operator is None:
            value = None if self.slot is None else _number(slot_value(self.slot, call, flags))
            if self.negated and isinstance(value, int | float | Decimal):
                value = -value
            return Having(HavingOperator.VALUE, value=value)
        operands = tuple(operand.bind(call, flags) for operand in self.operands)
        return Having(self.operator, operands, column=self.column)

    def settle(self, settle: Callable[[int], int]) -> HavingTemplate:
        """The same with final column indexes."""
        operands = tuple(operand.settle(settle) for operand in self.operands)
        column = settle(self.column) if self.operator is HavingOperator.COLUMN else 0
        return HavingTemplate(self.operator, operands, column, self.slot, self.negated, self.among)


def _members(slot: Slot, call: Call, flags: LexerFlags) -> list[SqlValue]:
    literal = call.literals[slot.index]
    raws = literal.members if isinstance(literal, ListLiteral) else [str(literal)]
    return [_number(literal_value(raw, slot.kind, flags)) for raw in raws]


def _number(value: SqlValue) -> SqlValue:
    if value is not None and not isinstance(value, int | float | Decimal):
        raise _refused()
    return value


def _refused() -> MeshError:
    return not_supported(
        "this HAVING over several data nodes",
        "compare aggregates or numeric group keys with numbers, or filter outside",
    )


def read_having(context: PlanContext, node: exp.Expr, column: ColumnFinder) -> HavingTemplate:
    """The condition of a HAVING clause. Raises MeshError(NOT_SUPPORTED)."""
    if isinstance(node, exp.Paren):
        return read_having(context, node.this, column)
    if isinstance(node, exp.And | exp.Or):
        operator = HavingOperator.AND if isinstance(node, exp.And) else HavingOperator.OR
        sides = (read_having(context, node.left, column), read_having(context, node.right, column))
        return HavingTemplate(operator, sides)
    if isinstance(node, exp.Not):
        return HavingTemplate(HavingOperator.NOT, (read_having(context, node.this, column),))
    if isinstance(node, exp.Is) and isinstance(node.expression, exp.Null):
        return HavingTemplate(HavingOperator.IS_NULL, (_operand(context, node.this, column),))
    if isinstance(node, exp.Between):
        value = _operand(context, node.this, column)
        low, high = _operand(context, node.args["low"], column), _operand(context, node.args["high"], column)
        return HavingTemplate(
            HavingOperator.AND,
            (
                HavingTemplate(HavingOperator.GREATER_EQUAL, (value, low)),
                HavingTemplate(HavingOperator.LESS_EQUAL, (value, high)),
            ),
        )
    if isinstance(node, exp.In):
        return _in(context, node, column)
    operator_ = _COMPARISONS.get(type(node))
    if operator_ is None or not isinstance(node, exp.Binary):
        raise _refused()
    return HavingTemplate(
        operator_, (_operand(context, node.left, column), _operand(context, node.right, column))
    )


def _in(context: PlanContext, node: exp.In, column: ColumnFinder) -> HavingTemplate:
    if node.args.get("query") or not node.expressions:
        raise _refused()
    value = _operand(context, node.this, column)
    choices: list[HavingTemplate] = []
    for item in node.expressions:
        slot = context.statement.slot(item)
        if slot is not None and slot.members:
            choices.append(HavingTemplate(None, (value,), slot=slot, among=True))
        else:
            choices.append(HavingTemplate(HavingOperator.EQUAL, (value, _operand(context, item, column))))
    return choices[0] if len(choices) == 1 else HavingTemplate(HavingOperator.OR, tuple(choices))


def _operand(context: PlanContext, node: exp.Expr, column: ColumnFinder) -> HavingTemplate:
    negated = False
    while isinstance(node, exp.Paren | exp.Neg):
        negated ^= isinstance(node, exp.Neg)
        node = node.this
    if isinstance(node, exp.Null):
        return HavingTemplate(None)
    slot = context.statement.slot(node)
    if slot is not None:
        return HavingTemplate(None, slot=slot, negated=negated)
    index = column(node)
    if index is None or negated:
        raise _refused()
    return HavingTemplate(HavingOperator.COLUMN, column=index)
