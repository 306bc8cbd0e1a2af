"""LIKE over encrypted columns: a digest finds the rows, and the mesh looks at each value again.

Decides where that is the same: every row that the digest finds must arrive, and nothing may have been made of it before. Knows no other
condition.
"""

from __future__ import annotations

from sqlglot import exp

from dbmesh.errors import not_supported
from dbmesh.planner.context import PlanContext
from dbmesh.planner.encrypted.answer import Answer
from dbmesh.planner.encrypted.decryption import DecryptedColumn
from dbmesh.planner.encrypted.plan import PatternPlace
from dbmesh.planner.encrypted.recipe import Made, Part, Rewriting
from dbmesh.planner.encrypted.references import FoundColumn, unclear
from dbmesh.planner.masked.references import quoted
from dbmesh.planner.select_names import item_spans
from dbmesh.planner.subselects import is_aggregated, scope_of

Likes = list[tuple[FoundColumn, exp.Expr]]


class LikeRewriter:
    """The LIKEs of one query."""

    def __init__(self, context: PlanContext, rewriting: Rewriting, tree: exp.Expr) -> None:
        self._context = context
        self._rewriting = rewriting
        self._tree = tree

    def rewrite(self, likes: Likes, answer: Answer) -> None:
        """The digest finds more rows than LIKE: each is looked at when it is decrypted, so every row must arrive."""
        tree = self._tree
        plain = isinstance(tree, exp.Select) and not is_aggregated(tree)
        if not plain or any(tree.args.get(name) for name in ("distinct", "limit", "offset", "into")):
            raise not_supported(
                "LIKE on an encrypted column beside LIMIT, DISTINCT, GROUP BY, aggregates or in a write",
                "let the query return the rows themselves, and count or cut them in the application",
            )
        if tree.find(exp.Window, exp.PropertyEQ, exp.NextValueFor, exp.Anonymous) is not None:
            raise not_supported(
                "LIKE on an encrypted column beside window functions, assignments, sequences or functions with a name of their own",
                "select plain columns, and compute with them in the application",
            )
        if "SQL_CALC_FOUND_ROWS" in self._context.statement.text.upper():
            raise unclear("SQL_CALC_FOUND_ROWS with LIKE")
        end = _end_of_items(self._context, tree)
        for found, like in likes:
            column = found.column
            own = found.reference is not None and scope_of(found.node) is tree
            if like.args.get("negate") or not own or not _is_certain(like, tree):
                raise not_supported(
                    "LIKE on an encrypted column that is not a condition of the outermost WHERE by itself, joined by AND",
                    "take it out of OR, NOT, ON and subqueries",
                )
            if column.like is None:
                raise not_supported(
                    f"LIKE on the encrypted column '{column.name}'", "give the column a likeQuery"
                )
            slot = self._context.statement.slot(like.expression)
            if slot is None or self._context.flags.no_backslash_escapes:
                raise not_supported(
                    "LIKE with anything but a text on an encrypted column", "write the pattern itself"
                )
            answer.hidden += 1
            qualifier = quoted(self._context, found.field.alias)
            self._rewriting.insert(end, f", {qualifier}.{quoted(self._context, column.cipher.name)}")
            answer.columns.append(DecryptedColumn(-answer.hidden, column))
            answer.patterns.append(PatternPlace(-answer.hidden, slot, negated=False))
            self._rewriting.replace(*found.span, self._digest(found, column.like.name))
            self._rewriting.replace(slot.start, slot.end, Made(slot, column, Part.PATTERN))
        # Those at the end count from there, the last one first.
        self._renumber(answer)

    def _renumber(self, answer: Answer) -> None:
        hidden = answer.hidden
        answer.columns = [
            DecryptedColumn(-(hidden + 1 + one.place), one.column, one.keys) if one.place < 0 else one
            for one in answer.columns
        ]
        answer.patterns = [
            PatternPlace(-(hidden + 1 + one.place), one.slot, one.negated) for one in answer.patterns
        ]

    def _digest(self, found: FoundColumn, name: str) -> str:
        own = quoted(self._context, name)
        qualified = found.node.table or found.alone
        return own if qualified else f"{quoted(self._context, found.field.alias)}.{own}"


def _is_certain(like: exp.Expr, tree: exp.Expr) -> bool:
    """Whether a condition holds for every row of a SELECT."""
    node = like.parent
    while isinstance(node, exp.And | exp.Paren):
        node = node.parent
    return isinstance(node, exp.Where) and node.parent is tree


def _end_of_items(context: PlanContext, tree: exp.Expr) -> int:
    spans = item_spans(context, tree) if isinstance(tree, exp.Select) else None
    if not spans:
        raise unclear("this list of columns")
    return spans[-1][1]
