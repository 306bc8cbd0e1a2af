"""HINT_INLINE: an inline expression computes target names from the values of a SQL hint, named `value`.

Source: ShardingSphere's `HintInlineShardingAlgorithm`; the expression is `${value}` when none is given.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from dbmesh.rules.algorithms.inline import expression_value, read_template
from dbmesh.rules.algorithms.properties import PropertyMistake, PropertyReader
from dbmesh.rules.inline import InlineError, Template, compile_template
from dbmesh.rules.ruleset import Condition, Range
from dbmesh.rules.targets import NoTarget, Targets

PROPERTIES = ("algorithm-expression",)


@dataclass(frozen=True, slots=True)
class HintInline:
    """HINT_INLINE with its compiled expression."""

    template: Template
    _render: Callable[[object], str] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Compiles the template, which raises InlineError."""
        object.__setattr__(self, "_render", compile_template(self.template))

    def route(self, targets: Targets, conditions: Mapping[str, Condition]) -> tuple[str, ...]:
        """Targets of the hint's values. Raises `NoTarget`."""
        condition = conditions[""]
        if isinstance(condition, Range):
            return targets.names
        chosen: set[str] = set()
        for key in condition.values:
            try:
                name = self._render(expression_value(key, "HINT_INLINE"))
            except InlineError as mistake:
                raise NoTarget(key, str(mistake)) from None
            target = targets.named(name)
            if target is None:
                raise NoTarget(key, f"the hint gives '{name}', which is not among its data nodes")
            chosen.add(target)
        return targets.in_order(chosen)


def create(properties: PropertyReader) -> HintInline:
    """HINT_INLINE from its properties. Raises `PropertyMistake`."""
    given = {"algorithm-expression": "${value}"} | dict(properties.properties)
    template = read_template(PropertyReader(given))
    strange = template.variables - {"value"}
    if strange:
        raise PropertyMistake(
            "algorithm-expression", f"unknown name '{min(strange)}'", "a hint's value is called 'value'"
        )
    try:
        return HintInline(template)
    except InlineError as mistake:
        raise PropertyMistake("algorithm-expression", str(mistake), "correct the expression") from None
