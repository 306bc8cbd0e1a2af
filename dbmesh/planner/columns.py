"""Select items as the merge sees them: which column a key is, what kind of values it has, and hidden columns.

Decides how a value can be compared across shards: numbers and times as they are; text by its WEIGHT_STRING; ENUM, SET
and BIT by their number. Knows nothing of clauses beyond the select list.
"""

from __future__ import annotations

from dataclasses import dataclass

from sqlglot import exp

from dbmesh.errors import not_supported
from dbmesh.model import ColumnFamily, ColumnSchema
from dbmesh.planner.context import PlanContext
from dbmesh.planner.plan import SortKey
from dbmesh.planner.resolve import Scopes
from dbmesh.planner.template import Segment
from dbmesh.sql.clauses import Clauses, Span

_PLAIN = frozenset((ColumnFamily.INTEGER, ColumnFamily.DECIMAL, ColumnFamily.FLOAT, ColumnFamily.TEMPORAL))
_NUMBERED = frozenset((ColumnFamily.ENUM, ColumnFamily.SET, ColumnFamily.BIT))
_NUMERIC_FUNCTIONS = (
    exp.Count, exp.Sum, exp.Avg, exp.BitwiseAndAgg, exp.BitwiseOrAgg, exp.BitwiseXorAgg, exp.Length, exp.Abs,
    exp.Round, exp.Ceil, exp.Floor, exp.Mul, exp.Div, exp.Mod, exp.IntDiv, exp.Neg, exp.Rand,
)  # fmt: skip

_JSON_FUNCTIONS = (exp.JSONExtract, exp.JSONObject, exp.JSONArray)


@dataclass(frozen=True, slots=True)
class SelectItem:
    """One item of the client's select list. `body` is its expression without the alias, `span` that expression's
    text. `index` counts from the start, None when a `*` stands before it."""

    body: exp.Expr
    alias: str | None
    span: Span
    index: int | None


def select_items(context: PlanContext, select: exp.Select, clauses: Clauses) -> tuple[SelectItem, ...]:
    """The items of a select list. Raises MeshError when text and tree disagree."""
    if len(clauses.items) != len(select.expressions):
        raise not_supported(
            "this select list on several data nodes", "write every select item with an AS alias"
        )
    items: list[SelectItem] = []
    starred = False
    for number, (node, span) in enumerate(zip(select.expressions, clauses.items, strict=True)):
        alias = node.alias if isinstance(node, exp.Alias) else None
        body = node.this if isinstance(node, exp.Alias) else node
        text_span = _without_alias(context, node, span) if isinstance(node, exp.Alias) else span
        items.append(SelectItem(body, alias, text_span, None if starred else number))
        starred = starred or is_star(body)
    return tuple(items)


def _without_alias(context: PlanContext, node: exp.Alias, span: Span) -> Span:
    """The span of the expression in `expression [AS] alias`: the alias is its last token."""
    tokens = [token for token in context.statement.tokens if span[0] <= token.start and token.end < span[1]]
    last = -2
    if tokens[last].text.upper() == "AS":
        last -= 1
    return span[0], tokens[last].end + 1


def is_star(node: exp.Expr) -> bool:
    """`*` or `t.*`."""
    return isinstance(node, exp.Star) or (isinstance(node, exp.Column) and isinstance(node.this, exp.Star))


class HiddenColumns:
    """Columns appended to the select list for the merge; they count from the end of the row.

    Their number is only known at the end: indexes given out are positive until `settle` turns them.
    """

    def __init__(self) -> None:
        self._texts: list[tuple[Segment, ...]] = []
        self._by_text: dict[tuple[Segment, ...], int] = {}

    def add(self, *segments: Segment) -> int:
        """A hidden column with this expression; an equal one is shared. Returns a provisional index."""
        known = self._by_text.get(segments)
        if known is None:
            known = self._by_text[segments] = len(self._texts) + _PROVISIONAL
            self._texts.append(segments)
        return known

    @property
    def count(self) -> int:
        """How many there are."""
        return len(self._texts)

    def settle(self, index: int) -> int:
        """The final index: hidden columns count from the end of the row, the client's stay as they are."""
        return index - _PROVISIONAL - self.count if index >= _PROVISIONAL else index

    def settle_key(self, key: SortKey) -> SortKey:
        """A sort key with final indexes."""
        weight = None if key.weight is None else self.settle(key.weight)
        return SortKey(self.settle(key.column), weight, key.descending, key.collation)

    def segments(self) -> tuple[Segment, ...]:
        """The text to append behind the last select item. The aliases keep hidden names out of every clause."""
        out: list[Segment] = []
        for number, texts in enumerate(self._texts):
            out += (", ", *texts, f" AS dbmesh_{number}")
        return tuple(out)

    def alias(self, index: int) -> str:
        """The alias of a hidden column, by provisional index."""
        return f"dbmesh_{index - _PROVISIONAL}"


_PROVISIONAL = 1 << 20


class KeyMaker:
    """Makes sort keys of expressions, adding the hidden columns they need."""

    def __init__(self, scopes: Scopes, hidden: HiddenColumns) -> None:
        self._scopes = scopes
        self._hidden = hidden

    def schema(self, node: exp.Expr) -> ColumnSchema | None:
        """The schema of a plain column, None for anything else or unknown."""
        if not isinstance(node, exp.Column):
            return None
        found = self._scopes.through(node)
        return found[1] if found is not None else None

    def key(
        self,
        node: exp.Expr,
        text: tuple[Segment, ...],
        index: int | None,
        *,
        descending: bool = False,
        grouped: bool = False,
    ) -> SortKey:
        """The key of an expression whose text is `text` and which is select item `index`, or None when it is none.

        `grouped`: the shards group, so that the weight of an expression must be an aggregate.
        Raises MeshError for JSON, which has no order two shards could agree on.
        """
        extreme = (
            node.this if isinstance(node, exp.Min | exp.Max) and isinstance(node.this, exp.Column) else None
        )
        schema = self.schema(extreme or node)
        family = schema.family if schema is not None else None
        if family is ColumnFamily.JSON or any(node.find_all(*_JSON_FUNCTIONS)):
            raise not_supported(
                "ordering or grouping by JSON over several data nodes", "use a scalar: doc->>'$.path'"
            )
        if family in _NUMBERED and extreme is None:
            return SortKey(self._hidden.add(*_wrapped("(", text, ")+0")), None, descending)
        if family is ColumnFamily.FLOAT and schema is not None and schema.declared_type.startswith("float"):
            # A FLOAT's text is rounded to six digits; as a DOUBLE it is exact.
            return SortKey(self._hidden.add(*_wrapped("(", text, ")+0e0")), None, descending)
        column = self._hidden.add(*text) if index is None else index
        if family in _PLAIN or self.is_numeric(node):
            return SortKey(column, None, descending)
        whole = not grouped or schema is not None or any(node.find_all(exp.AggFunc))
        collation = schema.collation if schema is not None else None
        weight = _weight(text, collation)
        if not whole:
            # The weight of a text of two collations has none that MIN could compare by.
            weight = _wrapped("MIN(CAST(", weight, " AS BINARY))")
        return SortKey(column, self._hidden.add(*weight), descending, collation)

    def weight(self, node: exp.Expr, text: tuple[Segment, ...]) -> tuple[int | None, str | None]:
        """The hidden weight and the collation by which MIN and MAX of `node` compare; `text` is the whole call."""
        schema = self.schema(node)
        if schema is not None and schema.family in (ColumnFamily.JSON, ColumnFamily.BIT):
            raise not_supported(
                "MIN or MAX of a JSON or BIT column over several data nodes", "use a number of it"
            )
        if any(node.find_all(*_JSON_FUNCTIONS)):
            raise not_supported("MIN or MAX of JSON over several data nodes", "use a scalar: doc->>'$.path'")
        if (schema is not None and schema.family in _PLAIN) or self.is_numeric(node):
            return None, None
        collation = schema.collation if schema is not None else None
        return self._hidden.add(*_weight(text, collation)), collation

    def is_bit(self, node: exp.Expr) -> bool:
        """Whether the expression is a BIT column."""
        schema = self.schema(node)
        return schema is not None and schema.family is ColumnFamily.BIT

    def is_numeric(self, node: exp.Expr) -> bool:
        """Whether the values are numbers by construction."""
        schema = self.schema(node)
        if schema is not None:
            return schema.family in (ColumnFamily.INTEGER, ColumnFamily.DECIMAL, ColumnFamily.FLOAT)
        if isinstance(node, exp.Add | exp.Sub):
            return not any(node.find_all(exp.Interval))
        return isinstance(node, _NUMERIC_FUNCTIONS)


def _weight(text: tuple[Segment, ...], collation: str | None) -> tuple[Segment, ...]:
    """The hidden weight of a text expression; where only the server knows the collation, the weight says it."""
    weight = _wrapped("WEIGHT_STRING(", text, ")")
    if collation is not None:
        return weight
    # MySQL would convert the weight to the character set of the name, and weights are no text.
    return ("CONCAT(CAST(COLLATION(", *text, ") AS BINARY),':',", *weight, ")")


def _wrapped(before: str, text: tuple[Segment, ...], after: str) -> tuple[Segment, ...]:
    return (before, *text, after)
