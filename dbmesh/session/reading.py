"""How a session's SQL text is read: what its sql_mode and its character set say.

Decides which codec stands for a character set. Knows nothing of statements.
"""

from __future__ import annotations

from functools import lru_cache

from dbmesh.backend.state import SessionState
from dbmesh.sql.lexer import DEFAULT, LexerFlags
from dbmesh.wire.collations import encoding

_READ_AS_UTF8 = frozenset({"utf8mb4", "utf8mb3", "utf8", "ascii", "binary"})
"""Binary text is bytes to the server; they are most often UTF-8, and bytes that are none are kept as they are."""


@lru_cache(maxsize=256)
def lexer_flags(state: SessionState) -> LexerFlags:
    """How text of a session in this state is read."""
    mode = (state.variable("sql_mode") or "").upper()
    ansi = any(word in mode for word in ("ANSI", "DB2", "MAXDB", "MSSQL", "ORACLE", "POSTGRESQL"))
    plain = "NO_BACKSLASH_ESCAPES" in mode
    if state.client:
        return LexerFlags(ansi, plain, recoded=state.client)
    charset = (state.variable("character_set_client") or state.names).split(" ", 1)[0].strip("'\"").lower()
    codec = None if charset in _READ_AS_UTF8 else encoding(charset) or "latin-1"
    return LexerFlags(ansi, plain, codec) if ansi or plain or codec else DEFAULT


def client_encoding(flags: LexerFlags) -> str:
    """Python's codec for the bytes a client sends and gets."""
    return flags.encoding or (flags.recoded and encoding(flags.recoded)) or "utf-8"
