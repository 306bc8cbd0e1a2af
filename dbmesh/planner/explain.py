"""A bound statement in words: its shots and its merge, for `dbmesh explain` and PREVIEW.

Decides only how a plan reads. Executes nothing.
"""

from __future__ import annotations

from dbmesh.planner.plan import (
    Answer,
    BoundStatement,
    CountMerge,
    LinkStatus,
    Relay,
    RenameValues,
    ReturnedRows,
    RowMerge,
    Shot,
    SortKey,
    TableReports,
    WithOwnVariables,
)
from dbmesh.planner.scans import Federation, SystemFederation
from dbmesh.planner.steps import DerivedWrite

Row = tuple[str, str, str]
"""Data source, SQL, how its answer is merged."""


def explain(bound: BoundStatement) -> tuple[Row, ...]:
    """One row for each shot; the merge is told on the first. Of a federated statement the last row is the final one;
    a derived write has one for each of its queries."""
    answer = bound.answer
    if isinstance(answer, DerivedWrite):
        queries = enumerate(step.query for step in answer.steps)
        return tuple(("logic", query, describe(answer) if number == 0 else "") for number, query in queries)
    shots = [(shot, _loaded_into(answer, shot)) for shot in bound.shots]
    if isinstance(answer, Federation | SystemFederation):
        shots.append((Shot(answer.merge_node, answer.final), "the answer"))
    rows = [
        (shot.data_source, shot.sql.decode("utf-8", "backslashreplace"), remark) for shot, remark in shots
    ]
    first = rows[0]
    return ((*first[:2], describe(answer)), *rows[1:])


def _loaded_into(answer: Answer, shot: Shot) -> str:
    if not isinstance(answer, Federation):
        return ""
    return next((f"loads {scan.table}" for scan in answer.scans if shot in scan.shots), "")


def describe(answer: Answer) -> str:
    """What happens to the answers of the shards."""
    if isinstance(answer, Relay):
        return "relay"
    if isinstance(answer, TableReports):
        return "one report per table"
    if isinstance(answer, RenameValues):
        return "relay, names turned back"
    if isinstance(answer, LinkStatus):
        return "relay, TLS of the client's own link"
    if isinstance(answer, WithOwnVariables):
        return "relay, and the mesh's own variables"
    if isinstance(answer, CountMerge):
        return "first count (broadcast)" if answer.broadcast else "sum of counts"
    if isinstance(answer, ReturnedRows):
        return (
            "rows returned by the first (broadcast)"
            if answer.broadcast
            else "rows in the order they were written"
        )
    if isinstance(answer, Federation):
        return f"federated on {answer.merge_node}, because {answer.reason}"
    if isinstance(answer, DerivedWrite):
        return "rows of the query are written by their keys, in one transaction"
    if isinstance(answer, SystemFederation):
        return f"every data source's information_schema, on {answer.merge_node}"
    return _rows(answer)


def _rows(merge: RowMerge) -> str:
    parts: list[str] = []
    if merge.grouped:
        functions = ", ".join(f"{a.function.value} → column {a.column}" for a in merge.aggregates)
        parts.append(f"group by {_keys(merge.group_by) or 'nothing'}: {functions or 'no aggregates'}")
        if merge.having is not None:
            parts.append("having")
        if merge.resort:
            parts.append(f"sort by {_keys(merge.order_by)}")
    elif merge.order_by:
        parts.append(f"merge sorted by {_keys(merge.order_by)}")
    else:
        parts.append("one after another")
    if merge.distinct:
        parts.append(f"distinct by {_keys(merge.distinct_keys)}")
    if merge.offset:
        parts.append(f"skip {merge.offset}")
    if merge.limit is not None:
        parts.append(f"limit {merge.limit}")
    if merge.hidden:
        parts.append(f"drop {merge.hidden} hidden")
    return "; ".join(parts)


def _keys(keys: tuple[SortKey, ...]) -> str:
    return ", ".join(_key(key) for key in keys)


def _key(key: SortKey) -> str:
    text = f"column {key.column}"
    if key.weight is not None:
        text += f" (weight {key.weight})"
    return text + (" desc" if key.descending else "")
