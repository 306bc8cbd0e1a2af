"""Which files are left to run, and which contradict what was run."""

from __future__ import annotations

import pytest

from dbmesh.governance.migrations import Applied, MigrationError, Pending, checksum, left_to_apply


def _applied(*statements: str, complete: bool = True) -> Applied:
    return Applied(tuple(map(checksum, statements)), complete)


def test_files_are_run_in_the_order_of_their_names() -> None:
    left = left_to_apply({"2.sql": "B", "1.sql": "A; C"}, {})
    assert left == [Pending("1.sql", ("A", "C"), 0), Pending("2.sql", ("B",), 0)]


def test_a_file_that_failed_goes_on_where_it_failed() -> None:
    left = left_to_apply({"1.sql": "A; better"}, {"1.sql": _applied("A", complete=False)})
    assert left == [Pending("1.sql", ("A", "better"), 1)]


@pytest.mark.parametrize(
    ("files", "told"),
    [
        ({"1.sql": "A; B", "2.sql": "C"}, "'1.sql' was changed"),
        ({"1.sql": "B", "2.sql": "C"}, "'1.sql' was changed"),
        ({"2.sql": "C"}, "'1.sql' was applied and is not there"),
        ({"0.sql": "Z", "1.sql": "A"}, "'0.sql' comes before '1.sql'"),
    ],
)
def test_files_that_contradict_what_was_run(files: dict[str, str], told: str) -> None:
    with pytest.raises(MigrationError, match=told):
        left_to_apply(files, {"1.sql": _applied("A")})
