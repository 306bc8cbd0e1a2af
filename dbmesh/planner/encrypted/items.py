"""Items of the SELECTs of a statement: an encrypted column becomes the one that keeps it, under its name, and `*` the columns it means.

Decides which hidden column an inner query returns beside, for whoever compares an encrypted one outside. Knows no conditions.
"""

from __future__ import annotations

from collections.abc import Iterable

from sqlglot import exp

from dbmesh.errors import not_supported
from dbmesh.planner.context import PlanContext
from dbmesh.planner.encrypted.conditions import alike
from dbmesh.planner.encrypted.from_clause import Field
from dbmesh.planner.encrypted.lineage import DIGEST, Output, is_star, top_of
from dbmesh.planner.encrypted.recipe import Rewriting
from dbmesh.planner.encrypted.references import References, unclear
from dbmesh.planner.masked.references import quoted
from dbmesh.planner.select_names import item_spans, original_text
from dbmesh.sql.clauses import Span


class ItemRewriter:
    """The items of all SELECTs of one statement."""

    def __init__(self, context: PlanContext, references: References, rewriting: Rewriting) -> None:
        self._context = context
        self._references = references
        self._lineage = references.lineage
        self._rewriting = rewriting
        self._by_node = {id(found.node): found for found in references.columns}

    def direct(self, selects: Iterable[exp.Select]) -> set[int]:
        """The ids of the encrypted columns that are items by themselves."""
        inner = (item.unalias() for select in selects for item in select.expressions)
        return {id(one) for one in inner if id(one) in self._by_node}

    def rewrite(self, select: exp.Select) -> None:
        """When all uses outside are known. Raises MeshError(NOT_SUPPORTED)."""
        exists = isinstance(select.parent, exp.Exists)
        stars = [] if exists else [item for item in select.expressions if self._is_spelled(select, item)]
        mine = [item for item in select.expressions if id(item.unalias()) in self._by_node]
        computed = [] if exists else [item for item in select.expressions if self._is_computed(item)]
        outputs = [] if exists else self._lineage.outputs(select) or []
        compared = [one for one in outputs if one.is_compared]
        if not (stars or mine or computed or compared):
            return
        spans = item_spans(self._context, select)
        if spans is None:
            raise unclear("this list of columns")
        by_equality = self._is_compared(select)
        for item, span in zip(select.expressions, spans, strict=True):
            if item in mine:
                self._column(item, span, by_equality=by_equality)
            elif any(item is one for one in stars):
                self._spell_out(select, item, span, by_equality=by_equality)
            elif any(item is one for one in computed):
                self._keep_name(span)
        for place, output in enumerate(outputs):
            if output.is_compared:
                self._digest(output, place, spans[-1][1])
        self._list_digests(select, compared)

    def _is_compared(self, select: exp.Select) -> bool:
        """Whether its one column is looked at for equality alone, and has a digest in all parts of the query."""
        top = top_of(select)
        outputs = self._lineage.outputs(top) if id(top) in self._lineage.compared else None
        return any(one.column is not None and one.column.assisted is not None for one in outputs or ())

    # ------------------------------------------------------------------ columns

    def _column(self, item: exp.Expr, span: Span, *, by_equality: bool) -> None:
        found = self._by_node[id(item.unalias())]
        stored = alike(found.column, "a subquery") if by_equality else found.column.cipher
        name = self._context.statement.text[slice(*found.span)]
        if stored.name.lower() == found.name.lower():
            # Of a derived table, which has it under its name.
            return
        self._rewriting.replace(*found.span, found.stored_as(self._context, stored))
        if not isinstance(item, exp.Alias):
            self._rewriting.insert(span[1], f" AS {name}")

    def _digest(self, output: Output, place: int, end: int) -> None:
        """The hidden column behind the items."""
        own = quoted(self._context, f"{DIGEST}{place}")
        origin = output.origins[0] if output.origins else None
        if origin is None or origin.column is None:
            self._rewriting.insert(end, f", NULL AS {own}")
            return
        stored = alike(origin.column, "a comparison")
        if stored is origin.column.cipher:
            raise unclear("comparing a column of a recursive query whose parts are encrypted otherwise")
        qualifier = quoted(self._context, origin.alias)
        self._rewriting.insert(end, f", {qualifier}.{quoted(self._context, stored.name)} AS {own}")

    def _list_digests(self, select: exp.Select, compared: list[Output]) -> None:
        """Names in brackets behind an alias name the hidden columns too."""
        top = top_of(select)
        around = top.parent
        alias = around.args.get("alias") if isinstance(around, exp.CTE | exp.Subquery) else None
        names = alias.args.get("columns") if isinstance(alias, exp.TableAlias) else None
        first = next(top.find_all(exp.Select, bfs=False), None)
        if not names or not compared or first is not select:
            return
        places = [place for place, one in enumerate(self._lineage.outputs(select) or ()) if one.is_compared]
        digests = "".join(f", {quoted(self._context, f'{DIGEST}{place}')}" for place in places)
        self._rewriting.insert(int(names[-1].meta["end"]) + 1, digests)

    # ------------------------------------------------------------------ stars

    def _is_spelled(self, select: exp.Select, item: exp.Expr) -> bool:
        """Whether `*` shows what servers have in place of encrypted columns."""
        if not is_star(item):
            return False
        return self._lineage.from_clause(select).hides

    def _spell_out(self, select: exp.Select, item: exp.Expr, span: Span, *, by_equality: bool) -> None:
        """`*` as the columns it means."""
        if isinstance(item, exp.Star) and item is not select.expressions[0]:
            raise unclear("'*' behind other columns")
        fields = self._lineage.starred(select, item)
        if fields is None:
            raise not_supported(
                "'*' over encrypted columns beside a table that is not known", "write the columns"
            )
        pieces = [self._spelled(one, by_equality=by_equality) for one in fields]
        self._rewriting.replace(*span, ", ".join(pieces))

    def _spelled(self, field: Field, *, by_equality: bool) -> str:
        if not field.name:
            raise not_supported("'*' over encrypted columns beside an item without a name", "name it with AS")
        own, name = quoted(self._context, field.alias), quoted(self._context, field.name)
        if field.column is None:
            return f"{own}.{name}"
        if by_equality:
            raise unclear("'*' in a subquery that is compared")
        cipher = quoted(self._context, field.column.cipher.name)
        return f"{own}.{cipher}" if field.reference is None else f"{own}.{cipher} AS {name}"

    # ------------------------------------------------------------------ names

    def _is_computed(self, item: exp.Expr) -> bool:
        """Whether an item without a name has encrypted columns in it: servers name it by its text, which is another one now."""
        if isinstance(item, exp.Alias | exp.Column | exp.Star):
            return False
        return any(id(one) in self._by_node for one in item.walk())

    def _keep_name(self, span: Span) -> None:
        if self._rewriting.makes_between(*span):
            raise not_supported("an item without a name that compares an encrypted column", "name it with AS")
        text = original_text(self._context, *span)
        self._rewriting.insert(span[1], f" AS {quoted(self._context, text)}")
