"""HASH_MOD: Java's hash code of the value, made positive, modulo the shard count.

Source: ShardingSphere's `HashModShardingAlgorithm` (`Math.abs((long) value.hashCode()) % count`). Java hashes a negative
Integer and the equal Long differently, and ShardingSphere's choice depends on how the client sent the number; here an
integer that fits 32 bits always hashes as Integer, which is what its `normalize-numeric-int-range: true` does.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from dbmesh.rules.algorithms.properties import PropertyReader
from dbmesh.rules.algorithms.standard import StandardAlgorithm, no_place
from dbmesh.rules.java_values import hash_code
from dbmesh.rules.targets import NoTarget, Targets
from dbmesh.rules.values import Key

PROPERTIES = ("sharding-count", "normalize-numeric-int-range")


@dataclass(frozen=True, slots=True)
class HashMod(StandardAlgorithm):
    """HASH_MOD with its properties. A range always reaches every target."""

    count: int

    @property
    def auto_table_count(self) -> int:
        """How many actual tables an auto table has."""
        return self.count

    def placer(self, targets: Targets, column: str) -> Callable[[Key], str]:
        """Hash → target, looked up in a table made once."""
        slots = [targets.numbered(str(remainder)) for remainder in range(self.count)]
        count = self.count

        def place(key: Key) -> str:
            code = hash_code(key)
            if code is None:
                raise no_place(key, "HASH_MOD")
            target = slots[abs(code) % count]
            if target is None:
                raise NoTarget(key, f"no target for remainder {abs(code) % count}")
            return target

        return place


def create(properties: PropertyReader) -> HashMod:
    """HASH_MOD from its properties. Raises `PropertyMistake`."""
    properties.boolean("normalize-numeric-int-range", True)
    return HashMod(properties.integer("sharding-count", least=1, most=1 << 20))
