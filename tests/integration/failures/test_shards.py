"""Shards that are down, refuse, die in mid-answer or answer slowly: clear errors, and nothing broken is lent again."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

import pymysql
import pytest

from tests.plugins.equivalence import Answer, ask
from tests.plugins.fix_mesh import Shop
from tests.plugins.processes import wait_until

pytestmark = pytest.mark.integration

# Users 1, 3, 5… live on ds_1, users 2, 4, 6… on ds_0.
ON_DS_0 = "SELECT name FROM t_user WHERE user_id = 2"
ON_DS_1 = "SELECT name FROM t_user WHERE user_id = 1"
EVERYWHERE = "SELECT user_id, name FROM t_user ORDER BY user_id"


@pytest.fixture
def broken(own_shop: Callable[..., Shop]) -> Shop:
    """A shop whose links can be broken."""
    shop = own_shop()
    if not shop.meshed:
        pytest.skip("needs the mesh")
    return shop


def _healthy(connection: pymysql.Connection[Any]) -> bool:
    return len(ask(connection, EVERYWHERE).rows) == 60


def _ask_or_lose(connection: pymysql.Connection[Any], statement: str) -> Answer | None:
    """The answer, or None when the connection ended: with rows under way that is the other honest thing to do."""
    try:
        return ask(connection, statement)
    except pymysql.err.OperationalError:
        return None


def _recovers(shop: Shop) -> None:
    """All shards answer again, on new and old sessions, and every answer is right."""
    with shop.target.connect() as connection:
        wait_until(lambda: _healthy(connection), 15, "the mesh recovered", interval=0.1)
        for _ in range(30):
            assert ask(connection, ON_DS_0).rows == (("user 02",),)
            assert ask(connection, ON_DS_1).rows == (("user 01",),)


def test_a_shard_that_is_down_fails_only_its_own_statements(broken: Shop) -> None:
    with broken.target.connect() as connection:
        assert _healthy(connection)
        broken.links[1].refuse()
        assert ask(connection, ON_DS_0).rows == (("user 02",),)
        for statement in (ON_DS_1, EVERYWHERE):
            began = time.monotonic()
            answer = ask(connection, statement)
            assert answer.error is not None
            assert "ds_1" in answer.text, answer.text
            assert time.monotonic() - began < 10
        assert ask(connection, ON_DS_0).rows == (("user 02",),), "the session lives on"
        broken.links[1].restore()
    _recovers(broken)


def test_a_catalog_read_while_a_shard_is_away_forgets_nothing(broken: Shop) -> None:
    with broken.target.connect() as connection:
        rows = ask(connection, "SELECT * FROM t_config").rows
        assert rows
        broken.links[0].refuse()
        # Unknown tables make the mesh read its catalog again, at most once a second.
        wait_until(
            lambda: ask(connection, "SELECT * FROM nowhere").error != 1146, 15, "the catalog was read again"
        )
        answer = ask(connection, "SELECT * FROM t_config")
        assert answer.text.startswith("dbmesh: data source 'ds_0' cannot be reached"), answer.text
        broken.links[0].restore()
        wait_until(lambda: ask(connection, "SELECT * FROM t_config").rows == rows, 15, "it came back")


def test_a_cut_idle_connection_is_not_lent(broken: Shop) -> None:
    with broken.target.connect() as connection:
        assert _healthy(connection)
        for link in broken.links:
            link.cut()
        answers = [ask(connection, ON_DS_1) for _ in range(3)]
        assert answers[-1].rows == (("user 01",),)
    _recovers(broken)


@pytest.mark.parametrize("size", [0, 5, 200, 3000])
def test_a_shard_that_dies_in_mid_answer_is_an_error_never_a_short_answer(broken: Shop, size: int) -> None:
    statement = "SELECT a.order_id, REPEAT('x', 500) FROM t_order a ORDER BY a.order_id"
    with broken.target.connect() as connection:
        assert len(ask(connection, statement).rows) == 240
        broken.links[1].break_answers_after(size)
        answer = _ask_or_lose(connection, statement)
        assert answer is None or answer.error is not None, f"{len(answer.rows)} rows were passed off as all"
    broken.links[1].restore()
    _recovers(broken)


@pytest.mark.parametrize("size", [0, 5, 200, 20_000])
def test_a_relayed_answer_that_breaks_off_is_an_error(broken: Shop, size: int) -> None:
    statement = "SELECT REPEAT('y', 1000), c.code, d.code, e.code FROM t_country c, t_country d, t_country e"
    with broken.target.connect() as connection:
        assert len(ask(connection, statement).rows) == 64
        for link in broken.links:
            link.break_answers_after(size)
        answer = _ask_or_lose(connection, statement)
        assert answer is None or answer.error is not None, f"{len(answer.rows)} rows were passed off as all"
    for link in broken.links:
        link.restore()
    _recovers(broken)


def test_a_slow_shard_slows_only_its_own(broken: Shop) -> None:
    with broken.target.connect() as connection, broken.target.connect() as other:
        assert _healthy(connection)
        assert _healthy(other)
        broken.links[1].delay(0.4)
        slow = threading.Thread(target=ask, args=(other, ON_DS_1))
        slow.start()
        began = time.monotonic()
        for _ in range(20):
            assert ask(connection, ON_DS_0).rows == (("user 02",),)
        assert time.monotonic() - began < 0.4
        slow.join(10)
        assert ask(other, ON_DS_1).rows == (("user 01",),), "slow is not wrong"


def test_a_killed_server_comes_back(broken: Shop) -> None:
    with broken.target.connect() as connection:
        assert _healthy(connection)
        broken.sources[1].kill()
        assert ask(connection, ON_DS_1).error is not None
        broken.sources[1].start()
        broken.sources[1].wait_ready()
    _recovers(broken)


def test_a_transaction_whose_shard_dies_is_an_error_and_nothing_is_kept(broken: Shop) -> None:
    with broken.target.connect() as connection:
        ask(connection, "BEGIN")
        assert ask(connection, "INSERT INTO t_auto VALUES (1, 'lost', 1)").affected == 1
        broken.links[1].cut()
        answers = [ask(connection, "INSERT INTO t_auto VALUES (5, 'lost', 1)"), ask(connection, "COMMIT")]
        assert any(answer.error for answer in answers), "a lost transaction must not look committed"
        ask(connection, "ROLLBACK")
    _recovers(broken)
    with broken.target.connect() as connection:
        assert ask(connection, "SELECT * FROM t_auto").rows == ()


def test_a_mesh_starts_while_a_shard_is_away(own_shop: Callable[..., Shop]) -> None:
    shop = own_shop(start=False)
    if not shop.meshed:
        pytest.skip("needs the mesh")
    shop.links[1].refuse()
    shop.start()
    with shop.target.connect() as connection:
        assert ask(connection, ON_DS_1).error is not None
        # A list with tables missing would be believed.
        listed = "SELECT COUNT(*) FROM information_schema.tables WHERE table_schema = 'shop'"
        assert ask(connection, listed).text.startswith("dbmesh: not all tables of 'shop' are known: ")
        shop.links[1].restore()
        wait_until(lambda: ask(connection, listed).error is None, 15, "every data source was read")
    _recovers(shop)


def test_a_pool_with_no_free_connection_says_so(own_shop: Callable[..., Shop]) -> None:
    shop = own_shop(pool=2, timeout=500)
    if not shop.meshed:
        pytest.skip("needs the mesh")
    holders = [shop.target.connect() for _ in range(2)]
    for number, holder in enumerate(holders):
        ask(holder, "BEGIN")
        assert ask(holder, f"UPDATE t_user SET name = 'held' WHERE user_id = {number * 4 + 1}").error is None
    with shop.target.connect() as third:
        answer = ask(third, ON_DS_1)
        assert answer.error == 1040
        assert "ds_1" in answer.text
        for holder in holders:
            holder.close()
        wait_until(lambda: ask(third, ON_DS_1).rows == (("user 01",),), 5, "the pool is free again")
