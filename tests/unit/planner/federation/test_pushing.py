"""Which conditions a scan may carry: only what provably leaves out no row that counts."""

from __future__ import annotations

import pytest

from dbmesh.planner.federation.pushing import pushed_conditions
from dbmesh.planner.resolve import resolve
from tests.plugins.planner_world import context_of


def pushed(sql: str) -> dict[str, list[str]]:
    """Alias → the texts of its conditions."""
    context = context_of(sql)
    scopes = resolve(context)
    found = pushed_conditions(context, scopes)
    return {
        reference.alias: [
            context.statement.text[slice(*one.span)].replace("''", "?") for one in found[reference.index]
        ]
        for reference in scopes.references
        if reference.index in found
    }


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        ("SELECT 1 FROM t_order a, t_key b WHERE a.status = 'x' AND b.name = 'y' AND a.order_id = b.id",
         {"a": ["a.status = ?"], "b": ["b.name = ?"]}),
        ("SELECT 1 FROM t_order a, t_key b WHERE a.status = 'x' OR b.name = 'y'", {}),
        ("SELECT 1 FROM t_order a WHERE (status = 'x' OR status IS NULL) AND user_id BETWEEN 1 AND 5 AND order_id > 3",
         {"a": ["(status = ? OR status IS NULL)", "user_id BETWEEN 0 AND 0", "order_id > 0"]}),
        ("SELECT 1 FROM t_order a LEFT JOIN t_key b ON b.name = 'x' AND a.status = 'y' WHERE b.id IS NULL AND a.user_id = 1",
         {"a": ["a.user_id = 0"], "b": ["b.name = ?"]}),
        ("SELECT 1 FROM t_order a RIGHT JOIN t_key b ON b.name = 'x' AND a.status = 'y' WHERE b.id = 1 AND a.user_id = 1",
         {"b": ["b.id = 0"]}),
        ("SELECT 1 FROM t_order a JOIN t_key b ON b.name = 'x' AND a.status = 'y'",
         {"a": ["a.status = ?"], "b": ["b.name = ?"]}),
        ("SELECT 1 FROM t_order a LEFT JOIN t_key b ON a.order_id = b.id JOIN t_log c ON b.name IS NULL AND c.line = 'x'",
         {"c": ["c.line = ?"]}),
        ("SELECT 1 FROM (t_order a LEFT JOIN t_key b ON a.order_id = b.id) WHERE b.name IS NULL AND a.user_id = 1", {}),
        ("SELECT 1 FROM t_order a LEFT JOIN (t_key b JOIN t_log c ON b.name = 'x') ON a.order_id = b.id WHERE a.status = 'y' AND c.id = 1",
         {"a": ["a.status = ?"]}),
        ("SELECT 1 FROM t_order a WHERE RAND() < 1 AND a.status = @x AND a.user_id + 1 = 2 AND LOWER(a.status) = 'x'", {}),
        ("SELECT 1 FROM t_order a WHERE a.status IN (SELECT name FROM t_key WHERE id = 5) AND a.user_id = 1",
         {"a": ["a.user_id = 0"], "t_key": ["id = 0"]}),
        ("SELECT 1 FROM t_order a WHERE EXISTS (SELECT 1 FROM t_key b WHERE b.id = a.order_id AND a.status = 'x' AND b.name = 'y')",
         {"b": ["b.name = ?"]}),
        ("SELECT CASE WHEN a.status = 'x' AND 1 THEN 1 END FROM t_order a WHERE a.status = 'y' AND NOT a.user_id <=> 3 GROUP BY a.status",
         {"a": ["a.status = ?", "NOT a.user_id <=> 0"]}),
        ("SELECT 1 FROM t_order a WHERE CASE WHEN a.status = 'x' AND a.user_id = 1 THEN 1 END AND a.order_id = 7",
         {"a": ["a.order_id = 0"]}),
        ("SELECT 1 FROM t_order a WHERE a.status = 'x' UNION SELECT 2 FROM t_key WHERE name = 'y' ORDER BY 1",
         {"a": ["a.status = ?"], "t_key": ["name = ?"]}),
        ("SELECT 1 FROM t_order a NATURAL LEFT JOIN t_key b WHERE a.status = 'x' AND b.name = 'y'",
         {"a": ["a.status = ?"]}),
        ("SELECT 1 FROM t_order a WHERE a.status = 'x' XOR a.user_id = 1", {}),
        ("SELECT 1 FROM t_order a WHERE (a.status = 'x' AND a.user_id = 2) AND a.order_id = 1",
         {"a": ["(a.status = ? AND a.user_id = 0)", "a.order_id = 0"]}),
    ],
)  # fmt: skip
def test_pushed(sql: str, expected: dict[str, list[str]]) -> None:
    assert pushed(sql) == expected
