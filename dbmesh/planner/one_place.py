"""Statements that run whole on one data source: every table they name has its rows there.

Decides the data source and puts actual names in the client's text. What needs rows of several is refused.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from dbmesh.errors import not_supported
from dbmesh.planner.context import PlanContext
from dbmesh.planner.ddl_reading import NamePlace
from dbmesh.planner.given_ids import GivenIds
from dbmesh.planner.lexemes import Lexeme
from dbmesh.planner.names import session_answers
from dbmesh.planner.plan import Answer, BoundStatement, Call, Names, PinReason, Relay, Shot, SideEffects, Verb
from dbmesh.planner.route import Router, Target
from dbmesh.planner.side_effects import side_effects
from dbmesh.planner.template import Template
from dbmesh.planner.text_plan import TextPlan, TextShot, keeps_parameters, names_of, prototype_shot
from dbmesh.planner.written_names import rename_table
from dbmesh.rules.ruleset import BroadcastTable, SingleTable


def plan_single_table(
    context: PlanContext,
    verb: Verb,
    place: NamePlace,
    table: SingleTable,
    lexemes: Sequence[Lexeme],
    given: GivenIds | None,
) -> TextPlan:
    """A statement that names one table, which no rule names, and no other."""
    edits = context.edits()
    rename_table(edits, lexemes, place, 0)
    session_answers(context, edits)
    frame = edits.build().frame((table.node.table,))
    names = names_of(context.rule_set, (table.node.table,))
    shots = (TextShot(table.node.data_source, frame),)
    effects = effects_of_insert(lexemes)
    return TextPlan(verb, (table.name,), shots, Relay(), names, effects=effects, given=given)


def effects_of_insert(lexemes: Sequence[Lexeme]) -> SideEffects | None:
    """What an INSERT leaves on its connection that its answer does not tell: rows it returns come without the insert id."""
    effects = side_effects(lexemes)
    returning = any(lexeme.word == "RETURNING" for lexeme in lexemes)
    variables = () if effects is None else effects.variables
    return SideEffects(variables, returning) if variables or returning else None


@dataclass(frozen=True, slots=True)
class OnePlacePlan:
    """A `ShardPlan` of a statement whose values must lead to exactly one target; with `any_target` (EXPLAIN) the first of
    several will do."""

    verb: Verb
    tables: tuple[str, ...]
    router: Router
    template: Template
    names: Names
    what: str
    answer: Answer = field(default_factory=Relay)
    any_target: bool = False
    effects: SideEffects | None = None
    reads_only: bool = False
    from_replica: bool = False
    repeatable: bool = False
    opens_transaction: bool = True
    implicit_commit: bool = False
    pin: PinReason | None = None
    calculates_found_rows: bool = False
    reads_clock: bool = False
    direct: None = None

    @property
    def keeps_warnings(self) -> bool:
        """See `ShardPlan`."""
        return not self.tables

    def bind(self, call: Call) -> BoundStatement:
        """The only shot. Raises MeshError(NOT_SUPPORTED) when rows of several data nodes would have to meet."""
        targets = self.router.route(call).targets
        if len(targets) > 1 and not self.any_target:
            raise not_supported(
                f"{self.what} over several data nodes",
                "add conditions on the sharding columns so that one data node holds all rows",
            )
        target = targets[0]
        frame = self.template.frame(target.tables)
        keep = keeps_parameters(call, self.verb)
        shot = Shot(target.data_source, frame.render(call.literals, call, keep_parameters=keep))
        return BoundStatement((shot,), self.answer, self.names, keeps_parameters=keep, effects=self.effects)

    def prototype(self, literals: Sequence[object] = ()) -> Shot:
        """The statement on the first node of every table."""
        target = first_target(self.router)
        return prototype_shot(target.data_source, (self.template.frame(target.tables),), literals)


def first_target(router: Router) -> Target:
    """Any data source with an actual name for every reference, for PREPARE: never used to run anything."""
    tables = tuple(
        r.table.node.table if isinstance(r.table, SingleTable) else r.table.nodes[0].table
        for r in router.references
    )
    sources = [
        r.table.node.data_source if isinstance(r.table, SingleTable) else r.table.nodes[0].data_source
        for r in router.references
        if not isinstance(r.table, BroadcastTable)
    ]
    return Target(sources[0] if sources else router.fallback, tables)
