"""Which target a number names."""

import pytest

from dbmesh.rules.targets import Targets


@pytest.mark.parametrize(
    ("names", "logic", "suffix", "expected"),
    [
        (["t_0", "t_1"], "t", "1", "t_1"),
        (["t_00", "t_01"], "t", "1", "t_01"),
        (["t_8", "t_9", "t_10"], "t", "10", "t_10"),
        (["T_0", "T_1"], "t", "1", "T_1"),
        (["t_2024_0", "t_2024_1"], "t_2024", "1", "t_2024_1"),
        (["t_20240", "t_20241"], "t_2024", "1", "t_20241"),
        (["ds_0", "ds_1"], "", "2", None),
    ],
)
def test_numbered(names: list[str], logic: str, suffix: str, expected: str | None) -> None:
    assert Targets.of(names, logic).numbered(suffix) == expected


def test_names_keep_their_order_without_repeats() -> None:
    targets = Targets.of(["b_1", "a_0", "b_1"])
    assert targets.names == ("b_1", "a_0")
    assert targets.in_order({"a_0", "b_1"}) == ("b_1", "a_0")
    assert targets.named("B_1") == "b_1"
