"""Where many rows of a sharded table belong: one data node each, by the fastest way its rule has.

Decides nothing of its own; the rule does. Knows keys, not how rows are written.
"""

from __future__ import annotations

from collections.abc import Sequence

from dbmesh.model import DataNode
from dbmesh.rules.ruleset import Hints, ShardedTable
from dbmesh.rules.values import Key


def place_rows(table: ShardedTable, keys: Sequence[Sequence[Key]], rows: int, hints: Hints) -> list[DataNode]:
    """The data node of each of so many rows, all of them objects of the rule's `nodes`. `keys` holds for each sharding column the keys
    of all rows. O(rows). Raises MeshError(NO_ROUTE) for a row without a place."""
    columns = table.sharding_columns
    router = table.point_router()
    if router is not None:
        return list(map(router, keys[0]))
    pair = table.pair_router()
    if pair is not None:
        source, target, route = pair
        return list(map(route, keys[columns.index(source)], keys[columns.index(target)]))
    if not columns:
        return [table.place({}, hints)] * rows
    return [table.place(dict(zip(columns, row, strict=True)), hints) for row in zip(*keys, strict=True)]
