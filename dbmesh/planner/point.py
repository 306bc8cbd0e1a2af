"""The shortest way from values to a data node, for statements that name one row's sharding value.

Decides which statements may take it; answers exactly what `route` would. Knows nothing of verbs.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from dbmesh.errors import MeshError
from dbmesh.model import ColumnFamily, ColumnSchema, SqlValue
from dbmesh.planner.conditions import Equals
from dbmesh.planner.plan import Call
from dbmesh.planner.route import Router, Target
from dbmesh.rules.ruleset import PointRouter, ShardedTable
from dbmesh.rules.values import UNKNOWN_KEY, Key, compared_key
from dbmesh.sql.lexer import LexerFlags
from dbmesh.sql.literals import decode_literal
from dbmesh.sql.shape import Slot


@dataclass(frozen=True, slots=True)
class PointLookup:
    """The shortest way of a statement whose one table's one sharding column equals one value. `integers`: the column
    holds integers, so that an int is a key as it is; `targets` are keyed by data source, then actual table."""

    slot: Slot
    column: ColumnSchema | None
    node_of: PointRouter
    targets: Mapping[str, Mapping[str, Target]]
    integers: bool
    exact_text: bool = False

    def target(self, call: Call, flags: LexerFlags) -> Target | None:
        """The target, or None when the general way must decide (NULL, a value no key can have, one without a node)."""
        if self.slot.parameter:
            value = call.parameters[self.slot.index]
        else:
            raw = call.literals[self.slot.index]
            if not isinstance(raw, str):
                return None
            value = (
                int(raw)
                if raw.isdigit()
                else decode_literal(raw, self.slot.kind, no_backslash_escapes=flags.no_backslash_escapes)
            )
        key = value if self.integers and type(value) is int else self._key(value)
        if key is None or key is UNKNOWN_KEY:
            return None
        try:
            node = self.node_of(key)
        except MeshError:
            return None
        return self.targets[node.data_source][node.table]

    def _key(self, value: SqlValue) -> Key:
        return compared_key(value, self.column, exact_text=self.exact_text)


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
    return PointLookup(operand.slot, schema, node_of, targets, integers, router.exact_text)
