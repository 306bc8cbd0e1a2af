"""A connection on which no request comes is closed."""

from __future__ import annotations

import asyncio
import errno
from pathlib import Path
from typing import Any

import pytest

from dbmesh.admin import serving


class Protocol:
    """As uvicorn's: it has a cycle once there was a request."""

    def __init__(self, asks: bool) -> None:
        self.cycle: object | None = None
        self._asks = asks

    def connection_made(self, transport: Any) -> None:
        del transport
        if self._asks:
            self.cycle = object()


class Transport:
    def __init__(self) -> None:
        self.closed = asyncio.Event()

    def close(self) -> None:
        self.closed.set()


async def test_only_silent_connections_are_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serving, "HEADER_SECONDS", 0.02)
    make = serving._impatient(Protocol)
    silent, asking = Transport(), Transport()
    make(asks=True).connection_made(asking)
    make(asks=False).connection_made(silent)
    await asyncio.wait_for(silent.closed.wait(), 20)
    assert not asking.closed.is_set()


def test_an_error_of_a_port_names_it() -> None:
    with pytest.raises(OSError, match="port 9307: Address already in use"), serving._opening(9307):
        raise OSError(errno.EADDRINUSE, "error while attempting to bind on address ('127.0.0.1', 9307)")


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(OSError, match=r"none\.pem"):
        serving._read_once([str(tmp_path / "none.pem")])
