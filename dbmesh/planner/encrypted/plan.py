"""The plan of a statement over encrypted columns: that of the statement in its place, its values made when it is bound.

Decides nothing about routes. What the plan of the other statement says of itself holds for this one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from dbmesh.errors import not_supported
from dbmesh.planner.encrypted.decryption import Decryption, TextCheck
from dbmesh.planner.encrypted.recipe import Recipe
from dbmesh.planner.plan import (
    BoundStatement,
    Call,
    DirectWay,
    PinReason,
    Relay,
    RowMerge,
    ShardPlan,
    Shot,
    Verb,
)
from dbmesh.planner.scans import Federation
from dbmesh.planner.steps import DerivedWrite
from dbmesh.planner.template import slot_value
from dbmesh.sql.shape import Slot


@dataclass(frozen=True, slots=True)
class PatternPlace:
    """A check of `TextCheck` whose pattern is in a slot."""

    place: int
    slot: Slot
    negated: bool


@dataclass(frozen=True, slots=True, eq=False)
class EncryptedPlan:
    """See `ShardPlan`. `inner` is the plan of the other statement. `logic` is that of a write itself, for those that run in steps:
    these are statements of clients, and planned like them. `columns`: see `Names`. `steps_only`: it always runs in
    steps, since no server can run the whole."""

    inner: ShardPlan
    recipe: Recipe
    decryption: Decryption
    patterns: tuple[PatternPlace, ...] = ()
    logic: ShardPlan | None = None
    columns: Mapping[str, str] = field(default_factory=dict)
    steps_only: bool = False

    @property
    def verb(self) -> Verb:
        """See `ShardPlan`, here and below."""
        return self.inner.verb

    @property
    def tables(self) -> tuple[str, ...]:
        return self.inner.tables

    @property
    def reads_only(self) -> bool:
        return self.inner.reads_only

    @property
    def from_replica(self) -> bool:
        return self.inner.from_replica

    @property
    def repeatable(self) -> bool:
        return self.inner.repeatable

    @property
    def opens_transaction(self) -> bool:
        return self.inner.opens_transaction

    @property
    def implicit_commit(self) -> bool:
        return self.inner.implicit_commit

    @property
    def pin(self) -> PinReason | None:
        return self.inner.pin

    @property
    def calculates_found_rows(self) -> bool:
        return self.inner.calculates_found_rows

    @property
    def reads_clock(self) -> bool:
        return self.inner.reads_clock

    @property
    def keeps_warnings(self) -> bool:
        return self.inner.keeps_warnings

    @property
    def direct(self) -> DirectWay | None:
        return None

    def bind(self, call: Call) -> BoundStatement:
        """See `ShardPlan`. Values are always written in: those that are made are none of the client's parameters."""
        if self.steps_only:
            return self._in_steps(call)
        inner = replace(
            call,
            literals=self.recipe.literals(call),
            parameters=self.recipe.values(call),
            keep_parameters=False,
        )
        bound = self.inner.bind(inner)
        if isinstance(bound.answer, DerivedWrite):
            return self._in_steps(call)
        bound = bound._replace(names=replace(bound.names, columns=self.columns))
        decryption = replace(self.decryption, checks=[self._check(one, call) for one in self.patterns])
        if not (decryption.columns or decryption.hidden):
            prepared = call.keep_parameters and isinstance(bound.answer, Relay | RowMerge) and self.reads_only
            bound = bound._replace(in_steps=None, written_in=True)
            return bound._replace(keeps_parameters=True, parameters=()) if prepared else bound
        answer = RowMerge() if isinstance(bound.answer, Relay) else bound.answer
        prepared = call.keep_parameters and isinstance(answer, RowMerge)
        return bound._replace(
            answer=answer,
            alternative=None,
            in_steps=None,
            decryption=decryption,
            written_in=True,
            keeps_parameters=prepared,
            parameters=() if prepared else bound.parameters,
        )

    def _in_steps(self, call: Call) -> BoundStatement:
        bound = None if self.logic is None else self.logic.bind(replace(call, keep_parameters=False))
        if bound is not None and bound.in_steps is not None and not isinstance(bound.answer, DerivedWrite):
            bound = bound.in_steps()
        if bound is None or not isinstance(bound.answer, DerivedWrite):
            raise not_supported(
                "this write over encrypted columns, which takes several steps",
                "name the rows by their key in WHERE",
            )
        # Servers cannot explain a statement over columns that they do not have.
        return bound._replace(answer=replace(bound.answer, explained=tuple))

    def _check(self, pattern: PatternPlace, call: Call) -> TextCheck:
        value = slot_value(pattern.slot, call, self.recipe.flags)
        return TextCheck(pattern.place, str(value), pattern.negated)

    def prototype(self, literals: Sequence[object] = ()) -> Shot | Federation:
        """See `ShardPlan`: any values stand for those that are made."""
        found = self.inner.prototype(())
        return Shot(found.data_source, b"DO 0") if self.steps_only and isinstance(found, Shot) else found
