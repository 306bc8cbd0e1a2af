"""Federated statements that fail, are killed or lose their client: an honest error, and nothing left behind."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

import pymysql
import pytest

from tests.plugins.database_server import chosen_product
from tests.plugins.equivalence import ask
from tests.plugins.fix_mesh import MeshFactory, Shop
from tests.plugins.processes import wait_until
from tests.plugins.raw_client import COM_QUERY, RawClient

pytestmark = pytest.mark.integration

JOIN = "SELECT COUNT(*) FROM t_order o JOIN t_user u ON u.user_id = o.order_id"
SLOW = "SELECT COUNT(*), MAX('slow one') FROM " + ", ".join(f"t_order o{n}" for n in range(6))


def _running(shop: Shop, text: str) -> int:
    return sum(
        int(
            server.execute(
                "SELECT COUNT(*) FROM information_schema.PROCESSLIST "
                f"WHERE INFO LIKE '%{text}%' AND INFO NOT LIKE '%PROCESSLIST%'"
            )[0][0]
        )
        for server in shop.sources
    )


_LEFT = "SELECT NAME FROM information_schema.INNODB_TEMP_TABLE_INFO"


def _clean(shop: Shop) -> None:
    """No merge connection holds a temporary table: the same statement would meet its own names again."""
    if chosen_product() == "MySQL":
        wait_until(lambda: not any(server.execute(_LEFT) for server in shop.sources), 5, "no table is left")
    with shop.target.connect() as connection:
        for _ in range(3):
            assert ask(connection, JOIN).rows == ((60,),)


def test_nothing_is_left_after_an_answer_or_an_error(shop: Shop) -> None:
    with shop.target.connect() as connection:
        assert ask(connection, JOIN).rows == ((60,),)
        assert (
            ask(connection, "SELECT nothing FROM t_order o JOIN t_user u ON u.user_id = o.order_id").error
            == 1054
        )
        assert ask(connection, JOIN).rows == ((60,),)
        _clean(shop)
        assert ask(connection, "SHOW TABLES LIKE 'dbmesh%'").rows == ()


@pytest.mark.parametrize(("setting", "value"), [("federation-max-rows", 100), ("federation-max-bytes", 1000)])
def test_a_limit_is_named(mesh_with: MeshFactory, shop: Shop, setting: str, value: int) -> None:
    mesh = mesh_with({setting: value})
    with pymysql.connect(
        host=mesh.host, port=mesh.port, user="root", password="root", database="shop"
    ) as connection:
        answer = ask(connection, JOIN)
        assert answer.error == 1104
        assert setting in answer.text
        assert ask(connection, "SELECT COUNT(*) FROM t_order").rows == ((240,),)
        small = "SELECT u.user_id FROM t_order o JOIN t_user u ON u.user_id = o.order_id WHERE o.order_id = 1 AND u.user_id IN (1, 2)"
        assert ask(connection, small).rows == ((1,),)
    _clean(shop)


def test_kill_query(shop: Shop) -> None:
    with shop.target.connect() as victim, shop.target.connect() as killer:
        outcome: list[Any] = []
        thread = threading.Thread(target=lambda: outcome.append(ask(victim, SLOW)))
        thread.start()
        wait_until(lambda: _running(shop, "slow one") == 1, 10, "the final statement runs")
        assert ask(killer, f"KILL QUERY {victim.thread_id()}").error is None
        thread.join(10)
        assert not thread.is_alive()
        assert outcome[0].error == 1317, outcome
        assert ask(victim, JOIN).rows == ((60,),)
    _clean(shop)


def test_a_client_that_vanishes(shop: Shop) -> None:
    with RawClient(shop.target.host, shop.target.port) as client:
        client.log_in(shop.target.user, shop.target.password)
        client.query("USE shop")
        client.command(COM_QUERY, SLOW.encode())
        wait_until(lambda: _running(shop, "slow one") == 1, 10, "the final statement runs")
    wait_until(lambda: _running(shop, "slow one") == 0, 10, "it was killed")
    _clean(shop)


def test_kills_at_any_moment(shop: Shop) -> None:
    """Whenever it comes, the answer is whole or an error, and the session lives on."""
    with shop.target.connect() as victim, shop.target.connect() as killer:
        ended = threading.Event()
        outcomes: list[Any] = []

        def work() -> None:
            outcomes.extend(ask(victim, JOIN) for _ in range(40))
            ended.set()

        thread = threading.Thread(target=work)
        thread.start()
        pause = 0.0005
        while not ended.is_set():
            ask(killer, f"KILL QUERY {victim.thread_id()}")
            ended.wait(pause)
            pause = pause * 1.3 if pause < 0.02 else 0.0005
        thread.join()
        assert len(outcomes) == 40
        for outcome in outcomes:
            assert outcome.error == 1317 or outcome.rows == ((60,),), outcome
        wait_until(lambda: ask(victim, JOIN).rows == ((60,),), 5, "the session lives on")
    _clean(shop)


@pytest.mark.parametrize("size", [0, 300, 2_000, 6_000])
@pytest.mark.parametrize("link", [0, 1])
def test_a_shard_that_dies_in_mid_load(own_shop: Callable[..., Shop], size: int, link: int) -> None:
    shop = own_shop()
    with shop.target.connect() as connection:
        assert ask(connection, JOIN).rows == ((60,),)
        shop.links[link].break_answers_after(size)
        answer = ask(connection, "SELECT o.* FROM t_order o JOIN t_order p ON o.amount = p.amount")
        assert answer.error is not None, f"{len(answer.rows)} rows were passed off as all"
        shop.links[link].restore()
        began = time.monotonic()
        while ask(connection, JOIN).rows != ((60,),):
            assert time.monotonic() - began < 10
    _clean(shop)
