"""Sharding conditions: what WHERE and JOIN ON say about columns, as predicates over slots.

Decides which comparisons constrain a column, soundly: a predicate that is left out only widens the route. Conditions
are kept in disjunctive normal form; a disjunct that says nothing about a column leaves that column open. Knows nothing
of data nodes.

Outer joins: ON constrains nothing by itself, it only carries what is known of the preserved side over to the other;
WHERE constrains both sides, because every predicate kept here is false or NULL for a row of NULLs.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from sqlglot import exp

from dbmesh.model import ColumnSchema, SqlValue
from dbmesh.planner.context import PlanContext
from dbmesh.planner.resolve import Scopes, TableReference
from dbmesh.sql.shape import Slot
from dbmesh.sql.typed_literals import is_typed_literal

MOST_DISJUNCTS = 16
ColumnKey = tuple[int, str]
"""Index of a table reference and a column name in lower case."""


@dataclass(frozen=True, slots=True)
class Operand:
    """A value known when the statement is bound: a slot, negated or not, or a constant."""

    slot: Slot | None
    negated: bool = False
    constant: SqlValue = None


@dataclass(frozen=True, slots=True)
class Equals:
    """The column equals one of the operands; a slot with `members` stands for all members of its list."""

    operands: tuple[Operand, ...]
    null_safe: bool = False


@dataclass(frozen=True, slots=True)
class Between:
    """The column lies between two operands; None is an open end."""

    lower: Operand | None
    upper: Operand | None
    lower_inclusive: bool = True
    upper_inclusive: bool = True


Predicate = Equals | Between


@dataclass(frozen=True, slots=True)
class ColumnPredicate:
    """One comparison of a column with values."""

    column: ColumnKey
    predicate: Predicate


@dataclass(frozen=True, slots=True)
class ColumnEquality:
    """What is known of `source` holds for `target` too."""

    source: ColumnKey
    target: ColumnKey


Atom = ColumnPredicate | ColumnEquality
Disjunct = tuple[Atom, ...]


@dataclass(frozen=True, slots=True)
class Conditions:
    """All a scope says: `disjuncts` of WHERE and inner ON together, `equalities` of outer ONs."""

    disjuncts: tuple[Disjunct, ...] = ((),)
    equalities: tuple[ColumnEquality, ...] = ()
    columns: Mapping[ColumnKey, ColumnSchema | None] = field(default_factory=dict)

    @property
    def certain(self) -> tuple[Atom, ...]:
        """Atoms that hold in every row of the scope."""
        if len(self.disjuncts) == 1:
            return self.disjuncts[0] + self.equalities
        common = [atom for atom in self.disjuncts[0] if all(atom in other for other in self.disjuncts[1:])]
        return (*common, *self.equalities)


def scope_conditions(context: PlanContext, scopes: Scopes, scope: exp.Expr) -> Conditions:
    """Conditions of one SELECT, UPDATE or DELETE on the columns of its own tables (and equalities with outer ones)."""
    reader = _Reader(context, scopes)
    nullable = nullable_references(scopes, scope)
    parts: list[list[Disjunct]] = []
    where = scope.args.get("where")
    if isinstance(where, exp.Where):
        parts.append(reader.read(where.this, nullable))
    outer = reader.membership(scope)
    for join, left in joins_of(scopes, scope):
        right = [r for r in scopes.of(scope) if _inside(r.node, join.this)]
        equalities = reader.join_disjuncts(join, left, right, nullable)
        if not join.side:
            parts.append(equalities)
        else:
            filled = {r.index for r in (right if join.side == "LEFT" else left)}
            outer += [
                atom
                for atom in (equalities[0] if len(equalities) == 1 else ())
                if isinstance(atom, ColumnEquality)
                and atom.target[0] in filled
                and atom.source[0] not in filled
            ]
    return Conditions(tuple(_conjunction(parts)), tuple(outer), reader.columns)


def joins_of(scopes: Scopes, scope: exp.Expr) -> Iterator[tuple[exp.Join, list[TableReference]]]:
    """Every join of a scope whose operands are plain, with the references to its left. Joins inside brackets are left
    out: what they say is not used."""
    references = scopes.of(scope)
    sources: list[exp.Join] = list(scope.args.get("joins") or ())
    target = scope.args.get("this")
    if isinstance(target, exp.Table):
        sources = [*(target.args.get("joins") or ()), *sources]
    source = scope.args.get("from_")
    if isinstance(source, exp.From) and isinstance(source.this, exp.Table):
        sources = [*(source.this.args.get("joins") or ()), *sources]
    for join in sources:
        left = [
            r
            for r in references
            if not _inside(r.node, join.this) and r.node.this.meta["start"] < _first(join)
        ]
        yield join, left


def _first(join: exp.Join) -> int:
    starts = [table.this.meta["start"] for table in join.this.find_all(exp.Table) if table.this.meta]
    return min(starts, default=0)


def _inside(node: exp.Expr, ancestor: exp.Expr) -> bool:
    current: exp.Expr | None = node
    while current is not None:
        if current is ancestor:
            return True
        current = current.parent
    return False


def nullable_references(scopes: Scopes, scope: exp.Expr) -> frozenset[int]:
    """References whose rows an outer join may replace by NULLs."""
    nullable: set[int] = set()
    for join, left in joins_of(scopes, scope):
        if join.side == "LEFT":
            nullable.update(r.index for r in scopes.of(scope) if _inside(r.node, join.this))
        elif join.side:
            nullable.update(r.index for r in left)
    return frozenset(nullable)


class _Reader:
    """Reads boolean expressions into disjunctive normal form."""

    def __init__(self, context: PlanContext, scopes: Scopes) -> None:
        self._context = context
        self._scopes = scopes
        self.columns: dict[ColumnKey, ColumnSchema | None] = {}

    def read(self, node: exp.Expr, nullable: frozenset[int] = frozenset()) -> list[Disjunct]:
        if isinstance(node, exp.Paren):
            return self.read(node.this, nullable)
        if isinstance(node, exp.And):
            return _conjunction([self.read(node.left, nullable), self.read(node.right, nullable)])
        if isinstance(node, exp.Or):
            both = [*self.read(node.left, nullable), *self.read(node.right, nullable)]
            return both if len(both) <= MOST_DISJUNCTS and all(both) else [()]
        return [tuple(self._atoms(node, nullable))]

    def join_disjuncts(
        self,
        join: exp.Join,
        left: Sequence[TableReference],
        right: Sequence[TableReference],
        nullable: frozenset[int],
    ) -> list[Disjunct]:
        condition = join.args.get("on")
        if condition is not None:
            return self.read(condition, nullable)
        atoms: list[Atom] = []
        for identifier in join.args.get("using") or ():
            left_column = self._using(identifier.name, left)
            right_column = self._using(identifier.name, right)
            if left_column is not None and right_column is not None:
                atoms += (
                    ColumnEquality(left_column, right_column),
                    ColumnEquality(right_column, left_column),
                )
        return [tuple(atoms)]

    def membership(self, scope: exp.Expr) -> list[ColumnEquality]:
        """What `x IN (SELECT y …)` as a filter says of the subquery: its rows matter only where y equals x."""
        holder = scope.parent.parent if isinstance(scope.parent, exp.Subquery) else scope.parent
        if not isinstance(holder, exp.In) or not _is_filter(holder):
            return []
        if any(scope.args.get(name) for name in ("limit", "offset", "group", "having")):
            return []
        outer = holder.this.expressions if isinstance(holder.this, exp.Tuple) else [holder.this]
        pairs = [
            (self._column(a), self._column(b.unalias()))
            for a, b in zip(outer, scope.expressions, strict=False)
        ]
        return [ColumnEquality(a, b) for a, b in pairs if a is not None and b is not None]

    def _using(self, name: str, references: Sequence[TableReference]) -> ColumnKey | None:
        owners = [r for r in references if r.schema is None or r.schema.column(name)]
        if len(owners) != 1:
            return None
        key = (owners[0].index, name.lower())
        self.columns[key] = owners[0].schema.column(name) if owners[0].schema else None
        return key

    def _atoms(self, node: exp.Expr, nullable: frozenset[int]) -> Iterator[Atom]:
        if isinstance(node, exp.Between) and not node.args.get("symmetric"):
            column = self._column(node.this)
            low, high = self._operand(node.args["low"]), self._operand(node.args["high"])
            if column is not None and (low or high):
                yield ColumnPredicate(column, Between(low, high))
        elif isinstance(node, exp.In):
            yield from self._in(node)
        elif isinstance(node, exp.EQ | exp.NullSafeEQ | exp.LT | exp.LTE | exp.GT | exp.GTE):
            yield from self._comparison(node, nullable)

    def _in(self, node: exp.In) -> Iterator[Atom]:
        column = self._column(node.this)
        if column is None or node.args.get("query") or not node.expressions:
            return
        operands = [self._operand(item) for item in node.expressions]
        known = tuple(operand for operand in operands if operand is not None)
        if len(known) == len(operands):
            yield ColumnPredicate(column, Equals(known))

    def _comparison(self, node: exp.Binary, nullable: frozenset[int]) -> Iterator[Atom]:
        left, right = self._column(node.left), self._column(node.right)
        if left is not None and right is not None:
            if isinstance(node, exp.EQ):
                yield from (ColumnEquality(left, right), ColumnEquality(right, left))
            return
        column, other, flipped = (left, node.right, False) if left is not None else (right, node.left, True)
        operand = self._operand(other) if column is not None else None
        if column is None or operand is None:
            return
        if isinstance(node, exp.EQ):
            yield ColumnPredicate(column, Equals((operand,)))
        elif isinstance(node, exp.NullSafeEQ):
            # What a derived table passes on may be filled by an outer join around it or inside.
            if column[0] not in nullable and self._is_own(node.left if left is not None else node.right):
                yield ColumnPredicate(column, Equals((operand,), null_safe=True))
        else:
            inclusive = isinstance(node, exp.LTE | exp.GTE)
            if isinstance(node, exp.LT | exp.LTE) is not flipped:
                yield ColumnPredicate(column, Between(None, operand, upper_inclusive=inclusive))
            else:
                yield ColumnPredicate(column, Between(operand, None, lower_inclusive=inclusive))

    def _column(self, node: exp.Expr) -> ColumnKey | None:
        while isinstance(node, exp.Paren):
            node = node.this
        if not isinstance(node, exp.Column):
            return None
        found = self._scopes.through(node)
        if found is None:
            return None
        key = (found[0].index, node.name.lower())
        self.columns[key] = found[1]
        return key

    def _is_own(self, node: exp.Expr) -> bool:
        return isinstance(node, exp.Column) and self._scopes.column(node) is not None

    def _operand(self, node: exp.Expr) -> Operand | None:
        return read_operand(self._context, node)


def read_operand(context: PlanContext, node: exp.Expr) -> Operand | None:
    """An expression as a value that is known when the statement is bound; None for any other."""
    negated = False
    while isinstance(node, exp.Paren | exp.Neg):
        negated ^= isinstance(node, exp.Neg)
        node = node.this
    if is_typed_literal(node) and not node.args["to"].is_type("time"):
        node = node.this
    elif not negated and isinstance(node, exp.Cast) and node.args["to"].is_type("ubigint"):
        # A bound integer that was written in.
        node = node.this if isinstance(node.this, exp.Literal) and node.this.is_int else node
    if isinstance(node, exp.Null):
        return Operand(None)
    if isinstance(node, exp.Boolean):
        return Operand(None, constant=int(node.this))
    slot = context.statement.slot(node)
    if slot is None or slot.cell is not None:
        return None
    return Operand(slot, negated)


def _is_filter(node: exp.Expr) -> bool:
    """Whether a condition stands in WHERE under AND and OR alone, where NULL is as good as false."""
    parent = node.parent
    while isinstance(parent, exp.And | exp.Or | exp.Paren):
        parent = parent.parent
    return isinstance(parent, exp.Where)


def _conjunction(parts: Iterable[list[Disjunct]]) -> list[Disjunct]:
    """Every combination; a part that would make too many says nothing instead."""
    result: list[Disjunct] = [()]
    for part in parts:
        if len(result) * len(part) <= MOST_DISJUNCTS:
            result = [left + right for left in result for right in part]
    return result
