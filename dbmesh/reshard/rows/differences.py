"""What makes rows of one side equal to those of the other: which are taken away, which are written.

Pure. Rows are images (`planner.images`), which tell every value exactly.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from dbmesh.planner.images import ImageTable, Row
from dbmesh.planner.key_range import behind, up_to
from dbmesh.planner.template import quote_name


@dataclass(frozen=True, slots=True)
class Repair:
    """`gone`: keys of rows that are taken away, since they are not in the source, are there otherwise, or more than once. `written`:
    rows that are written then."""

    gone: tuple[Row, ...]
    written: tuple[Row, ...]


def repair(table: ImageTable, source: Iterable[Row], target: Iterable[Row]) -> Repair:
    """What makes `target` equal to `source`. O(rows)."""
    wanted = {table.key_of(row): row for row in source}
    wrong: dict[Row, None] = {}
    right: set[Row] = set()
    for row in target:
        key = table.key_of(row)
        if key in right or wanted.get(key) != row:
            wrong[key] = None
        else:
            right.add(key)
    missing = [row for key, row in wanted.items() if key not in right or key in wrong]
    return Repair(tuple(wrong), tuple(missing))


def keys_between(table: ImageTable, after: Row | None, upto: Row | None) -> str:
    """The condition for rows whose primary key is greater than `after` and not greater than `upto`; None is an open end."""
    names = _names(table)
    parts = []
    if after is not None:
        parts.append(behind(names, _literals(table, after)))
    if upto is not None:
        parts.append(up_to(names, _literals(table, upto)))
    return " AND ".join(parts) or "1"


def _names(table: ImageTable) -> list[str]:
    return [quote_name(table.columns[index].name, quoted=True) for index in table.key]


def _literals(table: ImageTable, key: Row) -> list[str]:
    return [table.columns[index].literal(value) for index, value in zip(table.key, key, strict=True)]


def in_key_order(table: ImageTable, condition: str, limit: int) -> str:
    """The query of the first rows in the order of the primary key."""
    return f"{read(table, condition)} ORDER BY {', '.join(_names(table))} LIMIT {limit}"


def key_at(table: ImageTable, condition: str, rows: int) -> str:
    """The query of the primary key of the last of so many rows, in its order: none where there are not so many."""
    items = ",".join([table.columns[index].item for index in table.key])
    name, order = quote_name(table.name, quoted=True), ", ".join(_names(table))
    return f"SELECT {items} FROM {name} WHERE {condition} ORDER BY {order} LIMIT 1 OFFSET {rows - 1}"


def read(table: ImageTable, condition: str) -> str:
    """The query of the rows a condition names."""
    return table.query(condition, lock=False)
