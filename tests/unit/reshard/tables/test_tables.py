"""The statement that makes a new actual table from the definition of an old one."""

from __future__ import annotations

import pytest

from dbmesh.reshard.tables.mysql_tables import made_like

_SHOWN = (
    "CREATE TABLE `t_0` (\n  `id` bigint(20) NOT NULL AUTO_INCREMENT,\n  `t_0` int(11) DEFAULT NULL COMMENT 'CREATE TABLE `t_0` (',\n"
    "  PRIMARY KEY (`id`),\n  CONSTRAINT `t``0_chk` CHECK (`t_0` > 0)\n) ENGINE=InnoDB AUTO_INCREMENT=77 DEFAULT CHARSET=utf8mb4"
)


def test_only_what_belongs_to_the_other_table_is_left_out() -> None:
    made = made_like(_SHOWN, "t_0", "t_0__s7")
    assert made == (
        "CREATE TABLE IF NOT EXISTS `t_0__s7` (\n  `id` bigint(20) NOT NULL AUTO_INCREMENT,\n"
        "  `t_0` int(11) DEFAULT NULL COMMENT 'CREATE TABLE `t_0` (',\n  PRIMARY KEY (`id`),\n  CHECK (`t_0` > 0)\n"
        ") ENGINE=InnoDB DEFAULT CHARSET=utf8mb4"
    )


def test_what_is_no_definition_of_it() -> None:
    with pytest.raises(ValueError, match="not the definition"):
        made_like("CREATE VIEW `t_0` AS SELECT 1", "t_0", "t_1")
