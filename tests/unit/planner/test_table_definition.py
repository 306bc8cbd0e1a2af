"""Columns, keys and foreign keys of a table's definition, read from its text."""

from __future__ import annotations

import pytest

from dbmesh.planner.lexemes import LexemeReader
from dbmesh.planner.table_definition import TableDefinition, read_definition


def _read(text: str) -> TableDefinition:
    return read_definition(LexemeReader(text))


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("(id INT PRIMARY KEY, v INT)", ("id",)),
        ("(id INT KEY)", ("id",)),
        ("(a INT, b INT, PRIMARY KEY (b, a))", ("b", "a")),
        ("(a INT, CONSTRAINT pk PRIMARY KEY USING BTREE (a DESC))", ("a",)),
        ("(`key` INT, PRIMARY KEY (`key`))", ("key",)),
        ("(a TEXT, PRIMARY KEY (a(10)))", None),
        ("(a INT UNIQUE KEY, b VARCHAR(10) COMMENT 'PRIMARY KEY')", ()),
        ("(a DECIMAL(10,2) DEFAULT (1), CHECK (a > 0))", ()),
    ],
)
def test_the_primary_key(text: str, key: tuple[str, ...] | None) -> None:
    assert _read(text).primary_key == key


def test_columns_with_their_types() -> None:
    read = _read("(id BIGINT UNSIGNED AUTO_INCREMENT PRIMARY KEY, n INT AS (id + 1) STORED, INDEX (n))")
    assert [(column.name, column.type, column.automatic, column.computed) for column in read.columns] == [
        ("id", "BIGINT", True, False),
        ("n", "INT", False, True),
    ]


def test_foreign_keys_and_the_index_they_need() -> None:
    text = (
        "(a INT REFERENCES t (x) ON DELETE SET NULL, b INT, c INT, KEY k (c), "
        "CONSTRAINT f FOREIGN KEY (b) REFERENCES shop.t (x) ON UPDATE NO ACTION, FOREIGN KEY (c) REFERENCES t (y))"
    )
    read = _read(text)
    inline, named, covered = sorted(read.foreign_keys, key=lambda key: key.start)
    assert text[inline.start : inline.end] == "REFERENCES t (x) ON DELETE SET NULL"
    assert named.index == "KEY `f` (`b`)"
    assert text[named.start : named.end].endswith("ON UPDATE NO ACTION")
    assert (named.symbol, named.referenced, named.on_delete, named.on_update) == (
        "f",
        ("x",),
        "",
        "NO ACTION",
    )
    assert not read.has_index_for(named)
    assert read.has_index_for(covered)
