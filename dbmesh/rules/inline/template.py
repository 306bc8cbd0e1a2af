"""Texts with `${…}` or `$->{…}` in them: target names to compute, and lists of names to expand.

Decides where an expression begins and ends, and ShardingSphere's order of expanded names: the last list varies fastest.
Source: ShardingSphere's `GroovyInlineExpressionParser` (facts only).
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from itertools import product
from math import prod
from typing import Any

from dbmesh.rules.inline import compiler, methods
from dbmesh.rules.inline.errors import InlineError
from dbmesh.rules.inline.syntax import Node, parse
from dbmesh.rules.inline.tokens import tokenize

_OPENING = re.compile(r"\$(?:->)?\{")
_MOST_NAMES = 100_000


@dataclass(frozen=True, slots=True)
class Template:
    """A text in parts: literal texts and expressions. `variables` are the columns it reads, in lower case."""

    parts: tuple[str | Node, ...]
    variables: frozenset[str]


def parse_template(text: str) -> Template:
    """The parts of a text. Raises InlineError."""
    parts: list[str | Node] = []
    position = 0
    while match := _OPENING.search(text, position):
        _add_literal(parts, text[position : match.start()])
        tokens = tokenize(text, match.end(), closing=True)
        parts.append(parse(tokens))
        position = tokens[-1].stop
    _add_literal(parts, text[position:])
    nodes = [compiler.variables(part) for part in parts if not isinstance(part, str)]
    return Template(tuple(parts), frozenset().union(*nodes))


def _add_literal(parts: list[str | Node], literal: str) -> None:
    if "$" in literal:
        raise InlineError("'$' must begin an expression: write ${column}")
    if literal:
        parts.append(literal)


def compile_template(template: Template) -> Callable[[Any], str]:
    """A function value → text where the template has at most one variable, else mapping → text. It raises
    InlineError and nothing else."""
    single = len(template.variables) <= 1
    if (
        len(template.parts) == 2
        and isinstance(template.parts[0], str)
        and not isinstance(template.parts[1], str)
    ):
        return _prefix_and_expression(template.parts[0], compiler.compile_node(template.parts[1], single))
    pieces = [_piece(part, single) for part in template.parts]
    return lambda env: "".join([piece(env) for piece in pieces])


def _prefix_and_expression(prefix: str, evaluate: compiler.Evaluate) -> Callable[[Any], str]:
    text = methods.text

    def render(env: Any) -> str:
        value = evaluate(env)
        return f"{prefix}{value}" if type(value) is int or type(value) is str else prefix + text(value)

    return render


def _piece(part: str | Node, single: bool) -> Callable[[Any], str]:
    if isinstance(part, str):
        literal = part
        return lambda _: literal
    evaluate = compiler.compile_node(part, single)
    return lambda env: methods.text(evaluate(env))


def expand(text: str) -> tuple[str, ...]:
    """Every name a comma-separated text with expressions stands for, in order, without repeats within one segment.

    Raises InlineError.
    """
    names: list[str] = []
    for segment in split(text):
        template = parse_template(segment)
        if template.variables:
            raise InlineError(f"unknown name '{min(template.variables)}' in a list of names")
        choices = [_choices(part) for part in template.parts]
        if len(names) + prod(map(len, choices)) > _MOST_NAMES:
            raise InlineError(f"the text stands for more than {_MOST_NAMES} names")
        names.extend(map("".join, product(*choices)))
    return tuple(names)


def _choices(part: str | Node) -> list[str]:
    if isinstance(part, str):
        return [part]
    value = compiler.compile_node(part, single=True)(None)
    if value is None:
        raise InlineError("an expression in a list of names is null")
    values = value if isinstance(value, list) else [value]
    return list(dict.fromkeys(map(methods.text, values)))


def split(text: str) -> list[str]:
    """Segments between the commas that stand outside of expressions, without blanks around them or empty ones."""
    segments: list[str] = []
    start = position = 0
    while position < len(text):
        if match := _OPENING.match(text, position):
            position = tokenize(text, match.end(), closing=True)[-1].stop
            continue
        if text[position] == ",":
            segments.append(text[start:position])
            start = position + 1
        position += 1
    segments.append(text[start:])
    return [segment.strip() for segment in segments if segment.strip()]
