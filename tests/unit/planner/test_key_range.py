"""Ranges of a key name its columns one by one: a comparison of rows would be read, and locked, from the index's beginning."""

from __future__ import annotations

from dbmesh.planner.key_range import behind, up_to


def test_one_column_is_compared_as_it_is() -> None:
    assert behind(["`a`"], ["1"]) == "(`a` > 1)"
    assert up_to(["`a`"], ["1"]) == "(`a` <= 1)"


def test_several_columns_are_written_out() -> None:
    assert behind(["`a`", "`b`"], ["1", "'x'"]) == "(`a` > 1 OR `a` = 1 AND `b` > 'x')"
    assert up_to(["`a`", "`b`"], ["1", "'x'"]) == "(`a` < 1 OR `a` = 1 AND `b` <= 'x')"
