"""Sharding algorithms made from their properties, as the tests of `dbmesh/rules/algorithms` ask them.

Decides the targets and the properties those tests share; what is expected of them, every test says itself.
"""

from __future__ import annotations

import datetime

from dbmesh.rules.algorithms.properties import PropertyReader
from dbmesh.rules.algorithms.registry import ALGORITHMS
from dbmesh.rules.algorithms.standard import StandardAlgorithm
from dbmesh.rules.ruleset import Condition, ShardingAlgorithm
from dbmesh.rules.targets import Targets
from dbmesh.rules.values import Key

MOMENT = datetime.datetime
VOLUME = {"range-lower": "10", "range-upper": "45", "sharding-volume": "10"}
AUTO_INTERVAL = {
    "datetime-lower": "2020-01-01 00:00:00",
    "datetime-upper": "2020-01-01 00:00:16",
    "sharding-seconds": "4",
}
MONTHS = {
    "datetime-pattern": "yyyy-MM-dd HH:mm:ss",
    "datetime-lower": "2024-01-01 00:00:00",
    "datetime-upper": "2024-04-30 23:59:59",
    "sharding-suffix-pattern": "yyyyMM",
    "datetime-interval-amount": "1",
    "datetime-interval-unit": "MONTHS",
}
INLINE = {"algorithm-expression": "t_${id % 4}"}
NUMBERED = tuple(f"t_{number}" for number in range(6))
MONTHLY = ("t_202401", "t_202402", "t_202403", "t_202404")


def algorithm(kind: str, properties: dict[str, str]) -> ShardingAlgorithm:
    """An algorithm by its type."""
    return ALGORITHMS[kind].create(PropertyReader(properties))


def standard(kind: str, properties: dict[str, str]) -> StandardAlgorithm:
    """A standard algorithm by its type."""
    made = algorithm(kind, properties)
    assert isinstance(made, StandardAlgorithm)
    return made


def place(kind: str, properties: dict[str, str], key: Key, names: tuple[str, ...] = NUMBERED) -> str:
    """Where one value goes."""
    return standard(kind, properties).placer(Targets.of(names, "t"), "id")(key)


def routed(
    kind: str, properties: dict[str, str], condition: Condition, names: tuple[str, ...] = NUMBERED
) -> tuple[str, ...]:
    """Where the rows of a condition may be."""
    return standard(kind, properties).route(Targets.of(names, "t"), {"id": condition})
