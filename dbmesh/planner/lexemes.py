"""A statement's text as lexemes with their positions, and a reader that walks them.

Decides where words, names, strings, numbers and marks begin and end in MySQL's lexical rules (manual, "Language
Structure"). Knows no grammar. Used where a parsed tree is not exact enough: statements about the session, and edits
of a client's own text at the positions of names.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from functools import cache

from dbmesh.errors import MeshError
from dbmesh.sql.lexer import DEFAULT, LexerFlags
from dbmesh.sql.parse import Unreadable


class Kind(Enum):
    """What a lexeme is."""

    WORD = "word"
    QUOTED = "quoted name"
    STRING = "string"
    NUMBER = "number"
    USER_VARIABLE = "user variable"
    SYSTEM_VARIABLE = "system variable"
    PARAMETER = "parameter"
    MARK = "mark"


@dataclass(frozen=True, slots=True)
class Lexeme:
    """One lexeme: `text` as written, `value` decoded (a name without its quotes, a string's content), and its
    half-open range in the statement."""

    kind: Kind
    text: str
    value: str
    start: int
    end: int

    @property
    def word(self) -> str:
        """The keyword this may be, in upper case; '' when it cannot be one."""
        return self.text.upper() if self.kind is Kind.WORD else ""


@cache
def _pattern(ansi_quotes: bool, no_backslash_escapes: bool) -> re.Pattern[str]:
    """The lexemes of texts read under these flags."""
    escape, other = (r"", r"") if no_backslash_escapes else (r"|\\.", r"\\")
    single, double = (rf"{quote}(?:[^{quote}{other}]{escape}|{quote}{quote})*{quote}" for quote in "'\"")
    back = r"`(?:[^`]|``)*`"
    string, quoted = rf"[xXbBnN]?{single}", back
    if ansi_quotes:
        quoted += r'|"(?:[^"]|"")*"'
    else:
        string += rf"|{double}"
    # Comments are skipped, but the inside of a version comment (`/*!40101 SET … */`) is part of the statement.
    return re.compile(
        rf"""
    (?P<skip> \s+ | --(?=\s|$)[^\n]* | \#[^\n]* | /\*(?!M?!).*?(?:\*/|\Z) | /\*M?!\d* | \*/ )
  | (?P<string> {string} )
  | (?P<quoted> {quoted} )
  | (?P<system> @@[\w$]+(?:\s*\.\s*(?:[\w$]+|{back}))* | @@{back} )
  | (?P<user> @(?:[\w.$]+|{back}|{single}|{double}) )
  | (?P<number> (?:0x[0-9a-fA-F]+|0b[01]+|(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?)(?![\w$\x80-\uffff]) )
  | (?P<word> [\w$\x80-\uffff]+ )  # MySQL takes every character from U+0080 on
  | (?P<parameter> \? )
  | (?P<mark> := | <=> | <= | >= | <> | != | && | \|\| | << | >> | ->> | -> | . )
    """,
        re.VERBOSE | re.DOTALL,
    )


_KINDS = {
    "string": Kind.STRING,
    "quoted": Kind.QUOTED,
    "system": Kind.SYSTEM_VARIABLE,
    "user": Kind.USER_VARIABLE,
    "number": Kind.NUMBER,
    "word": Kind.WORD,
    "parameter": Kind.PARAMETER,
    "mark": Kind.MARK,
}

_ESCAPES = {"0": "\0", "b": "\b", "n": "\n", "r": "\r", "t": "\t", "Z": "\x1a", "%": "\\%", "_": "\\_"}


def _string(text: str, flags: LexerFlags) -> str:
    """The content of a string literal (manual, "String Literals"). Hex and bit strings are returned as written."""
    if text[0] in "xXbB":
        return text
    if text[0] in "nN":
        text = text[1:]
    quote = text[0]
    body = text[1:-1].replace(quote * 2, quote)
    if flags.no_backslash_escapes or "\\" not in body:
        return body
    return re.sub(r"\\(.)", lambda found: _ESCAPES.get(found[1], found[1]), body, flags=re.DOTALL)


def _name(text: str) -> str:
    quote = text[0]
    return text[1:-1].replace(quote * 2, quote)


def _decode(kind: Kind, text: str, flags: LexerFlags) -> str:
    if kind is Kind.STRING:
        return _string(text, flags)
    if kind is Kind.QUOTED:
        return _name(text)
    if kind is Kind.USER_VARIABLE:
        body = text[1:]
        if body[0] == "`":
            return _name(body)
        return _string(body, flags) if body[0] in "'\"" else body
    if kind is Kind.SYSTEM_VARIABLE:
        return re.sub(r"[\s`]", "", text[2:])
    return text


def split_lexemes(statement: str, flags: LexerFlags = DEFAULT) -> tuple[Lexeme, ...]:
    """The lexemes of one statement, comments left out. O(length). `flags` count for a client's own text; a `readable` one is
    read without any."""
    lexemes: list[Lexeme] = []
    for found in _pattern(flags.ansi_quotes, flags.no_backslash_escapes).finditer(statement):
        name = found.lastgroup
        if name is None or name == "skip":
            continue
        kind, text = _KINDS[name], found[0]
        lexemes.append(Lexeme(kind, text, _decode(kind, text, flags), found.start(), found.end()))
    while lexemes and lexemes[-1].text == ";":
        lexemes.pop()
    return tuple(lexemes)


_END = Lexeme(Kind.MARK, "", "", -1, -1)


class LexemeReader:
    """Walks lexemes from left to right. `accept_*` move on when the next lexeme fits, `expect_*` raise
    MeshError(PARSE_ERROR) when it does not. `flags` are those the lexemes were split under."""

    def __init__(
        self, statement: str, lexemes: Sequence[Lexeme] | None = None, flags: LexerFlags = DEFAULT
    ) -> None:
        self.statement = statement
        self.flags = flags
        self.lexemes = split_lexemes(statement, flags) if lexemes is None else lexemes
        self.position = 0

    def peek(self, ahead: int = 0) -> Lexeme:
        """The lexeme `ahead` places on, or an empty one after the last."""
        index = self.position + ahead
        return self.lexemes[index] if index < len(self.lexemes) else _END

    def take(self) -> Lexeme:
        """The next lexeme, moving past it. Behind the last one there is none, so that nobody reads on for ever."""
        if self.at_end:
            raise self.error()
        lexeme = self.peek()
        self.position += 1
        return lexeme

    @property
    def at_end(self) -> bool:
        """Whether every lexeme has been read."""
        return self.position >= len(self.lexemes)

    def looks_at(self, *words: str) -> bool:
        """Whether the next lexemes are these keywords or marks, in order."""
        return all(
            self.peek(ahead).word == word
            or (self.peek(ahead).text == word and self.peek(ahead).kind is Kind.MARK)
            for ahead, word in enumerate(words)
        )

    def accept(self, *words: str) -> bool:
        """Move past these keywords or marks if they come next."""
        if not self.looks_at(*words):
            return False
        self.position += len(words)
        return True

    def accept_any(self, *words: str) -> str | None:
        """Move past one of these keywords or marks, and tell which."""
        for word in words:
            if self.accept(word):
                return word
        return None

    def expect(self, *words: str) -> None:
        """Move past these keywords or marks."""
        if not self.accept(*words):
            raise self.error()

    def expect_name(self) -> Lexeme:
        """The next lexeme, which must be a name."""
        if self.peek().kind not in (Kind.WORD, Kind.QUOTED):
            raise self.error()
        return self.take()

    def expect_integer(self) -> int:
        """The next lexeme, which must be an unsigned integer."""
        if self.peek().kind is not Kind.NUMBER or not self.peek().text.isdigit():
            raise self.error()
        return int(self.take().text)

    def expect_end(self) -> None:
        """Nothing may follow."""
        if not self.at_end:
            raise self.error()

    def skip_parentheses(self) -> None:
        """Move past a balanced `( … )`."""
        self.expect("(")
        depth = 1
        while depth:
            if self.at_end:
                raise self.error()
            mark = self.take()
            if mark.kind is Kind.MARK:
                depth += {"(": 1, ")": -1}.get(mark.text, 0)

    def rest(self) -> str:
        """The text from the next lexeme to the end of the last one."""
        if self.at_end:
            return ""
        return self.statement[self.peek().start : self.lexemes[-1].end]

    def error(self) -> MeshError:
        """The syntax error at the next lexeme."""
        start = self.peek().start if not self.at_end else len(self.statement)
        return Unreadable(self.statement, start)
