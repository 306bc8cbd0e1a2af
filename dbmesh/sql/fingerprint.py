"""Fingerprints: one lexer pass that splits a statement into its shape and its literals.

Decides what makes two texts the same statement: the same words, spaces and kinds of literals. Spaces stay as they
are because MySQL names unnamed result columns by their source text. Knows nothing of what the statement means; a
text that is not SQL still has a fingerprint, and the parser refuses it later.

Rules of the shape (MySQL manual, "Literal Values" and "Comments"):

* an integer becomes `0`, a decimal `0.0`, a float `0e0`, a string `''` (an introducer or `x`, `b`, `N` before it
  stays in the text), `0x…` and `0b…` become `0x0`; `?` stays and is never folded;
* a sign directly after `(`, `,`, `=`, `<` or `>` belongs to its number;
* `IN (1, 2, 3)` of one kind is one slot: its literal is a `ListLiteral`;
* the rows of INSERT … VALUES, when all look alike, are one slot: its literal is a `RowSet`. A NULL between the
  literals of such a row is a literal too, and the kinds of one column may differ from row to row;
* comments go, except `/*! … */`, `/*+ … */` and routing hints, which come first in the shape.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from dbmesh.errors import PARSE_ERROR, MeshError
from dbmesh.sql import lexer
from dbmesh.sql.lexer import DEFAULT, LexerFlags

HINT_COMMENT = re.compile(r"/\*\s*(?:SHARDINGSPHERE_HINT|DBMESH_HINT|ShardingSphere hint)\s*:", re.IGNORECASE)

LIST_HEAD = re.compile(r"\bIN\s*\(\s?\Z", re.IGNORECASE)
LIST_TAIL = re.compile(r"\s?\)")
_LIST_SEPARATORS = frozenset((",", ", "))
ROWS_HEAD = re.compile(r"\bVALUES?\s*\(", re.IGNORECASE)
NEXT_ROW = re.compile(r"\s*,\s*\(")
_PARENTHESIS = re.compile(r"[()]")
_NOT_IN_ROWS = frozenset("`/#")
_SPACES = " \t\n\r\f\v"
_ENDS = _SPACES + ";"
_split_by_default = lexer.pattern(DEFAULT, inserting=False).split


@dataclass(frozen=True, slots=True)
class ListLiteral:
    """The members of an IN list as raw SQL texts, and what stood between them."""

    members: list[str]
    separator: str = ","

    def text(self) -> str:
        """The list as it was written."""
        return self.separator.join(self.members)

    __str__ = text


@dataclass(frozen=True, slots=True)
class RowSet:
    """The literals of INSERT rows that look alike: `width` cells a row, row after row, as raw SQL texts."""

    width: int
    cells: list[str]

    def rows(self) -> Iterator[tuple[str, ...]]:
        """Cells row by row."""
        return zip(*[iter(self.cells)] * self.width, strict=True)

    def __len__(self) -> int:
        return len(self.cells) // self.width


Literal = str | ListLiteral | RowSet
"""What stands in one slot of a shape: a raw SQL text, quotes included, or a folded run of them."""


class Fingerprint(NamedTuple):
    """A statement as its shape and the literals of the shape's slots, in order."""

    shape: str
    literals: list[Literal]


def fingerprint(sql: str, flags: LexerFlags = DEFAULT) -> Fingerprint:
    """Shape and literals of one statement. `sql` is UTF-8 decoded with surrogateescape.

    O(length). Raises MeshError(PARSE_ERROR) for a comment that does not end.
    """
    return Fingerprint(*take_out_literals(sql, flags))


def take_out_literals(sql: str, flags: LexerFlags = DEFAULT) -> tuple[str, list[Literal]]:
    """`fingerprint` as a plain pair, for the plan cache: making a named tuple would cost it a tenth of a look-up."""
    inserting = sql[:1] not in "sSuUdD" and lexer.starts_insert(sql)
    if flags is DEFAULT and not inserting:
        pieces = _split_by_default(sql)
    else:
        pieces = lexer.pattern(flags, inserting).split(sql)
    if inserting and ("/*" in sql or "--" in sql or "#" in sql):
        plain = _without_comments(pieces)
        if plain is not None:
            return take_out_literals(plain, flags)
    count = len(pieces)
    if count == 3 and not inserting:
        before, token, after = pieces
        if token.isdigit():
            return f"{before}0{after}".strip(_ENDS), [token]
    elif count == 1:
        return sql.strip(_ENDS), []
    return _Folding(pieces, inserting, flags.ansi_quotes).run()


def ends_in_its_literal(sql: str, head: str, flags: LexerFlags = DEFAULT) -> bool:
    """Whether what follows `head`, all digits, is the one token of a text: its only literal, with no comment and no
    quoted name beside it. Then the same is true with any other digits, since no token's end depends on their values."""
    inserting = lexer.starts_insert(sql)
    return lexer.pattern(flags, inserting).split(sql) == [head, sql[len(head) :], ""]


class _Folding:
    """The walk over the pieces of one split: texts at even positions, tokens at odd ones."""

    __slots__ = ("ansi_quotes", "hints", "inserting", "literals", "out", "pieces")

    def __init__(self, pieces: list[str], inserting: bool, ansi_quotes: bool) -> None:
        self.pieces = pieces
        self.inserting = inserting
        self.ansi_quotes = ansi_quotes
        self.out: list[str] = [pieces[0]]
        self.literals: list[Literal] = []
        self.hints: list[str] = []

    def run(self) -> tuple[str, list[Literal]]:
        pieces, out, literals = self.pieces, self.out, self.literals
        at, count = 1, len(pieces)
        while at < count:
            token, before = pieces[at], pieces[at - 1]
            first = token[0]
            if self.inserting and (rows := self._rows(at)):
                at = rows
                continue
            if first in "`/#" or (first == '"' and self.ansi_quotes) or token[:2] == "--":
                self._keep(token)
            elif first in "nN":
                out.append(token)
            elif before[-2:] in ("( ", "((") or before[-1:] == "(":
                at = self._list(at)
                continue
            else:
                kind = "0" if token.isdigit() else lexer.sentinel(token)
                if not before and kind == "''" and out[-2:] == ["''", ""]:
                    # 'a'"b": two strings that touch must not become one with a quote in it.
                    out.append(" ")
                out.append(kind)
                literals.append(token)
            out.append(pieces[at + 1])
            at += 2
        shape = "".join(out).strip(_ENDS)
        if self.hints:
            shape = "".join((*self.hints, " ", shape))
        return shape, literals

    def _keep(self, token: str) -> None:
        """A quoted name stays, a comment mostly goes; `out` then ends with what replaces it."""
        if token[0] in '`"' or _is_kept(token):
            if token[0] == "/":
                _check_closed(token)
            self.out.append(token)
        elif token[0] == "/":
            _check_closed(token)
            if HINT_COMMENT.match(token):
                self.hints.append(token)
            self._space()
        else:
            self._space()

    def _space(self) -> None:
        """One space in place of a comment, unless one is there already."""
        if self.out[-1][-1:] not in _SPACES:
            self.out.append(" ")

    def _list(self, at: int) -> int:
        """The literal at `at` stands after an opening bracket: fold an IN list, or take it alone."""
        pieces = self.pieces
        end = at
        if LIST_HEAD.search(pieces[at - 1]):
            while pieces[end + 1] in _LIST_SEPARATORS and end + 2 < len(pieces):
                end += 2
        token = pieces[at]
        kind = "0" if token.isdigit() else lexer.sentinel(token)
        if end > at:
            members = pieces[at : end + 1 : 2]
            if LIST_TAIL.match(pieces[end + 1]) and self._one_kind(members, kind):
                self.literals.append(ListLiteral(members, pieces[at + 1]))
                self.out += (kind, pieces[end + 1])
                return end + 2
        self.literals.append(token)
        self.out += (kind, pieces[at + 1])
        return at + 2

    def _one_kind(self, members: list[str], kind: str) -> bool:
        if kind == "0" and all(map(str.isdigit, members)):
            return True
        if any(member[0] in "`/#nN" or (self.ansi_quotes and member[0] == '"') for member in members):
            return False
        return all(lexer.sentinel(member) == kind and member[:2] != "--" for member in members)

    def _rows(self, at: int) -> int | None:
        """Fold the rows of INSERT … VALUES whose first literal is at `at`; None when this is not the place."""
        pieces = self.pieces
        head = ROWS_HEAD.search(pieces[at - 1])
        if head is None:
            return None
        self.inserting = False
        first = row_end(pieces, at - 1, head.end())
        if first is None:
            return None
        last, position = first
        prefix = pieces[at - 1][head.end() :]
        row = pieces[at:last:2]
        inner = pieces[at + 1 : last : 2]
        if not row or "?" in prefix or "?" in pieces[last][:position] or any("?" in text for text in inner):
            return None
        width = len(row)
        end = last
        following = NEXT_ROW.match(pieces[last], position)
        if following is not None:
            end = _last_row(pieces, at, last, width)
            suffix = pieces[last][:position]
            alike = pieces[end].startswith(suffix) and pieces[last][following.end() :] == prefix
            if not alike or NEXT_ROW.match(pieces[end][len(suffix) :]):
                return None
        cells = pieces[at:end:2]
        if not _NOT_IN_ROWS.isdisjoint({cell[0] for cell in cells}) or self._foreign(cells):
            return None
        for cell, text in zip(row, [*inner, pieces[last][:position]], strict=True):
            self.out += (lexer.sentinel(cell), text or " ")
        self.literals.append(RowSet(width, cells))
        self.out.append(pieces[end][position:])
        return end + 1

    def _foreign(self, cells: list[str]) -> bool:
        """Whether a cell is a quoted name or a line comment rather than a literal."""
        if self.ansi_quotes and any(cell[0] == '"' for cell in cells):
            return True
        return any(cell[:2] == "--" for cell in cells if cell[0] == "-")


def row_end(pieces: list[str], at: int, start: int) -> tuple[int, int] | None:
    """Where the bracket opened before `start` of text `at` closes: index of the text and the position after it."""
    depth = 1
    while at < len(pieces):
        for found in _PARENTHESIS.finditer(pieces[at], start):
            depth += 1 if found[0] == "(" else -1
            if depth == 0:
                return at, found.end()
        at, start = at + 2, 0
    return None


def _last_row(pieces: list[str], at: int, last: int, width: int) -> int:
    """Index of the text that ends the last of the rows written exactly like the first."""
    pattern = pieces[at + 1 : last + 1 : 2]
    texts = pieces[at + 1 :: 2]
    separators = texts[width - 1 :: width]
    separator = pattern[-1]
    rows = next((i for i, text in enumerate(separators) if text != separator), len(separators))
    alike = (
        texts[: rows * width] == pattern * rows
        and texts[rows * width : rows * width + width - 1] == pattern[:-1]
    )
    return at + 2 * (rows * width + width) - 1 if alike and rows < len(separators) else last


def _without_comments(pieces: list[str]) -> str | None:
    """An INSERT with spaces in place of the comments inside it, hints first; None when there are none. Whether rows fold
    must be seen in the shape, which has no comments."""
    first = next((at for at in range(1, len(pieces), 2) if pieces[at - 1].strip()), len(pieces))
    if not any(map(_is_dropped, pieces[first::2])):
        return None
    comments = [token for token in pieces[1::2] if _is_dropped(token)]
    for comment in comments:
        if comment[0] == "/":
            _check_closed(comment)
    plain = [" " if at % 2 and _is_dropped(piece) else piece for at, piece in enumerate(pieces)]
    return "".join([*(comment for comment in comments if HINT_COMMENT.match(comment)), *plain])


def _is_dropped(token: str) -> bool:
    """Whether a token is a comment that the shape goes without."""
    if token[0] == "/":
        return not _is_kept(token)
    return token[0] == "#" or token[:2] == "--"


def _is_kept(token: str) -> bool:
    return token[:3] in ("/*!", "/*+") or token[:4] == "/*M!"


def _check_closed(comment: str) -> None:
    """A comment without an end would hide the rest of the statement from the parser."""
    if len(comment) < 4 or not comment.endswith("*/"):
        raise MeshError(PARSE_ERROR, near=comment[:80], line=1)
