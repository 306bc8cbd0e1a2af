"""Lexemes: where words, names, strings and marks of a MySQL statement begin and end."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dbmesh.planner.lexemes import Kind, LexemeReader, split_lexemes
from dbmesh.sql.lexer import DEFAULT, LexerFlags


@pytest.mark.parametrize(
    ("statement", "texts"),
    [
        (
            "SET @a:='x''y', @@session . b=0x1F;",
            ["SET", "@a", ":=", "'x''y'", ",", "@@session . b", "=", "0x1F"],
        ),
        ("a/* no */b -- end", ["a", "b"]),
        ("a # end\nb", ["a", "b"]),
        ("/*!40101 SET x */", ["SET", "x"]),
        ("/*M!100100 SET x */", ["SET", "x"]),
        ("`a``b`.`c`", ["`a``b`", ".", "`c`"]),
        ("1e5 .5 2a x'4f' N'q'", ["1e5", ".5", "2a", "x'4f'", "N'q'"]),
        ('\'a\\\'b\' "c""d"', ["'a\\'b'", '"c""d"']),
        ("DROP TABLE ⽃⽄1, 2⽅", ["DROP", "TABLE", "⽃⽄1", ",", "2⽅"]),
        ("a->>'$.b' <=> ?", ["a", "->>", "'$.b'", "<=>", "?"]),
    ],
)
def test_split(statement: str, texts: list[str]) -> None:
    assert [lexeme.text for lexeme in split_lexemes(statement)] == texts


PLAIN = LexerFlags(no_backslash_escapes=True)
ANSI = LexerFlags(ansi_quotes=True)


@pytest.mark.parametrize(
    ("statement", "flags", "values"),
    [
        (r"""@a = 'x\', @'b\' = "y\" """, PLAIN, ["a", "=", "x\\", ",", "b\\", "=", "y\\"]),
        (r"""'x\n''' "a""b" @'c\'""", PLAIN, ["x\\n'", 'a"b', "c\\"]),
        (r"""`x` "x""\" 'y\'' @"z\"" """, ANSI, ["x", 'x"\\', "y'", 'z"']),
        (r""""x\" 'y\' @"z\" """, LexerFlags(True, True), ["x\\", "y\\", "z\\"]),
    ],
)
def test_sql_mode_says_where_strings_end(statement: str, flags: LexerFlags, values: list[str]) -> None:
    assert [lexeme.value for lexeme in split_lexemes(statement, flags)] == values


def test_double_quotes_are_of_names_or_strings() -> None:
    assert [split_lexemes('"a"', flags)[0].kind for flags in (ANSI, PLAIN)] == [Kind.QUOTED, Kind.STRING]


@given(
    st.text(alphabet="aS0 `'\"\\@.,;()?-#/*!\n", max_size=30),
    st.builds(LexerFlags, st.booleans(), st.booleans()),
)
def test_positions_lead_back_to_the_text(statement: str, flags: LexerFlags) -> None:
    end = 0
    for lexeme in split_lexemes(statement, flags):
        assert statement[lexeme.start : lexeme.end] == lexeme.text
        assert lexeme.start >= end
        end = lexeme.end


@given(st.text(alphabet="ab'\\\n%", max_size=10), st.sampled_from((DEFAULT, PLAIN)))
def test_strings_decode_to_what_was_quoted(content: str, flags: LexerFlags) -> None:
    escaped = content if flags is PLAIN else content.replace("\\", "\\\\")
    quoted = "'" + escaped.replace("'", "''") + "'"
    [lexeme] = split_lexemes(quoted, flags)
    assert (lexeme.kind, lexeme.value) == (Kind.STRING, content)


def test_escapes_of_patterns_stay() -> None:
    assert split_lexemes(r"'a\_b\%c\n'")[0].value == "a\\_b\\%c\n"


def test_brackets_are_skipped_whole() -> None:
    reader = LexemeReader("(a (b) c) d")
    reader.skip_parentheses()
    assert reader.rest() == "d"
