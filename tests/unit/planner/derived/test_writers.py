"""Rows a query named, as statements."""

from __future__ import annotations

from dataclasses import replace

import pytest

from dbmesh.errors import MeshError
from dbmesh.model import ColumnFamily, ColumnSchema
from dbmesh.planner.derived.writers import (
    ROWS_PER_STATEMENT,
    TEXT_PER_STATEMENT,
    InsertWriter,
    Key,
    KeyedWriter,
    MovingWriter,
    chunks,
)
from dbmesh.sql.lexer import DEFAULT
from dbmesh.wire.constants import ColumnType
from dbmesh.wire.packets import ColumnDefinition
from tests.plugins.merging import integer, text


def statements(
    writer: KeyedWriter | MovingWriter | InsertWriter,
    columns: list[ColumnDefinition],
    *rows: list[bytes | None],
) -> list[str]:
    return [statement.sql for statement in writer.statements(columns, rows)]


def test_rows_of_equal_new_values_share_a_statement() -> None:
    writer = KeyedWriter(
        ("UPDATE `t` SET a = ", 1, ", b = b + 1"), " ORDER BY a", Key(("id",)), "`t`.", DEFAULT
    )
    columns = [integer("id"), text("a")]
    assert statements(writer, columns, [b"1", b"x"], [b"2", b"y'"], [b"3", b"x"]) == [
        "UPDATE `t` SET a = 'x', b = b + 1 WHERE `t`.`id` IN (1,3) ORDER BY a",
        "UPDATE `t` SET a = 'y\\'', b = b + 1 WHERE `t`.`id` IN (2) ORDER BY a",
    ]


def test_sharding_columns_lead_to_the_nodes_unless_one_is_null() -> None:
    key = Key(("a", "b"), ("s",))
    assert key.condition([("1", "2", "7"), ("3", "4", "7")]) == "(`a`,`b`) IN ((1,2),(3,4)) AND `s` IN (7)"
    assert key.condition([("1", "2", "NULL"), ("3", "4", "7")]) == "(`a`,`b`) IN ((1,2),(3,4))"


def test_a_row_met_twice_or_not_at_all_by_a_join_is_written_once_or_never() -> None:
    writer = KeyedWriter(("DELETE FROM `t`",), "", Key(("id",)), "", DEFAULT)
    assert statements(writer, [integer("id")], [b"1"], [b"1"], [None]) == [
        "DELETE FROM `t` WHERE `id` IN (1)"
    ]


def test_a_moved_row_is_deleted_and_inserted_and_counts_once() -> None:
    key = Key(("id",), ("s",))
    writer = MovingWriter("`t`", key, ("id", "s", "at"), (1,), (1,), (2,), DEFAULT)
    columns = [integer(name) for name in ("id", "s", "id", "s")] + [text("at"), integer("new")]
    rows = [[b"1", b"5", b"1", b"5", b"old", b"6"], [b"2", b"6", b"2", b"6", b"old", b"6"]]
    made = list(writer.statements(columns, rows))
    assert [(one.sql, one.counts) for one in made] == [
        ("UPDATE `t` SET `s` = `s` WHERE `id` IN (2) AND `s` IN (6)", True),
        ("DELETE FROM `t` WHERE `id` IN (1) AND `s` IN (5)", False),
        ("INSERT INTO `t` (`id`,`s`,`at`) VALUES (1,6,CURRENT_TIMESTAMP(6))", True),
    ]


def test_a_row_stays_whose_new_key_only_looks_different() -> None:
    number = ColumnSchema("id", "int(11)", ColumnFamily.INTEGER)
    writer = MovingWriter("`t`", Key(("id",)), ("id",), (0,), (0,), (), DEFAULT, schemas=(number,))
    rows = [[b"1", b"1", b"1.20"], [b"2", b"2", b"1.50"], [b"4", b"4", b"5"]]
    columns = [integer("id"), integer("id"), replace(integer("new"), type=ColumnType.NEWDECIMAL)]
    assert [one.sql for one in writer.statements(columns, rows)] == [
        "UPDATE `t` SET `id` = `id` WHERE `id` IN (1)",
        "DELETE FROM `t` WHERE `id` IN (2,4)",
        "INSERT INTO `t` (`id`) VALUES (1.50),(5)",
    ]


def test_a_query_of_another_width_is_refused_before_anything_is_written() -> None:
    writer = InsertWriter("INSERT INTO `t` (`a`,`b`)", (None, None), "", DEFAULT)
    with pytest.raises(MeshError, match="Column count doesn't match value count at row 1"):
        statements(writer, [integer("a")], [b"1"])


def test_no_statement_takes_more_than_its_share() -> None:
    rows = [(str(n),) for n in range(ROWS_PER_STATEMENT * 2 + 1)]
    assert [len(chunk) for chunk in chunks(rows)] == [ROWS_PER_STATEMENT, ROWS_PER_STATEMENT, 1]
    long = [("x" * TEXT_PER_STATEMENT,)] * 3
    assert [len(chunk) for chunk in chunks(long)] == [2, 1]
    assert list(chunks([])) == []
