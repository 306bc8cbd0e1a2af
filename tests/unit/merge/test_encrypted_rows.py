"""Rows of information_schema, and SHOW CREATE TABLE, about tables with encrypted columns."""

from __future__ import annotations

from dbmesh.merge.encrypted_rows import logic_definition, logic_rows
from dbmesh.rules.encryption.rule import EncryptedTable
from tests.unit.planner.encrypted.test_statement import COLUMNS

TABLE = EncryptedTable("t_user", COLUMNS)
NAMES = (
    "TABLE_SCHEMA", "TABLE_NAME", "COLUMN_NAME", "ORDINAL_POSITION", "COLUMN_TYPE", "COLUMN_KEY", "DATA_TYPE",
    "CHARACTER_MAXIMUM_LENGTH", "CHARACTER_OCTET_LENGTH", "NUMERIC_PRECISION", "NUMERIC_SCALE", "DATETIME_PRECISION",
    "CHARACTER_SET_NAME", "COLLATION_NAME",
)  # fmt: skip
STORED = ("id", "name_c", "name_h", "name_l", "mail", "age_c", "phone", "phone_c", "city")


def rows_of(*columns: str) -> list[list[bytes | None]]:
    return [
        [
            b"Shop", b"t_user", column.encode(), str(place).encode(), b"varchar(99)",
            b"UNI" if column == "name_h" else b"", b"varchar", b"99", b"99", None, None, None, b"ascii", b"ascii_bin",
        ]
        for place, column in enumerate(columns, 1)
    ]  # fmt: skip


def test_columns() -> None:
    found = logic_rows(
        NAMES, rows_of(*STORED), "TABLE_SCHEMA", {("shop", "t_user"): TABLE}, "utf8mb4_nopad_bin"
    )
    shown = [tuple((value or b"-").decode() for value in row[2:]) for row in found]
    assert [row[0] for row in shown] == ["id", "name", "mail", "age", "phone", "city"]
    assert [row[1] for row in shown] == ["1", "2", "3", "4", "5", "6"]
    assert shown[1][2:] == (
        "varchar(20)", "UNI", "varchar", "20", "80", "-", "-", "-", "utf8mb4", "utf8mb4_nopad_bin",
    )  # fmt: skip
    assert shown[3][2:] == ("int(11)", "-", "int", "-", "-", "10", "0", "-", "-", "-")
    assert logic_rows(NAMES, rows_of(*STORED), "TABLE_SCHEMA", {}, "")[1][2] == b"name_c"
    mysql = logic_rows(
        NAMES, rows_of("age_c"), "TABLE_SCHEMA", {("shop", "t_user"): TABLE}, "utf8mb4_0900_bin"
    )
    assert mysql[0][4] == b"int"


def test_keys() -> None:
    names = ("TABLE_SCHEMA", "TABLE_NAME", "INDEX_NAME", "COLUMN_NAME")
    rows: list[list[bytes | None]] = [
        [b"shop", b"t_user", b"k", name] for name in (b"name_h", b"name_l", b"name_c", b"mail", b"city")
    ]
    found = logic_rows(names, rows, "TABLE_SCHEMA", {("shop", "t_user"): TABLE}, "")
    assert [row[3] for row in found] == [b"name", b"mail", b"city"]
    assert logic_rows(("TABLE_SCHEMA",), [[b"shop"]], "TABLE_SCHEMA", {("shop", "t_user"): TABLE}, "") == [
        [b"shop"]
    ]


def test_definition() -> None:
    stored = (
        "CREATE TABLE `t_user` (\n  `id` bigint(20) NOT NULL,\n  `name_c` varchar(99) CHARACTER SET ascii DEFAULT NULL COMMENT 'n, m',\n"
        "  `name_h` varchar(99) DEFAULT NULL,\n  `name_l` varchar(40) DEFAULT NULL,\n  `age_c` varchar(99) NOT NULL,\n"
        "  `phone` varchar(9) DEFAULT NULL,\n  `phone_c` varchar(99) DEFAULT NULL,\n  PRIMARY KEY (`id`),\n"
        "  UNIQUE KEY `name_h` (`name_h`),\n  KEY `l` (`name_l`)\n) ENGINE=InnoDB"
    )
    assert logic_definition(stored, TABLE, "utf8mb4_nopad_bin") == (
        "CREATE TABLE `t_user` (\n  `id` bigint(20) NOT NULL,\n"
        "  `name` varchar(20) CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin DEFAULT NULL COMMENT 'n, m',\n"
        "  `age` int(11) NOT NULL,\n  `phone` varchar(9) DEFAULT NULL,\n  PRIMARY KEY (`id`),\n"
        "  UNIQUE KEY `name_h` (`name`)\n) ENGINE=InnoDB"
    )
    assert logic_definition("no definition", TABLE, "x") == "no definition"
