"""FOR UPDATE and its like over what stands in a table's place: a server locks no rows through a derived table, so the clause goes
into it.

Decides which clause of a statement is about a reference. Who puts what in its place is `view_expansion`'s and `masked`'s business.
"""

from __future__ import annotations

from collections.abc import Sequence

from sqlglot import exp

from dbmesh.errors import MeshError
from dbmesh.planner.context import PlanContext
from dbmesh.planner.subselects import scope_of
from dbmesh.planner.written_clauses import LockClause


def row_lock(
    context: PlanContext, node: exp.Table, alias: str, locks: Sequence[LockClause], unclear: MeshError
) -> str:
    """The locking clause of the SELECT in which a reference with this alias (lower case) stands, '' for none. Raises `unclear`
    where clauses differ: which is whose is not read."""
    scope = scope_of(node)
    if scope is None or not scope.args.get("locks"):
        return ""
    text = context.statement.text
    clauses = {(lock.tables, f"{lock.mode} {text[slice(*lock.waits)].strip()}".rstrip()) for lock in locks}
    if len(clauses) != 1:
        raise unclear
    [(tables, clause)] = clauses
    return "" if tables and alias not in tables else clause
