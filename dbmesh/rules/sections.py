"""A part of a file checked against its model, with every mistake in the operator's terms.

Decides the wording of structural mistakes and the guess for a mistyped key. Knows no rule's meaning.
"""

from __future__ import annotations

import difflib
import types
import typing
from collections.abc import Iterable
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from dbmesh.rules.source import Path, SourceFile

SectionType = TypeVar("SectionType", bound=BaseModel)


_LEAF_ERRORS = frozenset(
    {
        "extra_forbidden",
        "int_parsing",
        "float_parsing",
        "bool_parsing",
        "greater_than_equal",
        "less_than_equal",
        "greater_than",
        "less_than",
        "literal_error",
    }
)
"""What is wrong with one value: the key is as if it were not there."""


def validate(source: SourceFile, path: Path, value: Any, model: type[SectionType]) -> SectionType | None:
    """The section. What is wrong with it is reported and left out, so that the rest can be checked too; None when
    nothing can be made of it."""
    if value is None:
        value = {}
    try:
        return model.model_validate(value)
    except ValidationError as error:
        details = error.errors(include_url=False)
    for detail in details:
        _report(source, path, model, detail)
    for detail in details:
        value = _leave_out(source, value, detail)
    try:
        return None if value is None else model.model_validate(value)
    except ValidationError:
        return None


def _leave_out(source: SourceFile, value: Any, detail: ErrorDetails) -> Any:
    """The value without one wrong key, or without the whole named entry (a table, an algorithm) that it spoils."""
    location = detail["loc"]
    if detail["type"] not in _LEAF_ERRORS:
        if len(location) < 3:
            return None
        location = location[:2]
        source.broken.add(str(location[1]))
    return _without(value, location)


def _without(value: Any, location: tuple[int | str, ...]) -> Any:
    if isinstance(value, list) and location and isinstance(location[0], int) and location[0] < len(value):
        items = list(value)
        items[location[0]] = _without(items[location[0]], location[1:]) if len(location) > 1 else None
        return items
    if not isinstance(value, dict) or not location or location[0] not in value:
        return value
    copy = dict(value)
    if len(location) == 1:
        del copy[location[0]]
    else:
        copy[location[0]] = _without(copy[location[0]], location[1:])
    return copy


def report_unknown(source: SourceFile, path: Path, what: str, name: str, known: Iterable[str]) -> None:
    """Reports a reference to nothing, unless what it names was left out because of a reported mistake."""
    if name not in source.broken:
        source.report(
            path, f"unknown {what} '{name}'", suggestion(name, known, "define it, or remove this key")
        )


def closest(name: str, known: Iterable[str]) -> str | None:
    """The known name a mistyped one probably means; None when several are equally near."""
    by_lower = {candidate.lower(): candidate for candidate in known}
    matches = difflib.get_close_matches(name.lower(), by_lower, n=2, cutoff=0.6)
    ratios = [difflib.SequenceMatcher(None, name.lower(), match).ratio() for match in matches]
    if not matches or (len(ratios) == 2 and ratios[0] == ratios[1]):
        return None
    return by_lower[matches[0]]


def suggestion(name: str, known: Iterable[str], none: str = "remove it") -> str:
    """The fix for an unknown name: the closest one, or all of them; `none` where nothing is known."""
    candidates = sorted(known)
    if near := closest(name, candidates):
        return f"did you mean '{near}'?"
    return f"use one of {', '.join(candidates)}" if candidates else none


def _report(source: SourceFile, path: Path, model: type[BaseModel], detail: ErrorDetails) -> None:
    location = (*path, *detail["loc"])
    kind = detail["type"]
    last = str(location[-1]) if location else ""
    if kind == "extra_forbidden":
        known = _keys_at(model, detail["loc"][:-1])
        source.report(location, f"unknown key '{last}'", suggestion(last, known))
    elif kind == "missing":
        source.report(location, f"'{last}' is missing", f"add '{last}'")
    elif kind in ("int_parsing", "int_type", "int_from_float"):
        source.report(location, f"'{detail['input']}' is not an integer", "write digits only")
    elif kind in ("bool_parsing", "bool_type"):
        source.report(location, f"'{detail['input']}' is neither true nor false", "write true or false")
    elif kind in ("dict_type", "model_type", "model_attributes_type"):
        source.report(location, f"'{last}' must be a mapping of keys", "indent its keys below it")
    elif kind == "list_type":
        source.report(location, f"'{last}' must be a list", "write it as a list of '- ' items")
    elif kind == "string_type":
        source.report(location, f"'{last}' must be a text", "write one value, in quotes if need be")
    else:
        source.report(location, detail["msg"][:1].lower() + detail["msg"][1:], f"correct '{last}'")


def _keys_at(model: type[BaseModel], location: tuple[int | str, ...]) -> list[str]:
    """Keys known at a place inside a model, following aliases down."""
    current: type[BaseModel] | None = model
    pending: Any = None
    for part in location:
        if current is not None:
            annotation = next(
                (field.annotation for field in current.model_fields.values() if field.alias == part), None
            )
        else:
            annotation = pending
        current, pending = _step(annotation)
    return [] if current is None else [field.alias or "" for field in current.model_fields.values()]


def _step(annotation: Any) -> tuple[type[BaseModel] | None, Any]:
    """A model where the annotation is one, else what lies inside a dict or list."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation, None
    origin = typing.get_origin(annotation)
    arguments = typing.get_args(annotation)
    if origin in (typing.Union, types.UnionType):
        return _step(next((argument for argument in arguments if argument is not type(None)), None))
    if origin is typing.Annotated:
        return _step(arguments[0])
    if origin in (dict, list):
        return None, arguments[-1]
    return None, None
