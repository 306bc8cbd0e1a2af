"""Alignment: which sharded references of a statement can only meet on one node index.

Decides which references form a group that is routed as one: bound tables, or one table with itself, that are equal in
every sharding column. Alignment has a direction: in `a LEFT JOIN b ON b.key = a.key`, and in a subquery on b with that
condition, every row of b that matters for a row of a lies beside it, while rows of a matter without any of b.
Knows nothing of values or data nodes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from sqlglot import exp

from dbmesh.model import ColumnFamily, ColumnSchema
from dbmesh.planner.conditions import ColumnEquality, ColumnKey, Conditions
from dbmesh.planner.resolve import TableReference
from dbmesh.planner.subselects import scope_of
from dbmesh.rules.ruleset import RuleSet, ShardedTable
from dbmesh.rules.values import places_equals_together

TEXTUAL = frozenset((ColumnFamily.TEXT, ColumnFamily.ENUM, ColumnFamily.SET))
Edges = Mapping[int, frozenset[int]]


def groups_of(
    rule_set: RuleSet,
    references: Sequence[TableReference],
    conditions: Mapping[int, Conditions],
) -> tuple[tuple[int, ...], ...]:
    """Indexes of the references, by group. `conditions` are those of every scope, by its id."""
    columns = {key: schema for each in conditions.values() for key, schema in each.columns.items()}
    exact = rule_set.exact_text_keys

    def usable(scope: exp.Expr) -> list[ColumnEquality]:
        return [
            atom
            for atom in conditions[id(scope)].certain
            if isinstance(atom, ColumnEquality)
            and _places_together(columns.get(atom.source), columns.get(atom.target), exact)
        ]

    equalities = {id(reference.scope): usable(reference.scope) for reference in references}
    beside = {
        left.index: frozenset(
            right.index
            for right in references
            if right is not left
            and _is_inside(right.scope, left.scope)
            and _aligned(rule_set, left, right, equalities[id(right.scope)])
        )
        for left in references
    }
    return _trees([reference.index for reference in references], beside)


def followers_of(references: Sequence[TableReference], groups: Sequence[Sequence[int]]) -> frozenset[int]:
    """References of subqueries that go where the rest of their group goes: their own conditions say what a subquery
    finds, not which rows of the statement there are."""
    by_index = {reference.index: reference for reference in references}
    return frozenset(
        index
        for group in groups
        for index in group
        if any(
            by_index[index].scope is not by_index[other].scope
            and _is_inside(by_index[index].scope, by_index[other].scope)
            for other in group
        )
    )


def _trees(indexes: Sequence[int], beside: Edges) -> tuple[tuple[int, ...], ...]:
    """References that lie beside each other are one; each of those sets joins one other set that it lies beside. Two
    sets never join because a third lies beside both: their rows meet without it."""
    root = {index: index for index in indexes}

    def join(child: int, parent: int) -> None:
        old, new = root[child], root[parent]
        root.update({index: new for index, top in root.items() if top == old})

    for left in indexes:
        for right in beside[left]:
            if left in beside[right]:
                join(right, left)
    whole = dict(root)
    for top in dict.fromkeys(whole.values()):
        members = {index for index in indexes if whole[index] == top}
        parent = next(
            (left for left in indexes if beside[left] & members and root[left] != root[top]),
            None,
        )
        if parent is not None:
            join(top, parent)
    groups: dict[int, list[int]] = {}
    for index in indexes:
        groups.setdefault(root[index], []).append(index)
    return tuple(tuple(sorted(group)) for group in groups.values())


def _is_inside(scope: exp.Expr, other: exp.Expr) -> bool:
    """Whether a scope is another one or a subquery in it."""
    current: exp.Expr | None = scope
    while current is not None and current is not other:
        current = scope_of(current)
    return current is other


def _aligned(
    rule_set: RuleSet, left: TableReference, right: TableReference, equalities: Sequence[ColumnEquality]
) -> bool:
    """Whether the rows of `right` that matter for a row of `left` lie on its node index."""
    if left.key != right.key and right.key not in (rule_set.binding_group(left.key) or ()):
        return False
    assert isinstance(left.table, ShardedTable)
    assert isinstance(right.table, ShardedTable)
    pairs = list(zip(left.table.sharding_columns, right.table.sharding_columns, strict=False))
    if not pairs or len(left.table.sharding_columns) != len(right.table.sharding_columns):
        return False
    return all(_leads((left.index, a), (right.index, b), equalities) for a, b in pairs)


def _leads(start: ColumnKey, end: ColumnKey, equalities: Sequence[ColumnEquality]) -> bool:
    """Whether what is known of one column holds for the other."""
    reached, pending = {start}, [start]
    while pending:
        here = pending.pop()
        for equality in equalities:
            if equality.source == here and equality.target not in reached:
                reached.add(equality.target)
                pending.append(equality.target)
    return end in reached


def equal_alike(left: ColumnSchema | None, right: ColumnSchema | None) -> bool:
    """Whether a value equal to one column is equal to another column that equals the first: comparisons of two
    families convert, and those of two collations use either."""
    if left is None or right is None:
        known = left or right
        return known is None or known.family not in TEXTUAL
    return left.family is right.family and left.collation == right.collation


def _places_together(left: ColumnSchema | None, right: ColumnSchema | None, exact: bool) -> bool:
    """Whether two sharding columns that the server holds for equal have their rows on nodes of one index."""
    if not places_equals_together(left, exact_text=exact):
        return False
    return places_equals_together(right, exact_text=exact) and equal_alike(left, right)
