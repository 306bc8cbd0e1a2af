"""Plans of UPDATE and DELETE: values to shots.

Decides nothing about SQL any more, but which values and routes the statement's form cannot follow on each node: it is
derived then.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from dbmesh.errors import NOT_SUPPORTED, MeshError, Refusal, not_supported
from dbmesh.model import ColumnSchema, SqlValue
from dbmesh.planner.conditions import Operand
from dbmesh.planner.derived.plan import Derivation, bind_derived
from dbmesh.planner.one_place import first_target
from dbmesh.planner.plan import (
    Answer,
    BoundStatement,
    Call,
    CountMerge,
    Names,
    PinReason,
    Relay,
    ReturnedRows,
    Shot,
    SideEffects,
    Verb,
)
from dbmesh.planner.point import Direct, Frames, PointLookup
from dbmesh.planner.resolve import Scopes
from dbmesh.planner.route import Router, Routing, literal_slots
from dbmesh.planner.template import Template, slot_value
from dbmesh.planner.text_plan import TextPlan, TextShot, prototype_shot
from dbmesh.rules.ruleset import SingleTable
from dbmesh.rules.stored_values import as_stored
from dbmesh.rules.values import UNKNOWN_KEY, coerce_key


@dataclass(frozen=True, slots=True)
class KeptColumn:
    """An assignment to a sharding column: rows stay while the new value is one of those they have by their WHERE."""

    schema: ColumnSchema | None
    value: Operand
    now: tuple[Operand, ...]


@dataclass(frozen=True, slots=True)
class WritePlan:
    """A `ShardPlan` of one UPDATE or DELETE. `many` tells that several nodes may run it; `limited` that LIMIT ties its rows
    together; `moves` that rows may have to go to another node. What these do not allow is `derived`, or refused with its
    reason."""

    verb: Verb
    tables: tuple[str, ...]
    router: Router
    frames: Frames
    names: Names
    kept: tuple[KeptColumn, ...]
    many: bool
    limited: bool
    moves: bool
    derived: Derivation | Refusal
    returning: bool
    effects: SideEffects | None = None
    reads_only: bool = False
    from_replica: bool = False
    repeatable: bool = False
    opens_transaction: bool = True
    implicit_commit: bool = False
    pin: PinReason | None = None
    calculates_found_rows: bool = False
    reads_clock: bool = False
    keeps_warnings: bool = False
    point: PointLookup | None = None
    direct: Direct | None = None

    def bind(self, call: Call) -> BoundStatement:
        """One shot per target. Raises MeshError: NO_ROUTE, NOT_SUPPORTED."""
        routing = None if self._may_move(call) else self._route(call)
        in_steps = partial(bind_derived, self.derived, call, self.names, self.router, self.frames.of)
        if routing is None or (len(routing.targets) > 1 and (self.limited or not self.many)):
            return in_steps()
        targets = routing.targets
        keep = call.keep_parameters
        shots = tuple(
            Shot(
                target.data_source,
                self.frames.of(target).render(
                    literal_slots(routing, target, call.literals), call, keep_parameters=keep
                ),
            )
            for target in targets
        )
        answer: Answer = Relay()
        if len(targets) > 1:
            answer = ReturnedRows() if self.returning else CountMerge()
        return BoundStatement(
            shots, answer, self.names, keeps_parameters=keep, effects=self.effects, in_steps=in_steps
        )

    def _route(self, call: Call) -> Routing | None:
        """Where the rows are; None when rows of several data sources have to meet."""
        target = None if self.point is None else self.point.target(call.literals, call.parameters)
        if target is not None:
            return Routing((target,), {})
        try:
            return self.router.route(call)
        except MeshError as refusal:
            if refusal.kind is not NOT_SUPPORTED or self.router.hints.data_source is not None:
                raise
            return None

    def prototype(self, literals: Sequence[object] = ()) -> Shot:
        """The statement on the first node of every table."""
        target = first_target(self.router)
        return prototype_shot(target.data_source, (self.frames.of(target),), literals)

    def _may_move(self, call: Call) -> bool:
        return self.moves or any(not self._stays(kept, call) for kept in self.kept)

    def _stays(self, kept: KeptColumn, call: Call) -> bool:
        value = self._value(kept.value, call)
        new = coerce_key(value if kept.schema is None else as_stored(value, kept.schema), kept.schema)
        now = [self.router.key(self._value(operand, call), kept.schema) for operand in kept.now]
        return not (new is UNKNOWN_KEY or new is None or new not in now)

    def _value(self, operand: Operand, call: Call) -> SqlValue:
        if operand.slot is None:
            return operand.constant
        value = slot_value(operand.slot, call, self.router.flags)
        if operand.negated and isinstance(value, int | float):
            return -value
        return value


def broadcast_write(
    verb: Verb,
    tables: tuple[str, ...],
    scopes: Scopes,
    template: Template,
    names: Names,
    *,
    reads_clock: bool,
    returning: bool,
) -> TextPlan:
    """One shot per data source. Raises MeshError(NOT_SUPPORTED) when the tables live on different ones."""
    places: list[dict[str, str]] = []
    for reference in scopes.references:
        table = reference.table
        assert not isinstance(table, SingleTable)
        places.append({node.data_source: node.table for node in table.nodes})
    if any(place.keys() != places[0].keys() for place in places):
        raise not_supported(
            f"{verb.name} of broadcast tables of different data sources", "write one table at a time"
        )
    shots = tuple(
        TextShot(source, template.frame([place[source] for place in places])) for source in places[0]
    )
    answer: Answer = Relay()
    if len(shots) > 1:
        answer = ReturnedRows(broadcast=True) if returning else CountMerge(broadcast=True)
    return TextPlan(verb, tables, shots, answer, names, reads_clock=reads_clock)
