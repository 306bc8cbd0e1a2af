"""Groups that lie on several nodes: partial aggregates below, one exact aggregate above.

Decides what each node computes (sorted by the group keys, so that the merge streams) and how its columns combine:
COUNT and SUM add up, AVG comes from SUM and COUNT, MIN and MAX compare, DISTINCT forms get their arguments as extra
group keys. What does not decompose is refused. LIMIT never goes below such a grouping.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from sqlglot import exp

from dbmesh.errors import not_supported
from dbmesh.model import ColumnFamily
from dbmesh.planner.calls import CallText, find_call
from dbmesh.planner.columns import HiddenColumns, KeyMaker, SelectItem, is_star, select_items
from dbmesh.planner.draft import Draft, Scatter, refusal
from dbmesh.planner.having import HavingTemplate, read_having
from dbmesh.planner.ordering import OrderElement, is_same, make_element, order_elements
from dbmesh.planner.plan import Aggregate, AggregateFunction, RowMerge, SortKey
from dbmesh.planner.subselects import aggregates_in
from dbmesh.planner.template import Segment
from dbmesh.sql.clauses import Span
from dbmesh.sql.shape import SlotKind

_Text = tuple[Segment, ...]
_PLAIN: dict[type[exp.Expr], AggregateFunction] = {
    exp.Count: AggregateFunction.COUNT,
    exp.Sum: AggregateFunction.SUM,
    exp.Min: AggregateFunction.MIN,
    exp.Max: AggregateFunction.MAX,
    exp.Avg: AggregateFunction.AVG,
    exp.BitwiseAndAgg: AggregateFunction.BIT_AND,
    exp.BitwiseOrAgg: AggregateFunction.BIT_OR,
    exp.BitwiseXorAgg: AggregateFunction.BIT_XOR,
}
_DISTINCT: dict[type[exp.Expr], AggregateFunction] = {
    exp.Count: AggregateFunction.COUNT_DISTINCT,
    exp.Sum: AggregateFunction.SUM_DISTINCT,
    exp.Avg: AggregateFunction.AVG_DISTINCT,
    exp.Min: AggregateFunction.MIN,
    exp.Max: AggregateFunction.MAX,
}
_SETTLED = (exp.Round, exp.Trunc, exp.Cast, exp.Floor, exp.Ceil, exp.Subquery)
"""Whose result has the digits of its type and no more, whatever stands inside."""
_MOST_DECIMALS = 30
"""As many as MySQL's DECIMAL can have (MariaDB's can have 38)."""
_NAMES: dict[type[exp.Expr], str] = {exp.GroupConcat: "GROUP_CONCAT"}


def plan_grouping(draft: Draft) -> Scatter:
    """The scatter of a SELECT whose groups must be combined. Raises MeshError(NOT_SUPPORTED)."""
    return _Grouping(draft).plan()


@dataclass(frozen=True, slots=True)
class _Found:
    """An aggregate call that has its place in the row: the call, its column, its aggregate."""

    call: exp.Expr
    column: int


class _Grouping:
    """One such SELECT while its parts are worked out."""

    def __init__(self, draft: Draft) -> None:
        self.draft = draft
        self.items = select_items(draft.context, draft.select, draft.clauses)
        self.hidden = HiddenColumns()
        self.keys = KeyMaker(draft.scopes, self.hidden)
        self.aggregates: list[Aggregate] = []
        self.found: list[_Found] = []
        self.arguments: list[_Text] = []

    def plan(self) -> Scatter:
        draft = self.draft
        if draft.select.args.get("distinct") is not None:
            raise refusal("SELECT DISTINCT with aggregates or GROUP BY")
        groups = self._group_elements()
        for item in self.items:
            self._item(item, groups)
        if self.arguments and not groups and len(self.found) < len(self.items):
            # Without any row the nodes send none, and a constant or COALESCE would be lost.
            raise refusal("constants beside DISTINCT aggregates")
        order = order_elements(draft, self.items)
        groups, resort = self._arrange(groups, order)
        group_keys = [self._group_key(element) for element in groups]
        order_keys = [self._order_key(element, groups) for element in order] if resort else []
        having = self._having(groups)
        self._rewrite(groups)
        settle = self.hidden.settle
        merging = RowMerge(
            hidden=self.hidden.count,
            order_by=tuple(map(self.hidden.settle_key, order_keys)),
            grouped=True,
            group_by=tuple(map(self.hidden.settle_key, group_keys)),
            aggregates=tuple(self._settle(aggregate) for aggregate in self.aggregates),
            resort=resort,
        )
        template = None if having is None else having.settle(settle)
        return Scatter(draft.edits.build(), merging, draft.limits, template)

    def _group_elements(self) -> list[OrderElement]:
        group = self.draft.select.args.get("group")
        if group is None:
            return []
        if any(group.args.get(name) for name in ("rollup", "cube", "grouping_sets", "totals", "all")):
            raise refusal("GROUP BY … WITH ROLLUP")
        if len(group.expressions) != len(self.draft.clauses.group_items):
            raise refusal("this GROUP BY")
        elements: list[OrderElement] = []
        for node, span in zip(group.expressions, self.draft.clauses.group_items, strict=True):
            element = make_element(self.draft, self.items, node, span, aliases_first=False)
            if element is None:
                raise refusal("GROUP BY a constant")
            if aggregates_in(element.body):
                raise refusal("GROUP BY an aggregate")
            elements.append(element)
        return elements

    def _item(self, item: SelectItem, groups: list[OrderElement]) -> None:
        if is_star(item.body):
            raise refusal("* beside aggregates")
        assert item.index is not None
        body = item.body
        while isinstance(body, exp.Paren):
            body = body.this
        calls = aggregates_in(body)
        if not calls:
            self._plain_item(item, groups)
        elif len(calls) == 1 and calls[0] is body:
            self._aggregate(body, item.index)
        elif self._is_total(body):
            self.aggregates.append(Aggregate(item.index, AggregateFunction.SUM))
        else:
            raise not_supported(
                "an expression over aggregates on several data nodes",
                "select the aggregates and compute outside",
            )

    def _is_total(self, body: exp.Expr) -> bool:
        """`COALESCE(SUM(x), 0)`: a node without values adds its 0, so that the sum of all is right."""
        if (
            not isinstance(body, exp.Coalesce)
            or len(body.expressions) != 1
            or not isinstance(body.this, exp.Sum)
        ):
            return False
        slot = self.draft.context.statement.slot(body.expressions[0])
        if slot is None or slot.parameter or slot.kind is not SlotKind.INTEGER:
            return False
        if isinstance(body.this.this, exp.Distinct) or has_unseen_digits(body.this.this):
            return False
        return self.draft.context.literal(slot) == 0

    def _plain_item(self, item: SelectItem, groups: list[OrderElement]) -> None:
        """A group key, something its group determines, or a constant: any row of the group has it."""
        if any(item.body.find_all(exp.Subquery)):
            raise refusal("subqueries beside aggregates")
        if not groups and any(item.body.find_all(exp.Column)):
            raise refusal("columns beside aggregates without GROUP BY")

    def _aggregate(self, call: exp.Expr, column: int) -> None:
        """Registers an aggregate call whose value stands in `column`."""
        argument = call.this if not isinstance(call, exp.Anonymous) else None
        distinct = isinstance(argument, exp.Distinct)
        function = (_DISTINCT if distinct else _PLAIN).get(type(call))
        if function is None or argument is None or call.args.get("expressions"):
            start, end = call.meta.get("start", 0), call.meta.get("end", -1)
            name = (
                self.draft.context.statement.text[start : end + 1].upper()
                or _NAMES.get(type(call), call.key).upper()
            )
            raise not_supported(
                f"{name} over several data nodes", "select the rows and aggregate in the application"
            )
        text = find_call(self.draft.context, call)
        if text is None:
            raise refusal(f"this form of {function.value.upper()}")
        self.found.append(_Found(call, column))
        if function in (AggregateFunction.MIN, AggregateFunction.MAX):
            inner = argument.expressions[0] if distinct else argument
            weight, collation = self.keys.weight(inner, self._text(text.span))
            self.aggregates.append(Aggregate(column, function, weight=weight, collation=collation))
        elif distinct:
            self.aggregates.append(Aggregate(column, function, arguments=self._arguments(argument, text)))
        elif function is AggregateFunction.AVG:
            inside = ("(", *self._text(text.arguments[0]), ")")
            total, count = self._total(argument, inside), self.hidden.add("COUNT", *inside)
            self.aggregates.append(Aggregate(column, function, sum_column=total, count_column=count))
        elif function is AggregateFunction.SUM and has_unseen_digits(argument):
            total = self._total(argument, ("(", *self._text(text.arguments[0]), ")"))
            self.aggregates.append(Aggregate(column, function, sum_column=total))
        else:
            self.aggregates.append(Aggregate(column, function))

    def _total(self, argument: exp.Expr, inside: _Text) -> int:
        """A hidden column with the sum of an argument and all its digits."""
        if has_unseen_digits(argument):
            return self.hidden.add("ROUND(SUM", *inside, f", {_MOST_DECIMALS})")
        return self.hidden.add("SUM", *inside)

    def _text(self, span: Span) -> _Text:
        return self.draft.edits.build(*span).segments

    def _arguments(self, distinct: exp.Distinct, text: CallText) -> tuple[SortKey, ...]:
        """DISTINCT arguments as hidden columns and extra group keys of the shards."""
        if len(distinct.expressions) != len(text.arguments):
            raise refusal("this form of DISTINCT")
        keys: list[SortKey] = []
        for node, span in zip(distinct.expressions, text.arguments, strict=True):
            if not any(node.find_all(exp.Column)):
                # As a group key it would be a position.
                raise refusal("a constant under DISTINCT")
            body = self._text(span)
            key = self.keys.key(node, body, None, grouped=True)
            self.arguments.append(body)
            keys.append(key)
        return tuple(keys)

    def _arrange(
        self, groups: list[OrderElement], order: list[OrderElement]
    ) -> tuple[list[OrderElement], bool]:
        """The group keys in the order of ORDER BY where it names only them; else the merge must sort again."""
        rest = list(groups)
        arranged: list[OrderElement] = []
        for element in order:
            match = next((key for key in rest if self._names(element, key)), None)
            if match is None:
                return groups, True
            rest.remove(match)
            arranged.append(replace(match, descending=element.descending))
        return [*arranged, *rest], False

    def _names(self, element: OrderElement, key: OrderElement) -> bool:
        if element.item is not None and element.item is key.item:
            return True
        return is_same(self.draft, element.body, key.body)

    def _group_key(self, element: OrderElement) -> SortKey:
        index = element.item.index if element.item is not None else None
        return self.keys.key(element.body, element.text, index, descending=element.descending, grouped=True)

    def _order_key(self, element: OrderElement, groups: list[OrderElement]) -> SortKey:
        calls = aggregates_in(element.body)
        if calls and calls[0] is not element.body:
            raise not_supported(
                "ORDER BY an expression over aggregates on several data nodes",
                "order by the aggregate itself",
            )
        if calls:
            return self._aggregate_key(element)
        if element.item is None and not any(self._names(element, key) for key in groups):
            raise refusal("ORDER BY something that is neither selected nor a group key")
        return self._group_key(element)

    def _aggregate_key(self, element: OrderElement) -> SortKey:
        schema = None
        if isinstance(element.body, exp.Min | exp.Max):
            argument = element.body.this
            distinct = isinstance(argument, exp.Distinct)
            schema = self.keys.schema(argument.expressions[0] if distinct else argument)
        if schema is not None and schema.family in (ColumnFamily.ENUM, ColumnFamily.SET):
            # They are chosen by their texts and sorted by their numbers.
            raise refusal("ORDER BY MIN or MAX of an ENUM or SET")
        column = element.item.index if element.item is not None else self._column_of(element.body)
        assert column is not None
        aggregate = next(a for a in self.aggregates if a.column == column)
        return SortKey(column, aggregate.weight, element.descending, aggregate.collation)

    def _column_of(self, call: exp.Expr) -> int:
        """The column of an aggregate call; a hidden one when the select list has none like it."""
        for found in self.found:
            if is_same(self.draft, found.call, call):
                return found.column
        text = find_call(self.draft.context, call)
        if text is None:
            raise refusal("this form of an aggregate")
        column = self.hidden.add(*self._text(text.span))
        self._aggregate(call, column)
        return column

    def _having(self, groups: list[OrderElement]) -> HavingTemplate | None:
        clause = self.draft.select.args.get("having")
        if clause is None:
            return None

        def column(node: exp.Expr) -> int | None:
            return self._having_column(node, groups)

        return read_having(self.draft.context, clause.this, column)

    def _having_column(self, node: exp.Expr, groups: list[OrderElement]) -> int | None:
        calls = aggregates_in(node)
        if calls and calls[0] is node:
            if not self.keys.is_numeric(node) and not (
                isinstance(node, exp.Min | exp.Max) and self.keys.is_numeric(node.this)
            ):
                return None
            return self._column_of(node)
        if not isinstance(node, exp.Column):
            return None
        for item in self.items:
            named = item.alias is not None and not node.table and item.alias.lower() == node.name.lower()
            same = is_same(self.draft, item.body, node)
            if named and not same and any(is_same(self.draft, key.body, node) for key in groups):
                return None
            if (named or same) and self._is_number(item.body):
                return item.index
        for key in groups:
            if is_same(self.draft, key.body, node) and self.keys.is_numeric(node):
                return self.keys.key(
                    node, key.text, key.item.index if key.item else None, grouped=True
                ).column
        return None

    def _is_number(self, body: exp.Expr) -> bool:
        inner = body.this if isinstance(body, exp.Min | exp.Max) else body
        return self.keys.is_numeric(inner)

    def _rewrite(self, groups: list[OrderElement]) -> None:
        """Group keys, then DISTINCT arguments, in GROUP BY and ORDER BY; no HAVING, no LIMIT below."""
        draft, spans = self.draft, self.draft.clauses.spans
        for name in ("HAVING", "ORDER", "LIMIT"):
            if name in spans:
                draft.edits.replace(*spans[name])
        texts = [element.text for element in groups]
        grouping = _listed([*texts, *self.arguments])
        ordering = _listed(
            [
                *((*element.text, " DESC") if element.descending else element.text for element in groups),
                *self.arguments,
            ]
        )
        draft.add_hidden(self.hidden.segments())
        if not grouping:
            return
        clause = ("GROUP BY ", *grouping, " ORDER BY ", *ordering)
        if "GROUP" in spans:
            draft.edits.replace(*spans["GROUP"], *clause)
        else:
            draft.edits.insert(draft.clauses.after("FROM", "WHERE"), " ", *clause)

    def _settle(self, aggregate: Aggregate) -> Aggregate:
        def settle(index: int | None) -> int | None:
            return None if index is None else self.hidden.settle(index)

        return replace(
            aggregate,
            column=self.hidden.settle(aggregate.column),
            sum_column=settle(aggregate.sum_column),
            count_column=settle(aggregate.count_column),
            weight=settle(aggregate.weight),
            arguments=tuple(map(self.hidden.settle_key, aggregate.arguments)),
        )


def has_unseen_digits(argument: exp.Expr) -> bool:
    """Whether the server adds up more digits than the sum shows: its division yields whole words of nine digits, and
    only what is sent or stored is rounded to the four more that its type has."""
    if isinstance(argument, _SETTLED):
        return False
    return isinstance(argument, exp.Div) or any(map(has_unseen_digits, argument.iter_expressions()))


def _listed(texts: list[_Text]) -> _Text:
    """Texts with commas between, each once."""
    out: list[Segment] = []
    for text in dict.fromkeys(texts):
        out += ([", "] if out else []) + list(text)
    return tuple(out)
