"""MOD: the remainder of a number chooses the numbered target.

Source of the arithmetic: ShardingSphere's `ModShardingAlgorithm`. A number is cut to 64 bits (`longValue`), a decimal
loses its fraction, and the remainder is BigInteger.mod's, never negative: -1 with four shards goes to shard 3.
`start-offset` and `stop-offset` cut characters off the text of the value first.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal

from dbmesh.rules.algorithms.properties import PropertyReader
from dbmesh.rules.algorithms.standard import StandardAlgorithm, is_plain_decimal, is_plain_number, no_place
from dbmesh.rules.java_values import LONG_MAX, LONG_MIN, wrap_long
from dbmesh.rules.ruleset import Range
from dbmesh.rules.targets import NoTarget, Targets
from dbmesh.rules.values import Key

PROPERTIES = ("sharding-count", "start-offset", "stop-offset", "zero-padding")


@dataclass(frozen=True, slots=True)
class Mod(StandardAlgorithm):
    """MOD with its properties."""

    count: int
    start_offset: int = 0
    stop_offset: int = 0
    zero_padding: bool = False

    @property
    def auto_table_count(self) -> int:
        """How many actual tables an auto table has."""
        return self.count

    def placer(self, targets: Targets, column: str) -> Callable[[Key], str]:
        """Remainder → target, looked up in a table made once."""
        width = len(str(self.count - 1)) if self.zero_padding else 0
        slots = [targets.numbered(str(remainder).rjust(width, "0")) for remainder in range(self.count)]
        count = self.count
        plain = not self.start_offset and not self.stop_offset
        number = self._number

        def place(key: Key) -> str:
            if not (plain and type(key) is int and LONG_MIN <= key <= LONG_MAX):
                key = number(key)
            target = slots[key % count]
            if target is None:
                raise NoTarget(key, f"no target for remainder {key % count}")
            return target

        return place

    def route_range(self, targets: Targets, values: Range) -> tuple[str, ...]:
        """The remainders of a short range of numbers, else every target."""
        bounds = (values.lower, values.upper)
        numbers = [int(bound) for bound in bounds if is_plain_number(bound)]
        if self.start_offset or self.stop_offset or len(numbers) != 2:
            return targets.names
        lower, upper = numbers
        if not LONG_MIN <= lower <= upper <= LONG_MAX or upper - lower >= self.count - 1:
            return targets.names
        place = self.placer(targets, "")
        try:
            return targets.in_order({place(number) for number in range(lower, upper + 1)})
        except NoTarget:
            return targets.names

    def _number(self, key: Key) -> int:
        if not isinstance(key, int | str | Decimal) or (
            isinstance(key, Decimal) and not is_plain_decimal(key)
        ):
            raise no_place(key, "MOD")
        text = format(key, "f") if isinstance(key, Decimal) else str(key)
        if self.start_offset or self.stop_offset:
            if len(text) - self.stop_offset <= self.start_offset:
                raise NoTarget(key, "it is shorter than start-offset and stop-offset cut off")
            return self._digits(key, text[self.start_offset : len(text) - self.stop_offset])
        if isinstance(key, str):
            return self._digits(key, key)
        return wrap_long(int(key))

    @staticmethod
    def _digits(key: Key, text: str) -> int:
        digits = text[1:] if text[:1] in ("-", "+") else text
        if not (digits.isascii() and digits.isdigit()) or len(digits) > 1000:
            raise NoTarget(key, "MOD needs an integer")
        return int(text)


def create(properties: PropertyReader) -> Mod:
    """MOD from its properties. Raises `PropertyMistake`."""
    return Mod(
        properties.integer("sharding-count", least=1, most=1 << 20),
        properties.integer("start-offset", 0, least=0),
        properties.integer("stop-offset", 0, least=0),
        properties.boolean("zero-padding", False),
    )
