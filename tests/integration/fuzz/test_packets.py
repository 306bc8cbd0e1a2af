"""Random, truncated, oversized and out-of-order packets: the process and all other sessions go on."""

from __future__ import annotations

import contextlib
import socket
import struct
from collections.abc import Iterator

import pymysql
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.plugins.equivalence import ask
from tests.plugins.fix_mesh import Shop
from tests.plugins.raw_client import (
    BASIC,
    COM_STMT_EXECUTE,
    CONNECT_WITH_DB,
    MULTI_STATEMENTS,
    Failure,
    RawClient,
    execute_payload,
    native_answer,
)

pytestmark = pytest.mark.integration

BUDGET = settings(
    max_examples=60,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
ENDS = (ConnectionError, TimeoutError, OSError)


@pytest.fixture(autouse=True)
def witness(shop: Shop) -> Iterator[None]:
    """Another session, opened before and asked after: it must have noticed nothing."""
    if not shop.meshed:
        pytest.skip("needs the mesh")
    other: pymysql.Connection[tuple[object, ...]] = shop.target.connect()
    ask(other, "SET @witness = 'here'")
    yield
    assert shop.mesh.running, shop.mesh.output()[-4000:]
    assert ask(other, "SELECT @witness").rows == (("here",),)
    assert ask(other, "SELECT COUNT(*) FROM t_order").rows == ((240,),)
    other.close()
    assert not shop.mesh.troubles(), shop.mesh.troubles()


def _drain(connection: socket.socket) -> None:
    """Reads what comes until it ends or is quiet."""
    connection.settimeout(0.05)
    with contextlib.suppress(*ENDS):
        while connection.recv(65536):
            pass


@BUDGET
@given(st.lists(st.binary(max_size=300), min_size=1, max_size=4))
def test_random_bytes_instead_of_a_handshake(shop: Shop, pieces: list[bytes]) -> None:
    with RawClient(shop.target.host, shop.target.port) as client, contextlib.suppress(*ENDS):
        client.read_greeting()
        for piece in pieces:
            client.send_raw(piece)
        client.socket.shutdown(socket.SHUT_WR)
        _drain(client.socket)


@BUDGET
@given(st.binary(max_size=200), st.integers(0, 255))
def test_random_handshake_answers(shop: Shop, payload: bytes, sequence: int) -> None:
    with RawClient(shop.target.host, shop.target.port) as client, contextlib.suppress(*ENDS):
        client.read_greeting()
        client.sequence = sequence
        client.send(payload)
        client.socket.shutdown(socket.SHUT_WR)
        _drain(client.socket)


@BUDGET
@given(st.integers(0, 2**32 - 1), st.data())
def test_a_handshake_cut_anywhere(shop: Shop, capabilities: int, data: st.DataObject) -> None:
    with RawClient(shop.target.host, shop.target.port) as client, contextlib.suppress(*ENDS):
        client.read_greeting()
        chosen = (BASIC | CONNECT_WITH_DB) ^ (capabilities & 0x0FFFF5FF)
        answer = native_answer(b"root", client.challenge)
        payload = (
            struct.pack("<IIB23x", chosen & 0xFFFFFFFF, 1 << 24, 45)
            + b"root\x00"
            + bytes([len(answer)])
            + answer
            + b"shop\x00mysql_native_password\x00"
        )
        client.send(payload[: data.draw(st.integers(0, len(payload)))])
        client.socket.shutdown(socket.SHUT_WR)
        _drain(client.socket)


def _logged_in(shop: Shop) -> RawClient:
    client = RawClient(shop.target.host, shop.target.port, BASIC | MULTI_STATEMENTS)
    client.log_in(shop.target.user, shop.target.password)
    return client


@BUDGET
@given(st.integers(0, 255), st.binary(max_size=200))
def test_random_commands(shop: Shop, number: int, payload: bytes) -> None:
    with _logged_in(shop) as client, contextlib.suppress(*ENDS):
        client.command(number, payload)
        client.socket.shutdown(socket.SHUT_WR)
        _drain(client.socket)


@BUDGET
@given(st.integers(0, 0xFFFFFF), st.integers(0, 255), st.binary(max_size=100))
def test_random_packet_headers(shop: Shop, length: int, sequence: int, payload: bytes) -> None:
    with _logged_in(shop) as client, contextlib.suppress(*ENDS):
        client.send_raw(struct.pack("<I", length)[:3] + bytes([sequence]) + payload)
        client.socket.shutdown(socket.SHUT_WR)
        _drain(client.socket)


@BUDGET
@given(st.binary(max_size=80))
def test_random_execute_payloads(shop: Shop, rest: bytes) -> None:
    with _logged_in(shop) as client:
        prepared = client.prepare(
            "SELECT order_id FROM t_order WHERE order_id = ? AND note = ? AND amount > ?"
        )
        assert not isinstance(prepared, Failure)
        client.socket.settimeout(5)
        with contextlib.suppress(*ENDS):
            client.command(COM_STMT_EXECUTE, struct.pack("<IBI", prepared[0], 0, 1) + rest)
            client.read_reply()
            assert not isinstance(client.query("SELECT 1"), Failure), (
                "an error packet leaves the session usable"
            )


@BUDGET
@given(st.integers(1, 60))
def test_execute_payloads_cut_anywhere(shop: Shop, size: int) -> None:
    with _logged_in(shop) as client:
        prepared = client.prepare(
            "SELECT order_id FROM t_order WHERE order_id = ? AND note = ? AND amount > ?"
        )
        assert not isinstance(prepared, Failure)
        whole = execute_payload(prepared[0], [5, b"note", None])
        client.socket.settimeout(5)
        with contextlib.suppress(*ENDS):
            client.command(COM_STMT_EXECUTE, whole[: min(size, len(whole) - 1)])
            reply = client.read_reply()
            assert isinstance(reply, Failure), "a truncated packet is not a statement"
            assert not isinstance(client.query("SELECT 1"), Failure)


WORDS = st.sampled_from(
    [
        "SELECT",
        "FROM",
        "WHERE",
        "t_order",
        "t_user",
        "order_id",
        "user_id",
        "name",
        "*",
        ",",
        "(",
        ")",
        "=",
        "<>",
        "1",
        "'x'",
        '"y"',
        "`",
        ";",
        "--",
        "/*",
        "*/",
        "#",
        "?",
        "@a",
        "@@b",
        "ORDER",
        "BY",
        "LIMIT",
        "GROUP",
        "JOIN",
        "ON",
        "AND",
        "OR",
        "NOT",
        "IN",
        "BETWEEN",
        "NULL",
        "INSERT",
        "INTO",
        "VALUES",
        "UPDATE",
        "SET",
        "DELETE",
        "0x41",
        "1e5",
        "\\",
        "\n",
    ]
)


@settings(BUDGET, max_examples=150)
@given(st.lists(WORDS, max_size=14))
def test_random_sql_gets_an_answer_or_an_error(shop: Shop, words: list[str]) -> None:
    text = " ".join(word for word in words if word not in ("INSERT", "UPDATE", "DELETE"))
    with _logged_in(shop) as client:
        client.socket.settimeout(10)
        client.query(text)  # an answer of some kind; a closed or silent connection fails the test


@BUDGET
@given(st.binary(max_size=60))
def test_random_bytes_as_sql_get_an_answer_or_an_error(shop: Shop, text: bytes) -> None:
    with _logged_in(shop) as client:
        client.socket.settimeout(10)
        client.query(text)
