"""Clients that vanish, stop reading or are killed: their transactions roll back, their statements end, memory stays."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
import time
from typing import Any

import pymysql
import pytest

from tests.plugins.database_server import chosen_product
from tests.plugins.equivalence import ask
from tests.plugins.fix_mesh import Shop
from tests.plugins.processes import resident_bytes, wait_until
from tests.plugins.raw_client import COM_QUERY, RawClient, read_lenenc

pytestmark = pytest.mark.integration

MEGABYTE = 1 << 20


def _vanish(connection: pymysql.Connection[Any]) -> None:
    """Ends the TCP connection with a reset: no COM_QUIT."""
    plain: socket.socket = connection._sock  # type: ignore[attr-defined]
    plain.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection._force_close()  # type: ignore[attr-defined]


def _is_gone(connection: pymysql.Connection[Any]) -> bool:
    try:
        connection.ping(reconnect=False)
    except pymysql.err.Error:
        return True
    return False


def _running(shop: Shop, text: str) -> int:
    """How many sessions on the shards run a statement with this text."""
    return sum(
        int(
            server.execute(
                "SELECT COUNT(*) FROM information_schema.PROCESSLIST "
                f"WHERE INFO LIKE '%{text}%' AND INFO NOT LIKE '%PROCESSLIST%'"
            )[0][0]
        )
        for server in shop.sources
    )


def _writing(shop: Shop, text: str) -> bool:
    """Whether a shard has been sending the answer to a statement with this text for three seconds."""
    state = {"MariaDB": "Writing to net", "MySQL": "Sending to client"}[chosen_product()]
    find = f"SELECT 1 FROM information_schema.PROCESSLIST WHERE STATE = '{state}' AND TIME >= 3 AND INFO LIKE '%{text}'"
    return any(server.execute(find) for server in shop.sources)


def test_a_client_that_vanishes_in_a_transaction_is_rolled_back(fresh_shop: Shop) -> None:
    connection = fresh_shop.target.connect()
    ask(connection, "BEGIN")
    assert ask(connection, "UPDATE t_user SET name = 'never' WHERE user_id = 6").affected == 1
    _vanish(connection)
    with fresh_shop.target.connect() as other:
        answer = ask(other, "UPDATE t_user SET balance = 1 WHERE user_id = 6")
        assert answer.error is None, "the lock is gone"
        assert ask(other, "SELECT name FROM t_user WHERE user_id = 6").rows == (("user 06",),)


def test_the_running_statement_of_a_client_that_vanishes_is_killed(shop: Shop) -> None:
    with RawClient(shop.target.host, shop.target.port) as client:
        client.log_in(shop.target.user, shop.target.password)
        # Unlike SLEEP, counting does not notice by itself that nobody is there any more.
        countries = ", ".join(f"t_country c{n}" for n in range(16))
        statement = f"SELECT COUNT(*), MAX('orphan') FROM t_user, {countries} WHERE user_id = 2"
        client.command(COM_QUERY, statement.encode())
        wait_until(lambda: _running(shop, "orphan"), 5, "the statement runs")
    wait_until(lambda: not _running(shop, "orphan"), 5, "the statement was killed")


def test_kill_query_interrupts_another_session(shop: Shop) -> None:
    with shop.target.connect() as sleeper, shop.target.connect() as killer:
        outcome: list[Any] = []
        thread = threading.Thread(
            target=lambda: outcome.append(
                ask(sleeper, "SELECT SLEEP(30), 'killme' FROM t_user WHERE user_id = 2")
            )
        )
        thread.start()
        wait_until(lambda: _running(shop, "killme"), 5, "the statement runs")
        thread_id = sleeper.thread_id()
        assert ask(killer, f"KILL QUERY {thread_id}").error is None
        thread.join(10)
        assert not thread.is_alive()
        # SLEEP answers 1 when it is interrupted (MySQL manual); other statements fail with 1317.
        assert outcome[0].error == 1317 or outcome[0].rows[0][0] == 1
        assert ask(sleeper, "SELECT 1").rows == ((1,),), "the session lives on"
        assert ask(killer, "KILL QUERY 987654").error == 1094


def test_kill_query_interrupts_all_shards_of_a_statement(shop: Shop) -> None:
    with shop.target.connect() as sleeper, shop.target.connect() as killer:
        outcome: list[Any] = []
        countries = ", ".join(f"t_country c{n}" for n in range(12))
        statement = f"SELECT COUNT(*), MAX('killall') FROM t_user, {countries}"
        thread = threading.Thread(target=lambda: outcome.append(ask(sleeper, statement)))
        thread.start()
        wait_until(lambda: _running(shop, "killall") >= 2, 5, "the statement runs on shards")
        began = time.monotonic()
        assert ask(killer, f"KILL QUERY {sleeper.thread_id()}").error is None
        thread.join(10)
        assert not thread.is_alive()
        assert time.monotonic() - began < 5
        assert outcome[0].error == 1317, outcome
        wait_until(lambda: not _running(shop, "killall"), 5, "nothing runs on")
        assert ask(sleeper, "SELECT COUNT(*) FROM t_user").rows == ((60,),)


def test_kill_connection_ends_another_session_and_its_transaction(fresh_shop: Shop) -> None:
    victim = fresh_shop.target.connect()
    with fresh_shop.target.connect() as killer:
        ask(victim, "BEGIN")
        ask(victim, "UPDATE t_user SET name = 'never' WHERE user_id = 10")
        assert ask(killer, f"KILL {victim.thread_id()}").error is None
        wait_until(lambda: _is_gone(victim), 5, "the session was ended")
        assert ask(killer, "UPDATE t_user SET balance = 2 WHERE user_id = 10").error is None
    with contextlib.suppress(pymysql.err.Error):
        victim.close()


def test_a_statement_killed_on_the_shard_is_the_shards_error(shop: Shop) -> None:
    with shop.target.connect() as connection:
        outcome: list[Any] = []
        thread = threading.Thread(
            target=lambda: outcome.append(
                ask(
                    connection,
                    "SELECT COUNT(*), 'byshard' FROM t_types a, t_types b WHERE a.id = 2 AND b.id = 2 AND SLEEP(20) = 0",
                )
            )
        )
        thread.start()
        find = "SELECT ID FROM information_schema.PROCESSLIST WHERE INFO LIKE '%byshard%' AND INFO NOT LIKE '%PROCESSLIST%'"
        found = wait_until(lambda: shop.sources[0].execute(find), 5, "the statement runs")
        shop.sources[0].execute(f"KILL CONNECTION {found[0][0]}")
        thread.join(10)
        assert not thread.is_alive()
        assert outcome[0].error is not None
        for _ in range(20):
            assert ask(connection, "SELECT name FROM t_user WHERE user_id = 2").rows == (("user 02",),)


# Four countries to the tenth are a million rows of a kilobyte; 240 orders of 200 KB are merged from four nodes.
BIG_ANSWERS = {
    "relayed": "SELECT REPEAT('r', 1000) FROM " + ", ".join(f"t_country c{n}" for n in range(10)),
    "merged": "SELECT order_id, REPEAT('m', 200000) FROM t_order ORDER BY order_id",
}


@pytest.mark.parametrize("kind", BIG_ANSWERS)
def test_a_client_that_does_not_read_costs_no_memory(shop: Shop, kind: str) -> None:
    if not shop.meshed:
        pytest.skip("needs the mesh")
    with RawClient(shop.target.host, shop.target.port) as client:
        client.log_in(shop.target.user, shop.target.password)
        before = highest = resident_bytes(shop.mesh.pid)
        client.command(COM_QUERY, BIG_ANSWERS[kind].encode())
        for _ in range(15):
            highest = max(highest, resident_bytes(shop.mesh.pid))
            threading.Event().wait(0.1)
        assert highest - before < 24 * MEGABYTE, f"{(highest - before) / MEGABYTE:.0f} MB more"
        with shop.target.connect() as other:
            assert ask(other, "SELECT COUNT(*) FROM t_user").rows == ((60,),), "others go on"
    with shop.target.connect() as other:
        for _ in range(10):
            assert ask(other, "SELECT name FROM t_user WHERE user_id = 2").rows == (("user 02",),)


def test_a_big_answer_is_relayed_with_flat_memory(shop: Shop) -> None:
    if not shop.meshed:
        pytest.skip("needs the mesh")
    with (
        shop.target.connect(cursorclass=pymysql.cursors.SSCursor) as connection,
        connection.cursor() as cursor,
    ):
        before = resident_bytes(shop.mesh.pid)
        cursor.execute("SELECT REPEAT('r', 10000) FROM " + ", ".join(f"t_country c{n}" for n in range(7)))
        count = 0
        while cursor.fetchone():
            count += 1
        assert count == 4**7
        assert resident_bytes(shop.mesh.pid) - before < 16 * MEGABYTE


def test_ten_million_rows_do_not_grow_memory(shop: Shop) -> None:
    if not shop.meshed:
        pytest.skip("needs the mesh")
    count, row_size = 10_000_000, 6
    crossed = ", ".join(f"t_country c{n}" for n in range(12))
    with RawClient(shop.target.host, shop.target.port) as client:
        client.log_in(shop.target.user, shop.target.password)
        client.query("SELECT 1 FROM t_country LIMIT 1")
        before = highest = resident_bytes(shop.mesh.pid)
        client.command(COM_QUERY, f"SELECT 1 FROM {crossed} LIMIT {count}".encode())
        columns, _ = read_lenenc(client.receive(), 0)
        assert client.read_columns(columns or 0) == ["1"]
        # A reader that does not read stops the shard; then it reads as fast as it can.
        wait_until(lambda: _writing(shop, f"LIMIT {count}"), 10, "the shard waits for its reader")
        left = count * row_size
        while left:
            data = client.socket.recv(min(left, MEGABYTE))
            assert data, "the answer broke off"
            left -= len(data)
            highest = max(highest, resident_bytes(shop.mesh.pid))
        client.sequence = -1  # it has wrapped around many times
        assert client.receive()[0] == 0xFE, "every row has come, and nothing else"
        assert highest - before < 16 * MEGABYTE, f"{(highest - before) / MEGABYTE:.0f} MB more"


def test_clients_that_come_and_go_leave_nothing_behind(shop: Shop) -> None:
    if not shop.meshed:
        pytest.skip("needs the mesh")

    def come_and_go(how_many: int) -> None:
        for number in range(how_many):
            connection = shop.target.connect()
            ask(connection, f"SELECT name FROM t_user WHERE user_id = {number % 60 + 1}")
            if number % 3:
                connection.close()
            else:
                _vanish(connection)

    come_and_go(20)
    before = shop.mesh.descriptors()
    come_and_go(100)
    wait_until(lambda: shop.mesh.descriptors() <= before + 2, 5, "descriptors are closed")
