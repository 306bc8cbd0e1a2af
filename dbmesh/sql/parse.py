"""Shapes to syntax trees, by sqlglot's MySQL dialect; the trees are only read, never turned back into text.

Decides what counts as one readable statement. Every `?` is parsed as `0`, because sqlglot gives placeholders no
position; whoever reads a tree finds parameters by the position of that zero.
"""

from __future__ import annotations

import re

import sqlglot
from sqlglot import exp

# Loaded here, not when it is first named: other threads find a dialect before it is complete.
from sqlglot.dialects.mysql import MySQL
from sqlglot.errors import SqlglotError
from sqlglot.tokenizer_core import Token, TokenType

from dbmesh.errors import INVALID_TEXT, PARSE_ERROR, MeshError, not_supported
from dbmesh.sql.lexer import LexerFlags
from dbmesh.sql.row_values import in_brackets, value_queries, without_brackets
from dbmesh.sql.sequences import as_operators, name_sequences
from dbmesh.sql.server_forms import marked, without_server_forms
from dbmesh.sql.shape import Shape
from dbmesh.sql.stand_ins import give_names_back, stand_in
from dbmesh.sql.typed_literals import mark_typed_literals
from dbmesh.sql.unread_forms import readable

NEAR_CHARACTERS = 80
"""How much of a statement an error quotes, as MySQL does."""


class Unreadable(MeshError):
    """PARSE_ERROR at a `position` of the text that was read, of `length` characters. Whoever knows what the client
    wrote in place of that text quotes it instead."""

    def __init__(self, text: str, position: int) -> None:
        line = text.count("\n", 0, position) + 1
        super().__init__(PARSE_ERROR, near=text[position:].strip()[:NEAR_CHARACTERS], line=line)
        self.length = len(text)
        self.position = position


_EXECUTABLE = re.compile(r"/\*!(\d*)(.*?)\*/", re.DOTALL)
_OLDEST_UNCERTAIN = 50700
"""Servers differ on whether they run `/*!` comments from this version on (MariaDB skips 50700 to 50999)."""


def parseable(shape: Shape, flags: LexerFlags) -> str:
    """The shape's text made readable for sqlglot, character for character at the same positions.

    Raises MeshError: INVALID_TEXT for bytes that are no text outside string literals; NOT_SUPPORTED for version
    comments that some servers run and others do not.
    """
    text = shape.text
    _require_text(text)
    characters = list(text)
    for slot in shape.slots:
        if slot.parameter:
            characters[slot.start] = "0"
    if shape.start:
        characters[: shape.start] = " " * shape.start
    text = "".join(characters)
    if "/*!" in text or "/*M!" in text:
        text = _unwrap(text)
    if flags.ansi_quotes and '"' in text:
        text = _back_quoted(text)
    return text


def _require_text(text: str) -> None:
    try:
        text.encode()
    except UnicodeEncodeError as error:
        sample = text[max(0, error.start - 10) : error.start + 4].encode("utf-8", "backslashreplace").decode()
        raise MeshError(INVALID_TEXT, charset="utf8mb4", text=sample) from None


def _unwrap(text: str) -> str:
    """The inside of `/*! … */` is part of the statement."""

    def blank(found: re.Match[str]) -> str:
        digits, inside = found[1], found[2]
        if "/*" in inside or (digits and int(digits) >= _OLDEST_UNCERTAIN):
            raise not_supported(
                "a version comment that not every server runs", "write the statement without /*! … */"
            )
        return " " * (3 + len(digits)) + inside + "  "

    if "/*M!" in text:
        raise not_supported("a MariaDB version comment", "write the statement without /*M! … */")
    return _EXECUTABLE.sub(blank, text)


def _back_quoted(text: str) -> str:
    if "`" in text:
        raise not_supported(
            "names in back quotes and in double quotes in one statement", "use one kind of quote"
        )
    return text.replace('"', "`")


_INTO = re.compile(r"\bINTO\s+(?:OUTFILE|DUMPFILE)\b", re.IGNORECASE)
INTO_FILE = ("SELECT … INTO OUTFILE", "read the rows and store them from the application")
"""The refusal of a file on a server, and what to do instead."""


_VALUES = re.compile(r"\bVALUES\b", re.IGNORECASE)
_BEGINS_WITH_VALUES = re.compile(r"\s*VALUES\b", re.IGNORECASE)


def parse(text: str) -> exp.Expression:
    """The tree of one statement. Raises MeshError(PARSE_ERROR)."""
    operators, sequences = as_operators(text)
    return name_sequences(_parse_any(operators), sequences)


def _parse_any(text: str) -> exp.Expression:
    if _BEGINS_WITH_VALUES.match(text):
        rows = _parse_value_queries(text)
        if rows is None:
            raise Unreadable(text, len(text))
        return rows
    try:
        return _parse(text)
    except Unreadable:
        simpler = readable(text)
        if simpler != text:
            return _parse_any(simpler)
        general, forms = without_server_forms(text, tokenize(text))
        if forms:
            return marked(_parse_any(general), forms)
        tree = _parse_value_queries(text) if _VALUES.search(text) else None
        if tree is None:
            raise
        return tree


def _parse_value_queries(text: str) -> exp.Expression | None:
    """The tree of a statement with VALUES as a query; None when it has none. Raises as `parse`."""
    spans = value_queries(tokenize(text))
    return without_brackets(_parse(in_brackets(text, spans)), spans) if spans else None


def _parse(text: str) -> exp.Expression:
    try:
        complete, places = stand_in(text)
        trees = [tree for tree in sqlglot.parse(complete, dialect=MySQL) if tree is not None]
    except SqlglotError as error:
        raise _parse_error(text, error) from None
    except RecursionError:
        raise not_supported("a statement nested this deep", "simplify it") from None
    if len(trees) != 1:
        raise Unreadable(text, 0)
    tree = trees[0]
    assert isinstance(tree, exp.Expression)
    give_names_back(tree, text, places)
    mark_typed_literals(tree, text)
    return tree


def tokenize(text: str) -> list[Token]:
    """sqlglot's tokens of the same text. Raises MeshError(PARSE_ERROR)."""
    try:
        return sqlglot.tokenize(text, dialect=MySQL)
    except SqlglotError as error:
        raise _parse_error(text, error) from None


def _parse_error(text: str, error: SqlglotError) -> MeshError:
    if _INTO.search(text):
        # Legal MySQL that sqlglot does not read.
        return not_supported(*INTO_FILE)
    details = getattr(error, "errors", None) or [{}]
    first = details[0]
    place = first.get("highlight") or ""
    before = first.get("start_context") or ""
    found = text.find(f"{before}{place}{first.get('end_context') or ''}")
    return Unreadable(text, 0 if found < 0 or _begins_with_a_name(text) else found + len(before))


def _begins_with_a_name(text: str) -> bool:
    """Whether a text begins with a word that begins no statement: that is where it cannot be read, although sqlglot
    takes the word for an expression and reads on."""
    try:
        tokens = sqlglot.tokenize(text, dialect=MySQL)
    except SqlglotError:
        return False
    return bool(tokens) and tokens[0].token_type is TokenType.VAR
