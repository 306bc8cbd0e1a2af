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
from dbmesh.planner.template import quote_name


def natural_order(draft: Draft, items: Sequence[SelectItem], keys: KeyMaker) -> tuple[str, list[SortKey]]:
    """The columns to order by, as text, and their keys; nothing where rows come as they arrive."""
    references = draft.scopes.of(draft.select)
    if len(references) != 1 or draft.select.args.get("order") is not None:
        return "", []
    reference = references[0]
    if reference.schema is None or reference.key not in draft.context.rule_set.made:
        return "", []
    texts: list[str] = []
    order: list[SortKey] = []
    for name in reference.schema.primary_key:
        column = exp.column(name, table=reference.alias, quoted=True)
        column.parent = draft.select
        text = f"{quote_name(reference.alias)}.{quote_name(name)}"
        known = [item.index for item in items if is_same(draft, item.body, column)]
        texts.append(text)
        order.append(keys.key(column, (text,), known[0] if known else None))
    return ", ".join(texts), order
