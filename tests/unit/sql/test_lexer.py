"""Cutting a text into statements."""

from __future__ import annotations

import pytest

from dbmesh.sql.lexer import split_statements


@pytest.mark.parametrize(
    ("text", "statements"),
    [
        ("SELECT 1", ["SELECT 1"]),
        ("SELECT 1; SELECT 2;", ["SELECT 1", "SELECT 2"]),
        ("SELECT ';'; SELECT `;` /* ; */ -- ;\n; # ;\n", ["SELECT ';'", "SELECT `;` /* ; */ -- ;", "# ;"]),
        (";;", []),
    ],
)
def test_split_statements(text: str, statements: list[str]) -> None:
    assert split_statements(text) == statements
