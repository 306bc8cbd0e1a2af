"""A query over several data nodes, over each row of a node so many times: what it is run as to learn which of its warnings
belong to the statement, and not to the rows of the sharded tables.

Decides how rows are repeated without the server seeing through it. Knows no warnings.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from dbmesh.planner.context import PlanContext
from dbmesh.planner.plan import Call, OwnStatement
from dbmesh.planner.point import Frames
from dbmesh.planner.resolve import Scopes, TableReference
from dbmesh.planner.route import Target
from dbmesh.planner.template import Edits, TableName
from dbmesh.planner.written_clauses import index_hints, lock_clauses
from dbmesh.sql.clauses import Span, find_clauses

_COPY = "dbmesh_copy"
_BARRIER = "LIMIT 18446744073709551615"
"""Keeps a derived table a table of its own: neither merged into the statement nor given conditions of it."""


@dataclass(frozen=True, slots=True)
class RepeatedText:
    """The statement over every row once, and over every row twice, both by way of derived tables."""

    once: Frames
    twice: Frames

    def statement(self, target: Target, literals: Sequence[object], call: Call, times: int) -> OwnStatement:
        """The text of one node for the values of a call."""
        frame, keep = (self.once if times == 1 else self.twice).of(target), call.keep_parameters
        sql = frame.render(literals, call, keep_parameters=keep)
        return OwnStatement(sql, frame.parameters if keep else ())


def repeated_text(context: PlanContext, edits: Edits, scopes: Scopes) -> RepeatedText | None:
    """The text; None where table names carry schemas, partitions or times. `edits` are those of the single shot."""
    if context.rule_set.joined or any(
        one.node.args.get("partition") or one.node.args.get("version") for one in scopes.sharded
    ):
        return None
    return RepeatedText(*(Frames(_repeated(context, edits, scopes, times).build()) for times in (1, 2)))


def _repeated(context: PlanContext, edits: Edits, scopes: Scopes, times: int) -> Edits:
    rows = " UNION ALL ".join(f"SELECT {copy} AS {_COPY}" for copy in range(times))
    repeated = edits.copy()
    grouped, clause = _grouped(context, scopes)
    if clause is not None:
        repeated.insert(clause[1], f", {_COPY}")
    for reference in scopes.sharded:
        written = context.statement.text[reference.node.this.meta["start"] : reference.end]
        segments = (
            f"(SELECT dbmesh_t.*{f', dbmesh_n.{_COPY}' if reference is grouped else ''} FROM ",
            TableName(reference.index, reference.quoted),
            f" AS dbmesh_t JOIN ({rows}) AS dbmesh_n {_BARRIER})",
            *(() if reference.aliased else (f" AS {written}",)),
        )
        repeated.replace_again(reference.start, reference.end, *segments)
    tokens = context.statement.tokens
    for span in (*(lock.span for lock in lock_clauses(tokens)), *index_hints(tokens)):
        repeated.replace(*span)
    return repeated


def _grouped(context: PlanContext, scopes: Scopes) -> tuple[TableReference | None, Span | None]:
    """A table whose copies of rows are groups of their own, since a server may warn once of each group, and where GROUP BY
    stands; nothing where rows are not grouped."""
    tree = context.statement.tree
    clauses = find_clauses(context.statement.tokens) if tree.args.get("group") is not None else None
    grouped = next((reference for reference in scopes.sharded if reference.scope is tree), None)
    if clauses is None or grouped is None:
        return None, None
    return grouped, clauses.spans.get("GROUP")
