"""Forms of MySQL that sqlglot does not read, made into ones it does: every other character keeps its place.

Decides only what a tree can do without: it says what columns and tables a statement speaks of, the text itself goes to
the servers as it is.
"""

from __future__ import annotations

import re
from typing import Final

_STRING: Final = r"'(?:[^'\\]|\\.|'')*'"
_ESCAPE: Final = re.compile(rf"\{{\s*(?:d|ts|t)\s*({_STRING})\s*\}}", re.IGNORECASE)
_JSON_TABLE: Final = re.compile(r"\bJSON_TABLE\s*\(", re.IGNORECASE)
_JSON_COLUMN: Final = re.compile(
    rf"(?:\bDEFAULT\s+(?:{_STRING}|\S+)|\bNULL|\bERROR)\s+ON\s+(?:EMPTY|ERROR)\b|\bEXISTS(?=\s+PATH\b)",
    re.IGNORECASE,
)
_MATCH: Final = re.compile(r"\bMATCH(\s*)\(([^()]*)\)(\s*)AGAINST(\s*\()", re.IGNORECASE)
_SEARCH_MODE: Final = re.compile(
    r"\bIN\s+NATURAL\s+LANGUAGE\s+MODE\b|\bIN\s+BOOLEAN\s+MODE\b|\bWITH\s+QUERY\s+EXPANSION\b", re.IGNORECASE
)
_NESTED: Final = re.compile(rf"\bNESTED\s+(?:PATH\s+)?{_STRING}\s*COLUMNS\s*\(", re.IGNORECASE)


_DELETED: Final = re.compile(
    r"\s*DELETE\b.*?(?:\bUSING\b|\bJOIN\b|\bWHERE\b|\(|\Z)", re.IGNORECASE | re.DOTALL
)
_CREATED: Final = re.compile(r"\s*CREATE\b", re.IGNORECASE)
_DUPLICATES: Final = re.compile(r"\b(?:IGNORE|REPLACE)(?=\s+(?:AS\s+)?(?:SELECT|WITH)\b)", re.IGNORECASE)
_ALL_COLUMNS: Final = re.compile(r"\.\s*\*")


def readable(text: str) -> str:
    """The text with `{d '…'}` as its string, MATCH … AGAINST of anything but a string as a comparison of the same columns,
    the columns of JSON_TABLE without what happens to missing values and without nesting, the tables of DELETE without `.*`, and CREATE TABLE … AS SELECT without what becomes of duplicates."""
    if "{" in text:
        text = _ESCAPE.sub(_string_alone, text)
    if _MATCH.search(text):
        text = _SEARCH_MODE.sub(_blank, _MATCH.sub(r"FIELD\1(\2)\3<      \4", text))
    if "*" in text and (deleted := _DELETED.match(text)) is not None:
        # DELETE t.* FROM …: the tables' names alone say which rows go.
        text = _ALL_COLUMNS.sub(_blank, deleted[0]) + text[deleted.end() :]
    if _CREATED.match(text) is not None:
        text = _DUPLICATES.sub(_blank, text)
    position = 0
    while (found := _JSON_TABLE.search(text, position)) is not None:
        end = _closing(text, found.end())
        inside = _flat(_JSON_COLUMN.sub(_blank, text[found.end() : end]))
        text = text[: found.end()] + inside + text[end:]
        position = found.end()
    return text


def _flat(columns: str) -> str:
    while (found := _NESTED.search(columns)) is not None:
        end = _closing(columns, found.end())
        before = columns[: found.start()] + " " * (found.end() - found.start())
        columns = f"{before}{columns[found.end() : end]} {columns[end + 1 :]}"
    return columns


def _closing(text: str, position: int) -> int:
    """Where the bracket that is open at `position` closes; the end of the text when it does not."""
    depth = 1
    for found in re.compile(rf"{_STRING}|[()]").finditer(text, position):
        depth += {"(": 1, ")": -1}.get(found[0], 0)
        if depth == 0:
            return found.start()
    return len(text)


def _blank(found: re.Match[str]) -> str:
    return " " * len(found[0])


def _string_alone(found: re.Match[str]) -> str:
    start, end = found.span(1)
    return " " * (start - found.start()) + found[1] + " " * (found.end() - end)
