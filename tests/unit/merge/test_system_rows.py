"""Rows of information_schema from several data sources: one row set per logic table, numbers added up."""

from __future__ import annotations

from dbmesh.merge.system_rows import SourceRows, merge_system_rows
from dbmesh.planner.system_tables import SYSTEM_TABLES, SystemNode

_COLUMNS = (
    "TABLE_SCHEMA",
    "TABLE_NAME",
    "TABLE_ROWS",
    "AVG_ROW_LENGTH",
    "DATA_LENGTH",
    "CREATE_TIME",
    "AUTO_INCREMENT",
)


def _row(
    schema: str, table: str, rows: int, length: int, created: str, counter: int | None
) -> list[bytes | None]:
    values = (schema, table, rows, length // max(rows, 1), length, created, counter)
    return [None if value is None else str(value).encode() for value in values]


_SOURCES = [
    SourceRows(
        "shop",
        "shop_0",
        {"t_1": SystemNode("t", False, True, "_t_1"), "one": SystemNode("one", True, True)},
        [
            _row("shop_0", "t_1", 3, 300, "2024-01-02 00:00:00", 9),
            _row("shop_0", "one", 1, 50, "2024-01-01 00:00:00", None),
            _row("shop_0", "stray", 1, 50, "2024-01-01 00:00:00", None),
        ],
    ),
    SourceRows(
        "shop",
        "shop_1",
        {"t_0": SystemNode("t", True, True), "copy": SystemNode("copy", False, False)},
        [
            _row("shop_1", "t_0", 5, 100, "2024-01-03 00:00:00", 10),
            _row("shop_1", "copy", 5, 100, "2024-01-03 00:00:00", 10),
        ],
    ),
]


def test_a_table_is_described_once_and_its_numbers_add_up() -> None:
    assert merge_system_rows(SYSTEM_TABLES["TABLES"], _COLUMNS, _SOURCES) == [
        _row("shop", "one", 1, 50, "2024-01-01 00:00:00", None),
        _row("shop", "t", 8, 400, "2024-01-02 00:00:00", 10),
    ]


def test_null_counts_as_nothing() -> None:
    rows = [[b"a_0", b"t_0", b"i", b"1", None], [b"a_0", b"t_1", b"i", b"1", b"7"]]
    nodes = {"t_0": SystemNode("t", True, True), "t_1": SystemNode("t", False, True)}
    columns = ("TABLE_SCHEMA", "TABLE_NAME", "INDEX_NAME", "SEQ_IN_INDEX", "CARDINALITY")
    merged = merge_system_rows(SYSTEM_TABLES["STATISTICS"], columns, [SourceRows("a", "a_0", nodes, rows)])
    assert merged == [[b"a", b"t", b"i", b"1", b"7"]]


def test_references_and_constraints_get_their_logic_names() -> None:
    columns = ("CONSTRAINT_SCHEMA", "CONSTRAINT_NAME", "TABLE_SCHEMA", "TABLE_NAME", "COLUMN_NAME",
               "REFERENCED_TABLE_SCHEMA", "REFERENCED_TABLE_NAME")  # fmt: skip
    row = [b"a_0", b"fk_t_0", b"a_0", b"t_0", b"c", b"a_0", b"u_0"]
    nodes = {"t_0": SystemNode("t", True, True, "_t_0"), "u_0": SystemNode("u", True, True)}
    source = SourceRows("a", "a_0", nodes, [row])
    assert merge_system_rows(SYSTEM_TABLES["KEY_COLUMN_USAGE"], columns, [source]) == [
        [b"a", b"fk", b"a", b"t", b"c", b"a", b"u"]
    ]


def test_rows_about_no_table_are_shown_once_for_a_database() -> None:
    columns = ("CATALOG_NAME", "SCHEMA_NAME")
    sources = [
        SourceRows(database, schema, {}, [[b"def", schema.encode()]])
        for database, schema in (("b", "b_0"), ("b", "b_1"), ("a", "a_0"))
    ]
    assert merge_system_rows(SYSTEM_TABLES["SCHEMATA"], columns, sources) == [[b"def", b"a"], [b"def", b"b"]]


def test_the_text_of_a_view_names_the_logic_database() -> None:
    columns = ("TABLE_SCHEMA", "TABLE_NAME", "VIEW_DEFINITION")
    row = [b"a_0", b"v", b"select `a_0`.`t`.`id` AS `id` from `a_0`.`t`"]
    source = SourceRows("a", "a_0", {"v": SystemNode("v", True, True)}, [row])
    assert merge_system_rows(SYSTEM_TABLES["VIEWS"], columns, [source]) == [
        [b"a", b"v", b"select `a`.`t`.`id` AS `id` from `a`.`t`"]
    ]
