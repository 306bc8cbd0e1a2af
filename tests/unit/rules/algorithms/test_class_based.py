"""CLASS_BASED: what a user's class is asked, and what is made of its answers."""

from __future__ import annotations

import sys
import types

import pytest

from dbmesh.rules.algorithms.class_based import ClassBased, StandardClassBased
from dbmesh.rules.algorithms.properties import PropertyMistake
from dbmesh.rules.ruleset import Condition, Range, Values
from dbmesh.rules.targets import NoTarget, Targets
from tests.plugins.placement import NUMBERED, algorithm


class OddOnes:
    """A user's algorithm that answers what its properties say, and notes what it was asked."""

    asked: list[tuple[tuple[str, ...], dict[str, Condition]]]

    def __init__(self, properties: dict[str, str]) -> None:
        self.answer = properties.get("answer", "")
        self.asked = []

    def route(self, targets: tuple[str, ...], conditions: dict[str, Condition]) -> list[str]:
        self.asked.append((targets, conditions))
        if self.answer == "fail":
            raise RuntimeError("no")
        return list(targets[::-2]) if self.answer == "many" else self.answer.split()


class NoRoute:
    """Not an algorithm."""

    def __init__(self, properties: dict[str, str]) -> None:
        pass


@pytest.fixture(autouse=True)
def users_module(monkeypatch: pytest.MonkeyPatch) -> None:
    """A module of the user's own, importable by name."""
    module = types.ModuleType("shop_sharding")
    module.OddOnes = OddOnes  # type: ignore[attr-defined]
    module.NoRoute = NoRoute  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "shop_sharding", module)


def made(strategy: str, answer: str, name: str = "OddOnes") -> ClassBased | StandardClassBased:
    found = algorithm(
        "CLASS_BASED",
        {"strategy": strategy, "algorithmClassName": f"shop_sharding.{name}", "answer": answer},
    )
    assert isinstance(found, ClassBased | StandardClassBased)
    return found


def asked(found: ClassBased | StandardClassBased) -> list[tuple[tuple[str, ...], dict[str, Condition]]]:
    assert isinstance(found.user, OddOnes)
    return found.user.asked


TARGETS = Targets.of(NUMBERED, "t")


def test_a_standard_strategy_asks_for_one_value() -> None:
    found = made("standard", "t_1")
    assert isinstance(found, StandardClassBased)
    assert found.placer(TARGETS, "id")(5) == "t_1"
    assert asked(found) == [(NUMBERED, {"id": Values((5,))})]


def test_ranges_and_lists_are_the_users_business() -> None:
    found = made("STANDARD", "t_3 t_1")
    for condition in (Range(1, 2), Values((1, 2))):
        assert found.route(TARGETS, {"id": condition}) == ("t_1", "t_3")
    assert [conditions for _, conditions in asked(found)] == [{"id": Range(1, 2)}, {"id": Values((1, 2))}]


@pytest.mark.parametrize("strategy", ["COMPLEX", "HINT"])
def test_other_strategies_ask_with_every_condition(strategy: str) -> None:
    found = made(strategy, "many")
    assert isinstance(found, ClassBased)
    conditions: dict[str, Condition] = {"a": Values((1,)), "b": Range(1, None)}
    assert found.route(TARGETS, conditions) == ("t_1", "t_3", "t_5"), "in the targets' order"
    assert asked(found) == [(NUMBERED, conditions)]


@pytest.mark.parametrize(
    ("answer", "message"),
    [("fail", "RuntimeError: no"), ("t_9", "'t_9', which is not among"), ("", "no data node")],
)
def test_an_answer_that_would_lose_rows_is_refused(answer: str, message: str) -> None:
    for strategy in ("STANDARD", "COMPLEX"):
        with pytest.raises(NoTarget, match=message):
            made(strategy, answer).route(TARGETS, {"id": Values((5,))})


def test_one_value_has_one_target() -> None:
    found = made("STANDARD", "t_1 t_2")
    assert isinstance(found, StandardClassBased)
    with pytest.raises(NoTarget, match="2 targets for one value"):
        found.placer(TARGETS, "id")(5)


@pytest.mark.parametrize("name", ["NoRoute", "Nowhere"])
def test_a_class_that_cannot_be_used_is_a_mistake(name: str) -> None:
    with pytest.raises(PropertyMistake, match="no method 'route'" if name == "NoRoute" else "AttributeError"):
        made("HINT", "", name)
