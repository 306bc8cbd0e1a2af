"""The order of rows that no ORDER BY asks for, where a table was made under `autoShard`: by primary key, as InnoDB reads a
table.

Decides when that order is kept. SQL leaves it open, and rules of a file too: their tables send rows as they arrive. But
an application that was moved under `autoShard` was written before one server, and rows arriving by shard would surprise it.
"""

from __future__ import annotations

from collections.abc import Sequence

from sqlglot import exp

from dbmesh.planner.columns import KeyMaker, SelectItem
from dbmesh.planner.draft import Draft
from dbmesh.planner.ordering import is_same
from dbmesh.planner.plan import SortKey
from dbmesh.planner.subselects import passing_query
from dbmesh.planner.template import quote_name


def natural_order(draft: Draft, items: Sequence[SelectItem], keys: KeyMaker) -> tuple[str, list[SortKey]]:
    """The columns to order by, as text, and their keys; nothing where rows come as they arrive."""
    if draft.select.args.get("order") is not None:
        return "", []
    texts: list[str] = []
    order: list[SortKey] = []
    for column in _key_columns(draft):
        text = f"{quote_name(column.table, quoted=True)}.{quote_name(column.name, quoted=True)}"
        known = [item.index for item in items if is_same(draft, item.body, column)]
        texts.append(text)
        order.append(keys.key(column, (text,), known[0] if known else None))
    return ", ".join(texts), order


def _key_columns(draft: Draft) -> list[exp.Column]:
    """The primary key of the only table, as the SELECT names its columns; nothing where it does not see all of them."""
    inner = passing_query(draft.select) or draft.select
    references = draft.scopes.of(inner)
    if len(references) != 1:
        return []
    [reference] = references
    if reference.schema is None or reference.key not in draft.context.rule_set.made:
        return []
    if inner is draft.select:
        return [_column(draft, reference.alias, name) for name in reference.schema.primary_key]
    outer = draft.select.args["from_"].this
    seen: dict[str, exp.Column] = {}
    for item in outer.this.expressions:
        column = _column(draft, outer.alias, item.alias_or_name)
        found = draft.scopes.through(column)
        if found is not None and found[1] is not None:
            seen.setdefault(found[1].name.lower(), column)
    names = [name.lower() for name in reference.schema.primary_key]
    return [seen[name] for name in names] if seen.keys() >= set(names) else []


def _column(draft: Draft, table: str, name: str) -> exp.Column:
    column = exp.column(name, table=table, quoted=True)
    column.parent = draft.select
    return column
