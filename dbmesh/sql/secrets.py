"""Statements as they may be shown and logged: without the passwords of accounts.

Decides by words, not by grammar: statements that nobody can read may hold a password too. What stands behind the word that
announces one is left out. An application's own columns, whatever they are called, are no accounts' passwords.
"""

from __future__ import annotations

import re
from typing import Final

SECRET: Final = "<secret>"
"""What is shown of everything behind the word that announces a password."""

_WORD = re.compile(r"IDENTIFIED|PASSWORD", re.IGNORECASE)
_IDENTIFIED = re.compile(r"\bIDENTIFIED\s+(?:BY|WITH|VIA)\b", re.IGNORECASE)
_GAP = r"(?:\s|/\*M?!\d*|/\*(?!M?!).*?\*/|\*/|--\s[^\n]*\n|\#[^\n]*\n)"
_ACCOUNTS = rf"(?:CREATE|ALTER){_GAP}+(?:OR{_GAP}+REPLACE{_GAP}+)?(?:USER|SERVER)\b|GRANT\b"
_OTHERS = rf"(?:(?:SET|PREPARE|EXECUTE|PREVIEW|CHANGE)|BEGIN{_GAP}+NOT|START{_GAP}+(?:SLAVE|REPLICA|GROUP_REPLICATION))\b"
_BEGINNING = re.compile(rf"(?:\A|;){_GAP}*(?:(?P<accounts>{_ACCOUNTS})|{_OTHERS})", re.IGNORECASE | re.DOTALL)
_STRING = re.compile(
    r"(@\s*)?(?:'(?:[^'\\]|\\.|'')*(?:'|\Z)|\"(?:[^\"\\]|\\.|\"\")*(?:\"|\Z))(?=(\s*@)?)", re.DOTALL
)


def veiled(text: str) -> str:
    """A statement, or several, as everybody may read it; the very same text where it holds no password. O(text)."""
    beginning = _BEGINNING.search(text)
    if beginning is not None:
        word = _WORD.search(text, beginning.end())
        if word is not None:
            return f"{text[: word.end()]} {SECRET}"
        if beginning["accounts"] is not None:
            # Misspelt, perhaps.
            end = beginning.end()
            hidden = _STRING.sub(_hidden, text[end:])
            return text if hidden == text[end:] else text[:end] + hidden
    identified = _IDENTIFIED.search(text)
    return text if identified is None else f"{text[: identified.end()]} {SECRET}"


def _hidden(string: re.Match[str]) -> str:
    """A string that is no part of an account's name is hidden."""
    return string[0] if string[1] or string[2] else "?"


def holds_secret(text: str) -> bool:
    """Whether a statement may hold a password. O(text)."""
    return veiled(text) is not text
