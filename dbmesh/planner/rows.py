"""Rows of several nodes side by side: ORDER BY, DISTINCT, LIMIT; groups that are whole on their node.

Decides the sort keys, the hidden columns they need and the LIMIT each node gets. No row is combined with another here
but equal ones under DISTINCT.
"""

from __future__ import annotations

from dbmesh.errors import not_supported
from dbmesh.planner.columns import HiddenColumns, KeyMaker, SelectItem, is_star, select_items
from dbmesh.planner.draft import Draft, Scatter, push_limit, refusal
from dbmesh.planner.natural_order import natural_order
from dbmesh.planner.ordering import OrderElement, item_text, order_elements
from dbmesh.planner.plan import RowMerge, SortKey
from dbmesh.planner.subselects import is_aggregated

_BEFORE_ORDER = ("FROM", "WHERE", "GROUP", "HAVING", "WINDOW")


def plan_rows(draft: Draft) -> Scatter:
    """The scatter of a SELECT whose rows are final on their node. Raises MeshError(NOT_SUPPORTED)."""
    items = select_items(draft.context, draft.select, draft.clauses)
    hidden = HiddenColumns()
    keys = KeyMaker(draft.scopes, hidden)
    elements = order_elements(draft, items)
    grouped = is_aggregated(draft.select)
    order = [_key(keys, draft, element, grouped) for element in elements]
    _stabilise(draft, elements, order, hidden)
    distinct = draft.select.args.get("distinct") is not None
    if distinct:
        if grouped:
            raise refusal("SELECT DISTINCT with GROUP BY")
        order += _distinct_keys(draft, items, elements, keys)
    elif not grouped:
        text, natural = natural_order(draft, items, keys)
        order += natural
        if natural:
            draft.edits.insert(draft.clauses.after(*_BEFORE_ORDER), " ORDER BY " + text)
    if distinct and any(key.weight is not None for key in order):
        # Padded texts are equal and their weights differ: with those beside them a node's DISTINCT finds more rows
        # than there are, and its LIMIT would cut off others.
        draft.drop_limit()
    else:
        push_limit(draft)
    draft.add_hidden(hidden.segments())
    settled = tuple(hidden.settle_key(key) for key in order)
    merging = RowMerge(
        hidden=hidden.count,
        order_by=settled,
        distinct=distinct,
        distinct_keys=settled if distinct else (),
    )
    return Scatter(draft.edits.build(), merging, draft.limits)


def _key(keys: KeyMaker, draft: Draft, element: OrderElement, grouped: bool) -> SortKey:
    index = element.item.index if element.item is not None else None
    return keys.key(element.body, element.text, index, descending=element.descending, grouped=grouped)


def _stabilise(
    draft: Draft, elements: list[OrderElement], order: list[SortKey], hidden: HiddenColumns
) -> None:
    """ORDER BY RAND() must order by the very value the merge sees: its hidden column."""
    for element, key in zip(elements, order, strict=True):
        if element.item is None and element.changes:
            draft.edits.replace(*element.span, hidden.alias(key.column))


def _distinct_keys(
    draft: Draft, items: tuple[SelectItem, ...], elements: list[OrderElement], keys: KeyMaker
) -> list[SortKey]:
    """Keys of the items ORDER BY does not name, so that equal rows of all nodes meet; the shards sort by them too."""
    if any(is_star(item.body) for item in items):
        raise refusal("SELECT DISTINCT *")
    if any(keys.is_bit(item.body) for item in items):
        raise not_supported(
            "SELECT DISTINCT of a BIT column over several data nodes (servers send bits or a number)",
            "select column + 0",
        )
    if any(element.item is None for element in elements):
        raise refusal("SELECT DISTINCT ordered by something outside its select list")
    ordered = {element.item.index for element in elements if element.item is not None}
    rest = [item for item in items if item.index not in ordered]
    positions = ", ".join(str(item.index + 1) for item in rest if item.index is not None)
    if positions and "ORDER" in draft.clauses.spans:
        draft.edits.insert(draft.clauses.spans["ORDER"][1], ", " + positions)
    elif positions:
        draft.edits.insert(draft.clauses.after(*_BEFORE_ORDER), " ORDER BY " + positions)
    return [keys.key(item.body, item_text(draft, item), item.index) for item in rest]
