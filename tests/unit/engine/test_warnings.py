"""What several shards say of one statement is told once; what they say of their rows is told each time."""

from __future__ import annotations

import pytest

from dbmesh.backend.connection import Product
from dbmesh.engine.warnings import (
    ShardWarning,
    in_order_of_rows,
    of_constants,
    of_definition,
    read_explained,
    without_repetitions,
)
from dbmesh.model import SqlValue
from dbmesh.wire.commands import make_execute


def _warnings(texts: str) -> list[ShardWarning]:
    return [ShardWarning("Warning", 1292, text) for text in texts]


@pytest.mark.parametrize(
    ("told", "of_statement", "expected"),
    [
        (["c", "c", "c"], "c", ["c", "", ""]),
        (["cr", "cr"], "c", ["cr", "r"]),
        (["ccr", "ccrr"], "cc", ["ccr", "rr"]),
        # A row with the constant's own text.
        (["cc", "ccc"], "c", ["cc", "cc"]),
        # The first shard did not come so far as to look at the constant.
        (["r", "c", "c"], "c", ["r", "c", ""]),
        (["c", "cc"], "cc", ["c", "c"]),
        (["r", "r"], "", ["r", "r"]),
    ],
)
def test_warnings_of_the_statement_are_told_once(
    told: list[str], of_statement: str, expected: list[str]
) -> None:
    found = without_repetitions([_warnings(texts) for texts in told], _warnings(of_statement))
    assert ["".join(one.message for one in warnings) for warnings in found] == expected


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        (["5", "5", ""], "5"),
        (["55", "55"], "55"),
        (["abc", "b", "b"], "b"),
        # Rows of the first shard hold what the statement writes.
        (["555", "5"], ""),
        (["a", "a"], ""),
    ],
)
def test_what_a_statement_writes_itself_is_converted_once(told: list[str], expected: str) -> None:
    sql = b"SELECT a FROM t WHERE day > '5' OR day IN (-5, 'b')"

    def conversions(texts: str) -> list[ShardWarning]:
        return [
            ShardWarning("Warning", 1292, f"Truncated incorrect datetime value: '{text}'") for text in texts
        ]

    assert of_constants([conversions(texts) for texts in told], sql) == conversions(expected)


def test_numbers_and_parameters_are_found_in_a_servers_own_writing() -> None:
    warning = ShardWarning("Warning", 1292, "Truncated incorrect datetime value: '-10'")
    assert of_constants([[warning], [warning]], b"SELECT 1 FROM t WHERE day > - 10.0e0") == [warning]
    assert of_constants([[warning], [warning]], b"SELECT 1 FROM t WHERE day > ?") == []
    for value in ("-10", -10, -10.0):
        execute = make_execute(7, ["x", value, None])
        assert of_constants([[warning], [warning]], b"SELECT ? FROM t WHERE d > ? OR ?", execute) == [warning]


@pytest.mark.parametrize(("values", "expected"), [(["", 0], 1), (["x", 0], 0), ([b"", None], 1)])
def test_an_empty_text_is_a_parameter_too(values: list[SqlValue], expected: int) -> None:
    warning = ShardWarning("Warning", 1292, "Truncated incorrect DOUBLE value: ''")
    execute = make_execute(7, values)
    found = of_constants([[warning], [warning]], b"SELECT 1 FROM t WHERE a = ? AND b = ?", execute)
    assert found == [warning] * expected


def test_a_command_that_is_none_has_no_parameters() -> None:
    warning = ShardWarning("Warning", 1292, "Truncated incorrect DOUBLE value: 'x'")
    assert of_constants([[warning], [warning]], b"SELECT 1 FROM t WHERE a = ?", b"\x17\x00\x00\x02xy") == []


def test_warnings_of_several_shards_come_in_the_order_of_the_rows() -> None:
    texts = ["no default", "cut at row 2", "also here", "cut at row 4", "no default for y", "cut at row 1"]
    numbers = [1364, 1265, 1062, 1265, 1364, 1265]
    warnings = [ShardWarning("Warning", number, text) for number, text in zip(numbers, texts, strict=True)]
    assert [one.message for one in in_order_of_rows(warnings, Product.MARIADB)] == [
        "no default",
        "no default for y",
        "cut at row 1",
        "cut at row 2",
        "also here",
        "cut at row 4",
    ]
    first, second, third = [one.message for one in in_order_of_rows(warnings, Product.MYSQL)][:3]
    assert (first, second, third) == ("cut at row 1", "no default", "no default for y"), (
        "told as it writes row 1"
    )


@pytest.mark.parametrize(
    ("said", "impossible"),
    [
        ([b"1", b"SIMPLE", None, b"Impossible WHERE"], True),
        ([b"1", b"SIMPLE", b"t", None], False),
        ([b"-> Zero rows (Impossible WHERE)  (cost=0..0 rows=0)\n"], True),
        ([b"-> Limit: 2 row(s)\n    -> Zero rows (Zero limit)\n"], True),
        ([b"-> Table scan on t  (cost=1 rows=2)\n"], False),
    ],
)
def test_explain_tells_whether_rows_need_be_read(said: list[bytes | None], impossible: bool) -> None:
    note = ShardWarning("Note", 1003, "/* select#1 */ select 1")
    warning = ShardWarning("Warning", 1292, "Truncated incorrect DOUBLE value: 'x'")
    explained = read_explained([said], [note, warning])
    assert (explained.warnings, explained.impossible) == ((warning,), impossible)


def test_what_data_nodes_say_of_a_definition_is_told_once() -> None:
    exists, missing = ShardWarning("Note", 1050, "Table 't' already exists"), "Unknown table '{}'"
    assert of_definition([exists, exists]) == [exists]
    notes = [ShardWarning("Note", 1051, missing.format(names)) for names in ("s.t,s.t,s.u,s.v", "s.t,s.u")]
    assert of_definition(notes) == [ShardWarning("Note", 1051, missing.format("s.t,s.u,s.v"))]


def test_warnings_of_rows_that_a_definition_changes_are_all_told() -> None:
    cut = ShardWarning("Warning", 1265, "Data truncated for column 'v' at row 1")
    note = ShardWarning("Note", 1265, "Data truncated for column 'd' at row 1")
    assert of_definition([cut, note, cut, note]) == [cut, note, cut, note]
