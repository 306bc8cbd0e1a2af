"""Routes: from sharding conditions and bound values to the data nodes a statement must reach.

Decides which combinations of actual tables together hold every row a statement can touch, and says so honestly when
no such combination exists on single data sources. Knows nothing of SQL text or of merging.

Invariant: the targets of a route, taken together, cover every combination of rows the statement's tables could
contribute on one server; no two targets cover the same combination.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import NamedTuple

from dbmesh.errors import NO_ROUTE, SHARDING_KEY_REQUIRED, MeshError, not_supported
from dbmesh.model import ColumnSchema, DataNode, SqlValue
from dbmesh.planner.alignment import TEXTUAL, followers_of, groups_of
from dbmesh.planner.bounds import meet
from dbmesh.planner.conditions import (
    Conditions,
    Equals,
    Operand,
    Predicate,
)
from dbmesh.planner.context import PlanContext
from dbmesh.planner.known_columns import (
    ColumnConditions,
    column_conditions,
    conditions_around,
    operand_values,
)
from dbmesh.planner.plan import Call
from dbmesh.planner.resolve import Scopes, TableReference
from dbmesh.rules.ruleset import (
    BroadcastTable,
    Condition,
    Hints,
    Range,
    ShardedTable,
    SingleTable,
    Values,
)
from dbmesh.rules.values import MOST_EXACT_DOUBLE, UNKNOWN_KEY, Key, compared_key
from dbmesh.sql.fingerprint import ListLiteral
from dbmesh.sql.lexer import LexerFlags

_ONE_SHARD = (
    "add conditions on the sharding columns of every sharded table so that one data source holds all rows"
)


class Target(NamedTuple):
    """One data source and the actual table of each table reference there, in order of the references."""

    data_source: str
    tables: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Routing:
    """The targets of one bound statement, in configuration order, at least one. `members` narrows IN lists: target →
    index of the literal → the members that live there. `contradiction` tells that no row can match."""

    targets: tuple[Target, ...]
    members: Mapping[Target, Mapping[int, ListLiteral]]
    contradiction: bool = False


@dataclass(frozen=True, slots=True)
class _Place:
    """How one sharded reference is routed: the predicates on its sharding columns, one mapping per disjunct."""

    reference: TableReference
    table: ShardedTable
    disjuncts: tuple[ColumnConditions, ...]
    columns: Mapping[str, ColumnSchema | None]
    numbers: Mapping[DataNode, int]


@dataclass(frozen=True, slots=True)
class Router:
    """Routes one statement's values. `groups` are the sharded references that always share a node index; `followers`
    those of them that do not decide which."""

    references: tuple[TableReference, ...]
    places: tuple[_Place, ...]
    groups: tuple[tuple[int, ...], ...]
    hints: Hints
    flags: LexerFlags
    fallback: str
    exact_text: bool = False
    followers: frozenset[int] = frozenset()
    # A target is a function of the nodes chosen: remembering it changes no answer.
    _targets: dict[tuple[int, ...], Target] = field(default_factory=dict, repr=False, compare=False)

    def key(self, value: SqlValue, column: ColumnSchema | None) -> Key:
        """The key of a value compared with a sharding column."""
        return compared_key(value, column, exact_text=self.exact_text)

    @property
    def spreads(self) -> bool:
        """Whether any sharded table is named at all."""
        return bool(self.places)

    def any_target(self) -> Target:
        """A target that exists whatever the values are: the first nodes that stand together. Raises
        MeshError(NOT_SUPPORTED)."""
        if self.hints.data_source is not None:
            return self._forced(self.hints.data_source)[0]
        refusal: MeshError | None = None
        for number in range(min((len(place.table.nodes) for place in self.places), default=1)):
            try:
                return self.beside(number)
            except MeshError as error:
                refusal = refusal or error
        assert refusal is not None
        raise refusal

    def beside(self, number: int) -> Target:
        """The target of every table's node of this number, counted round. Raises MeshError(NOT_SUPPORTED)."""
        return self._target({place.reference.index: number % len(place.table.nodes) for place in self.places})

    def only_target(self) -> Target | None:
        """The target of every route, where no value decides about it."""
        if self.places or self.hints.data_source is not None:
            return None
        try:
            return self._target({})
        except MeshError:
            return None

    def route(self, call: Call) -> Routing:
        """Targets for these values. Raises MeshError: NO_ROUTE, NOT_SUPPORTED when rows of several data sources would
        have to meet."""
        if self.hints.data_source is not None:
            return Routing(self._forced(self.hints.data_source), {})
        sets: list[tuple[int, ...]] = []
        narrowed: dict[int, Mapping[int, ListLiteral]] = {}
        for group in self.groups:
            indexes, lists = self._indexes(group, call)
            sets.append(indexes)
            narrowed = lists or narrowed
        if not sets:
            return Routing((self._target({}),), {})
        if len(sets) > 1 and any(len(indexes) > 1 for indexes in sets):
            raise not_supported("rows of several data nodes in one join or subquery", _ONE_SHARD)
        contradiction = not all(sets)
        if contradiction:
            sets = self._anywhere(sets)
        targets: list[Target] = []
        members: dict[Target, Mapping[int, ListLiteral]] = {}
        for index in sets[0]:
            chosen = dict.fromkeys(self.groups[0], index)
            for group, indexes in zip(self.groups[1:], sets[1:], strict=True):
                chosen.update(dict.fromkeys(group, indexes[0]))
            target = self._target(chosen)
            targets.append(target)
            if index in narrowed and len(sets[0]) > 1:
                members[target] = narrowed[index]
        return Routing(tuple(targets), members, contradiction)

    def nodes(self, reference: TableReference, call: Call) -> tuple[DataNode, ...]:
        """Data nodes whose rows of one reference can matter, in configuration order, at least one: what a scan of that
        table alone must read. For a broadcast table all, of which one will do."""
        table = reference.table
        if not isinstance(table, ShardedTable):
            return table.nodes
        place = next(place for place in self.places if place.reference is reference)
        indexes = self._place_indexes(place, call)
        return tuple([table.nodes[index] for index in sorted(indexes)]) or table.nodes[:1]

    def _anywhere(self, sets: list[tuple[int, ...]]) -> list[tuple[int, ...]]:
        """Groups without a matching row may stand on any node; best beside the others."""
        tables = {place.reference.index: place.table for place in self.places}
        sources = [
            tables[group[0]].nodes[indexes[0]].data_source
            for group, indexes in zip(self.groups, sets, strict=True)
            if indexes
        ]
        settled: list[tuple[int, ...]] = []
        for group, indexes in zip(self.groups, sets, strict=True):
            nodes = tables[group[0]].nodes
            beside = [n for n, node in enumerate(nodes) if node.data_source in sources]
            settled.append(indexes or (beside[0] if beside else 0,))
            sources = sources or [nodes[0].data_source]
        return settled

    def _indexes(
        self, group: tuple[int, ...], call: Call
    ) -> tuple[tuple[int, ...], dict[int, Mapping[int, ListLiteral]]]:
        """Node indexes every reference of a group agrees on, and what each needs of an IN list."""
        common: set[int] | None = None
        lists: dict[int, Mapping[int, ListLiteral]] = {}
        for place in self.places:
            if place.reference.index not in group or place.reference.index in self.followers:
                continue
            lists = self._split_list(place, call) if len(group) == 1 and len(self.groups) == 1 else {}
            indexes = set(lists) or self._place_indexes(place, call)
            common = indexes if common is None else common & indexes
        return tuple(sorted(common or ())), lists

    def _place_indexes(self, place: _Place, call: Call) -> set[int]:
        numbers = place.numbers
        chosen: set[int] = set()
        for disjunct in place.disjuncts:
            conditions: dict[str, Condition] = {}
            for column, predicates in disjunct.items():
                condition = self._condition(predicates, place.columns.get(column), call)
                if condition is not None:
                    conditions[column] = condition
            if any(isinstance(c, Values) and not c.values for c in conditions.values()):
                continue
            nodes = self._nodes(place.table, conditions)
            # Often all of them: no node need be looked up then.
            everywhere = len(nodes) == len(numbers)
            chosen.update(numbers.values() if everywhere else [numbers[node] for node in nodes])
        return chosen

    def _nodes(self, table: ShardedTable, conditions: Mapping[str, Condition]) -> tuple[DataNode, ...]:
        """The nodes for these conditions. A value that has no node is looked for on all of them: the mesh has placed no
        such row, but one server would answer nonetheless."""
        try:
            return table.route(conditions, self.hints)
        except MeshError as error:
            if error.kind is not NO_ROUTE or self.hints.table_values or self.hints.database_values:
                raise
            return table.nodes

    def _condition(
        self, predicates: Sequence[Predicate], column: ColumnSchema | None, call: Call
    ) -> Condition | None:
        """What all predicates on one column leave; None when nothing is known."""
        known: Condition | None = None
        for predicate in predicates:
            found = self._bound(predicate, column, call)
            if found is not None:
                known = found if known is None else meet(known, found)
        return known

    def _bound(self, predicate: Predicate, column: ColumnSchema | None, call: Call) -> Condition | None:
        if isinstance(predicate, Equals):
            values = [
                value for operand in predicate.operands for value in operand_values(operand, call, self.flags)
            ]
            keys = [self.key(value, column) for value in values]
            if any(key is UNKNOWN_KEY for key in keys) or _compared_as_double(values, keys):
                return None
            if predicate.null_safe:
                return None if None in keys else Values(tuple(keys))
            return Values(tuple(dict.fromkeys(key for key in keys if key is not None)))
        if column is not None and column.family in TEXTUAL:
            # The order of texts is their collation's; no algorithm knows it.
            return None
        lower = self._bound_of(predicate.lower, column, call)
        upper = self._bound_of(predicate.upper, column, call)
        if (lower is None and predicate.lower is not None) or (upper is None and predicate.upper is not None):
            return Values(())
        lower, upper = (None if bound is UNKNOWN_KEY else bound for bound in (lower, upper))
        if lower is None and upper is None:
            return None
        return Range(lower, upper, predicate.lower_inclusive, predicate.upper_inclusive)

    def _bound_of(self, operand: Operand | None, column: ColumnSchema | None, call: Call) -> Key:
        if operand is None:
            return None
        [value] = operand_values(operand, call, self.flags)
        return self.key(value, column)

    def _split_list(self, place: _Place, call: Call) -> dict[int, Mapping[int, ListLiteral]]:
        """Node index → the members of the one IN list that decides the route."""
        router = place.table.point_router()
        if router is None or len(place.disjuncts) != 1:
            return {}
        [column] = place.table.sharding_columns
        predicates = place.disjuncts[0].get(column, ())
        if len(predicates) != 1 or not isinstance(predicates[0], Equals) or len(predicates[0].operands) != 1:
            return {}
        slot = predicates[0].operands[0].slot
        literal = call.literals[slot.index] if slot is not None and not slot.parameter else None
        if slot is None or not isinstance(literal, ListLiteral):
            return {}
        schema, numbers = place.columns.get(column), place.numbers
        parts: dict[int, list[str]] = {}
        for raw, value in zip(
            literal.members, operand_values(predicates[0].operands[0], call, self.flags), strict=True
        ):
            key = self.key(value, schema)
            if key is UNKNOWN_KEY or key is None:
                return {}
            try:
                node = router(key)
            except MeshError:
                return {}
            parts.setdefault(numbers[node], []).append(raw)
        return {number: {slot.index: ListLiteral(raws, literal.separator)} for number, raws in parts.items()}

    def _target(self, chosen: Mapping[int, int]) -> Target:
        """The target where sharded reference r stands on its node number chosen[r]."""
        numbers = tuple([chosen[place.reference.index] for place in self.places])
        target = self._targets.get(numbers)
        if target is None:
            target = self._targets[numbers] = self._make_target(chosen)
        return target

    def _make_target(self, chosen: Mapping[int, int]) -> Target:
        source: str | None = None
        for reference in self.references:
            table = reference.table
            if isinstance(table, BroadcastTable):
                continue
            node = table.node if isinstance(table, SingleTable) else table.nodes[chosen[reference.index]]
            if source is None:
                source = node.data_source
            elif source != node.data_source:
                raise not_supported(
                    f"rows of '{source}' and '{node.data_source}' in one join or subquery", _ONE_SHARD
                )
        return self._on(source or self._common_source(), chosen)

    def _on(self, source: str, chosen: Mapping[int, int]) -> Target:
        names: list[str] = []
        for reference in self.references:
            table = reference.table
            if isinstance(table, SingleTable):
                names.append(table.node.table)
            elif isinstance(table, ShardedTable):
                names.append(table.nodes[chosen[reference.index]].table)
            else:
                here = next((node.table for node in table.nodes if node.data_source == source), None)
                if here is None:
                    raise not_supported(
                        f"broadcast table '{table.name}', which is not on '{source}', in this statement",
                        _ONE_SHARD,
                    )
                names.append(here)
        return Target(source, tuple(names))

    def _common_source(self) -> str:
        """A data source that holds every broadcast table named; the fallback without any."""
        candidates: list[str] | None = None
        for reference in self.references:
            assert isinstance(reference.table, BroadcastTable)
            sources = [node.data_source for node in reference.table.nodes]
            candidates = sources if candidates is None else [s for s in candidates if s in sources]
        if candidates is None:
            return self.fallback
        if not candidates:
            raise not_supported("broadcast tables of different data sources in one statement", _ONE_SHARD)
        return candidates[0]

    def _forced(self, source: str) -> tuple[Target, ...]:
        """The hint DATA_SOURCE_NAME: every node on that data source, pairwise for tables of one group."""
        if not self.places:
            return (self._on(source, {}),)
        numbers = [n for n, node in enumerate(self.places[0].table.nodes) if node.data_source == source]
        if not numbers:
            raise MeshError(
                NO_ROUTE,
                table=self.places[0].table.name,
                value=source,
                reason="the data source named by the hint has no such table",
            )
        if len(self.groups) > 1 and len(numbers) > 1:
            raise not_supported(
                "a join of unbound tables on a data source with several of their nodes", _ONE_SHARD
            )
        return tuple(
            self._on(source, dict.fromkeys([p.reference.index for p in self.places], n)) for n in numbers
        )


def _compared_as_double(values: Sequence[SqlValue], keys: Sequence[Key]) -> bool:
    """Whether a server may compare a list as DOUBLE, because texts and numbers are mixed in it (manual, "IN()"), with
    keys that a DOUBLE cannot tell from their neighbours."""
    texts = sum(isinstance(value, str | bytes) for value in values)
    return 0 < texts < len(values) and any(
        isinstance(key, int | Decimal) and not -MOST_EXACT_DOUBLE <= key <= MOST_EXACT_DOUBLE for key in keys
    )


def build_router(context: PlanContext, scopes: Scopes) -> Router:
    """The router of a statement's table references. Raises MeshError(SHARDING_KEY_REQUIRED) by an auditor."""
    conditions = conditions_around(context, scopes, scopes.sharded)
    places = tuple(_place(reference, conditions) for reference in scopes.sharded)
    groups = groups_of(context.rule_set, scopes.sharded, conditions)
    hints = context.hints
    if context.settings.audit:
        for place in places:
            _audit(place, hints, context)
    return Router(
        scopes.references,
        places,
        groups,
        hints,
        context.flags,
        next(iter(context.rule_set.data_sources)),
        context.rule_set.exact_text_keys,
        followers_of(scopes.sharded, groups),
    )


def _place(reference: TableReference, conditions: Mapping[int, Conditions]) -> _Place:
    table = reference.table
    assert isinstance(table, ShardedTable)
    disjuncts = column_conditions(reference, table.sharding_columns, conditions)
    schemas = {
        name: reference.schema.column(name) if reference.schema else None for name in table.sharding_columns
    }
    numbers = {node: number for number, node in enumerate(table.nodes)}
    return _Place(reference, table, disjuncts, schemas, numbers)


def _audit(place: _Place, hints: Hints, context: PlanContext) -> None:
    table = place.table
    disabled = {name.lower() for name in hints.disabled_auditors} if table.allow_hint_disable else ()
    auditor = next((name for name in table.auditors if name.lower() not in disabled), None)
    if auditor is None or hints.data_source is not None:
        return
    hinted = (place.reference.key, "")
    if any(key in hints.table_values or key in hints.database_values for key in hinted):
        return
    if all(place.disjuncts):
        return
    raise MeshError(
        SHARDING_KEY_REQUIRED,
        verb=context.statement.tree.key.upper(),
        table=table.name,
        auditor=auditor,
        columns=", ".join(table.sharding_columns) or "a hint",
    )


def literal_slots(routing: Routing, target: Target, literals: Sequence[object]) -> Sequence[object]:
    """The literals for one target: IN lists narrowed to the members that live there."""
    narrowed = routing.members.get(target)
    if not narrowed:
        return literals
    own = list(literals)
    for index, members in narrowed.items():
        own[index] = members
    return own
