"""What a session's user variables become when results or values are assigned to them.

Decides the type a column's value has in a variable; a text keeps its character set and collation, which only data sources
know. How it is written is `sql.user_values`'.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from dbmesh.backend.connection import Connection
from dbmesh.backend.state import CHARACTER_SETS, SessionState
from dbmesh.engine.collect import collect
from dbmesh.errors import not_supported
from dbmesh.planner.derived.literals import BINARY_CHARSET, STRINGS_OF_BYTES, literal_writers
from dbmesh.planner.template import quote_name
from dbmesh.sql.lexer import LexerFlags
from dbmesh.sql.literals import unquote, unsigned
from dbmesh.sql.user_values import collated, null_like
from dbmesh.wire.collations import encoding
from dbmesh.wire.constants import ColumnFlag, ColumnType
from dbmesh.wire.packets import ColumnDefinition

if TYPE_CHECKING:
    from dbmesh.session.session import Session

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
_TEMPORAL = frozenset(
    (ColumnType.DATE, ColumnType.NEWDATE, ColumnType.TIME, ColumnType.DATETIME, ColumnType.TIMESTAMP)
)
_OF_MOMENTS = "latin1_swedish_ci"
"""The collation of dates and times that have become text."""
_RESULTS = "character_set_results"


def assigned(state: SessionState, name: str, text: str) -> SessionState:
    """The state with a variable set to what was written, or what `variable_values` made. A plain NULL leaves it its type."""
    before = state.user_variable(name)
    if text.upper() == "NULL" and before is not None:
        text = null_like(before)
    return state.with_user_variable(name, text)


def written_text(raw: str, state: SessionState, flags: LexerFlags) -> str | None:
    """A client's literal as the value of a variable: a text has the session's collation, also when that is another since. None
    where only a data source knows which one."""
    if raw[0] == "_":
        return None
    if raw[0] not in "'\"":
        return raw
    if not CHARACTER_SETS.isdisjoint(dict(state.variables)):
        return None
    character_set, _, collation = state.names.partition(" COLLATE ")
    codec = encoding(character_set)
    text = unquote(raw, flags.no_backslash_escapes)
    if codec is None:
        return None
    value = text.encode(codec) if state.client else text.encode("utf-8", "surrogateescape")
    try:
        value.decode(codec)
    except UnicodeDecodeError:
        return None
    return collated(value, character_set, collation)


@contextlib.contextmanager
def unconverted(session: Session) -> Iterator[None]:
    """The session while queries give `variable_values`: every text comes in its own character set, and columns tell which
    that is."""
    state = session.state
    session.state = state.with_variable(_RESULTS, "NULL")
    try:
        yield
    finally:
        session.state = replace(state, user_variables=session.state.user_variables)


def variable_values(
    columns: Sequence[ColumnDefinition],
    collations: Sequence[str],
    row: Sequence[bytes | None],
    flags: LexerFlags,
) -> tuple[str, ...]:
    """A row of an `unconverted` result as values of variables, given the collations of its columns (`text_collations`). Raises
    MeshError(NOT_SUPPORTED) for FLOAT, and for collations nobody has heard of."""
    return tuple(
        _typed(column, value, _collation(column, told), flags)
        for column, told, value in zip(columns, collations, row, strict=True)
    )


async def read_variables(connection: Connection, names: Sequence[str], flags: LexerFlags) -> tuple[str, ...]:
    """What variables hold on a connection. Raises ShardError or MeshError."""
    if not names:
        return ()
    marked = ["@" + quote_name(name, quoted=True) for name in names]
    items = ", ".join(f"{name}, CAST({name} AS BINARY), COLLATION({name})" for name in marked)
    shown = await collect(connection, f"SELECT {items}".encode("utf-8", "surrogateescape"))
    values: list[str] = []
    for at in range(0, 3 * len(names), 3):
        column, (value, own_bytes, collation) = shown.columns[at], shown.rows[0][at : at + 3]
        known = (collation or b"binary").decode()
        values.append(_typed(column, own_bytes if _is_text(column) else value, known, flags))
    return tuple(values)


def _typed(column: ColumnDefinition, value: bytes | None, collation: str, flags: LexerFlags) -> str:
    if value is None:
        return "NULL" if column.type == ColumnType.NULL else null_like(_example(column, collation))
    if _is_text(column):
        return collated(_well_formed(value, collation), *_character_set(collation))
    if column.type in _TEMPORAL:
        return collated(value, *_character_set(_OF_MOMENTS))
    if column.type == ColumnType.BIT:
        return _number_of_bits(column, value)
    (write,) = literal_writers((column,), flags)
    literal = write(value)
    if column.type in _INTEGERS and column.flags & ColumnFlag.UNSIGNED:
        return unsigned(literal)
    return f"{literal}." if column.type in _DECIMALS and "." not in literal else literal


def _number_of_bits(column: ColumnDefinition, value: bytes) -> str:
    """A variable has a BIT's number. One that is computed comes as its bytes or as the text of its number."""
    if not column.org_name:
        raise not_supported("a user variable of a computed BIT", "write expression + 0")
    return unsigned(str(int.from_bytes(value, "big")))


def _well_formed(value: bytes, collation: str) -> bytes:
    """The bytes, which servers take for a literal's without asking but not where a connection is told of them (error 1300)."""
    codec = encoding(_character_set(collation)[0])
    if codec == "utf-8":
        try:
            value.decode(codec)
        except UnicodeDecodeError as error:
            raise not_supported("a user variable of bytes that are no text", "write them as x'…'") from error
    return value


def _is_text(column: ColumnDefinition) -> bool:
    return column.type == ColumnType.JSON or (
        column.type in STRINGS_OF_BYTES and column.character_set != BINARY_CHARSET
    )


def _collation(column: ColumnDefinition, told: str) -> str:
    if column.type == ColumnType.JSON:
        return "utf8mb4_bin"
    if not told and _is_text(column):
        raise not_supported(
            f"a user variable of the collation with the number {column.character_set}",
            "write CONVERT(… USING utf8mb4)",
        )
    return told


def _character_set(collation: str) -> tuple[str, str]:
    """Character set and collation, that '' where only the character set is known."""
    character_set, _, rest = collation.partition("_")
    return character_set, collation if rest else ""


def _example(column: ColumnDefinition, collation: str) -> str:
    """Some value of the column's type."""
    if _is_text(column):
        return collated(b"", *_character_set(collation))
    if column.type in _TEMPORAL:
        return collated(b"", *_character_set(_OF_MOMENTS))
    if column.type in _INTEGERS:
        return unsigned("1") if column.flags & ColumnFlag.UNSIGNED else "1"
    if column.type == ColumnType.BIT:
        return unsigned("1")
    if column.type in _DECIMALS:
        return "1.0"
    if column.type in (ColumnType.FLOAT, ColumnType.DOUBLE):
        return "1e0"
    return "x''"
