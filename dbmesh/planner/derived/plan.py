"""The plan of a write that is derived, and how others fall back to it.

Decides nothing about SQL: it holds what `keyed` and `insert_select` made.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Protocol

from sqlglot import exp

from dbmesh.errors import NOT_SUPPORTED, MeshError, Refusal
from dbmesh.planner.one_place import OnePlacePlan, first_target
from dbmesh.planner.plan import BoundStatement, Call, Names, PinReason, Relay, Shot, Verb
from dbmesh.planner.route import Router, Target
from dbmesh.planner.steps import DerivedWrite
from dbmesh.planner.template import Frame, Template
from dbmesh.planner.text_plan import TextPlan, prototype_shot

# MySQL explains as a tree unless it is asked for rows; MariaDB knows no name for them.
_EXPLAIN = b"EXPLAIN /*!80000 FORMAT=TRADITIONAL */ "
_WITHOUT_SUBQUERIES = b"/*M! SET STATEMENT expensive_subquery_limit=0 FOR */ "
"""MariaDB runs cheap subqueries when it plans: over a part of the rows they would say what is not so of all."""


class Derivation(Protocol):
    """A derived write before its literals are known."""

    def bind(self, call: Call) -> DerivedWrite:
        """The steps for these values."""
        ...


def bind_derived(
    derivation: Derivation | Refusal,
    call: Call,
    names: Names,
    router: Router,
    frame: Callable[[Target], Frame],
) -> BoundStatement:
    """The derived write as a bound statement. `frame` gives the client's own on one target. Raises the reason why there is
    none."""
    if isinstance(derivation, Refusal):
        raise derivation.error()
    write = derivation.bind(call)
    explained = partial(_explained, write.looks_row_by_row, call, names, router, frame)
    return BoundStatement((), replace(write, explained=explained), names)


def _explained(
    looks_row_by_row: bool, call: Call, names: Names, router: Router, frame: Callable[[Target], Frame]
) -> Iterator[BoundStatement]:
    explain, targets = _EXPLAIN, _of_all_rows(router) if looks_row_by_row else None
    try:
        if targets is None:
            targets = (router.any_target(),)
        elif not targets:
            explain, targets = _WITHOUT_SUBQUERIES + explain, (router.any_target(),)
    except MeshError:
        return
    for target in targets:
        shot = Shot(target.data_source, explain + frame(target).render(call.literals, call))
        yield BoundStatement((shot,), Relay(), names)


def _of_all_rows(router: Router) -> Sequence[Target] | None:
    """Targets that together have every row of the sharded tables that subqueries name; none where a part of them stands alone,
    None where subqueries name no such table."""
    spread = any(isinstance(place.reference.scope, exp.Query) for place in router.places)
    if not spread or router.hints.data_source is not None:
        return None
    try:
        return [router.beside(number) for number in range(max(len(one.table.nodes) for one in router.places))]
    except MeshError:
        return ()


@dataclass(frozen=True, slots=True)
class DerivedPlan:
    """A `ShardPlan` that derives. With `one_place`, only when the rows do not all meet on one data source, or not all can be told from the
    text where that matters. `router` and `template` serve PREPARE."""

    verb: Verb
    tables: tuple[str, ...]
    derivation: Derivation | Refusal
    names: Names
    router: Router
    template: Template
    one_place: OnePlacePlan | TextPlan | None = None
    reads_only: bool = False
    from_replica: bool = False
    repeatable: bool = False
    opens_transaction: bool = True
    implicit_commit: bool = False
    pin: PinReason | None = None
    calculates_found_rows: bool = False
    reads_clock: bool = False
    keeps_warnings: bool = False
    direct: None = None

    def bind(self, call: Call) -> BoundStatement:
        """The only shot, or the steps for these values. Raises MeshError(NOT_SUPPORTED)."""
        in_steps = partial(bind_derived, self.derivation, call, self.names, self.router, self._frame)
        if self.one_place is not None:
            try:
                return self.one_place.bind(call)._replace(in_steps=in_steps)
            except MeshError as refusal:
                if refusal.kind is not NOT_SUPPORTED or self.router.hints.data_source is not None:
                    raise
        return in_steps()

    def _frame(self, target: Target) -> Frame:
        return self.template.frame(target.tables)

    def prototype(self, literals: Sequence[object] = ()) -> Shot:
        """The client's statement on the first node of every table."""
        target = first_target(self.router)
        return prototype_shot(target.data_source, (self.template.frame(target.tables),), literals)
