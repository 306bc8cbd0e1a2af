"""Scatter: the same SELECT on several data nodes, and the merge that makes one answer of theirs.

Decides whether that is exact, and refuses with a sentence where it is not (promise 1). Every row of the answer must
come from exactly one node, or be combined from partial rows by a merge that is exact.
"""

from __future__ import annotations

from sqlglot import exp

from dbmesh.errors import not_supported
from dbmesh.planner.conditions import joins_of, nullable_references
from dbmesh.planner.context import PlanContext
from dbmesh.planner.draft import Draft, Limits, Scatter, limits_of, refusal
from dbmesh.planner.grouping import plan_grouping
from dbmesh.planner.plan import Aggregate, AggregateFunction, RowMerge
from dbmesh.planner.resolve import Scopes
from dbmesh.planner.route import Router
from dbmesh.planner.rows import plan_rows
from dbmesh.planner.subselects import aggregates_in, is_aggregated, passing_query, scope_of
from dbmesh.planner.template import Edits
from dbmesh.rules.ruleset import ShardedTable
from dbmesh.rules.values import places_equals_together
from dbmesh.sql.clauses import find_clauses
from dbmesh.sql.server_forms import server_forms

_UNMERGED_FUNCTIONS = frozenset(
    ("GET_LOCK", "RELEASE_LOCK", "RELEASE_ALL_LOCKS", "IS_FREE_LOCK", "IS_USED_LOCK", "MASTER_POS_WAIT", "SLEEP",
     "NEXTVAL", "LASTVAL", "BENCHMARK")
)  # fmt: skip


def plan_scatter(context: PlanContext, scopes: Scopes, router: Router, edits: Edits) -> Scatter:
    """How several nodes answer this SELECT. `edits` are those of the single shot. Raises MeshError(NOT_SUPPORTED)."""
    select = context.statement.tree
    for form in server_forms(select):
        raise refusal(form)
    combined = _counted_derived_table(context, scopes, router, edits) or _existence(
        scopes, router, edits, select
    )
    if combined is not None:
        return combined
    if isinstance(select, exp.Describe):
        raise refusal("EXPLAIN")
    if any(select.find_all(exp.With)):
        raise refusal("common table expressions")
    clauses = find_clauses(context.statement.tokens)
    if not isinstance(select, exp.Select) or clauses is None:
        raise refusal("set operations" if isinstance(select, exp.SetOperation) else "this form of query")
    refuse_forms(context, scopes, router, select)
    draft = Draft(context, scopes, edits.copy(), select, clauses, limits_of(context, select))
    if is_aggregated(select) and not is_complete_per_node(context, scopes, select):
        return plan_grouping(draft)
    return plan_rows(draft)


def refuse_forms(context: PlanContext, scopes: Scopes, router: Router, select: exp.Select) -> None:
    """Refuses what no merge here makes exact, whatever its clauses say."""
    inner = select
    if scopes.is_opaque(select):
        inner = _passing_query(scopes, select)
    if not stays_beside(scopes, router, inner):
        raise refusal("subqueries on a sharded table")
    if len(router.groups) != 1:
        raise refusal("a join of sharded tables that is not on the sharding columns of binding tables")
    _refuse_functions(select)
    for modifier in select.args.get("operation_modifiers") or ():
        if str(modifier).upper() == "SQL_CALC_FOUND_ROWS":
            raise not_supported("SQL_CALC_FOUND_ROWS over several data nodes", "count with SELECT COUNT(*)")
    _refuse_outer_joins(scopes, inner)


def _passing_query(scopes: Scopes, select: exp.Select) -> exp.Select:
    """The query inside a derived table whose rows and columns a SELECT sees as if it read the tables itself."""
    inner = passing_query(select)
    aliases = {item.alias.lower() for item in select.expressions if item.alias}
    columns = (column for column in select.find_all(exp.Column) if scope_of(column) is select)
    if inner is None or not all(
        isinstance(column.this, exp.Star)
        or scopes.through(column) is not None
        or (not column.table and column.name.lower() in aliases)
        for column in columns
    ):
        raise refusal("derived tables")
    return inner


def stays_beside(scopes: Scopes, router: Router, scope: exp.Expr) -> bool:
    """Whether the sharded tables of all subqueries go where those of `scope` itself go. A scope without subqueries on
    sharded tables does by itself."""
    if all(reference.scope is scope for reference in scopes.sharded):
        return True
    return len(router.groups) == 1 and any(reference.scope is scope for reference in scopes.sharded)


def _refuse_functions(select: exp.Select) -> None:
    if any(select.find_all(exp.Window)):
        raise refusal("window functions")
    for function in select.find_all(exp.Anonymous):
        if function.name.upper() in _UNMERGED_FUNCTIONS:
            raise refusal(function.name.upper())


def _refuse_outer_joins(scopes: Scopes, select: exp.Select) -> None:
    """The side an outer join keeps must be spread over the nodes, or every node would keep all of it again."""
    for bracket in select.find_all(exp.Subquery):
        if isinstance(bracket.this, exp.Table) and any(join.side for join in bracket.find_all(exp.Join)):
            raise not_supported(
                "an outer join inside brackets over several data nodes", "write it without brackets"
            )
    for join, left in joins_of(scopes, select):
        if not join.side:
            continue
        right = [r for r in scopes.of(select) if r not in left and _stands_in(r.node, join)]
        kept = left if join.side == "LEFT" else right
        if join.side not in ("LEFT", "RIGHT") or not any(isinstance(r.table, ShardedTable) for r in kept):
            raise not_supported(
                "an outer join over several data nodes that keeps the rows of an unsharded table",
                "put the sharded table on the side the join keeps",
            )


def _stands_in(node: exp.Expr, ancestor: exp.Expr) -> bool:
    return any(parent is ancestor for parent in _parents(node))


def _parents(node: exp.Expr) -> list[exp.Expr]:
    parents: list[exp.Expr] = []
    while node.parent is not None:
        node = node.parent
        parents.append(node)
    return parents


def is_complete_per_node(context: PlanContext, scopes: Scopes, select: exp.Select) -> bool:
    """Whether every group lies on one node: GROUP BY holds all sharding columns of one of the sharded tables.

    Most text does not count: 'a' and 'A' may be one group and still live on two nodes.
    """
    group = select.args.get("group")
    if group is None or any(group.args.get(name) for name in ("rollup", "cube", "grouping_sets", "totals")):
        return False
    keys: set[tuple[int, str]] = set()
    exact = context.rule_set.exact_text_keys
    for node in group.expressions:
        found = scopes.column(node) if isinstance(node, exp.Column) else None
        if found is not None and places_equals_together(found[1], exact_text=exact):
            keys.add((found[0].index, node.name.lower()))
    nullable = nullable_references(scopes, select)
    return any(
        reference.table.sharding_columns
        and reference.index not in nullable
        and all((reference.index, name) in keys for name in reference.table.sharding_columns)
        for reference in scopes.of(select)
        if isinstance(reference.table, ShardedTable)
    )


def _existence(scopes: Scopes, router: Router, edits: Edits, outer: exp.Expr) -> Scatter | None:
    """`SELECT EXISTS (SELECT … FROM t WHERE …)`, as ORMs ask: 1 when a node says 1."""
    if not isinstance(outer, exp.Select) or len(outer.expressions) != 1 or outer.args.get("from_"):
        return None
    if any(outer.args.get(name) for name in ("where", "having", "limit", "with_")):
        return None
    asked = outer.expressions[0].unalias()
    inner = asked.this if isinstance(asked, exp.Exists) else None
    if not isinstance(inner, exp.Select) or any(
        inner.args.get(name) for name in ("group", "having", "offset", "with_", "windows")
    ):
        return None
    if aggregates_in(inner) or not stays_beside(scopes, router, inner):
        return None
    if scopes.is_opaque(inner):
        return None
    _refuse_functions(outer)
    _refuse_outer_joins(scopes, inner)
    merging = RowMerge(grouped=True, aggregates=(Aggregate(0, AggregateFunction.MAX),))
    return Scatter(edits.build(), merging, Limits())


def _counted_derived_table(
    context: PlanContext, scopes: Scopes, router: Router, edits: Edits
) -> Scatter | None:
    """`SELECT COUNT(*) FROM (SELECT … FROM t WHERE …) AS x`, as ORMs count: the counts of the nodes add up."""
    outer = context.statement.tree
    if not isinstance(outer, exp.Select) or len(outer.expressions) != 1:
        return None
    if any(
        outer.args.get(name)
        for name in ("where", "group", "having", "order", "limit", "offset", "joins", "distinct", "with_")
    ):
        return None
    source = outer.args.get("from_")
    count = outer.expressions[0].unalias()
    inner = (
        source.this.this if isinstance(source, exp.From) and isinstance(source.this, exp.Subquery) else None
    )
    if (
        not isinstance(inner, exp.Select)
        or not isinstance(count, exp.Count)
        or not isinstance(count.this, exp.Star)
    ):
        return None
    if any(inner.args.get(name) for name in ("group", "limit", "offset", "distinct", "with_", "windows")):
        return None
    if aggregates_in(inner) or not stays_beside(scopes, router, inner):
        return None
    if scopes.is_opaque(inner):
        return None
    _refuse_functions(outer)
    _refuse_outer_joins(scopes, inner)
    merging = RowMerge(grouped=True, aggregates=(Aggregate(0, AggregateFunction.COUNT),))
    return Scatter(edits.build(), merging, Limits())
