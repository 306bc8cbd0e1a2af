"""The final statement: what changes in the client's text and what does not."""

from __future__ import annotations

import pytest

from dbmesh.planner.federation.final import final_template
from dbmesh.planner.resolve import resolve
from dbmesh.planner.written_clauses import lock_clauses
from tests.plugins.planner_world import call_of, context_of


def final(sql: str) -> str:
    context = context_of(sql)
    clauses = lock_clauses(context.statement.tokens)
    template = final_template(context, resolve(context), clauses)
    return template.frame(()).render(call_of(sql).literals, call_of(sql)).decode()


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        ("SELECT t_order.status FROM shop.t_order", "SELECT t_order.status FROM dbmesh_f1 AS t_order"),
        ("SELECT shop.`t_order`.* FROM `t_order`", "SELECT `t_order`.* FROM dbmesh_f1 AS `t_order`"),
        ("SELECT 1 FROM t_order o, t_order p", "SELECT 1 FROM dbmesh_f1 o, dbmesh_f2 p"),
        ("TABLE t_order", "TABLE dbmesh_f1"),
        ("SELECT 1 FROM t_order FOR UPDATE SKIP LOCKED", "SELECT 1 FROM dbmesh_f1 AS t_order "),
        (
            "SELECT 1 FROM t_order o, t_key FOR SHARE OF o NOWAIT",
            "SELECT 1 FROM dbmesh_f1 o, dbmesh_f2 AS t_key ",
        ),
        ("SELECT 1 FROM t_key LOCK IN SHARE MODE", "SELECT 1 FROM dbmesh_f1 AS t_key "),
        (
            "SELECT 1 FROM t_key k FORCE INDEX FOR JOIN (a, b) WHERE id = 7",
            "SELECT 1 FROM dbmesh_f1 k  WHERE id = 7",
        ),
        (
            "SELECT (SELECT MAX(id) FROM t_key) FROM t_order",
            "SELECT (SELECT MAX(id) FROM dbmesh_f1 AS t_key) AS `(SELECT MAX(id) FROM t_key)` FROM dbmesh_f2 AS t_order",
        ),
        (
            "WITH w AS (SELECT DATABASE() FROM t_key) SELECT * FROM w",
            "WITH w AS (SELECT IF(0, DATABASE(), 'shop') AS `DATABASE()` FROM dbmesh_f1 AS t_key) SELECT * FROM w",
        ),
        (
            "WITH w AS (SELECT 1 FROM t_key) SELECT (SELECT 2 FROM t_order) FROM w",
            (
                "WITH w AS (SELECT 1 FROM dbmesh_f1 AS t_key) "
                "SELECT (SELECT 2 FROM dbmesh_f2 AS t_order) AS `(SELECT 2 FROM t_order)` FROM w"
            ),
        ),
    ],
)
def test_text(sql: str, expected: str) -> None:
    assert final(sql) == expected


def test_locks_are_read() -> None:
    statement = context_of("SELECT 1 FROM t_order o FOR UPDATE OF o, p WAIT 5").statement
    [clause] = lock_clauses(statement.tokens)
    assert (clause.mode, clause.tables) == ("FOR UPDATE", ("o", "p"))
    assert statement.text[slice(*clause.waits)] == " WAIT 0"
