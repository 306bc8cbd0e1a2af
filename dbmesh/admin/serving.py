"""The operators' ports of one process: opened together, closed together.

Decides addresses, TLS and the order of starting and stopping. What is served there is `http`'s and `mysql_port`'s.
"""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import ssl
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import uvicorn

from dbmesh.admin.http import make_app
from dbmesh.admin.mysql_port import MySQLPort
from dbmesh.admin.table import Operated
from dbmesh.rules.administration import AdminSettings

GRACE = 2
"""Seconds that requests under way may take when the process stops."""


MOST_REQUESTS = 64
"""Connections to the HTTP port; further ones are answered with 503."""

HEADER_SECONDS = 10.0
"""How long a new connection may take to send its first request."""


@contextmanager
def _opening(port: int) -> Iterator[None]:
    """An OSError says which port it is about, in the system's words."""
    try:
        yield
    except OSError as error:
        code = error.errno or 0
        reason = os.strerror(code) if code > 0 else error.strerror or str(error)
        raise OSError(code, f"port {port}: {reason}") from error


def _read_once(files: Iterable[str]) -> None:
    """An error of ssl does not say which file it is about. Raises OSError that does."""
    for file in files:
        Path(file).open("rb").close()


class AdminPorts:
    """See the module's docstring. Relative paths of files are from `directory`."""

    def __init__(self, settings: AdminSettings, operated: Operated, directory: Path) -> None:
        self._settings = settings
        self._operated = operated
        self._directory = directory
        self._http: uvicorn.Server | None = None
        self._socket: socket.socket | None = None
        self._mysql = MySQLPort(settings.token, operated) if settings.sql_port is not None else None
        self._ended = asyncio.Event()
        self._ended.set()
        self.port = 0
        self.sql_port: int | None = None

    async def start(self) -> None:
        """Listen on the ports. Raises OSError, ssl.SSLError."""
        settings = self._settings
        # What they tell clients is no event of the mesh.
        logging.getLogger("mysql_mimic").setLevel(logging.CRITICAL)
        logging.getLogger("uvicorn").setLevel(logging.WARNING)
        family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
        with _opening(settings.port):
            self._socket = socket.create_server((settings.host, settings.port), family=family)
        self.port = self._socket.getsockname()[1]
        certificate, key, client_ca = (
            str(self._directory / name) if name else None
            for name in (settings.certificate, settings.key, settings.client_ca)
        )
        _read_once(filter(None, (certificate, key, client_ca)))
        config = uvicorn.Config(
            make_app(settings, self._operated),
            log_config=None,
            access_log=False,
            lifespan="off",
            timeout_graceful_shutdown=GRACE,
            limit_concurrency=MOST_REQUESTS,
            ssl_certfile=certificate,
            ssl_keyfile=key,
            ssl_ca_certs=client_ca,
            ssl_cert_reqs=ssl.CERT_REQUIRED if client_ca else ssl.CERT_NONE,
        )
        config.load()
        config.http_protocol_class = _impatient(config.http_protocol_class)
        self._http = _Server(config)
        if self._mysql is not None:
            context = None
            if certificate is not None:
                context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=client_ca)
                context.load_cert_chain(certificate, key)
                context.verify_mode = ssl.CERT_REQUIRED if client_ca else ssl.CERT_NONE
            with _opening(settings.sql_port or 0):
                self.sql_port = await self._mysql.start(settings.host, settings.sql_port or 0, context)

    async def serve(self) -> None:
        """Answer until `close`."""
        if self._http is None or self._socket is None:
            return
        self._ended.clear()
        try:
            await self._http.serve([self._socket])
        finally:
            self._ended.set()

    async def close(self) -> None:
        """Answer what is under way, bounded in time, and stop listening. Safe at any time."""
        if self._http is not None:
            self._http.should_exit = True
            await self._ended.wait()
        if self._mysql is not None:
            await self._mysql.close()
        if self._socket is not None:
            self._socket.close()


def _impatient(make: Any) -> Any:
    """Protocols that close connections on which no request comes. `make` is uvicorn's own, which waits for ever."""

    def made(**options: Any) -> Any:
        protocol = make(**options)
        begin = protocol.connection_made

        def connection_made(transport: asyncio.Transport) -> None:
            begin(transport)
            asyncio.get_running_loop().call_later(HEADER_SECONDS, close_silent, transport)

        def close_silent(transport: asyncio.Transport) -> None:
            if protocol.cycle is None:
                transport.close()

        protocol.connection_made = connection_made
        return protocol

    return made


class _Server(uvicorn.Server):
    """Signals are the process's own."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield
