"""HINT_INLINE: a hint's values are the expression's."""

from __future__ import annotations

import pytest

from dbmesh.rules.algorithms.properties import PropertyReader
from dbmesh.rules.algorithms.registry import ALGORITHMS
from dbmesh.rules.ruleset import Range, Values
from dbmesh.rules.targets import NoTarget, Targets
from tests.plugins.placement import NUMBERED, algorithm


def test_hint_inline_takes_the_hint_as_value() -> None:
    made = ALGORITHMS["HINT_INLINE"].create(PropertyReader({"algorithm-expression": "t_${value % 4}"}))
    targets = Targets.of(NUMBERED, "t")
    assert made.route(targets, {"": Values((5,))}) == ("t_1",)
    plain = ALGORITHMS["HINT_INLINE"].create(PropertyReader({}))
    assert plain.route(targets, {"": Values(("t_3",))}) == ("t_3",)
    with pytest.raises(NoTarget):
        plain.route(targets, {"": Values(("t_9",))})


def test_several_values_have_several_targets() -> None:
    made = algorithm("HINT_INLINE", {"algorithm-expression": "t_${value % 4}"})
    targets = Targets.of(NUMBERED, "t")
    assert made.route(targets, {"": Values((6, 1, 5))}) == ("t_1", "t_2")
    assert made.route(targets, {"": Range(1, 2)}) == NUMBERED
