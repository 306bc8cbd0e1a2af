"""AUTO_INTERVAL: equal spans of seconds between two moments, and one partition on either side.

Source: ShardingSphere's `AutoIntervalShardingAlgorithm`, with its rounding: the quotient of elapsed and span seconds is
rounded to two decimals (half even) and then up. So the first half percent of a span still belongs to the partition
before it. Fractions of a second are cut off.
"""

from __future__ import annotations

import datetime
import math
from collections.abc import Callable
from dataclasses import dataclass

from dbmesh.rules.algorithms.properties import PropertyMistake, PropertyReader
from dbmesh.rules.algorithms.standard import StandardAlgorithm, no_place
from dbmesh.rules.ruleset import Range
from dbmesh.rules.targets import NoTarget, Targets
from dbmesh.rules.values import Key, parse_temporal

PROPERTIES = ("datetime-lower", "datetime-upper", "sharding-seconds")
_FORM = "%Y-%m-%d %H:%M:%S"


@dataclass(frozen=True, slots=True)
class AutoInterval(StandardAlgorithm):
    """AUTO_INTERVAL with its properties."""

    lower: datetime.datetime
    seconds: int
    partitions: int

    @property
    def auto_table_count(self) -> int:
        """How many actual tables an auto table has."""
        return self.partitions

    def placer(self, targets: Targets, column: str) -> Callable[[Key], str]:
        """Partition → target, looked up in a table made once."""
        slots = [targets.numbered(str(partition)) for partition in range(self.partitions)]

        def place(key: Key) -> str:
            moment = as_moment(key)
            if moment is None:
                raise no_place(key, "AUTO_INTERVAL")
            partition = self._partition(moment)
            target = slots[partition]
            if target is None:
                raise NoTarget(key, f"no target for partition {partition}")
            return target

        return place

    def route_range(self, targets: Targets, values: Range) -> tuple[str, ...]:
        """The partitions between two moments; text compares in another order, so it reaches every target."""
        first, last = 0, self.partitions - 1
        if values.lower is not None:
            if not isinstance(values.lower, datetime.date):
                return targets.names
            first = self._partition(values.lower)
        if values.upper is not None:
            if not isinstance(values.upper, datetime.date):
                return targets.names
            last = self._partition(values.upper)
        chosen = {targets.numbered(str(partition)) for partition in range(first, last + 1)}
        return targets.in_order({name for name in chosen if name is not None}) or targets.names

    def _partition(self, moment: datetime.date) -> int:
        if not isinstance(moment, datetime.datetime):
            moment = datetime.datetime.combine(moment, datetime.time())
        elapsed = int((moment.replace(microsecond=0) - self.lower).total_seconds())
        quotient = round(elapsed / self.seconds, 2)
        return min(max(0, math.ceil(quotient)), self.partitions - 1)


def as_moment(key: Key) -> datetime.date | None:
    """A key as a date or datetime, None when it is neither."""
    if isinstance(key, datetime.date):
        return key
    return parse_temporal(key) if isinstance(key, str) else None


def _moment(properties: PropertyReader, key: str) -> datetime.datetime:
    raw = properties.text(key)
    try:
        return datetime.datetime.strptime(raw, _FORM)
    except ValueError:
        raise PropertyMistake(key, f"'{raw}' is not a moment", "write it as yyyy-MM-dd HH:mm:ss") from None


def create(properties: PropertyReader) -> AutoInterval:
    """AUTO_INTERVAL from its properties. Raises `PropertyMistake`."""
    lower, upper = _moment(properties, "datetime-lower"), _moment(properties, "datetime-upper")
    seconds = properties.integer("sharding-seconds", least=1)
    if upper <= lower:
        raise PropertyMistake("datetime-upper", "it is not after 'datetime-lower'", "raise it")
    partitions = int((upper - lower).total_seconds()) // seconds + 2
    if partitions > 1 << 20:
        raise PropertyMistake("sharding-seconds", "there are more than a million partitions", "raise it")
    return AutoInterval(lower, seconds, partitions)
