"""The client's own statement on one data node: what is asked for the columns of an answer whose shots run another text.

Decides which answers need it, and where MariaDB's LIMIT ROWS EXAMINED goes, which ends it before it reads a row. Knows no
columns.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

from dbmesh.planner.context import PlanContext
from dbmesh.planner.draft import Scatter
from dbmesh.planner.plan import Call, OwnStatement, Question, RowMerge
from dbmesh.planner.point import Frames
from dbmesh.planner.route import Routing, Target, literal_slots
from dbmesh.planner.template import Edits, RowCount
from dbmesh.sql.clauses import find_clauses

_BEFORE_LIMIT = ("FROM", "WHERE", "GROUP", "HAVING", "WINDOW", "ORDER")


@dataclass(frozen=True, slots=True)
class OwnText:
    """The statement before its values are known."""

    frames: Frames
    limited: Frames
    whole: Frames

    def question(self, routing: Routing, call: Call, merge: RowMerge) -> Question:
        """What to ask of these nodes for the values of a call."""
        statement = partial(self._statement, routing.targets[0], call)
        return Question(statement, merge.limit == 0, partial(self._whole, routing, call))

    def _whole(self, routing: Routing, call: Call) -> list[bytes]:
        """The client's statement for each target."""
        return [
            self.whole.of(target).render(literal_slots(routing, target, call.literals), call)
            for target in routing.targets
        ]

    def _statement(self, target: Target, call: Call, limited: bool) -> OwnStatement:
        frames, keep = self.limited if limited else self.frames, call.keep_parameters
        frame = frames.of(target)
        sql = frame.render(call.literals, call, keep_parameters=keep)
        return OwnStatement(sql, frame.parameters if keep else ())


def own_text(context: PlanContext, edits: Edits, scatter: Scatter) -> OwnText | None:
    """The text for the columns of this scatter, None where shards run the client's. `edits` are those of the single shot."""
    merging = scatter.merging
    clauses = find_clauses(context.statement.tokens)
    rewritten = merging.hidden or merging.grouped or merging.distinct
    if not rewritten or clauses is None or "FROM" not in clauses.spans:
        return None
    ended = edits.copy()
    if "LIMIT" in clauses.spans:
        ended.insert(clauses.spans["LIMIT"][1], " ROWS EXAMINED 0")
    else:
        ended.insert(clauses.after(*_BEFORE_LIMIT), " LIMIT ROWS EXAMINED 0")
    whole = from_the_first_row(context, edits, scatter)
    return OwnText(Frames(edits.build()), Frames(ended.build()), Frames(whole.build()))


def from_the_first_row(context: PlanContext, edits: Edits, scatter: Scatter) -> Edits:
    """The edits of the single shot for all rows that OFFSET and LIMIT together are about: which of them OFFSET skips, no
    node knows."""
    limits, clauses = scatter.limits, find_clauses(context.statement.tokens)
    if limits.limit is None or limits.offset is None or clauses is None:
        return edits
    counted = edits.copy()
    counted.replace(*clauses.spans["LIMIT"], "LIMIT ", RowCount(limits.limit, limits.offset))
    return counted
