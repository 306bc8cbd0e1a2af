"""What is known of some columns of a table reference, from its own scope and those around it.

Decides which conditions meet in a column: its own, and those of columns that equal it. Knows no rules.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal

from sqlglot import exp

from dbmesh.model import ColumnSchema, SqlValue
from dbmesh.planner.alignment import equal_alike
from dbmesh.planner.conditions import (
    ColumnEquality,
    ColumnKey,
    ColumnPredicate,
    Conditions,
    Operand,
    Predicate,
    scope_conditions,
)
from dbmesh.planner.context import PlanContext
from dbmesh.planner.plan import Call
from dbmesh.planner.resolve import Scopes, TableReference
from dbmesh.planner.subselects import scope_of
from dbmesh.planner.template import slot_value
from dbmesh.sql.fingerprint import ListLiteral
from dbmesh.sql.lexer import LexerFlags
from dbmesh.sql.literals import literal_value

ColumnConditions = Mapping[str, tuple[Predicate, ...]]
"""Column in lower case → what is said of it."""


def conditions_around(
    context: PlanContext, scopes: Scopes, references: Iterable[TableReference]
) -> dict[int, Conditions]:
    """The conditions of every scope the references stand in, and of those around, by the scopes' ids."""
    found: dict[int, Conditions] = {}
    for reference in references:
        scope: exp.Expr | None = reference.scope
        while scope is not None and id(scope) not in found:
            found[id(scope)] = scope_conditions(context, scopes, scope)
            scope = scope_of(scope)
    return found


def column_conditions(
    reference: TableReference, names: Iterable[str], conditions: Mapping[int, Conditions]
) -> tuple[ColumnConditions, ...]:
    """What each disjunct says of these columns of a reference."""
    own = conditions[id(reference.scope)]
    around: list[ColumnPredicate | ColumnEquality] = []
    columns: dict[ColumnKey, ColumnSchema | None] = dict(own.columns)
    scope = scope_of(reference.scope)
    while scope is not None:
        around += conditions[id(scope)].certain
        columns.update(conditions[id(scope)].columns)
        scope = scope_of(scope)
    disjuncts: list[ColumnConditions] = []
    for disjunct in own.disjuncts:
        atoms = [*disjunct, *own.equalities, *around]
        found: dict[str, tuple[Predicate, ...]] = {}
        for name in names:
            predicates = _predicates((reference.index, name), atoms, columns)
            if predicates:
                found[name] = predicates
        disjuncts.append(found)
    return tuple(disjuncts)


def _predicates(
    column: ColumnKey,
    atoms: Sequence[ColumnPredicate | ColumnEquality],
    columns: Mapping[ColumnKey, ColumnSchema | None],
) -> tuple[Predicate, ...]:
    """Predicates on a column and on every column of the same family known to be equal to it."""
    equal = {column}
    pending = [column]
    while pending:
        target = pending.pop()
        for atom in atoms:
            if not isinstance(atom, ColumnEquality) or atom.target != target or atom.source in equal:
                continue
            if equal_alike(columns.get(atom.source), columns.get(target)):
                equal.add(atom.source)
                pending.append(atom.source)
    found = (atom.predicate for atom in atoms if isinstance(atom, ColumnPredicate) and atom.column in equal)
    return tuple(dict.fromkeys(found))


def operand_values(operand: Operand, call: Call, flags: LexerFlags) -> list[SqlValue]:
    """The values of an operand: of a slot with members, of each of them."""
    slot = operand.slot
    if slot is None:
        return [operand.constant]
    literal = None if slot.parameter else call.literals[slot.index]
    if isinstance(literal, ListLiteral):
        return [literal_value(raw, slot.kind, flags) for raw in literal.members]
    value = slot_value(slot, call, flags)
    if not operand.negated or value is None:
        return [value]
    return [-value] if isinstance(value, int | float | Decimal) else [float("nan")]
