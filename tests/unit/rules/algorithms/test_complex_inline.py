"""COMPLEX_INLINE: every combination of values, ranges, too many of them."""

from __future__ import annotations

import pytest

from dbmesh.rules.algorithms.properties import PropertyReader
from dbmesh.rules.algorithms.registry import ALGORITHMS
from dbmesh.rules.ruleset import Range, Values
from dbmesh.rules.targets import NoTarget, Targets
from tests.plugins.placement import NUMBERED, algorithm


def test_complex_inline_computes_every_combination() -> None:
    made = ALGORITHMS["COMPLEX_INLINE"].create(
        PropertyReader({"sharding-columns": "a,b", "algorithm-expression": "t_${(a + b) % 4}"})
    )
    targets = Targets.of(NUMBERED, "t")
    assert made.route(targets, {"a": Values((1, 2)), "b": Values((1,))}) == ("t_2", "t_3")
    assert made.route(targets, {"a": Range(1, 2), "b": Values((1,))}) == NUMBERED
    with pytest.raises(NoTarget):
        made.route(targets, {"a": Values((-1,)), "b": Values((-2,))})


def test_too_many_combinations_reach_every_target() -> None:
    made = algorithm("COMPLEX_INLINE", {"algorithm-expression": "t_${(a + b) * 0}"})
    targets = Targets.of(NUMBERED, "t")
    some, many = Values(tuple(range(100))), Values(tuple(range(101)))
    assert made.route(targets, {"a": some, "b": some}) == ("t_0",)
    assert made.route(targets, {"a": some, "b": many}) == NUMBERED
