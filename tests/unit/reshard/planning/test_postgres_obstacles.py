"""What PostgreSQL's catalog says of tables, as obstacles and remarks."""

from __future__ import annotations

import pytest

from dbmesh.model import TableSchema
from dbmesh.reshard.planning.facts import Hindrance, HindranceKind, PostgresFacts, TableFacts
from dbmesh.reshard.planning.postgres_obstacles import of_names, of_numbers, of_server, of_table, of_types


def _facts(*kinds: HindranceKind) -> TableFacts:
    return TableFacts(TableSchema("t", ()), hindrances=tuple(Hindrance(kind, "some") for kind in kinds))


_LATER = frozenset((HindranceKind.NUMBERED, HindranceKind.OWN_TYPE))


@pytest.mark.parametrize("kind", [kind for kind in HindranceKind if kind not in _LATER])
def test_each_kind_has_a_sentence(kind: HindranceKind) -> None:
    (said,) = of_table(_facts(kind))
    assert "{" not in said.sentence
    assert said.cure
    assert said.blocks is (kind not in (HindranceKind.GRANTED, HindranceKind.SLOW_KEY))


@pytest.mark.parametrize("kind", sorted(_LATER, key=str))
def test_what_depends_on_the_rules_is_said_with_them(kind: HindranceKind) -> None:
    facts = _facts(kind)
    assert not list(of_table(facts))
    numbered = kind is HindranceKind.NUMBERED
    assert len(list(of_numbers(facts, given=False))) == numbered
    assert not list(of_numbers(facts, given=True))
    assert len(list(of_types(facts))) == (not numbered)


@pytest.mark.parametrize(
    ("facts", "entered", "several", "blocking", "all_"),
    [
        (PostgresFacts(0, True), True, False, 0, 1),
        (PostgresFacts(0, True), True, True, 1, 2),
        (PostgresFacts(5, True), True, True, 0, 2),
        (PostgresFacts(10, True), True, True, 0, 1),
        (PostgresFacts(10, False), True, True, 1, 2),
        (PostgresFacts(10, False), False, True, 0, 1),
    ],
)
def test_a_server(facts: PostgresFacts, entered: bool, several: bool, blocking: int, all_: int) -> None:
    said = list(of_server(facts, "me", 10, entered=entered, several=several))
    assert (sum(one.blocks for one in said), len(said)) == (blocking, all_)


def test_names_are_measured_in_bytes() -> None:
    assert [name for name, _ in of_names(["a" * 63, "a" * 64, "é" * 32])] == ["a" * 64, "é" * 32]
