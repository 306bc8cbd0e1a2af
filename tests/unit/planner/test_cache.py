"""The plan cache: who shares a plan with whom."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dbmesh.errors import MeshError
from dbmesh.planner.cache import Generations, PlanCache
from dbmesh.planner.planner import Planner
from dbmesh.planner.select import SelectPlan
from dbmesh.rules.privileges import OF_DATABASE, Privileges, Target, grant
from dbmesh.sql.fingerprint import fingerprint
from dbmesh.sql.lexer import LexerFlags


@pytest.fixture
def cache(shop: Planner) -> PlanCache:
    return PlanCache(shop)


def _same(cache: PlanCache, first: str, second: str) -> bool:
    return cache.lookup(first, "shop")[0] is cache.lookup(second, "shop")[0]


@pytest.mark.parametrize(
    ("first", "second", "shared"),
    [
        ("SELECT * FROM t_order WHERE user_id = 1", "SELECT * FROM t_order WHERE user_id = 2", True),
        ("SELECT * FROM t_order WHERE user_id IN (1)", "SELECT * FROM t_order WHERE user_id IN (1,2)", True),
        ("SELECT * FROM t_order LIMIT 5, 10", "SELECT * FROM t_order LIMIT 10, 10", True),
        (
            "SELECT order_id, amount FROM t_order ORDER BY 1",
            "SELECT order_id, amount FROM t_order ORDER BY 2",
            False,
        ),
        ("SELECT * FROM t_order WHERE user_id = 1", "SELECT * FROM t_order WHERE user_id = '1'", False),
        ("SET @a = 1", "SET @a = 2", False),
        ("/* DBMESH_HINT: DATA_SOURCE_NAME=ds_0 */ SELECT 1", "SELECT 1", False),
        ("/* trace 7 */ SELECT 1", "SELECT 1", True),
    ],
)
def test_sharing(cache: PlanCache, first: str, second: str, shared: bool) -> None:
    assert _same(cache, first, second) is shared
    assert _same(cache, first, first)
    assert _same(cache, second, second)


def test_literals_are_those_of_the_text(cache: PlanCache) -> None:
    cache.lookup("SELECT 1", "shop")
    assert list(cache.lookup("SELECT 2", "shop")[1]) == ["2"]


@given(
    st.sampled_from(
        [
            "SELECT * FROM t_order WHERE user_id = ",
            "SELECT * FROM t_order WHERE user_id =-",
            "SELECT * FROM t_order WHERE user_id = 0x",
            "SELECT * FROM t_order WHERE user_id = 1.",
            "SELECT * FROM t_order WHERE user_id = '1' LIMIT ",
            "SELECT * FROM t_order WHERE user_id = 1 -- ",
            "SELECT order_id FROM t_order ORDER BY ",
            "SELECT * FROM t_order LIMIT ",
            "SELECT ",
            "SELECT 1",
            "SELECT 0 AS a",
            "SELECT 7 AS a",
            "SELECT 0 -- ",
            "SELECT * FROM t",
        ]
    ),
    st.lists(st.sampled_from(["0", "1", "7", "007", "01", "18446744073709551616"]), min_size=2, max_size=4),
)
def test_texts_that_differ_in_the_number_they_end_in(shop: Planner, head: str, tails: list[str]) -> None:
    cache = PlanCache(shop)
    for tail in tails:
        text = head + tail
        try:
            found = cache.lookup(text, "shop")
        except MeshError:
            continue
        assert list(found[1]) == fingerprint(text).literals
        alone = PlanCache(shop).lookup(text, "shop")
        if isinstance(alone[0], SelectPlan):
            assert isinstance(found[0], SelectPlan)
            assert found[0].prototype() == alone[0].prototype()


def test_flags_and_database_are_part_of_the_key(cache: PlanCache) -> None:
    plan = cache.lookup("SELECT 1", "shop")[0]
    assert cache.lookup("SELECT 1", None)[0] is not plan
    assert cache.lookup("SELECT 1", "shop", LexerFlags(ansi_quotes=True))[0] is not plan


def test_generations_keep_what_is_used() -> None:
    kept: Generations[int, str] = Generations(10)
    for number in range(100):
        kept.put(number, str(number))
        assert kept.get(0) == "0"
        assert len(kept) <= 10
    assert kept.get(50) is None


def test_what_was_asked_is_planned_ahead_by_another_cache(cache: PlanCache, shop: Planner) -> None:
    statements = (
        "SELECT * FROM t_order WHERE user_id = 17",
        "UPDATE t_order SET status = 'x' WHERE user_id = 5 AND order_id = -3",
        "INSERT INTO t_order (order_id, user_id) VALUES (1, 2), (3, 4)",
        "SELECT * FROM t_order WHERE user_id IN (7, 8) AND status = 'it''s'",
        "SELECT COUNT(*) FROM t_order",
    )
    for statement in statements:
        cache.lookup(statement, "shop")
    following = PlanCache(shop)
    for text, database, privileges in cache.asked():
        following.lookup(text, database, privileges=privileges)
    planned = following.misses
    for statement in statements:
        following.lookup(statement, "shop")
    assert following.misses == planned


def test_what_was_asked_with_some_privileges_is_told_with_them(cache: PlanCache) -> None:
    privileges = Privileges(grant(Target("shop"), OF_DATABASE))
    cache.lookup("SELECT * FROM t_order WHERE user_id = 1", "shop", privileges=privileges)
    assert {(one.database, one.privileges) for one in cache.asked()} == {("shop", privileges)}
