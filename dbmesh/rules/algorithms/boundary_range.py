"""BOUNDARY_RANGE: partitions between borders given one by one.

Source: ShardingSphere's `BoundaryBasedRangeShardingAlgorithm`, which sorts the borders. It skips a border that is not a
number; here that is a mistake.
"""

from __future__ import annotations

from dbmesh.rules.algorithms.partitions import Partitions
from dbmesh.rules.algorithms.properties import PropertyMistake, PropertyReader

PROPERTIES = ("sharding-ranges",)


def create(properties: PropertyReader) -> Partitions:
    """BOUNDARY_RANGE from its properties. Raises `PropertyMistake`."""
    raw = properties.text("sharding-ranges")
    try:
        borders = sorted(int(border) for border in raw.split(","))
    except ValueError:
        raise PropertyMistake(
            "sharding-ranges", f"'{raw}' is not a list of integers", "write borders like 1,5,10"
        ) from None
    if len(set(borders)) != len(borders):
        raise PropertyMistake("sharding-ranges", f"'{raw}' names a border twice", "name every border once")
    return Partitions("BOUNDARY_RANGE", tuple(borders))
