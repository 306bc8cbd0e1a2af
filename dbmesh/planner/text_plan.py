"""A plan whose shots are known before any literal: the client's text, edited per data node.

Used by DDL, by metadata statements and by statements that live on one data source. Decides nothing about routes.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from dbmesh.model import DataNode
from dbmesh.planner.given_ids import GivenIds
from dbmesh.planner.plan import Answer, BoundStatement, Call, Names, PinReason, Shot, SideEffects, Verb
from dbmesh.planner.template import Frame, Template
from dbmesh.rules.ruleset import NO_CHANGE, BroadcastTable, RuleChange, RuleSet, ShardedTable


@dataclass(frozen=True, slots=True)
class TextShot:
    """One statement for one data source before its literals are known."""

    data_source: str
    frame: Frame


@dataclass(frozen=True, slots=True)
class MadeWhole:
    """What comes before a table that was sharded by itself becomes a single one, because of `why`: every node but the first
    gets a constraint that no row fulfils (`guards`), so that it is empty and stays so; then the client's statement runs on
    the first (`written`). `undo` takes the constraints away when one of these fails."""

    table: str
    why: str
    guards: tuple[Shot, ...]
    undo: tuple[Shot, ...]
    written: Shot


@dataclass(frozen=True, slots=True)
class TextPlan:
    """A `ShardPlan` of fixed shots. `change` is what it means for the rules, `warnings` what the client is told of it,
    `whole` what comes before; `makes_temporary` is the temporary table the session has afterwards, `drops` are the tables it has no more. `announced`: other processes read
    their catalogs again."""

    verb: Verb
    tables: tuple[str, ...]
    shots: tuple[TextShot, ...]
    answer: Answer
    names: Names
    reads_only: bool = False
    from_replica: bool = False
    repeatable: bool = False
    opens_transaction: bool = True
    implicit_commit: bool = False
    pin: PinReason | None = None
    calculates_found_rows: bool = False
    reads_clock: bool = False
    direct: None = None
    change: RuleChange = NO_CHANGE
    warnings: tuple[str, ...] = ()
    makes_temporary: DataNode | None = None
    drops: tuple[str, ...] = ()
    effects: SideEffects | None = None
    given: GivenIds | None = None
    whole: MadeWhole | None = None
    announced: bool = False

    @property
    def keeps_warnings(self) -> bool:
        """See `ShardPlan`."""
        return not self.tables

    def bind(self, call: Call) -> BoundStatement:
        """The shots with the call's literals and parameters."""
        keep = keeps_parameters(call, self.verb)
        shots = tuple(
            Shot(shot.data_source, shot.frame.render(call.literals, call, keep_parameters=keep))
            for shot in self.shots
        )
        gives_id = self.given is not None and self.given.all_given(call)
        return BoundStatement(shots, self.answer, self.names, keep, effects=self.effects, gives_id=gives_id)

    def prototype(self, literals: Sequence[object] = ()) -> Shot:
        """The statement on its first data node."""
        return prototype_shot(self.shots[0].data_source, (self.shots[0].frame,), literals)


def prototype_shot(data_source: str, frames: Sequence[Frame], literals: Sequence[object] = ()) -> Shot:
    """The text of `frames`, one behind the other, for a shard to prepare."""
    return Shot(data_source, b"".join([frame.prototype(literals) for frame in frames]))


def part_frame(template: Template, tables: Sequence[str] = ()) -> Frame:
    """A frame of a part of a statement: its literals are found by index, not by order."""
    return replace(template.frame(tables), sequential=False)


def keeps_parameters(call: Call, verb: Verb) -> bool:
    """Whether a statement is to be prepared with its `?` in place: asked for, and one that servers prepare. Not all do that
    have none."""
    return call.keep_parameters and (verb.changes_rows or bool(call.parameters))


def names_of(rule_set: RuleSet, rules: Iterable[ShardedTable | BroadcastTable | str]) -> Names:
    """Actual names of these tables back to their logic names; a text is a table without a rule."""
    tables: dict[str, str] = {}
    for rule in rules:
        if isinstance(rule, str):
            tables[str(rule)] = str(rule)
        else:
            tables.update((str(node.table), rule.name) for node in rule.nodes)
    return Names(rule_set.database, tables, rule_set.schemas)
