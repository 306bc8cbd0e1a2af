"""Plans of a database with shadows: rows go to one side, definitions of tables to both.

Decides which statements can go to the shadow at all; a hint that is passed over would act on the wrong rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from dbmesh.errors import MeshError, not_supported
from dbmesh.planner.context import PlanContext
from dbmesh.planner.lexemes import LexemeReader
from dbmesh.planner.plan import (
    BoundStatement,
    Call,
    CountMerge,
    PinReason,
    Plan,
    Relay,
    ShardPlan,
    Shot,
    Verb,
)
from dbmesh.planner.scans import Federation
from dbmesh.planner.session_plan import (
    CallProcedure,
    Do,
    LoadData,
    SelectInto,
    SessionStatement,
    SetForStatement,
    SetVariables,
    TextExecute,
    TextPrepare,
)
from dbmesh.planner.shadow.choice import Choice
from dbmesh.planner.shadow.reading import read_choice
from dbmesh.planner.shadow.side import ShadowSide, without_shadow
from dbmesh.planner.text_plan import TextPlan, TextShot
from dbmesh.rules.ruleset import RuleSet
from dbmesh.rules.shadow.rule import ShadowRule

_ROWS = frozenset((Verb.SELECT, Verb.INSERT, Verb.REPLACE, Verb.UPDATE, Verb.DELETE))
_TOUCH_TABLES = (
    CallProcedure,
    Do,
    LoadData,
    SelectInto,
    SetForStatement,
    SetVariables,
    TextExecute,
    TextPrepare,
)


def with_shadow(context: PlanContext, plan: Plan) -> Plan:
    """A plan as it is where no shadow matters to it, else one that may go there. Raises MeshError(NOT_SUPPORTED)."""
    rule, hinted = context.rule_set.shadow, context.statement.hints.shadow
    if rule is None:
        if hinted:
            raise not_supported("the hint SHADOW in a database without !SHADOW", "leave out the hint")
        return plan
    if isinstance(plan, SessionStatement):
        if hinted and isinstance(plan, _TOUCH_TABLES):
            raise _cannot_follow(context)
        return plan
    named = any(rule.table(name) is not None for name in plan.tables)
    if plan.verb in _ROWS:
        return _of_rows(context, plan, rule) if named or (hinted and plan.tables) else plan
    if _is_truncate(context, plan):
        return _truncation(context, plan, rule) if hinted else plan
    if hinted and plan.tables:
        raise _cannot_follow(context)
    return on_both_sides(context.rule_set, plan) if plan.verb is Verb.DDL else plan


def on_both_sides(rule_set: RuleSet, plan: ShardPlan) -> ShardPlan:
    """A definition of tables, triggers or views that have a shadow, for it too. Raises MeshError(NOT_SUPPORTED)."""
    rule = rule_set.shadow
    if rule is None or not (rule.by_hint or any(rule.table(name) is not None for name in plan.tables)):
        return plan
    if not isinstance(plan, TextPlan) or plan.whole is not None:
        raise not_supported(
            f"this statement about '{plan.tables[0]}', which has a shadow",
            "make the table first, then write its rows",
        )
    if plan.makes_temporary is not None:
        return plan
    shots = tuple(
        TextShot(rule.shadow_of[shot.data_source], shot.frame)
        for shot in plan.shots
        if shot.data_source in rule.shadow_of
    )
    answer = CountMerge(broadcast=True) if isinstance(plan.answer, Relay) else plan.answer
    return replace(plan, shots=plan.shots + shots, answer=answer) if shots else plan


@dataclass(frozen=True, slots=True)
class ShadowedPlan:
    """A `ShardPlan` whose statement may be the shadow's. `side` is None where it names tables of several logic databases."""

    plan: ShardPlan
    choice: Choice
    side: ShadowSide | None
    direct: None = None

    def bind(self, call: Call) -> BoundStatement:
        """What the plan gives, on the side these values belong to. Raises MeshError: what the plan raises, NOT_SUPPORTED."""
        bound = self.plan.bind(call)
        if call.settled or not self.choice.shadow(call):
            return bound
        if self.side is None:
            raise not_supported(
                "a statement for the shadow over several logic databases", "use one statement for each"
            )
        return self.side.place(bound)

    def prototype(self, literals: Sequence[object] = ()) -> Shot | Federation:
        """See `ShardPlan`; both sides have the same columns."""
        return self.plan.prototype(literals)

    @property
    def verb(self) -> Verb:
        """See `ShardPlan`, as all that follow."""
        return self.plan.verb

    @property
    def tables(self) -> tuple[str, ...]:
        return self.plan.tables

    @property
    def reads_only(self) -> bool:
        return self.plan.reads_only

    @property
    def from_replica(self) -> bool:
        return self.plan.from_replica

    @property
    def repeatable(self) -> bool:
        return self.plan.repeatable

    @property
    def opens_transaction(self) -> bool:
        return self.plan.opens_transaction

    @property
    def implicit_commit(self) -> bool:
        return self.plan.implicit_commit

    @property
    def pin(self) -> PinReason | None:
        return self.plan.pin

    @property
    def calculates_found_rows(self) -> bool:
        return self.plan.calculates_found_rows

    @property
    def reads_clock(self) -> bool:
        return self.plan.reads_clock

    @property
    def keeps_warnings(self) -> bool:
        return self.plan.keeps_warnings


def _of_rows(context: PlanContext, plan: ShardPlan, rule: ShadowRule) -> ShardPlan:
    choice = read_choice(context, rule, plan.verb)
    if not (choice.voters or choice.hinted):
        return plan
    return ShadowedPlan(plan, choice, None if rule.joint else ShadowSide(rule.shadow_of))


def _truncation(context: PlanContext, plan: ShardPlan, rule: ShadowRule) -> ShardPlan:
    """TRUNCATE takes rows away: production's, unless the hint says otherwise."""
    tables = [rule.table(name) for name in plan.tables]
    follows = all(rule.by_hint if table is None else table.by_hint for table in tables)
    if not isinstance(plan, TextPlan) or not follows:
        raise _cannot_follow(context)
    missing = next((one.data_source for one in plan.shots if one.data_source not in rule.shadow_of), None)
    if missing is not None:
        raise without_shadow(missing)
    shots = tuple(TextShot(rule.shadow_of[shot.data_source], shot.frame) for shot in plan.shots)
    return replace(plan, shots=shots)


def _cannot_follow(context: PlanContext) -> MeshError:
    word = LexemeReader(context.statement.readable).peek().word
    return not_supported(f"the hint SHADOW on {word}", "leave out the hint")


def _is_truncate(context: PlanContext, plan: ShardPlan) -> bool:
    return plan.verb is Verb.DDL and LexemeReader(context.statement.readable).looks_at("TRUNCATE")
