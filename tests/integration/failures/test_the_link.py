"""The network of the tests does what it says; otherwise the tests that use it prove nothing."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator

import pytest

from tests.plugins.network import FaultyLink
from tests.plugins.processes import accepts, wait_until

pytestmark = pytest.mark.integration


@pytest.fixture
def echo() -> Iterator[int]:
    """The port of a server that sends back what it gets."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve(connection: socket.socket) -> None:
        with connection:
            try:
                while data := connection.recv(4096):
                    connection.sendall(data)
            except OSError:
                return

    def accept() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=serve, args=(connection,), daemon=True).start()

    thread = threading.Thread(target=accept, daemon=True)
    thread.start()
    yield listener.getsockname()[1]
    listener.shutdown(socket.SHUT_RDWR)
    listener.close()
    thread.join(5)


@pytest.fixture
def link(echo: int) -> Iterator[FaultyLink]:
    """A link to the echo."""
    made = FaultyLink("127.0.0.1", echo).start()
    yield made
    made.stop()


@pytest.fixture
def client(link: FaultyLink) -> Iterator[socket.socket]:
    """A connection through the link, proven by an echo."""
    with socket.create_connection(("127.0.0.1", link.port), timeout=5) as connection:
        connection.sendall(b"hello")
        assert connection.recv(100) == b"hello"
        yield connection


def test_cut_resets(link: FaultyLink, client: socket.socket) -> None:
    link.cut()
    with pytest.raises(ConnectionResetError):
        client.recv(100)
    assert accepts(link.port)


def test_refuse_closes_the_port_until_restored(link: FaultyLink, client: socket.socket) -> None:
    link.refuse()
    with pytest.raises(ConnectionResetError):
        client.recv(100)
    assert not accepts(link.port)
    link.restore()
    assert accepts(link.port)


def test_an_answer_breaks_after_so_many_bytes(link: FaultyLink, client: socket.socket) -> None:
    link.break_answers_after(3)
    client.sendall(b"abcdef")
    got = []

    def read_on() -> None:
        while data := client.recv(100):
            got.append(data)

    with pytest.raises(ConnectionResetError):
        read_on()
    assert b"".join(got) in (b"abc", b"")  # a reset may overtake the bytes before it


def test_stall_holds_and_restore_lets_go(link: FaultyLink, client: socket.socket) -> None:
    link.stall()
    client.sendall(b"later")
    client.settimeout(0.2)
    with pytest.raises(TimeoutError):
        client.recv(100)
    link.restore()
    client.settimeout(5)
    assert client.recv(100) == b"later"


def test_delay_delays(link: FaultyLink, client: socket.socket) -> None:
    link.delay(0.1)
    began = time.monotonic()
    client.sendall(b"slow")
    assert client.recv(100) == b"slow"
    assert time.monotonic() - began >= 0.2, "once in each direction"


def test_connections_are_counted_and_end_with_their_sides(link: FaultyLink, client: socket.socket) -> None:
    assert link.connections == 1
    client.close()
    wait_until(lambda: link.connections == 0, 5, "the pair is gone")
