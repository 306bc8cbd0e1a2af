"""sql_select_limit: the LIMIT of every query that has none of its own.

Decides where it is applied when several shards answer one query: by the merge, once. Source: manual, "Server System
Variables".
"""

from __future__ import annotations

from dataclasses import replace

from dbmesh.backend.state import SessionState
from dbmesh.errors import not_supported
from dbmesh.planner.plan import Answer, BoundStatement, RowMerge, Verb

_NAME = "sql_select_limit"


def without_limit(state: SessionState) -> SessionState:
    """The state of a connection that must give every row; the same object where nothing limits."""
    if not state.variables or state.variable(_NAME) is None:
        return state
    return state.with_variable(_NAME, None)


def limited(bound: BoundStatement, verb: Verb, state: SessionState) -> Answer:
    """The answer of a statement with the session's limit in it, where it is a merged query without a LIMIT. Raises
    MeshError for a limit that is no plain number, and for a query that reads the variable itself: shards have none."""
    answer = bound.answer
    if not state.variables or not isinstance(answer, RowMerge):
        return answer
    limit = state.variable(_NAME)
    if limit is None or verb is not Verb.SELECT:
        return answer
    if _NAME.encode() in bound.shots[0].sql.lower():
        raise not_supported(f"reading @@{_NAME} over several data nodes", "read it in a query of its own")
    if answer.limit is not None:
        return answer
    if bound.decryption is not None and bound.decryption.checks:
        raise not_supported(f"LIKE on an encrypted column under {_NAME}", f"unset {_NAME}")
    if not limit.isdecimal():
        raise not_supported(
            f"sql_select_limit = {limit} over several data nodes", "write it as a plain number"
        )
    return replace(answer, limit=int(limit))
