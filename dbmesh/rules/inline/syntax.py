"""Inline expressions, step two: tokens to a syntax tree.

Decides Groovy's precedence for the subset. Knows no values: the compiler gives the tree its meaning.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from dbmesh.rules.inline.errors import InlineError
from dbmesh.rules.inline.numbers import JavaInt
from dbmesh.rules.inline.tokens import Token


@dataclass(frozen=True, slots=True)
class Constant:
    """A number, text, boolean or null."""

    value: int | Decimal | str | bool | None


@dataclass(frozen=True, slots=True)
class Variable:
    """A sharding column, in lower case."""

    name: str


@dataclass(frozen=True, slots=True)
class ListOf:
    """`[a, b]`."""

    items: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Unary:
    """`-a`, `+a`, `!a`, `~a`."""

    operator: str
    operand: Node


@dataclass(frozen=True, slots=True)
class Binary:
    """`a + b` and every other operator of two operands, ranges too."""

    operator: str
    left: Node
    right: Node


@dataclass(frozen=True, slots=True)
class Choice:
    """`a ? b : c`, and `a ?: c` where `then` is None."""

    condition: Node
    then: Node | None
    otherwise: Node


@dataclass(frozen=True, slots=True)
class Method:
    """`target.name(arguments)`."""

    target: Node
    name: str
    arguments: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Static:
    """`Math.abs(arguments)` and the like; `name` is the whole `Math.abs`."""

    name: str
    arguments: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Index:
    """`target[index]`."""

    target: Node
    index: Node


Node = Constant | Variable | ListOf | Unary | Binary | Choice | Method | Static | Index

# Loosest first; every level is left-associative. Source: the Groovy language documentation, "Operator precedence".
_LEVELS: tuple[frozenset[str], ...] = (
    frozenset({"||"}),
    frozenset({"&&"}),
    frozenset({"|"}),
    frozenset({"^"}),
    frozenset({"&"}),
    frozenset({"==", "!=", "<=>"}),
    frozenset({"<", "<=", ">", ">=", "in"}),
    frozenset({"<<", ">>", ">>>", "..", "..<"}),
    frozenset({"+", "-"}),
    frozenset({"*", "/", "%"}),
)
_CLASSES = frozenset({"Math", "Integer", "Long", "String"})
_DEEPEST = 25


def parse(tokens: list[Token]) -> Node:
    """The tree of a whole expression. Raises InlineError."""
    parser = _Parser(tokens)
    node = parser.choice(0)
    if parser.token.kind != "end":
        raise InlineError(f"unexpected '{parser.token.value}' at position {parser.token.start + 1}")
    return node


class _Parser:
    def __init__(self, tokens: list[Token]) -> None:
        self._tokens = tokens
        self._position = 0

    @property
    def token(self) -> Token:
        return self._tokens[self._position]

    def _take(self, *symbols: str) -> str | None:
        token = self.token
        if token.value in symbols and token.kind in ("symbol", "name"):
            self._position += 1
            return token.value
        return None

    def _expect(self, symbol: str) -> None:
        if self._take(symbol) is None:
            found = self.token.value or "the end"
            raise InlineError(f"expected '{symbol}' but found '{found}' at position {self.token.start + 1}")

    def choice(self, depth: int) -> Node:
        if depth > _DEEPEST:
            raise InlineError(f"the expression is nested deeper than {_DEEPEST} levels")
        condition = self._binary(0, depth)
        if self._take("?:"):
            return Choice(condition, None, self.choice(depth + 1))
        if self._take("?"):
            then = self.choice(depth + 1)
            self._expect(":")
            return Choice(condition, then, self.choice(depth + 1))
        return condition

    def _binary(self, level: int, depth: int) -> Node:
        if level == len(_LEVELS):
            return self._unary(depth)
        node = self._binary(level + 1, depth)
        chained = 0
        while operator := self._take(*_LEVELS[level]):
            chained += 1
            if chained > _DEEPEST:
                raise InlineError(f"more than {_DEEPEST} operators in a row")
            node = Binary(operator, node, self._binary(level + 1, depth))
        return node

    def _unary(self, depth: int) -> Node:
        if depth > _DEEPEST:
            raise InlineError(f"the expression is nested deeper than {_DEEPEST} levels")
        if operator := self._take("-", "+", "!", "~"):
            return Unary(operator, self._unary(depth + 1))
        node = self._postfix(self._primary(depth), depth)
        if self._take("**"):
            node = Binary("**", node, self._unary(depth + 1))
        return node

    def _postfix(self, node: Node, depth: int) -> Node:
        chained = 0
        while symbol := self._take(".", "?.", "["):
            chained += 1
            if chained > _DEEPEST:
                raise InlineError(f"more than {_DEEPEST} calls in a row")
            if symbol == "[":
                node = Index(node, self.choice(depth + 1))
                self._expect("]")
            elif symbol == "?.":
                raise InlineError("'?.' is not supported; use '.'")
            else:
                node = Method(node, self._name(), self._arguments(depth))
        return node

    def _name(self) -> str:
        token = self.token
        if token.kind != "name":
            raise InlineError(f"expected a method name at position {token.start + 1}")
        self._position += 1
        return token.value

    def _arguments(self, depth: int) -> tuple[Node, ...]:
        self._expect("(")
        return self._items(")", depth)

    def _items(self, closing: str, depth: int) -> tuple[Node, ...]:
        items: list[Node] = []
        if self._take(closing):
            return ()
        while True:
            items.append(self.choice(depth + 1))
            if self._take(closing):
                return tuple(items)
            self._expect(",")

    def _primary(self, depth: int) -> Node:
        token = self.token
        self._position += 1 if token.kind != "end" else 0
        if token.kind == "number":
            return Constant(_number(token.value))
        if token.kind == "text":
            return Constant(token.value)
        if token.kind == "name":
            return self._named(token, depth)
        if token.value == "(":
            node = self.choice(depth + 1)
            self._expect(")")
            return node
        if token.value == "[":
            return ListOf(self._items("]", depth))
        found = token.value if token.kind != "end" else "the end"
        raise InlineError(f"expected a value but found '{found}' at position {token.start + 1}")

    def _named(self, token: Token, depth: int) -> Node:
        words: dict[str, bool | None] = {"true": True, "false": False, "null": None}
        if token.value in words:
            return Constant(words[token.value])
        if token.value == "in":
            raise InlineError(f"expected a value but found 'in' at position {token.start + 1}")
        if token.value in _CLASSES:
            self._expect(".")
            return Static(f"{token.value}.{self._name()}", self._arguments(depth))
        if self.token.value == "(" and self.token.kind == "symbol":
            raise InlineError(f"unknown function '{token.value}'")
        return Variable(token.value.lower())


def _number(text: str) -> int | Decimal:
    digits = text.rstrip("lLiIgG")
    if len(digits) > 100:
        raise InlineError("a number has more than 100 digits")
    if "." in digits:
        return Decimal(digits)
    value = int(digits)
    return JavaInt(value) if value <= 0x7FFFFFFF and text[-1] not in "lLgG" else value
