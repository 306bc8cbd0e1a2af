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


def test_a_routine_is_one_statement_whatever_is_in_its_body() -> None:
    routine = "CREATE DEFINER=a@b PROCEDURE p() BEGIN SELECT 1; SELECT 2; END"
    assert split_statements(f"SELECT 1; {routine}") == ["SELECT 1", routine]
    assert split_statements("CREATE TABLE t (a INT); SELECT 1") == ["CREATE TABLE t (a INT)", "SELECT 1"]
