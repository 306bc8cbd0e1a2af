"""What a session's user variables become when results or values are assigned to them.

Decides the type a column's value has in a variable. How it is written is `sql.user_values`'.
"""

from __future__ import annotations

from collections.abc import Sequence

from dbmesh.backend.state import SessionState
from dbmesh.planner.derived.literals import STRINGS_OF_BYTES, literal_writers, row_literals
from dbmesh.sql.lexer import LexerFlags
from dbmesh.sql.user_values import binary_text, null_like, unsigned
from dbmesh.wire.constants import ColumnFlag, ColumnType
from dbmesh.wire.packets import ColumnDefinition

_INTEGERS = frozenset(
    (
        ColumnType.TINY,
        ColumnType.SHORT,
        ColumnType.INT24,
        ColumnType.LONG,
        ColumnType.LONGLONG,
        ColumnType.YEAR,
    )
)
_DECIMALS = frozenset((ColumnType.DECIMAL, ColumnType.NEWDECIMAL))
_BINARY = 63


def assigned(state: SessionState, name: str, text: str) -> SessionState:
    """The state with a variable set to what was written, or what `variable_values` made. A plain NULL leaves it its type."""
    before = state.user_variable(name)
    if text.upper() == "NULL" and before is not None:
        text = null_like(before)
    return state.with_user_variable(name, text)


def variable_values(
    columns: Sequence[ColumnDefinition], row: Sequence[bytes | None], state: SessionState, flags: LexerFlags
) -> tuple[str, ...]:
    """A row as values of variables. Raises MeshError(NOT_SUPPORTED) for FLOAT."""
    literals = row_literals(literal_writers(columns, flags), row)
    character_set = state.names.split(" ", 1)[0]
    return tuple(
        _typed(column, literal, character_set) for column, literal in zip(columns, literals, strict=True)
    )


def _typed(column: ColumnDefinition, literal: str, character_set: str) -> str:
    if literal == "NULL":
        return literal if column.type == ColumnType.NULL else null_like(_example(column, character_set))
    if column.type in _INTEGERS and column.flags & ColumnFlag.UNSIGNED:
        return unsigned(literal)
    if column.type in _DECIMALS and "." not in literal:
        return f"{literal}."
    return binary_text(literal, character_set) if _is_binary_text(column) else literal


def _is_binary_text(column: ColumnDefinition) -> bool:
    """Whether a text has a collation of the kind `utf8mb4_bin`; which one exactly, definitions do not tell."""
    return (
        column.type in STRINGS_OF_BYTES
        and column.character_set != _BINARY
        and column.flags & ColumnFlag.BINARY != 0
    )


def _example(column: ColumnDefinition, character_set: str) -> str:
    """Some value of the column's type."""
    if _is_binary_text(column):
        return binary_text("''", character_set)
    if column.type in _INTEGERS:
        return unsigned("1") if column.flags & ColumnFlag.UNSIGNED else "1"
    if column.type in _DECIMALS:
        return "1.0"
    if column.type in (ColumnType.FLOAT, ColumnType.DOUBLE):
        return "1e0"
    temporal = column.type in _TEMPORAL
    return "x''" if column.character_set == _BINARY and not temporal else "''"


_TEMPORAL = frozenset(
    (ColumnType.DATE, ColumnType.NEWDATE, ColumnType.TIME, ColumnType.DATETIME, ColumnType.TIMESTAMP)
)
