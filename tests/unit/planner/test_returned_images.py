"""RETURNING is given the images of the rows behind what the client asks for, and what cannot be told is refused."""

from __future__ import annotations

import pytest

from dbmesh.errors import MeshError
from dbmesh.planner.returned_images import returned_images, returns_rows
from dbmesh.sql.lexer import DEFAULT
from tests.unit.planner.test_capture import ITEMS, SCHEMAS


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        ("INSERT INTO t_1 (id) VALUES (1) RETURNING id", True),
        ("DELETE FROM t_1 WHERE id = 1 returning *", True),
        ("INSERT INTO t_1 (word) VALUES ('returning')", False),
        ("INSERT INTO t_1 (word) SELECT (SELECT returning FROM x)", False),
        ("UPDATE t_1 SET word = 'a'", False),
    ],
)
def test_which_writes_return_rows(sql: str, expected: bool) -> None:
    assert returns_rows(sql, DEFAULT) is expected


@pytest.mark.parametrize(
    ("sql", "text", "deletes"),
    [
        ("INSERT INTO t_1 (id) VALUES (1) RETURNING id", "{sql},{items}", False),
        ("INSERT INTO t_1 (id) VALUES (1) RETURNING *; -- end", "{head},{items}; -- end", False),
        ("INSERT INTO t_1 (id) SELECT 1 RETURNING id + 1", "{sql},{items}", False),
        ("DELETE QUICK FROM t_1 WHERE id < 3 ORDER BY id LIMIT 1 RETURNING id", "{sql},{items}", True),
    ],
)
def test_images_come_behind_the_clients_columns(sql: str, text: str, deletes: bool) -> None:
    found = returned_images(sql, SCHEMAS.get, DEFAULT)
    assert found.sql == text.format(sql=sql, head=sql.partition(";")[0], items=ITEMS)
    assert (found.table.name, found.deletes, found.before) == ("t_1", deletes, "")


def test_a_replace_reads_first_what_other_keys_may_take_away() -> None:
    found = returned_images("REPLACE INTO t_1 (word) VALUES ('a') RETURNING id", SCHEMAS.get, DEFAULT)
    assert found.before.endswith("WHERE (`word`='a') FOR UPDATE")


@pytest.mark.parametrize(
    "sql",
    [
        "REPLACE INTO t_1 (word) SELECT 'a' RETURNING id",
        "REPLACE INTO t_1 (word) VALUES (CONCAT('a', 'b')) RETURNING id",
        "INSERT INTO t_1 (id) VALUES (1) ON DUPLICATE KEY UPDATE id = 7 RETURNING id",
        "INSERT INTO nobody (id) VALUES (1) RETURNING id",
    ],
)
def test_what_cannot_be_told_is_refused(sql: str) -> None:
    with pytest.raises(MeshError, match="a write to a table whose rows are being moved"):
        returned_images(sql, SCHEMAS.get, DEFAULT)
