"""Quoting of names, the same in SQLite and PostgreSQL."""

from __future__ import annotations


def name(identifier: str) -> str:
    """A quoted identifier."""
    return '"' + identifier.replace('"', '""') + '"'
