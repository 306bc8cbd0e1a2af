"""The shortest way from values to a data node, for statements that name one row's sharding value, and from there to
the shot.

Decides which statements may take it; answers exactly what `route` and `bind` would. Knows nothing of verbs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from dbmesh.errors import MeshError
from dbmesh.model import ColumnFamily, ColumnSchema, SqlValue
from dbmesh.planner.conditions import Equals
from dbmesh.planner.context import PlanContext
from dbmesh.planner.plan import Names
from dbmesh.planner.route import Router, Target
from dbmesh.planner.template import Frame, Template
from dbmesh.rules.ruleset import PointRouter, ShardedTable
from dbmesh.rules.values import UNKNOWN_KEY, Key, compared_key
from dbmesh.sql.lexer import LexerFlags
from dbmesh.sql.literals import literal_value
from dbmesh.sql.shape import Slot


@dataclass(frozen=True, slots=True)
class PointLookup:
    """The shortest way of a statement whose one table's one sharding column equals one value. `integers`: the column
    holds integers, so that an int is a key as it is; `targets` are keyed by data source, then actual table."""

    slot: Slot
    flags: LexerFlags
    column: ColumnSchema | None
    node_of: PointRouter
    targets: Mapping[str, Mapping[str, Target]]
    integers: bool
    exact_text: bool = False

    def target(self, literals: Sequence[object], parameters: Sequence[SqlValue]) -> Target | None:
        """The target, or None when the general way must decide (NULL, a value no key can have, one without a node)."""
        slot = self.slot
        if slot.parameter:
            if not parameters:
                return None
            value = parameters[slot.index]
        else:
            raw = literals[slot.index]
            if type(raw) is not str:
                return None
            value = int(raw) if raw.isdigit() else self._decoded(raw)
        key: Key = value
        if type(value) is not int or not self.integers:
            key = compared_key(value, self.column, exact_text=self.exact_text)
            if key is None or key is UNKNOWN_KEY:
                return None
        try:
            node = self.node_of(key)
        except MeshError:
            return None
        return self.targets[node.data_source][node.table]

    def _decoded(self, raw: str) -> SqlValue:
        return literal_value(raw, self.slot.kind, self.flags)


class Frames:
    """A template's frames by target. Filled on demand: the same target always gives the same frame, so a plan shared
    by many sessions stays as good as immutable."""

    __slots__ = ("_prepared", "by_target", "template")

    def __init__(self, template: Template) -> None:
        self.template = template
        self.by_target: dict[Target, Frame] = {}
        self._prepared: dict[Target, bytes] = {}

    def of(self, target: Target) -> Frame:
        """The frame of a target."""
        frame = self.by_target.get(target)
        if frame is None:
            frame = self.by_target[target] = self.template.frame(target.tables)
        return frame

    def prepared(self, target: Target) -> bytes | None:
        """The SQL with `?` kept, where nothing else is open in it."""
        sql = self._prepared.get(target)
        if sql is None and (frame := self.of(target)).only_parameters:
            sql = self._prepared[target] = frame.prototype()
        return sql


@dataclass(frozen=True, slots=True)
class Direct:
    """A `DirectWay`. `target_of` finds the target of literals and parameters, or leaves it to `bind`."""

    target_of: Callable[[Sequence[object], Sequence[SqlValue]], Target | None]
    frames: Frames
    names: Names

    def text(self, literals: Sequence[object]) -> tuple[str, bytes] | None:
        """See `DirectWay`."""
        target = self.target_of(literals, ())
        if target is None:
            return None
        frame = self.frames.by_target.get(target) or self.frames.of(target)
        return (target.data_source, frame.filled(literals)) if frame.sequential else None

    def prepared(
        self, literals: Sequence[object], parameters: Sequence[SqlValue]
    ) -> tuple[str, bytes] | None:
        """See `DirectWay`."""
        target = self.target_of(literals, parameters)
        if target is None:
            return None
        sql = self.frames.prepared(target)
        return None if sql is None else (target.data_source, sql)


def direct(
    context: PlanContext, router: Router, point: PointLookup | None, frames: Frames, names: Names
) -> Direct | None:
    """The direct way of a statement with nothing to do behind its answer, where it has one."""
    # What other data sources answer is no packet a client may get as it is.
    passes = all(source.kind == "mysql" for source in context.rule_set.data_sources.values())
    if not passes or not router.references:
        return None
    if point is not None:
        return Direct(point.target, frames, names)
    target = router.only_target()
    return None if target is None else Direct(lambda _literals, _parameters: target, frames, names)


def point_lookup(router: Router) -> PointLookup | None:
    """The short way of a router, where it has one."""
    if len(router.references) != 1 or len(router.places) != 1 or router.hints.data_source is not None:
        return None
    place = router.places[0]
    table = router.references[0].table
    if not isinstance(table, ShardedTable) or len(place.disjuncts) != 1:
        return None
    node_of = table.point_router()
    if node_of is None:
        return None
    [column] = table.sharding_columns
    predicates = place.disjuncts[0].get(column, ())
    if len(predicates) != 1 or not isinstance(predicates[0], Equals) or len(predicates[0].operands) != 1:
        return None
    operand = predicates[0].operands[0]
    if operand.slot is None or operand.negated or predicates[0].null_safe:
        return None
    targets: dict[str, dict[str, Target]] = {}
    for node in table.nodes:
        targets.setdefault(node.data_source, {})[node.table] = Target(node.data_source, (node.table,))
    schema = place.columns.get(column)
    integers = schema is not None and schema.family is ColumnFamily.INTEGER
    return PointLookup(operand.slot, router.flags, schema, node_of, targets, integers, router.exact_text)
