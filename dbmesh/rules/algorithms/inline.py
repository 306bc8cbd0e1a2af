"""INLINE: an inline expression computes the target's name from one column.

A range reaches every target. ShardingSphere refuses it unless `allow-range-query-with-inline-sharding` is true; asking
every target is the right answer either way, so the property is accepted and changes nothing.
"""

from __future__ import annotations

import datetime
from collections.abc import Callable
from dataclasses import dataclass, field
from decimal import Decimal

from dbmesh.rules.algorithms.properties import PropertyMistake, PropertyReader
from dbmesh.rules.algorithms.standard import StandardAlgorithm, no_place
from dbmesh.rules.inline import InlineError, Template, compile_template, parse_template
from dbmesh.rules.targets import NoTarget, Targets
from dbmesh.rules.values import Key, temporal_text

PROPERTIES = ("algorithm-expression", "allow-range-query-with-inline-sharding")


@dataclass(frozen=True, slots=True)
class Inline(StandardAlgorithm):
    """INLINE with its compiled expression."""

    template: Template
    _render: Callable[[object], str] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Compiles the template, which raises InlineError."""
        object.__setattr__(self, "_render", compile_template(self.template))

    @property
    def variables(self) -> frozenset[str]:
        """The columns the expression reads."""
        return self.template.variables

    def placer(self, targets: Targets, column: str) -> Callable[[Key], str]:
        """The computed name, which must be a target's."""
        render = self._render
        exact = {name: name for name in targets.names}

        def place(key: Key) -> str:
            try:
                name = render(key if type(key) is int else expression_value(key, "INLINE"))
            except InlineError as mistake:
                raise NoTarget(key, str(mistake)) from None
            target = exact.get(name) or targets.named(name)
            if target is None:
                raise NoTarget(key, f"the expression gives '{name}', which is not among its data nodes")
            return target

        return place


def expression_value(key: Key, algorithm: str) -> int | str | Decimal:
    """A key as an expression sees it: dates as MySQL's text. Raises `NoTarget` for NULL and types without meaning."""
    if isinstance(key, int | str | Decimal):
        return key
    if isinstance(key, datetime.date):
        return temporal_text(key)
    raise no_place(key, algorithm)


def read_template(properties: PropertyReader) -> Template:
    """The parsed `algorithm-expression`. Raises `PropertyMistake`."""
    key = "algorithm-expression"
    try:
        return parse_template(properties.text(key))
    except InlineError as mistake:
        raise PropertyMistake(
            key, str(mistake), "correct the expression (docs/RULES.md, Inline expressions)"
        ) from None


def create(properties: PropertyReader) -> Inline:
    """INLINE from its properties. Raises `PropertyMistake`."""
    properties.boolean("allow-range-query-with-inline-sharding", False)
    template = read_template(properties)
    if len(template.variables) > 1:
        raise PropertyMistake(
            "algorithm-expression",
            f"the expression reads several columns: {', '.join(sorted(template.variables))}",
            "use COMPLEX_INLINE with a complex strategy",
        )
    try:
        return Inline(template)
    except InlineError as mistake:
        raise PropertyMistake("algorithm-expression", str(mistake), "correct the expression") from None
