"""Conditions that compare real values (`predicates: real`): WHERE and ON of the SELECT that reads a masked table.

Decides that only these see a value as it is: the derived table has it under a name of the mesh's own, the columns in the conditions are
renamed to it, and `*` is spelled out so that it means what it meant. Knows nothing of masks' expressions.
"""

from __future__ import annotations

from collections.abc import Iterator

from sqlglot import exp

from dbmesh.errors import not_supported
from dbmesh.planner.context import PlanContext
from dbmesh.planner.masked.references import MaskedReference, quoted
from dbmesh.planner.select_names import item_spans
from dbmesh.planner.subselects import scope_of
from dbmesh.planner.template import Edits


def compare_real(context: PlanContext, edits: Edits, reference: MaskedReference) -> tuple[str, ...]:
    """Edits that let the conditions of the reference's own SELECT see real values; the columns whose real values the derived
    table must have under other names. Raises MeshError(NOT_SUPPORTED)."""
    scope = scope_of(reference.node)
    if not isinstance(scope, exp.Select):
        return ()
    several = bool(scope.args.get("joins"))
    needed: dict[str, None] = {}
    for column in _compared(scope):
        if not reference.hides(column.name) or column.table.lower() not in ("", reference.alias):
            continue
        if several and not column.table:
            raise not_supported(
                f"the masked column '{column.name}' in a condition over several tables", "qualify it"
            )
        name = quoted(context, reference.real_name(column.name.lower()))
        edits.replace(column.this.meta["start"], column.this.meta["end"] + 1, name)
        needed[column.name.lower()] = None
    if needed:
        _spell_out(context, edits, scope, reference)
    return tuple(needed)


def _compared(scope: exp.Select) -> Iterator[exp.Column]:
    """The columns in WHERE of a SELECT and in ON of its joins, those of subqueries left out."""
    where = scope.args.get("where")
    conditions = [where] if where is not None else []
    conditions += [
        join.args["on"] for join in scope.args.get("joins") or () if join.args.get("on") is not None
    ]
    for condition in conditions:
        for column in condition.find_all(exp.Column):
            if scope_of(column) is scope and "start" in column.this.meta:
                yield column


def _spell_out(context: PlanContext, edits: Edits, scope: exp.Select, reference: MaskedReference) -> None:
    """`*` as the columns it meant before the derived table had more."""
    stars = [
        item for item in scope.expressions if item.find(exp.Star) is not None and not item.find(exp.Count)
    ]
    if not stars:
        return
    joins = scope.args.get("joins") or ()
    spans = item_spans(context, scope)
    if spans is None or any(join.method or join.args.get("using") for join in joins):
        raise not_supported(
            f"'*' beside a condition on masked columns of '{reference.node.name}'", "write the columns"
        )
    own = quoted(context, reference.node.alias or reference.node.name)
    columns = ", ".join(
        f"{own}.{quoted(context, column.name)}" for column in reference.schema.visible_columns
    )
    for item, (start, end) in zip(scope.expressions, spans, strict=True):
        if isinstance(item, exp.Column) and isinstance(item.this, exp.Star):
            if item.table.lower() == reference.alias:
                edits.replace(start, end, columns)
        elif isinstance(item, exp.Star):
            if joins:
                raise not_supported(
                    f"'*' beside a condition on masked columns of '{reference.node.name}'",
                    "write the columns",
                )
            edits.replace(start, end, columns)
