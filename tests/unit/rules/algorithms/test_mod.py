"""MOD: cut digits, padding, ranges."""

from __future__ import annotations

import pytest

from dbmesh.rules.ruleset import Range
from dbmesh.rules.targets import NoTarget
from tests.plugins.placement import NUMBERED, place, routed, standard


def test_zero_padding_and_padded_names() -> None:
    padded = tuple(f"t_{number:02d}" for number in range(12))
    assert place("MOD", {"sharding-count": "12"}, 3, padded) == "t_03"
    assert place("MOD", {"sharding-count": "12", "zero-padding": "true"}, 3, padded) == "t_03"


def test_padded_numbers_name_padded_tables_only() -> None:
    plain = tuple(f"t_{number}" for number in range(12))
    with pytest.raises(NoTarget):
        place("MOD", {"sharding-count": "12", "zero-padding": "true"}, 3, plain)
    assert place("MOD", {"sharding-count": "12", "zero-padding": "true"}, 11, plain) == "t_11"


def test_a_range_of_cut_numbers_reaches_every_target() -> None:
    cut = {"sharding-count": "4", "start-offset": "1"}
    assert routed("MOD", cut, Range(104, 105)) == NUMBERED
    assert routed("MOD", {"sharding-count": "4", "stop-offset": "1"}, Range(104, 105)) == NUMBERED


def test_a_range_with_a_remainder_without_target_reaches_every_target() -> None:
    assert routed("MOD", {"sharding-count": "9"}, Range(5, 7)) == NUMBERED


def test_an_auto_table_has_as_many_tables_as_remainders() -> None:
    assert getattr(standard("MOD", {"sharding-count": "7"}), "auto_table_count", 0) == 7
