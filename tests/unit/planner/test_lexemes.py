"""Lexemes: where words, names, strings and marks of a MySQL statement begin and end."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dbmesh.planner.lexemes import Kind, LexemeReader, decode_string, split_lexemes


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


@given(st.text(alphabet="aS0 `'\"\\@.,;()?-#/*!\n", max_size=30))
def test_positions_lead_back_to_the_text(statement: str) -> None:
    end = 0
    for lexeme in split_lexemes(statement):
        assert statement[lexeme.start : lexeme.end] == lexeme.text
        assert lexeme.start >= end
        end = lexeme.end


@given(st.text(alphabet="ab'\\\n%", max_size=10))
def test_strings_decode_to_what_was_quoted(content: str) -> None:
    quoted = "'" + content.replace("\\", "\\\\").replace("'", "''") + "'"
    [lexeme] = split_lexemes(quoted)
    assert (lexeme.kind, lexeme.value) == (Kind.STRING, content)


def test_escapes_of_patterns_stay() -> None:
    assert decode_string(r"'a\_b\%c\n'") == "a\\_b\\%c\n"


def test_brackets_are_skipped_whole() -> None:
    reader = LexemeReader("(a (b) c) d")
    reader.skip_parentheses()
    assert reader.rest() == "d"
