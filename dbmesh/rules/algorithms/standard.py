"""What every standard algorithm shares: one column's value has one target, a range has some.

Decides how IN lists and ranges become targets once a subclass says where one value goes. Knows no configuration.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import TypeGuard

from dbmesh.rules.ruleset import Condition, Range
from dbmesh.rules.targets import NoTarget, Targets
from dbmesh.rules.values import UNKNOWN_KEY, Key


class StandardAlgorithm(ABC):
    """An algorithm on one column. Subclasses never place NULL or `UNKNOWN_KEY`, as ShardingSphere never does."""

    @abstractmethod
    def placer(self, targets: Targets, column: str) -> Callable[[Key], str]:
        """A fast function value → target name, made once per table. It raises `NoTarget`."""

    def route_range(self, targets: Targets, values: Range) -> tuple[str, ...]:
        """Targets that may hold values of a range: all of them, unless the algorithm keeps neighbours together."""
        return targets.names

    def route(self, targets: Targets, conditions: Mapping[str, Condition]) -> tuple[str, ...]:
        """Targets that may hold matching rows. Raises `NoTarget` when a value has none."""
        ((column, condition),) = conditions.items()
        if isinstance(condition, Range):
            return self.route_range(targets, condition)
        return targets.in_order(set(map(self.placer(targets, column), condition.values)))


def is_plain_decimal(value: Decimal) -> bool:
    """Whether a decimal is finite and of a size that column types know."""
    return value.is_finite() and abs(value.adjusted()) < 100


def is_plain_number(value: Key) -> TypeGuard[int | Decimal]:
    """Whether a key is a number to calculate with."""
    return isinstance(value, int) or (isinstance(value, Decimal) and is_plain_decimal(value))


def no_place(key: Key, algorithm: str) -> NoTarget:
    """The refusal of a value an algorithm cannot compute with."""
    if key is None:
        return NoTarget(None, f"{algorithm} places no NULL")
    if key is UNKNOWN_KEY:
        return NoTarget("given", "the sharding column cannot hold it unchanged")
    return NoTarget(key, f"{algorithm} cannot compute with a value of this type")
