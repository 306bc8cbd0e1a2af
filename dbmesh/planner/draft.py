"""A SELECT on its way to several nodes: what its parts share while the merge is worked out, and the result.

Decides nothing by itself; `scatter` chooses the way, `rows` and `grouping` go it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from sqlglot import exp

from dbmesh.errors import MeshError, not_supported
from dbmesh.planner.context import PlanContext
from dbmesh.planner.having import HavingTemplate
from dbmesh.planner.plan import Call, RowMerge
from dbmesh.planner.resolve import Scopes
from dbmesh.planner.template import Edits, RowCount, Segment, Template, row_count
from dbmesh.sql.clauses import Clauses
from dbmesh.sql.lexer import LexerFlags
from dbmesh.sql.shape import Slot

_ONE_NODE = "add conditions on the sharding columns so that one data node holds all rows"


@dataclass(frozen=True, slots=True)
class Limits:
    """LIMIT and OFFSET of the client, None where absent."""

    limit: Slot | None = None
    offset: Slot | None = None


@dataclass(frozen=True, slots=True)
class Scatter:
    """The statement for each of several nodes, and the merge of their answers.

    `merging` is complete but for values: `limits` and `having` are filled in when values are bound.
    """

    template: Template
    merging: RowMerge
    limits: Limits
    having: HavingTemplate | None = None

    def merge(self, call: Call, flags: LexerFlags) -> RowMerge:
        """The merge for these values. Raises MeshError for a LIMIT that is no count."""
        merging = self.merging
        if self.limits.limit is not None:
            offset = 0 if self.limits.offset is None else row_count(self.limits.offset, call, flags)
            merging = replace(merging, limit=row_count(self.limits.limit, call, flags), offset=offset)
        if self.having is not None:
            merging = replace(merging, having=self.having.bind(call, flags))
        return merging


@dataclass(frozen=True, slots=True)
class Draft:
    """A SELECT on its way to several nodes: the edits so far and where its clauses stand."""

    context: PlanContext
    scopes: Scopes
    edits: Edits
    select: exp.Select
    clauses: Clauses
    limits: Limits

    def add_hidden(self, columns: Sequence[Segment]) -> None:
        """Append columns to the select list; FROM may stand close behind it, as in `f(a)FROM t`."""
        end = self.clauses.items[-1][1]
        if columns:
            glued = self.context.statement.text[end : end + 1].isalpha()
            self.edits.insert(end, *columns, *((" ",) if glued else ()))

    def drop_limit(self) -> None:
        """No LIMIT below: the merge alone counts."""
        if "LIMIT" in self.clauses.spans:
            self.edits.replace(*self.clauses.spans["LIMIT"])


def limits_of(context: PlanContext, select: exp.Expr) -> Limits:
    """The slots of LIMIT and OFFSET. Raises MeshError where they are no plain numbers, and for an OFFSET alone, which no
    node may skip by itself."""

    def slot(name: str) -> Slot | None:
        clause = select.args.get(name)
        if clause is None:
            return None
        found = context.statement.slot(clause.expression)
        if found is None:
            raise not_supported(
                "LIMIT by an expression over several data nodes", "write numbers or parameters"
            )
        return found

    limits = Limits(slot("limit"), slot("offset"))
    if limits.limit is None and limits.offset is not None:
        raise not_supported("OFFSET without LIMIT over several data nodes", "write LIMIT as well")
    return limits


def push_limit(draft: Draft) -> None:
    """Every shard sends as many rows as offset and limit together may need."""
    if draft.limits.limit is not None and draft.limits.offset is not None:
        rows = RowCount(draft.limits.limit, draft.limits.offset)
        draft.edits.replace(*draft.clauses.spans["LIMIT"], "LIMIT ", rows)


def refusal(what: str) -> MeshError:
    """The usual refusal over several nodes."""
    return not_supported(f"{what} over several data nodes", _ONE_NODE)
