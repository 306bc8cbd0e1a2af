"""Definitions of tables to those of their temporary twins."""

from __future__ import annotations

import pytest

from dbmesh.planner.federation.definition import read_definition, temporary_table

_TABLE = """CREATE TABLE `t_order_1` (
  `id` bigint(20) unsigned NOT NULL AUTO_INCREMENT,
  `doc` longtext CHARACTER SET utf8mb4 COLLATE utf8mb4_bin DEFAULT NULL CHECK (json_valid(`doc`)),
  `a` int(11) DEFAULT NULL CHECK (`a` > 0),
  `g` int(11) GENERATED ALWAYS AS (`a` + 1) VIRTUAL,
  `s` varchar(9) GENERATED ALWAYS AS (concat(`a`,')')) STORED COMMENT 'the VIRTUAL one',
  `e` enum('a,b','c)''d') NOT NULL DEFAULT 'a,b' COMMENT 'it''s (x',
  `strange ``name` int(11) DEFAULT NULL INVISIBLE,
  PRIMARY KEY (`id`),
  UNIQUE KEY `u` (`a`,`e`),
  KEY `k` (`doc`(10),`g`) USING BTREE,
  KEY `f` ((`a` + 1)),
  FULLTEXT KEY `ft` (`doc`),
  CONSTRAINT `fk` FOREIGN KEY (`a`) REFERENCES `x` (`id`) ON DELETE CASCADE,
  CONSTRAINT `c1` CHECK (`a` < 10)
) ENGINE=InnoDB AUTO_INCREMENT=5 DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_general_ci COMMENT='x (y'
 PARTITION BY HASH (`id`) PARTITIONS 4"""


def test_what_is_read() -> None:
    definition = read_definition(_TABLE)
    assert [column.name for column in definition.columns] == [
        "id",
        "doc",
        "a",
        "g",
        "s",
        "e",
        "strange `name",
    ]
    assert [(key.kind, key.columns) for key in definition.keys] == [
        ("PRIMARY KEY", ("id",)),
        ("UNIQUE KEY", ("a", "e")),
        ("KEY", ("doc", "g")),
    ]
    assert definition.options == " DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_general_ci"


def test_everything_loaded() -> None:
    definition = read_definition(_TABLE)
    names = [column.name for column in definition.columns]
    assert temporary_table(definition, "dbmesh_f1", names) == (
        "CREATE TEMPORARY TABLE dbmesh_f1 (`id` bigint(20) unsigned NOT NULL AUTO_INCREMENT, "
        "`doc` longtext CHARACTER SET utf8mb4 COLLATE utf8mb4_bin DEFAULT NULL CHECK (json_valid(`doc`)), "
        "`a` int(11) DEFAULT NULL, `g` int(11), `s` varchar(9) COMMENT 'the VIRTUAL one', "
        "`e` enum('a,b','c)''d') NOT NULL DEFAULT 'a,b' COMMENT 'it''s (x', "
        "`strange ``name` int(11) DEFAULT NULL INVISIBLE, PRIMARY KEY (`id`), UNIQUE KEY (`a`,`e`), "
        "KEY (`doc`(10),`g`)) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_general_ci"
    )


def test_columns_nobody_needs_stay_out() -> None:
    made = temporary_table(read_definition(_TABLE), "x", ["A"])
    assert (
        made
        == "CREATE TEMPORARY TABLE x (`a` int(11) DEFAULT NULL) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_general_ci"
    )


def test_a_plain_key_brings_its_other_columns_but_no_check() -> None:
    made = temporary_table(read_definition(_TABLE), "x", ["g"])
    assert "`doc` longtext CHARACTER SET utf8mb4 COLLATE utf8mb4_bin DEFAULT NULL," in made
    assert made.count("KEY") == 1


def test_a_counter_without_its_key_counts_no_more() -> None:
    text = "CREATE TABLE `t` (\n  `a` int NOT NULL,\n  `n` int NOT NULL AUTO_INCREMENT,\n  UNIQUE KEY `k` (`n`,`a`)\n)"
    assert (
        temporary_table(read_definition(text), "x", ["n"])
        == "CREATE TEMPORARY TABLE x (`n` int NOT NULL) ENGINE=InnoDB"
    )


@pytest.mark.parametrize(
    "text", ["", "CREATE ALGORITHM=UNDEFINED VIEW `v` AS select (1)", "CREATE TABLE `t` (`a` int"]
)
def test_what_is_no_table(text: str) -> None:
    with pytest.raises(ValueError):
        read_definition(text)
