"""What VOLUME_RANGE and BOUNDARY_RANGE share: ascending borders cut the numbers into numbered partitions.

Source: ShardingSphere's `AbstractRangeShardingAlgorithm`: partition 0 is everything below the first border, every border
begins the next partition. Neighbours stay together, so ranges of numbers reach few targets.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Callable
from dataclasses import dataclass

from dbmesh.rules.algorithms.standard import StandardAlgorithm, is_plain_number, no_place
from dbmesh.rules.ruleset import Range
from dbmesh.rules.targets import NoTarget, Targets
from dbmesh.rules.values import Key

_INTEGER = re.compile(r"[+-]?\d{1,40}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Partitions(StandardAlgorithm):
    """Partitions between ascending borders. `name` is the algorithm's type, for messages."""

    name: str
    borders: tuple[int, ...]

    @property
    def auto_table_count(self) -> int:
        """How many actual tables an auto table has."""
        return len(self.borders) + 1

    def placer(self, targets: Targets, column: str) -> Callable[[Key], str]:
        """Partition → target, looked up in a table made once."""
        slots = [targets.numbered(str(partition)) for partition in range(self.auto_table_count)]
        borders, name = self.borders, self.name

        def place(key: Key) -> str:
            if isinstance(key, str) and _INTEGER.fullmatch(key):
                key = int(key)
            if not is_plain_number(key):
                raise no_place(key, name)
            target = slots[bisect_right(borders, key)]
            if target is None:
                raise NoTarget(key, f"no target for partition {bisect_right(borders, key)}")
            return target

        return place

    def route_range(self, targets: Targets, values: Range) -> tuple[str, ...]:
        """The partitions between two numbers. Text compares in another order, so it reaches every target."""
        first, last = 0, len(self.borders)
        if values.lower is not None:
            if not is_plain_number(values.lower):
                return targets.names
            first = bisect_right(self.borders, values.lower)
        if values.upper is not None:
            if not is_plain_number(values.upper):
                return targets.names
            last = bisect_right(self.borders, values.upper)
        chosen = {targets.numbered(str(partition)) for partition in range(first, last + 1)} - {None}
        return targets.in_order({name for name in chosen if name is not None}) or targets.names
