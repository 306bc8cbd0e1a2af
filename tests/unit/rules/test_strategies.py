"""Strategy sections: which kind, which columns, and which algorithm fits."""

from __future__ import annotations

import sys
import types
from typing import Any

import pytest

from dbmesh.rules.algorithms.mod import Mod
from dbmesh.rules.models import StrategySection, TypeAndProperties
from dbmesh.rules.ruleset import Strategy
from dbmesh.rules.source import SourceFile
from dbmesh.rules.strategies import NONE, StrategyBuilder, build_algorithms


class Users:
    """A user's algorithm."""

    def __init__(self, properties: dict[str, str]) -> None:
        self.properties = properties

    def route(self, targets: tuple[str, ...], conditions: object) -> tuple[str, ...]:
        return targets


ALGORITHMS: dict[str, dict[str, Any]] = {
    "mod": {"type": "mod", "props": {"sharding-count": "2"}},
    "inline": {"type": "INLINE", "props": {"algorithm-expression": "t_${id % 2}"}},
    "both": {"type": "COMPLEX_INLINE", "props": {"algorithm-expression": "t_${(id + user_id) % 2}"}},
    "named": {
        "type": "COMPLEX_INLINE",
        "props": {"algorithm-expression": "t_${id % 2}", "sharding-columns": "ID,region"},
    },
    "told": {"type": "HINT_INLINE"},
    "own": {
        "type": "CLASS_BASED",
        "props": {"strategy": "STANDARD", "algorithmClassName": "users.Users", "anything": "goes"},
    },
    "own_complex": {
        "type": "CLASS_BASED",
        "props": {"strategy": "COMPLEX", "algorithmClassName": "users.Users"},
    },
}


@pytest.fixture(autouse=True)
def users_module(monkeypatch: pytest.MonkeyPatch) -> None:
    """A module of the user's own, importable by name."""
    module = types.ModuleType("users")
    module.Users = Users  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "users", module)


def build(
    section: dict[str, Any] | None, default_column: str | None = None, automatic: bool = False
) -> tuple[Strategy | None, list[str]]:
    """The strategy and the messages of what is wrong with it."""
    source = SourceFile("f")
    sections = {name: TypeAndProperties.model_validate(value) for name, value in ALGORITHMS.items()}
    algorithms = build_algorithms(source, ("shardingAlgorithms",), sections)
    assert not source.mistakes
    read = None if section is None else StrategySection.model_validate(section)
    strategy = StrategyBuilder(source, algorithms, default_column).build(("s",), read, automatic)
    return strategy, [mistake.message for mistake in source.mistakes]


def by(name: str, column: str | None = "id") -> dict[str, Any]:
    return {"standard": {"shardingColumn": column, "shardingAlgorithmName": name}}


def of(name: str, columns: str) -> dict[str, Any]:
    return {"complex": {"shardingColumns": columns, "shardingAlgorithmName": name}}


HINT = {"hint": {"shardingAlgorithmName": "told"}}


def test_the_four_kinds() -> None:
    assert build(None) == (NONE, [])
    assert build({"none": None}) == (NONE, [])
    assert build(by("mod", "ID")) == (Strategy("standard", ("id",), Mod(2), "mod"), [])
    both, messages = build(of("both", "ID,User_Id,id"))
    assert both is not None
    assert (both.kind, both.columns, both.algorithm_name) == ("complex", ("id", "user_id"), "both")
    assert not messages
    hint, messages = build(HINT)
    assert hint is not None
    assert (hint.kind, hint.columns) == ("hint", ())
    assert not messages


def test_the_default_column_holds_where_none_is_named() -> None:
    strategy, messages = build(by("mod", None), default_column="Order_Id")
    assert strategy is not None
    assert (strategy.columns, messages) == (("order_id",), [])
    assert build(by("mod", None)) == (None, ["'shardingColumn' is missing"])


def test_a_users_class_serves_the_strategy_it_names() -> None:
    standard, messages = build(by("own"))
    assert not messages
    assert isinstance(getattr(standard and standard.algorithm, "user", None), Users)
    assert build(of("own_complex", "a,b"))[1] == []
    assert build(by("own_complex"))[1] == ["'own_complex' (CLASS_BASED) cannot serve a standard strategy"]
    assert build(of("own", "a,b"))[1] == ["'own' (CLASS_BASED) cannot serve a complex strategy"]


@pytest.mark.parametrize(
    ("section", "message"),
    [
        ({}, "no kind of strategy is given"),
        (by("mod") | HINT, "several kinds are given: standard, hint"),
        (by("mod") | {"none": None}, "several kinds are given: standard, none"),
        (of("both", ""), "no column is named"),
        (by("odm"), "unknown algorithm 'odm'"),
        (by("both"), "'both' (COMPLEX_INLINE) cannot serve a standard strategy"),
        (by("told"), "'told' (HINT_INLINE) cannot serve a standard strategy"),
        (of("mod", "id"), "'mod' (MOD) cannot serve a complex strategy"),
        ({"hint": {"shardingAlgorithmName": "mod"}}, "'mod' (MOD) cannot serve a hint strategy"),
        (by("inline", "user_id"), "algorithm 'inline' reads 'id' but the strategy's columns are user_id"),
        (
            of("both", "id,region"),
            "algorithm 'both' reads 'user_id' but the strategy's columns are id, region",
        ),
        (
            of("named", "id,user_id"),
            "algorithm 'named' reads 'region' but the strategy's columns are id, user_id",
        ),
    ],
)
def test_what_does_not_fit_is_a_mistake(section: dict[str, Any], message: str) -> None:
    assert build(section) == (None, [message])


def test_sharding_columns_of_a_complex_algorithm_may_be_more_than_it_reads() -> None:
    assert build(of("named", "region,id"))[1] == []


def test_an_auto_table_needs_an_algorithm_that_counts() -> None:
    assert build(by("mod"), automatic=True)[1] == []
    assert build(by("inline"), automatic=True) == (None, ["'inline' (INLINE) cannot lay out an auto table"])


def test_algorithms_with_mistakes_are_reported_once() -> None:
    source = SourceFile("f")
    sections = {
        "kind": TypeAndProperties(type="MODD"),
        "count": TypeAndProperties(type="MOD", props={"sharding-count": "0"}),
        "key": TypeAndProperties(type="MOD", props={"sharding-count": "2", "sharding-cuont": "2"}),
    }
    algorithms = build_algorithms(source, ("a",), sections)
    builder = StrategyBuilder(source, algorithms, None)
    for name in ("kind", "count"):
        assert builder.build(("s",), StrategySection.model_validate(by(name))) is None
    assert [(mistake.key_path, mistake.message) for mistake in source.mistakes] == [
        ("a.kind.type", "unknown sharding algorithm 'MODD'"),
        ("a.count.props.sharding-count", "0 is below 1"),
        ("a.key.props.sharding-cuont", "unknown property 'sharding-cuont' of MOD"),
    ]
