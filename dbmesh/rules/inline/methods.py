"""The methods and functions an inline expression may call.

Decides the white list: what is not here cannot be called. Every function takes evaluated values and raises InlineError.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from decimal import Decimal
from types import MappingProxyType
from typing import Final

from dbmesh.rules.inline import numbers
from dbmesh.rules.inline.errors import InlineError
from dbmesh.rules.inline.numbers import JavaInt, kind
from dbmesh.rules.java_values import hash_code, wrap_int, wrap_long

_LONGEST_TEXT = 10_000
_INTEGER = re.compile(r"[+-]?\d{1,400}", re.ASCII)


def text(value: object) -> str:
    """Groovy's toString of a value."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return int.__repr__(value)
    if value is None:
        return "null"
    if isinstance(value, Decimal):
        return format(value, "f")
    if isinstance(value, list):
        return bounded("[" + ", ".join(map(text, value)) + "]")
    raise InlineError(f"{type(value).__name__} has no text")


def bounded(value: str) -> str:
    """The text itself, unless it grew beyond any table name."""
    if len(value) > _LONGEST_TEXT:
        raise InlineError(f"a text grows beyond {_LONGEST_TEXT} characters")
    return value


def _is_text(name: str, value: object) -> str:
    if not isinstance(value, str):
        raise InlineError(f"'{name}' needs a text, not {kind(value)}; add .toString()")
    return value


def _is_integer(name: str, value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise InlineError(f"'{name}' needs an integer, not {kind(value)}")
    return value


def _whole(name: str, value: object) -> int:
    """The integer part of a number, or the integer a text spells."""
    if isinstance(value, str):
        stripped = value.strip()
        if not _INTEGER.fullmatch(stripped):
            raise InlineError(f"'{name}' cannot read a number from the text {value[:40]!r}")
        return int(stripped)
    if isinstance(value, Decimal) and value.is_finite() and value.adjusted() < 400:
        return int(value)
    return int(_is_integer(name, value))


def to_integer(value: object) -> JavaInt:
    """`.toInteger()`: a text must fit 32 bits, a number is cut to them."""
    whole = _whole("toInteger", value)
    if isinstance(value, str) and wrap_int(whole) != whole:
        raise InlineError(f"'toInteger': {whole} does not fit 32 bits; use .toLong()")
    return JavaInt(wrap_int(whole))


def to_long(value: object) -> int:
    """`.toLong()`: a text must fit 64 bits, a number is cut to them."""
    whole = _whole("toLong", value)
    if isinstance(value, str) and wrap_long(whole) != whole:
        raise InlineError(f"'toLong': {whole} does not fit 64 bits")
    return wrap_long(whole)


def _hash(value: object) -> JavaInt:
    code = hash_code(value) if isinstance(value, int | str | Decimal) else None
    if code is None:
        raise InlineError(f"'hashCode' is not defined for {kind(value)}")
    return JavaInt(code)


def _length(value: object) -> JavaInt:
    if not isinstance(value, str | list):
        raise InlineError(f"'length' needs a text or a list, not {kind(value)}; add .toString()")
    return JavaInt(len(value))


def _substring(value: object, *bounds: object) -> str:
    whole = _is_text("substring", value)
    start = _is_integer("substring", bounds[0])
    stop = _is_integer("substring", bounds[1]) if len(bounds) > 1 else len(whole)
    if not 0 <= start <= stop <= len(whole):
        raise InlineError(f"'substring({start}, {stop})' is outside a text of {len(whole)} characters")
    return whole[start:stop]


def _pad(name: str, left: bool) -> Callable[..., str]:
    def pad(value: object, width: object, padding: object = " ") -> str:
        length, filler = _is_integer(name, width), _is_text(name, padding)
        if length > _LONGEST_TEXT or len(filler) != 1:
            raise InlineError(f"'{name}' needs a sane width and one padding character")
        whole = text(value)
        return whole.rjust(length, filler) if left else whole.ljust(length, filler)

    return pad


def char_at(value: object, index: object) -> str:
    """`.charAt()` and `text[i]` for i of zero or more."""
    whole, position = _is_text("charAt", value), _is_integer("charAt", index)
    if not 0 <= position < len(whole):
        raise InlineError(f"index {position} is outside a text of {len(whole)} characters")
    return whole[position]


def _of_texts(name: str, apply: Callable[..., object]) -> Callable[..., object]:
    def call(*values: object) -> object:
        result = apply(*(_is_text(name, value) for value in values))
        if isinstance(result, int) and not isinstance(result, bool):
            return JavaInt(result)
        return bounded(result) if isinstance(result, str) else result

    return call


def _contains(value: object, item: object) -> bool:
    if isinstance(value, list):
        return any(equal(member, item) for member in value)
    return _is_text("contains", item) in _is_text("contains", value)


def equal(left: object, right: object) -> bool:
    """`==`: numbers by value, texts and booleans by content, null only to null."""
    if isinstance(left, list) and isinstance(right, list):
        return len(left) == len(right) and all(map(equal, left, right))
    if left is None or right is None or isinstance(left, bool) or isinstance(right, bool):
        return left is right
    return numbers.compare("==", left, right) == 0


def _extreme(name: str, sign: int) -> Callable[[object, object], object]:
    def choose(left: object, right: object) -> object:
        if not (numbers.is_number(left) and numbers.is_number(right)):
            raise InlineError(f"'{name}' needs two numbers")
        return left if numbers.compare(name, left, right) * sign >= 0 else right

    return choose


def _floor_mod(left: object, right: object) -> int:
    divisor = _is_integer("Math.floorMod", right)
    if divisor == 0:
        raise InlineError("division by zero")
    return numbers.fit(_is_integer("Math.floorMod", left) % divisor, _is_integer("", left), divisor)


def _floor_div(left: object, right: object) -> int:
    divisor = _is_integer("Math.floorDiv", right)
    if divisor == 0:
        raise InlineError("division by zero")
    return numbers.fit(_is_integer("Math.floorDiv", left) // divisor, _is_integer("", left), divisor)


Function = Callable[..., object]

METHODS: Final[Mapping[str, tuple[int, int, Function]]] = MappingProxyType(
    {
        # name: fewest and most arguments after the target, function
        "hashCode": (0, 0, _hash),
        "toInteger": (0, 0, to_integer),
        "intValue": (0, 0, to_integer),
        "toLong": (0, 0, to_long),
        "longValue": (0, 0, to_long),
        "toString": (0, 0, text),
        "abs": (0, 0, numbers.absolute),
        "intdiv": (1, 1, numbers.integer_divide),
        "mod": (1, 1, numbers.remainder),
        "plus": (1, 1, lambda left, right: plus(left, right)),
        "minus": (1, 1, numbers.subtract),
        "multiply": (1, 1, numbers.multiply),
        "div": (1, 1, numbers.divide),
        "equals": (1, 1, equal),
        "length": (0, 0, _length),
        "size": (0, 0, _length),
        "substring": (1, 2, _substring),
        "charAt": (1, 1, char_at),
        "padLeft": (1, 2, _pad("padLeft", left=True)),
        "padRight": (1, 2, _pad("padRight", left=False)),
        "contains": (1, 1, _contains),
        "startsWith": (1, 1, _of_texts("startsWith", str.startswith)),
        "endsWith": (1, 1, _of_texts("endsWith", str.endswith)),
        "indexOf": (1, 1, _of_texts("indexOf", str.find)),
        "lastIndexOf": (1, 1, _of_texts("lastIndexOf", str.rfind)),
        "replace": (2, 2, _of_texts("replace", lambda whole, old, new: whole.replace(old, new))),
        "trim": (0, 0, _of_texts("trim", str.strip)),
        "toUpperCase": (0, 0, _of_texts("toUpperCase", str.upper)),
        "toLowerCase": (0, 0, _of_texts("toLowerCase", str.lower)),
        "reverse": (0, 0, _of_texts("reverse", lambda whole: whole[::-1])),
    }
)

STATICS: Final[Mapping[str, tuple[int, int, Function]]] = MappingProxyType(
    {
        "Math.abs": (1, 1, numbers.absolute),
        "Math.min": (2, 2, _extreme("Math.min", -1)),
        "Math.max": (2, 2, _extreme("Math.max", 1)),
        "Math.floorMod": (2, 2, _floor_mod),
        "Math.floorDiv": (2, 2, _floor_div),
        "Integer.parseInt": (1, 1, lambda value: to_integer(_is_text("Integer.parseInt", value))),
        "Integer.valueOf": (1, 1, to_integer),
        "Long.parseLong": (1, 1, lambda value: to_long(_is_text("Long.parseLong", value))),
        "Long.valueOf": (1, 1, to_long),
        "String.valueOf": (1, 1, text),
    }
)


def plus(left: object, right: object) -> object:
    """`+`: joins texts and lists, adds numbers."""
    if isinstance(left, str) or isinstance(right, str):
        return bounded(text(left) + text(right))
    if isinstance(left, list) and isinstance(right, list):
        if len(left) + len(right) > _LONGEST_TEXT * 10:
            raise InlineError("a list grows too long")
        return left + right
    return numbers.add(left, right)
