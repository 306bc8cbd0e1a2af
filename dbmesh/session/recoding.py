"""Text of clients in character sets whose second bytes can be ASCII (big5, gbk, sjis): it is read, and sent to servers, as UTF-8.

Decides which text is the same to a server after that: servers keep character_set_connection and character_set_results as the
client wants them, and convert. What they would convert to something else than the client's own bytes is refused. Answers come
from them in the client's character set.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from types import MappingProxyType

from dbmesh.errors import MeshError, not_supported
from dbmesh.sql.lexer import LexerFlags
from dbmesh.wire.binary import is_text
from dbmesh.wire.collations import encoding
from dbmesh.wire.commands import Execute, make_execute, parse_execute

_CONVERTED_OTHERWISE: Mapping[str, str] = MappingProxyType({"gbk": "", "big5": "╴￣ˍ", "sjis": "＼"})
"""The character sets, each with the characters that MariaDB converts to UTF-8 and back in another way than Python."""

RECODED = frozenset(_CONVERTED_OTHERWISE)

_INTRODUCED = re.compile(r"(?:(?<![\w$])_[A-Za-z0-9]+\s*|(?<![\w$])[nN])['\"]")
"""A literal whose bytes servers take as they are, whatever character set the statement is in (`_binary'…'`)."""

_ESCAPE = re.compile(r"\\(.)", re.DOTALL)
"""An escape takes one byte, which of other characters is not all."""

_KEEPS_BACKSLASH = re.compile(r"\\[\\%_]")
"""Escapes that leave a backslash in the value: in sjis servers take the one that comes from UTF-8 for another character."""


def recoded(sql: bytes, flags: LexerFlags) -> bytes:
    """A statement in the client's character set as UTF-8. Raises MeshError(NOT_SUPPORTED)."""
    assert flags.recoded is not None
    text = _decoded(sql, flags.recoded)
    if not sql.isascii() and (_INTRODUCED.search(text) or _escapes_others(text, flags)):
        raise _refused(flags.recoded)
    if flags.recoded == "sjis" and (
        "\\" in text if flags.no_backslash_escapes else _KEEPS_BACKSLASH.search(text)
    ):
        raise _refused(flags.recoded)
    return text.encode()


def _escapes_others(text: str, flags: LexerFlags) -> bool:
    return not flags.no_backslash_escapes and any(
        not escape[1].isascii() for escape in _ESCAPE.finditer(text)
    )


def recoded_execute(payload: bytes, execute: Execute, flags: LexerFlags) -> Execute:
    """COM_STMT_EXECUTE, its values read in the client's character set, with their texts in UTF-8. Raises
    MeshError(NOT_SUPPORTED)."""
    check_values(payload, execute.types, execute.values, flags)
    if all(not isinstance(value, str) or value.isascii() for value in execute.values):
        return execute
    made = make_execute(execute.statement_id, execute.values, cursor_flags=execute.cursor_flags)
    return parse_execute(made, len(execute.values))


def check_values(payload: bytes, types: bytes, values: Iterable[object], flags: LexerFlags) -> None:
    """Raise MeshError(NOT_SUPPORTED) for a bound text that servers would convert otherwise. `payload` is where the values came
    in."""
    charset = flags.recoded
    if charset is None:
        return
    codec = encoding(charset) or "ascii"
    for kind, value in zip(types[::2], values, strict=False):
        if isinstance(value, bytes) and is_text(kind):
            raise _refused(charset)
        if not isinstance(value, str):
            continue
        otherwise = _CONVERTED_OTHERWISE[charset] + ("\\" if charset == "sjis" else "")
        # A character may have two codes, of which servers keep one.
        if not set(otherwise).isdisjoint(value) or value.encode(codec) not in payload:
            raise _refused(charset)


def _decoded(text: bytes, charset: str) -> str:
    codec = encoding(charset) or "ascii"
    try:
        found = text.decode(codec)
    except UnicodeDecodeError as error:
        raise _refused(charset) from error
    if found.encode(codec) != text or not set(_CONVERTED_OTHERWISE[charset]).isdisjoint(found):
        raise _refused(charset)
    return found


def _refused(charset: str) -> MeshError:
    return not_supported(
        f"these characters under SET NAMES {charset}", "SET NAMES utf8mb4, or write them as x'…'"
    )
