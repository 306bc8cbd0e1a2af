"""ORDER BY over several nodes: which column each key is, and what hidden columns it needs.

Decides what an ORDER BY element names, by MySQL's rules (manual, "SELECT Statement"): a position, an alias of the
select list, an expression. Knows nothing of grouping.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlglot import exp
from sqlglot.tokenizer_core import TokenType

from dbmesh.errors import not_supported
from dbmesh.planner.columns import SelectItem, is_star
from dbmesh.planner.draft import Draft, refusal
from dbmesh.planner.template import Segment
from dbmesh.sql.clauses import Span
from dbmesh.sql.shape import SlotKind

_CHANGING = frozenset(("UUID", "UUID_SHORT", "RANDOM_BYTES", "RAND"))


@dataclass(frozen=True, slots=True)
class OrderElement:
    """One element of ORDER BY or GROUP BY: its expression, that expression's text, and the select item it is."""

    body: exp.Expr
    text: tuple[Segment, ...]
    item: SelectItem | None
    descending: bool
    span: Span

    @property
    def changes(self) -> bool:
        """Whether the expression gives another value each time (RAND())."""
        functions = self.body.find_all(exp.Rand, exp.Uuid, exp.Anonymous)
        return any(not isinstance(f, exp.Anonymous) or f.name.upper() in _CHANGING for f in functions)


def order_elements(draft: Draft, items: Sequence[SelectItem]) -> list[OrderElement]:
    """The elements of ORDER BY that order anything; constants do not. Pins positions."""
    order = draft.select.args.get("order")
    if order is None:
        return []
    if len(order.expressions) != len(draft.clauses.order_items):
        raise not_supported("this ORDER BY over several data nodes", "order by columns or aliases")
    elements: list[OrderElement] = []
    for node, span in zip(order.expressions, draft.clauses.order_items, strict=True):
        body = node.this if isinstance(node, exp.Ordered) else node
        descending = bool(isinstance(node, exp.Ordered) and node.args.get("desc"))
        element = make_element(
            draft, items, body, _without_direction(draft, span), descending, aliases_first=True
        )
        if element is not None:
            elements.append(element)
    return elements


def make_element(
    draft: Draft,
    items: Sequence[SelectItem],
    body: exp.Expr,
    span: Span,
    descending: bool = False,
    *,
    aliases_first: bool,
) -> OrderElement | None:
    """What one element names, None for a constant. GROUP BY prefers columns to aliases, ORDER BY aliases."""
    while isinstance(body, exp.Paren):
        body = body.this
    slot = draft.context.statement.slot(body)
    if slot is not None and slot.parameter:
        # A position for one server, a constant for another: a merge node says which.
        raise refusal("ORDER BY or GROUP BY a parameter")
    if isinstance(body, exp.Null | exp.Boolean) or (slot is not None and slot.kind is not SlotKind.INTEGER):
        return None
    if slot is not None:
        position = draft.context.literal(slot)
        if any(is_star(item.body) for item in items):
            raise not_supported(
                "ORDER BY or GROUP BY a position beside * over several data nodes", "name the column"
            )
        if not isinstance(position, int) or not 1 <= position <= len(items):
            # Hidden columns would make it one; where none are added the server says that there is no such column.
            raise not_supported(
                "ORDER BY or GROUP BY a position the select list does not have", "name the column"
            )
        item = items[position - 1]
        return OrderElement(item.body, item_text(draft, item), item, descending, span)
    named = _named_item(draft, items, body, aliases_first)
    if named is not None:
        return OrderElement(named.body, item_text(draft, named), named, descending, span)
    _refuse_aliases_inside(draft, items, body)
    text = draft.edits.build(*span).segments
    return OrderElement(body, text, None, descending, span)


def item_text(draft: Draft, item: SelectItem) -> tuple[Segment, ...]:
    """The text of a select item's expression for the shard."""
    return draft.edits.build(*item.span).segments


def _without_direction(draft: Draft, span: Span) -> Span:
    inside = [
        token for token in draft.context.statement.tokens if span[0] <= token.start and token.end < span[1]
    ]
    last = inside[-1] if len(inside) > 1 else None
    if last is not None and last.token_type in (TokenType.ASC, TokenType.DESC):
        return span[0], inside[-2].end + 1
    return span


def _named_item(
    draft: Draft, items: Sequence[SelectItem], body: exp.Expr, aliases_first: bool
) -> SelectItem | None:
    same = next((item for item in items if item.index is not None and is_same(draft, item.body, body)), None)
    if not isinstance(body, exp.Column) or body.table:
        return same
    aliased = [item for item in items if item.alias is not None and item.alias.lower() == body.name.lower()]
    if not aliased or (not aliases_first and draft.scopes.through(body) is not None):
        return same
    if any(not is_same(draft, item.body, aliased[0].body) for item in aliased[1:]):
        raise not_supported(
            f"the ambiguous name '{body.name}' over several data nodes", "use different aliases"
        )
    if aliased[0].index is None:
        return SelectItem(aliased[0].body, aliased[0].alias, aliased[0].span, None)
    return aliased[0]


def _refuse_aliases_inside(draft: Draft, items: Sequence[SelectItem], body: exp.Expr) -> None:
    """An alias inside an expression means the select item there, but nothing in a hidden column."""
    aliases = {item.alias.lower(): item for item in items if item.alias is not None}
    for column in body.find_all(exp.Column):
        item = aliases.get(column.name.lower()) if not column.table and column is not body else None
        if item is not None and not is_same(draft, item.body, column):
            raise not_supported(
                f"the alias '{column.name}' inside an expression over several data nodes",
                "repeat its expression",
            )


def is_same(draft: Draft, left: exp.Expr, right: exp.Expr) -> bool:
    """Whether two expressions surely give the same value: the same column, or the same text without any literal (two
    literals of one shape may differ)."""
    if isinstance(left, exp.Column) and isinstance(right, exp.Column):
        found, other = draft.scopes.through(left), draft.scopes.through(right)
        if found is not None and other is not None:
            return found[0] is other[0] and left.name.lower() == right.name.lower()
        return not is_star(left) and left.sql(dialect="mysql").lower() == right.sql(dialect="mysql").lower()
    if type(left) is not type(right) or any(
        left.find_all(exp.Literal, exp.HexString, exp.BitString, exp.Subquery)
    ):
        return False
    return left.sql(dialect="mysql").lower() == right.sql(dialect="mysql").lower()
