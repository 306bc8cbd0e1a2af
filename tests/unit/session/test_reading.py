"""How a session's text is read."""

from __future__ import annotations

import pytest

from dbmesh.backend.state import SessionState
from dbmesh.session.reading import lexer_flags
from dbmesh.sql.lexer import DEFAULT, LexerFlags


@pytest.mark.parametrize(
    ("state", "flags"),
    [
        (SessionState(), DEFAULT),
        (SessionState("binary"), DEFAULT),
        (SessionState("latin1 COLLATE latin1_bin"), LexerFlags(encoding="cp1252")),
        (
            SessionState("utf8").with_variable("character_set_client", "'koi8r'"),
            LexerFlags(encoding="koi8_r"),
        ),
        (SessionState("latin1").with_variable("character_set_client", "utf8mb4"), DEFAULT),
        (SessionState().with_names("gbk", "gbk"), LexerFlags(recoded="gbk")),
        (SessionState().with_variable("sql_mode", "'ANSI,NO_BACKSLASH_ESCAPES'"), LexerFlags(True, True)),
    ],
)
def test_sql_mode_and_character_set_say_how_text_is_read(state: SessionState, flags: LexerFlags) -> None:
    assert lexer_flags(state) == flags
    assert (lexer_flags(state) is DEFAULT) == (flags is DEFAULT)
