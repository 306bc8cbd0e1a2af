"""Inline expressions, step three: a syntax tree to a chain of closures.

Decides what an expression costs: compiled once, evaluating is plain calls. Nothing is ever handed to Python's own
compiler. A closure's argument is the sharding value itself where the expression has one variable, else a mapping.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from difflib import get_close_matches
from operator import itemgetter
from types import MappingProxyType
from typing import Any, Final

from dbmesh.rules.inline import methods, numbers
from dbmesh.rules.inline.errors import InlineError
from dbmesh.rules.inline.syntax import (
    Binary,
    Choice,
    Constant,
    Index,
    ListOf,
    Method,
    Node,
    Static,
    Unary,
    Variable,
)

# Any: an environment is a bare value or a mapping, and values are Groovy's, checked where they are used.
Evaluate = Callable[[Any], Any]

_LONGEST_RANGE = 100_000


def compile_node(node: Node, single: bool) -> Evaluate:
    """The closure of a tree. With `single` its argument is the only variable's value. Raises InlineError for unknown
    methods and wrong numbers of arguments; the closure raises InlineError for values it cannot compute with."""
    compiler = _COMPILERS[type(node)]
    return compiler(node, single)


def variables(node: Node) -> frozenset[str]:
    """Names of the variables a tree reads."""
    match node:
        case Variable(name):
            return frozenset({name})
        case Constant():
            return frozenset()
        case ListOf(items):
            children: tuple[Node, ...] = items
        case Unary(_, operand):
            children = (operand,)
        case Binary(_, left, right):
            children = (left, right)
        case Choice(condition, then, otherwise):
            children = (condition, otherwise) if then is None else (condition, then, otherwise)
        case Method(target, _, arguments):
            children = (target, *arguments)
        case Static(_, arguments):
            children = arguments
        case Index(target, index):
            children = (target, index)
    return frozenset().union(*map(variables, children))


def _identity(value: Any) -> Any:
    return value


def _constant(node: Constant, single: bool) -> Evaluate:
    value = node.value
    return lambda _: value


def _variable(node: Variable, single: bool) -> Evaluate:
    return _identity if single else itemgetter(node.name)


def _list(node: ListOf, single: bool) -> Evaluate:
    items = [compile_node(item, single) for item in node.items]
    return lambda env: [item(env) for item in items]


def _unary(node: Unary, single: bool) -> Evaluate:
    operand = compile_node(node.operand, single)
    if node.operator == "-":
        return lambda env: numbers.negate(operand(env))
    if node.operator == "!":
        return lambda env: not operand(env)
    if node.operator == "~":
        return lambda env: numbers.subtract(numbers.negate(operand(env)), numbers.JavaInt(1))

    def plus(env: Any) -> Any:
        value = operand(env)
        if not numbers.is_number(value):
            raise InlineError(f"'+' cannot be applied to {numbers.kind(value)}")
        return value

    return plus


def _binary(node: Binary, single: bool) -> Evaluate:
    left = compile_node(node.left, single)
    if node.operator == "%" and isinstance(node.right, Constant) and _is_divisor(node.right.value):
        return _remainder_by(left, node.right.value)
    right = compile_node(node.right, single)
    if node.operator == "&&":
        return lambda env: bool(left(env)) and bool(right(env))
    if node.operator == "||":
        return lambda env: bool(left(env)) or bool(right(env))
    apply = _OPERATORS[node.operator]
    return lambda env: apply(left(env), right(env))


def _is_divisor(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value > 0


def _remainder_by(left: Evaluate, divisor: Any) -> Evaluate:
    """`… % 4`: by far the most frequent expression, so a Long that is not negative is divided in place."""
    plain = int(divisor)
    remainder = numbers.remainder
    if left is _identity:

        def of_value(value: Any) -> Any:
            return value % plain if type(value) is int and value >= 0 else remainder(value, divisor)

        return of_value

    def of_expression(env: Any) -> Any:
        value = left(env)
        return value % plain if type(value) is int and value >= 0 else remainder(value, divisor)

    return of_expression


def _choice(node: Choice, single: bool) -> Evaluate:
    condition = compile_node(node.condition, single)
    otherwise = compile_node(node.otherwise, single)
    if node.then is None:
        return lambda env: condition(env) or otherwise(env)
    then = compile_node(node.then, single)
    return lambda env: then(env) if condition(env) else otherwise(env)


def _arguments(
    name: str,
    arguments: tuple[Node, ...],
    known: Mapping[str, tuple[int, int, methods.Function]],
    single: bool,
) -> tuple[methods.Function, list[Evaluate]]:
    entry = known.get(name)
    if entry is None:
        near = get_close_matches(name, known, n=1)
        hint = f"did you mean '{near[0]}'?" if near else f"known are {', '.join(sorted(known))}"
        raise InlineError(f"unknown method '{name}'; {hint}")
    fewest, most, function = entry
    if not fewest <= len(arguments) <= most:
        wanted = str(fewest) if fewest == most else f"{fewest} or {most}"
        raise InlineError(f"'{name}' takes {wanted} argument(s), not {len(arguments)}")
    return function, [compile_node(argument, single) for argument in arguments]


def _method(node: Method, single: bool) -> Evaluate:
    function, arguments = _arguments(node.name, node.arguments, methods.METHODS, single)
    target = compile_node(node.target, single)
    if not arguments:
        return lambda env: function(target(env))
    if len(arguments) == 1:
        (argument,) = arguments
        return lambda env: function(target(env), argument(env))
    return lambda env: function(target(env), *[argument(env) for argument in arguments])


def _static(node: Static, single: bool) -> Evaluate:
    function, arguments = _arguments(node.name, node.arguments, methods.STATICS, single)
    if len(arguments) == 1:
        (argument,) = arguments
        return lambda env: function(argument(env))
    return lambda env: function(*[argument(env) for argument in arguments])


def _index(node: Index, single: bool) -> Evaluate:
    target = compile_node(node.target, single)
    if isinstance(node.index, Binary) and node.index.operator == "..":
        first, last = compile_node(node.index.left, single), compile_node(node.index.right, single)
        return lambda env: _slice(target(env), first(env), last(env))
    index = compile_node(node.index, single)
    return lambda env: _at(target(env), index(env))


def _position(index: Any, length: int) -> int:
    if not isinstance(index, int) or isinstance(index, bool):
        raise InlineError(f"an index must be an integer, not {numbers.kind(index)}")
    position = index + length if index < 0 else index
    if not 0 <= position < length:
        raise InlineError(f"index {index} is outside {length} element(s)")
    return position


def _at(target: Any, index: Any) -> Any:
    if not isinstance(target, str | list):
        raise InlineError(f"'[…]' needs a text or a list, not {numbers.kind(target)}; add .toString()")
    return target[_position(index, len(target))]


def _slice(target: Any, first: Any, last: Any) -> Any:
    """`target[a..b]`, both ends included, negative ends counted from the end, backwards when they cross."""
    if not isinstance(target, str | list):
        raise InlineError(f"'[…]' needs a text or a list, not {numbers.kind(target)}; add .toString()")
    start, stop = _position(first, len(target)), _position(last, len(target))
    return target[start : stop + 1] if start <= stop else target[stop : start + 1][::-1]


def _range(left: Any, right: Any) -> list[int]:
    for bound in (left, right):
        if not isinstance(bound, int) or isinstance(bound, bool):
            raise InlineError(f"a range needs integers, not {numbers.kind(bound)}")
    if abs(right - left) >= _LONGEST_RANGE:
        raise InlineError(f"a range has more than {_LONGEST_RANGE} elements")
    return list(range(left, right + 1)) if left <= right else list(range(left, right - 1, -1))


def _range_below(left: Any, right: Any) -> list[int]:
    return _range(left, right)[:-1]


def _member(left: Any, right: Any) -> bool:
    if not isinstance(right, list):
        raise InlineError("'in' needs a list or a range on its right")
    return any(methods.equal(left, item) for item in right)


_OPERATORS: Final[Mapping[str, Callable[[Any, Any], Any]]] = MappingProxyType(
    {
        "+": methods.plus,
        "-": numbers.subtract,
        "*": numbers.multiply,
        "/": numbers.divide,
        "%": numbers.remainder,
        "**": numbers.power,
        "&": numbers.bit_and,
        "|": numbers.bit_or,
        "^": numbers.bit_xor,
        "<<": numbers.shift("<<"),
        ">>": numbers.shift(">>"),
        ">>>": numbers.shift(">>>"),
        "..": _range,
        "..<": _range_below,
        "in": _member,
        "==": methods.equal,
        "!=": lambda left, right: not methods.equal(left, right),
        "<=>": lambda left, right: numbers.JavaInt(numbers.compare("<=>", left, right)),
        "<": lambda left, right: numbers.compare("<", left, right) < 0,
        "<=": lambda left, right: numbers.compare("<=", left, right) <= 0,
        ">": lambda left, right: numbers.compare(">", left, right) > 0,
        ">=": lambda left, right: numbers.compare(">=", left, right) >= 0,
    }
)

_COMPILERS: Final[Mapping[type, Callable[[Any, bool], Evaluate]]] = MappingProxyType(
    {
        Constant: _constant,
        Variable: _variable,
        ListOf: _list,
        Unary: _unary,
        Binary: _binary,
        Choice: _choice,
        Method: _method,
        Static: _static,
        Index: _index,
    }
)
