"""What a prepared write says about each of its many rows."""

from __future__ import annotations

import pytest

from dbmesh.planner.bulk import assigned_columns, insert_form, is_query


@pytest.mark.parametrize(
    ("head", "row", "tail"),
    [
        ("INSERT INTO t VALUES ", "(?, ?)", ""),
        ("replace t (`values`, b) value", "( f(?), ')' , (1) )", " -- end"),
        ("INSERT IGNORE INTO t(a) VALUES", "(?)", " ON DUPLICATE KEY UPDATE a = VALUES(a)"),
        ("INSERT INTO t(a) VALUES", "(?)", " RETURNING a, (b)"),
        ("INSERT INTO t(a) VALUES", "((SELECT MAX(b) FROM c WHERE d = ?))", ";"),
    ],
)
def test_the_row_of_an_insert_is_found(head: str, row: str, tail: str) -> None:
    form = insert_form(head + row + tail)
    assert form is not None
    assert (form.head, form.row, form.tail) == (head, row, tail)


def test_parameters_that_are_cells() -> None:
    form = insert_form("INSERT INTO t VALUES (?, f(?), 1, (?), ? - 1 , ?)")
    assert form is not None
    assert form.cells == (True, False, False, False, True)


@pytest.mark.parametrize(
    "statement",
    [
        "INSERT INTO t VALUES (?), (?)",
        "INSERT INTO t VALUES (?) ON DUPLICATE KEY UPDATE a = ?",
        "INSERT INTO t SET a = ?",
        "INSERT INTO t SELECT ?",
        "INSERT INTO t VALUES (?",
        "UPDATE t SET a = ?",
        "",
    ],
)
def test_other_writes_are_executed_row_by_row(statement: str) -> None:
    assert insert_form(statement) is None


@pytest.mark.parametrize(
    ("statement", "query"),
    [
        ("INSERT INTO t SELECT ? ON DUPLICATE KEY UPDATE a = VALUES(a)", True),
        ("REPLACE INTO t WITH x AS (SELECT 1) SELECT ?", True),
        ("INSERT INTO t (a) (SELECT ?)", True),
        ("INSERT INTO t VALUES ((SELECT ?))", False),
        ("INSERT INTO t SET a = (SELECT ?)", False),
    ],
)
def test_queries_are_known(statement: str, query: bool) -> None:
    assert is_query(statement) is query


@pytest.mark.parametrize(
    ("statement", "columns"),
    [
        ("UPDATE t SET a = ?, `b c` = ?, t.d = ? WHERE e = ?", ("a", "`b c`", "t.d", None)),
        ("UPDATE t SET a = ? + 1, b = f(?), c = ?", (None, None, "c")),
        ("UPDATE t JOIN u ON t.x = ? SET a = ?", (None, "a")),
        ("UPDATE t SET a = (b = ?)", (None,)),
        ("DELETE FROM t WHERE a = ?", (None,)),
    ],
)
def test_parameters_are_assigned_to_columns(statement: str, columns: tuple[str | None, ...]) -> None:
    assert assigned_columns(statement) == columns
