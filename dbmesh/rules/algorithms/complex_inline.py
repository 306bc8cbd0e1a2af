"""COMPLEX_INLINE: an inline expression computes target names from several columns.

Every combination of the columns' values is computed, as in ShardingSphere's `ComplexInlineShardingAlgorithm`. A range of
any column reaches every target.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from itertools import product
from math import prod

from dbmesh.rules.algorithms.inline import expression_value, read_template
from dbmesh.rules.algorithms.properties import PropertyMistake, PropertyReader
from dbmesh.rules.inline import InlineError, Template, compile_template
from dbmesh.rules.ruleset import Condition, Range
from dbmesh.rules.targets import NoTarget, Targets

PROPERTIES = ("sharding-columns", "algorithm-expression", "allow-range-query-with-inline-sharding")
_MOST_COMBINATIONS = 10_000


@dataclass(frozen=True, slots=True)
class ComplexInline:
    """COMPLEX_INLINE with its compiled expression. `columns` is what `sharding-columns` names, empty when absent."""

    template: Template
    columns: tuple[str, ...] = ()
    _render: Callable[[object], str] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Compiles the template, which raises InlineError."""
        object.__setattr__(self, "_render", compile_template(self.template))

    @property
    def variables(self) -> frozenset[str]:
        """The columns the expression reads."""
        return self.template.variables

    def route(self, targets: Targets, conditions: Mapping[str, Condition]) -> tuple[str, ...]:
        """Targets of every combination of values. Raises `NoTarget`."""
        columns = sorted(self.variables)
        lists: list[tuple[object, ...]] = []
        for column in columns:
            condition = conditions[column]
            if isinstance(condition, Range):
                return targets.names
            lists.append(tuple(expression_value(key, "COMPLEX_INLINE") for key in condition.values))
        if prod(map(len, lists)) > _MOST_COMBINATIONS:
            return targets.names
        return targets.in_order({self._target(targets, columns, values) for values in product(*lists)})

    def _target(self, targets: Targets, columns: list[str], values: tuple[object, ...]) -> str:
        try:
            environment: object = values[0] if len(values) == 1 else dict(zip(columns, values, strict=True))
            name = self._render(environment)
        except InlineError as mistake:
            raise NoTarget(values, str(mistake)) from None
        target = targets.named(name)
        if target is None:
            raise NoTarget(values, f"the expression gives '{name}', which is not among its data nodes")
        return target


def create(properties: PropertyReader) -> ComplexInline:
    """COMPLEX_INLINE from its properties. Raises `PropertyMistake`."""
    properties.boolean("allow-range-query-with-inline-sharding", False)
    columns = tuple(
        column.strip().lower()
        for column in properties.properties.get("sharding-columns", "").split(",")
        if column.strip()
    )
    try:
        return ComplexInline(read_template(properties), columns)
    except InlineError as mistake:
        raise PropertyMistake("algorithm-expression", str(mistake), "correct the expression") from None
