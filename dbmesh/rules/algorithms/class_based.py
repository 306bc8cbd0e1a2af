"""CLASS_BASED: a Python class of the user's own, named by its dotted path.

The class is called with all properties (a mapping of texts) and must have a method

    def route(self, targets: Sequence[str], conditions: Mapping[str, Condition]) -> Iterable[str]

which returns the names of the targets that may hold matching rows. `Condition` is `dbmesh.rules.ruleset.Values` or
`Range`; keys of `conditions` are sharding columns in lower case, or '' for a hint's values. ShardingSphere's Java
classes cannot be loaded; write the same few lines in Python.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, cast

from dbmesh.rules.algorithms.properties import PropertyMistake, PropertyReader
from dbmesh.rules.algorithms.standard import StandardAlgorithm, no_place
from dbmesh.rules.ruleset import Condition, Range, Values
from dbmesh.rules.targets import NoTarget, Targets
from dbmesh.rules.values import UNKNOWN_KEY, Key

STRATEGIES = ("STANDARD", "COMPLEX", "HINT")


class UserAlgorithm(Protocol):
    """What a user's class looks like from here."""

    def route(self, targets: Sequence[str], conditions: Mapping[str, Condition]) -> Iterable[str]:
        """Names of the targets that may hold matching rows."""
        ...


def _ask(user: UserAlgorithm, targets: Targets, conditions: Mapping[str, Condition]) -> tuple[str, ...]:
    """The user's answer, checked: an algorithm that fails or invents names must not lose rows silently."""
    sample = next((c.values for c in conditions.values() if isinstance(c, Values)), "a range")
    try:
        names = tuple(user.route(targets.names, conditions))
    except Exception as error:
        raise NoTarget(sample, f"{type(user).__name__} failed: {type(error).__name__}: {error}") from error
    for name in names:
        if name not in targets.names:
            raise NoTarget(sample, f"{type(user).__name__} gives '{name}', which is not among its data nodes")
    if not names:
        raise NoTarget(sample, f"{type(user).__name__} gives no data node")
    return targets.in_order(set(names))


@dataclass(frozen=True, slots=True)
class ClassBased:
    """A user's algorithm for a complex or hint strategy."""

    user: UserAlgorithm

    def route(self, targets: Targets, conditions: Mapping[str, Condition]) -> tuple[str, ...]:
        """The user's answer. Raises `NoTarget`."""
        return _ask(self.user, targets, conditions)


@dataclass(frozen=True, slots=True)
class StandardClassBased(StandardAlgorithm):
    """A user's algorithm for a standard strategy: one value must have one target."""

    user: UserAlgorithm

    def placer(self, targets: Targets, column: str) -> Callable[[Key], str]:
        """Asks the user's class for every value."""

        def place(key: Key) -> str:
            if key is None or key is UNKNOWN_KEY:
                raise no_place(key, "CLASS_BASED")
            names = _ask(self.user, targets, {column: Values((key,))})
            if len(names) != 1:
                raise NoTarget(key, f"{type(self.user).__name__} gives {len(names)} targets for one value")
            return names[0]

        return place

    def route(self, targets: Targets, conditions: Mapping[str, Condition]) -> tuple[str, ...]:
        """The user's answer for a range or several values. Raises `NoTarget`."""
        return _ask(self.user, targets, conditions)

    def route_range(self, targets: Targets, values: Range) -> tuple[str, ...]:
        """Never asked: `route` hands ranges to the user's class."""
        return targets.names


def create(properties: PropertyReader) -> ClassBased | StandardClassBased:
    """CLASS_BASED from its properties. Raises `PropertyMistake`."""
    strategy = properties.text("strategy").upper()
    if strategy not in STRATEGIES:
        raise PropertyMistake(
            "strategy", f"unknown strategy '{strategy}'", f"use one of {', '.join(STRATEGIES)}"
        )
    path = properties.text("algorithmClassName")
    module_name, _, class_name = path.rpartition(".")
    try:
        made = getattr(importlib.import_module(module_name), class_name)(dict(properties.properties))
    except Exception as error:
        raise PropertyMistake(
            "algorithmClassName",
            f"'{path}' cannot be used: {type(error).__name__}: {error}",
            "give the dotted path of an importable Python class that takes the properties",
        ) from None
    if not callable(getattr(made, "route", None)):
        raise PropertyMistake(
            "algorithmClassName", f"'{path}' has no method 'route'", "add route(targets, conditions)"
        )
    user = cast("UserAlgorithm", made)
    return StandardClassBased(user) if strategy == "STANDARD" else ClassBased(user)
