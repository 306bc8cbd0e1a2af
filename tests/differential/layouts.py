"""The ways tables are spread: one logic database each, its rules as YAML and where each row belongs.

Decides placement by itself, so that the tester does not believe what the product says about it. Knows no server.
"""

from __future__ import annotations

import datetime
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from tests.differential.schema import Table
from tests.differential.values import Value

SHARDED = ("item", "part", "event")
Node = tuple[int, str]
Cells = Mapping[str, str]
"""A row's sharding columns as texts, without quotes."""


@dataclass(frozen=True)
class Layout:
    """One logic database. `place` takes a sharded table and the sharding columns of a row."""

    name: str
    sources: int
    keys: Mapping[str, tuple[str, ...]]
    rules: str
    nodes: Mapping[str, tuple[Node, ...]]
    place: Callable[[str, Cells], Node]
    folded_codes: bool = False
    bound: tuple[str, ...] = ()

    def nodes_of(self, table: str) -> Sequence[Node]:
        """Where parts of a table lie: everywhere for the broadcast table, on ds_0 for the single one."""
        if table == "land":
            return [(source, table) for source in range(self.sources)]
        return self.nodes.get(table, ((0, table),))

    def places(self, table: Table, row: Sequence[Value]) -> Sequence[Node]:
        """The nodes a row belongs to."""
        if table.name not in SHARDED:
            return self.nodes_of(table.name)
        cells = {name: unquoted(row[table.index(name)]) for name in self.keys[table.name]}
        return [self.place(table.name, cells)]


def unquoted(value: Value) -> str:
    """A literal's text."""
    return (
        value.sql[1:-1].replace("''", "'").replace("\\\\", "\\") if value.sql.startswith("'") else value.sql
    )


def java_hash(text: str) -> int:
    """java.lang.String.hashCode: over UTF-16 units, in 32 bits."""
    units = text.encode("utf-16-be")
    code = 0
    for at in range(0, len(units), 2):
        code = (code * 31 + int.from_bytes(units[at : at + 2], "big")) & 0xFFFFFFFF
    return code - (1 << 32) if code >> 31 else code


def _modulo_2x2(column: str) -> Callable[[str, Cells], Node]:
    def place(table: str, cells: Cells) -> Node:
        number = int(cells[column]) % 4
        return number % 2, f"{table}_{number}"

    return place


def _modulo_4x1(columns: Mapping[str, str]) -> Callable[[str, Cells], Node]:
    return lambda table, cells: (int(cells[columns[table]]) % 4, table)


def _two_levels(table: str, cells: Cells) -> Node:
    if table == "event":
        return _modulo_2x2("id")(table, cells)
    return int(cells["owner"]) % 2, f"{table}_{int(cells['id']) % 2}"


def _hashed_2x2(table: str, cells: Cells) -> Node:
    number = abs(java_hash(cells["code"].rstrip(" "))) % 4
    return number % 2, f"{table}_{number}"


def _hashed_4x1(table: str, cells: Cells) -> Node:
    return abs(java_hash(cells["code"].rstrip(" "))) % 4, table


_QUARTERS = ("202301", "202304", "202307", "202310")
_EVENT_SPAN = 91 * 86400


def _dated(table: str, cells: Cells) -> Node:
    if table != "event":
        quarter = (int(cells["day"][5:7]) - 1) // 3
        return quarter, f"{table}_{_QUARTERS[quarter]}"
    elapsed = datetime.datetime.fromisoformat(cells["day"]) - datetime.datetime(2023, 1, 1)
    partition = min(max(0, math.ceil(round(int(elapsed.total_seconds()) / _EVENT_SPAN, 2))), 4)
    return partition % 4, f"event_{partition}"


def _numbered(tables: Sequence[str], count: int = 4, sources: int = 2) -> dict[str, tuple[Node, ...]]:
    return {
        table: tuple((number % sources, f"{table}_{number}") for number in range(count)) for table in tables
    }


def _whole(tables: Sequence[str]) -> dict[str, tuple[Node, ...]]:
    return {table: tuple((number, table) for number in range(4)) for table in tables}


def _auto(tables: Sequence[str], column: str, algorithm: str) -> str:
    return "".join(
        f"    {table}: {{actualDataSources: 'ds_0,ds_1', shardingStrategy: "
        f"{{standard: {{shardingColumn: {column}, shardingAlgorithmName: {algorithm}}}}}}}\n"
        for table in tables
    )


def _by_source(tables: Sequence[str], column: str, algorithm: str) -> str:
    return "".join(
        f"    {table}: {{actualDataNodes: 'ds_${{0..3}}.{table}', databaseStrategy: "
        f"{{standard: {{shardingColumn: {column}, shardingAlgorithmName: {algorithm}}}}}}}\n"
        for table in tables
    )


_MOD = "    four: {type: MOD, props: {sharding-count: 4}}\n"
_HASH = "    hashed: {type: HASH_MOD, props: {sharding-count: 4}}\n"

_TWO_LEVELS = (
    "  tables:\n"
    + "".join(
        f"    {table}: {{actualDataNodes: 'ds_${{0..1}}.{table}_${{0..1}}', "
        "databaseStrategy: {standard: {shardingColumn: owner, shardingAlgorithmName: by_owner}}, "
        f"tableStrategy: {{standard: {{shardingColumn: id, shardingAlgorithmName: two}}}}}}\n"
        for table in ("item", "part")
    )
    + "  autoTables:\n"
    + _auto(["event"], "id", "four")
    + "  bindingTables: ['item,part']\n  shardingAlgorithms:\n"
    + "    by_owner: {type: INLINE, props: {algorithm-expression: 'ds_${owner % 2}'}}\n"
    + "    two: {type: MOD, props: {sharding-count: 2}}\n"
    + _MOD
)

_DATED = (
    "  tables:\n"
    + "".join(
        f"    {table}: {{actualDataNodes: '{','.join(f'ds_{n}.{table}_{q}' for n, q in enumerate(_QUARTERS))}', "
        "tableStrategy: {standard: {shardingColumn: day, shardingAlgorithmName: by_quarter}}}\n"
        for table in ("item", "part")
    )
    + "  autoTables:\n"
    "    event: {actualDataSources: 'ds_${0..3}', shardingStrategy: "
    "{standard: {shardingColumn: day, shardingAlgorithmName: by_span}}}\n"
    "  bindingTables: ['item,part']\n"
    "  shardingAlgorithms:\n"
    "    by_quarter: {type: INTERVAL, props: {datetime-pattern: 'yyyy-MM-dd', datetime-lower: '2023-01-01', "
    "datetime-upper: '2023-12-31', sharding-suffix-pattern: yyyyMM, datetime-interval-amount: 3, "
    "datetime-interval-unit: MONTHS}}\n"
    "    by_span: {type: AUTO_INTERVAL, props: {datetime-lower: '2023-01-01 00:00:00', "
    f"datetime-upper: '2023-10-01 00:00:00', sharding-seconds: {_EVENT_SPAN}}}}}\n"
)


def _each(columns: Mapping[str, str]) -> dict[str, tuple[str, ...]]:
    return {table: (column,) for table, column in columns.items()}


_BY_OWNER = {"item": "owner", "part": "owner", "event": "id"}

LAYOUTS: tuple[Layout, ...] = (
    Layout(
        "key_2x2",
        2,
        _each(dict.fromkeys(SHARDED, "id")),
        "  autoTables:\n" + _auto(SHARDED, "id", "four") + "  shardingAlgorithms:\n" + _MOD,
        _numbered(SHARDED),
        _modulo_2x2("id"),
    ),
    Layout(
        "key_4x1",
        4,
        _each(dict.fromkeys(SHARDED, "id")),
        "  tables:\n" + _by_source(SHARDED, "id", "four") + "  shardingAlgorithms:\n" + _MOD,
        _whole(SHARDED),
        _modulo_4x1(dict.fromkeys(SHARDED, "id")),
    ),
    Layout(
        "bound_2x2",
        2,
        {"item": ("owner", "id"), "part": ("owner", "id"), "event": ("id",)},
        _TWO_LEVELS,
        {
            **{t: tuple((s, f"{t}_{n}") for s in (0, 1) for n in (0, 1)) for t in ("item", "part")},
            **_numbered(["event"]),
        },
        _two_levels,
        bound=("owner", "id"),
    ),
    Layout(
        "bound_4x1",
        4,
        _each(_BY_OWNER),
        "  tables:\n"
        + _by_source(["item", "part"], "owner", "four")
        + _by_source(["event"], "id", "four")
        + "  bindingTables: ['item,part']\n  shardingAlgorithms:\n"
        + _MOD,
        _whole(SHARDED),
        _modulo_4x1(_BY_OWNER),
        bound=("owner",),
    ),
    Layout(
        "text_2x2",
        2,
        _each(dict.fromkeys(SHARDED, "code")),
        "  autoTables:\n"
        + _auto(SHARDED, "code", "hashed")
        + "  bindingTables: ['item,part']\n  shardingAlgorithms:\n"
        + _HASH,
        _numbered(SHARDED),
        _hashed_2x2,
        bound=("code",),
    ),
    Layout(
        "text_4x1",
        4,
        _each(dict.fromkeys(SHARDED, "code")),
        "  tables:\n" + _by_source(SHARDED, "code", "hashed") + "  shardingAlgorithms:\n" + _HASH,
        _whole(SHARDED),
        _hashed_4x1,
        folded_codes=True,
    ),
    Layout(
        "date_4x1",
        4,
        _each(dict.fromkeys(SHARDED, "day")),
        _DATED,
        {
            **{t: tuple((n, f"{t}_{q}") for n, q in enumerate(_QUARTERS)) for t in ("item", "part")},
            "event": tuple((n % 4, f"event_{n}") for n in range(5)),
        },
        _dated,
        bound=("day",),
    ),
)
