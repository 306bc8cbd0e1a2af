"""VOLUME_RANGE: equal volumes between a lower and an upper bound, and one partition on either side.

Source: ShardingSphere's `VolumeBasedRangeShardingAlgorithm`.
"""

from __future__ import annotations

from dbmesh.rules.algorithms.partitions import Partitions
from dbmesh.rules.algorithms.properties import PropertyMistake, PropertyReader

PROPERTIES = ("range-lower", "range-upper", "sharding-volume")
_MOST_PARTITIONS = 1 << 20


def create(properties: PropertyReader) -> Partitions:
    """VOLUME_RANGE from its properties. Raises `PropertyMistake`."""
    lower, upper = properties.integer("range-lower"), properties.integer("range-upper")
    volume = properties.integer("sharding-volume", least=1)
    if upper - lower < volume:
        raise PropertyMistake(
            "range-upper",
            f"the range {lower} to {upper} is smaller than one volume of {volume}",
            "raise 'range-upper' or lower 'sharding-volume'",
        )
    if (upper - lower) // volume > _MOST_PARTITIONS:
        raise PropertyMistake("sharding-volume", "there are more than a million partitions", "raise it")
    return Partitions("VOLUME_RANGE", (*range(lower, upper, volume), upper))
