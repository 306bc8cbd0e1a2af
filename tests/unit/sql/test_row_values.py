"""VALUES as a query in every place, told from the function of that name; nodes stand where the client wrote them."""

from __future__ import annotations

import pytest
from sqlglot import exp

from dbmesh.sql.parse import parse, tokenize
from dbmesh.sql.row_values import value_queries


@pytest.mark.parametrize(
    "text",
    [
        "WITH v (a, b) AS (VALUES (11, 22), (33, 44)) SELECT * FROM v WHERE a = 55",
        "SELECT a FROM t WHERE (a, b) IN (VALUES (11, 22), (33, 44)) AND c = 55",
        "SELECT 11 UNION ALL VALUES (22), (33) ORDER BY 1 LIMIT 44",
        "SELECT (VALUES (11)), EXISTS (VALUES (22)), 33 > ANY (VALUES (44)), 55",
        "WITH v AS (VALUES (11) UNION VALUES (22)) SELECT * FROM (VALUES (33, 44)) AS w, v LIMIT 55",
    ],
)
def test_values_queries_are_read_where_they_stand(text: str) -> None:
    tree = parse(text)
    assert tree.find(exp.Values) is not None
    for literal in tree.find_all(exp.Literal):
        assert text[literal.meta["start"] : literal.meta["end"] + 1] == literal.this


@pytest.mark.parametrize(
    ("text", "queries"),
    [
        ("INSERT INTO t VALUES (1), (2)", []),
        ("INSERT INTO t (a) VALUES (1) ON DUPLICATE KEY UPDATE a = COALESCE(VALUES(a), 2)", []),
        ("INSERT INTO t (a) VALUES (1) ON DUPLICATE KEY UPDATE a = `f`(VALUES(a))", []),
        ("SELECT 1 IN (VALUES (1), ((2)))", ["VALUES (1), ((2))"]),
        ("VALUES (1) UNION VALUES (2) ORDER BY 1", ["VALUES (1)", "VALUES (2)"]),
        ("SELECT (VALUES (1), (2) ORDER BY (1) LIMIT 1), 2", ["VALUES (1), (2) ORDER BY (1) LIMIT 1"]),
        ("SELECT (VALUES", []),
        ("SELECT (VALUES (1", []),
    ],
)
def test_values_are_told_from_functions_and_clauses(text: str, queries: list[str]) -> None:
    assert [text[start:end] for start, end in value_queries(tokenize(text))] == queries
