"""Constants in SQLite's dialect."""

from __future__ import annotations

from dataclasses import replace

from dbmesh.backend.sqlite import names
from dbmesh.backend.transpile import types
from dbmesh.backend.transpile.coerce import Stored
from dbmesh.backend.transpile.inference import number_of
from dbmesh.backend.transpile.scope import Typed
from dbmesh.backend.transpile.types import DOUBLE, NULL


def literal(text: str, *, is_string: bool) -> Typed:
    """A string or number as it stands in the statement."""
    if is_string:
        return Typed(names.literal(text), types.text(len(text)), constant=True, value=text)
    value, kind = number_of(text)
    return Typed(names.literal(value), kind, constant=True, value=value)


def known(value: Stored) -> Typed:
    """A constant."""
    if value is None:
        return Typed("NULL", NULL, constant=True)
    if isinstance(value, float):
        return Typed(repr(value), DOUBLE, constant=True, value=value)
    if isinstance(value, bytes):
        kind = replace(types.BINARY, length=len(value))
        return Typed(names.literal(value), kind, constant=True, value=value)
    return literal(str(value), is_string=isinstance(value, str))
