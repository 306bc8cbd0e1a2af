"""Queries inside queries, as trees: which one a node stands in, and what a derived table passes on unchanged.

Decides nothing about tables: it knows no rules and no schemas.
"""

from __future__ import annotations

from sqlglot import exp

_SHAPES = ("having", "limit", "offset", "with_", "windows", "qualify", "connect", "laterals", "into")


def scope_of(node: exp.Expr) -> exp.Expr | None:
    """The innermost SELECT, UPDATE, DELETE or INSERT around a node, not the node itself."""
    parent = node.parent
    while parent is not None and not isinstance(parent, exp.Select | exp.Update | exp.Delete | exp.Insert):
        parent = parent.parent
    return parent


def is_common_table(node: exp.Table) -> bool:
    """Whether a table name is a common table expression visible at its place."""
    return common_table(node) is not None


def common_table(node: exp.Table) -> exp.CTE | None:
    """The common table expression that a table name means at its place."""
    if node.db:
        return None
    name = node.name.lower()
    child: exp.Expr = node
    inside: exp.CTE | None = None
    while child.parent is not None:
        parent = child.parent
        if isinstance(child, exp.CTE):
            inside = child
        with_ = parent.args.get("with_")
        if isinstance(with_, exp.With):
            for common in with_.expressions:
                own = common is inside
                if own and not with_.recursive:
                    break
                if isinstance(common, exp.CTE) and common.alias.lower() == name:
                    return common
                if own:
                    break
        child = parent
    return None


def inner_column(column: exp.Column) -> exp.Column | None:
    """The column, in the query of a derived table, whose values a column of that table are: a condition on it may as well
    stand inside. None for every other column."""
    scope = scope_of(column)
    if not isinstance(scope, exp.Select) or isinstance(column.this, exp.Star) or column.db:
        return None
    sources = _sources(scope)
    if column.table:
        sources = [one for one in sources if one.alias_or_name.lower() == column.table.lower()]
    if len(sources) != 1 or not isinstance(sources[0], exp.Subquery):
        return None
    query = _query(sources[0])
    if query is None or any(query.args.get(name) for name in _SHAPES) or any(query.find_all(exp.Window)):
        return None
    items = [item for item in query.expressions if item.alias_or_name.lower() == column.name.lower()]
    if len(items) != 1 or any(query.find(exp.Star) is item for item in query.expressions):
        return None
    found = items[0].unalias()
    if not isinstance(found, exp.Column) or isinstance(found.this, exp.Star):
        return None
    group = query.args.get("group")
    if group is None:
        return None if aggregates_in(query) else found
    plain = not any(group.args.get(name) for name in ("rollup", "cube", "grouping_sets", "totals"))
    return found if plain and any(key == found for key in group.expressions) else None


def passing_query(select: exp.Select) -> exp.Select | None:
    """The innermost query below a SELECT of nothing but a derived table, which only picks columns and rows, and so on;
    None when there is none."""
    sources = _sources(select)
    if len(sources) != 1 or not isinstance(sources[0], exp.Subquery):
        return None
    query = _query(sources[0])
    if query is None or any(query.args.get(name) for name in (*_SHAPES, "group", "distinct")):
        return None
    if any(query.find_all(exp.Window)) or aggregates_in(query):
        return None
    return passing_query(query) or (
        None if any(isinstance(s, exp.Subquery) for s in _sources(query)) else query
    )


def _sources(select: exp.Select) -> list[exp.Expr]:
    """What FROM and its joins take rows from."""
    source = select.args.get("from_")
    joins = select.args.get("joins") or ()
    return [part.this for part in (source, *joins) if part is not None]


def _query(source: exp.Subquery) -> exp.Select | None:
    """The SELECT of a derived table, None where more than its alias stands behind it."""
    alias = source.args.get("alias")
    if source.args.get("joins") or (alias is not None and alias.args.get("columns")):
        return None
    return source.this if isinstance(source.this, exp.Select) else None


def is_aggregated(select: exp.Select) -> bool:
    """Whether rows are combined: GROUP BY, or aggregate functions of this very SELECT."""
    return select.args.get("group") is not None or bool(aggregates_in(select))


def aggregates_in(node: exp.Expr) -> list[exp.Expr]:
    """Aggregate calls of a SELECT or of one of its expressions, outermost first; those of subqueries left out."""
    scope = node if isinstance(node, exp.Select) else scope_of(node)
    found: list[exp.Expr] = []
    for call in node.find_all(exp.AggFunc, exp.Anonymous, exp.AnonymousAggFunc):
        if isinstance(call, exp.Anonymous) and call.name.upper() not in OTHER_AGGREGATES:
            continue
        if scope_of(call) is scope:
            found.append(call)
    return found


OTHER_AGGREGATES = frozenset(
    ("JSON_ARRAYAGG", "JSON_OBJECTAGG", "GROUP_CONCAT", "STD", "STDDEV", "STDDEV_POP", "STDDEV_SAMP", "VAR_POP",
     "VAR_SAMP", "VARIANCE", "BIT_AND", "BIT_OR", "BIT_XOR", "ANY_VALUE", "ST_COLLECT", "GROUPING")
)  # fmt: skip
