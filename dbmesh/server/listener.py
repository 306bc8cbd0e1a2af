"""The listener: accepts clients, bounds their number, closes the quiet ones, and drains on shutdown.

Decides who may come in and how the process stops. One process, one event loop; what a connection does is in
`client_connection`.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
import math
import secrets
import ssl
from collections.abc import Sequence
from typing import TYPE_CHECKING

from dbmesh import __version__
from dbmesh.backend.tasks import TaskOwner
from dbmesh.errors import NOT_SERVING, SERVER_SHUTDOWN, TOO_MANY_CONNECTIONS, MeshError
from dbmesh.rules.accounts import Authority, User
from dbmesh.rules.keygen.snowflake import Worker
from dbmesh.server.accounts import Accounts
from dbmesh.server.client_connection import ClientConnection
from dbmesh.session.authority.rights import use_authority
from dbmesh.session.mesh import Mesh
from dbmesh.session.peers import connection_id
from dbmesh.session.statements.variables import wait_timeout
from dbmesh.wire.auth import NATIVE
from dbmesh.wire.constants import Capability, Status
from dbmesh.wire.handshake import MARIADB_CAPABILITIES, SERVER_CAPABILITIES, ServerHandshake

if TYPE_CHECKING:
    from dbmesh.wire.rsa import RsaKey

_log = logging.getLogger(__name__)

SERVER_VERSION = f"8.0.36-dbmesh-{__version__}"
"""What clients see in the greeting. Drivers choose their SQL by it, so it names a MySQL version first."""

UTF8MB4_GENERAL_CI = 45

LOGIN_TIMEOUT = 10.0
"""Seconds a client may take to log in: MySQL's default connect_timeout."""


class Listener:
    """See the module's docstring; the `Door` of its connections."""

    def __init__(
        self,
        mesh: Mesh,
        accounts: Accounts,
        tasks: TaskOwner,
        tls: ssl.SSLContext | None,
        version: str,
        worker: Worker | None = None,
    ) -> None:
        self._worker = worker or Worker()
        self.mesh = mesh
        self.accounts = accounts
        self.tasks = tasks
        self.tls = tls
        self.rsa_key: RsaKey | None = None
        mesh.told_of_accounts.append(self._take_accounts)
        self._version = version
        self._capabilities = SERVER_CAPABILITIES | Capability.SESSION_TRACK.value
        if "MariaDB" in version:
            self._capabilities = self._capabilities & ~Capability.LONG_PASSWORD | MARIADB_CAPABILITIES
        self._maximum = int(mesh.configuration.properties["proxy-frontend-max-connections"])
        idle = float(mesh.configuration.properties["client-idle-timeout-seconds"])
        self._idle_timeout = idle or math.inf
        self._ids = itertools.count(1)
        self._connections: set[ClientConnection] = set()
        self._server: asyncio.Server | None = None
        self._stopping = False
        self._refusals: dict[str, str] = {}
        self._empty = asyncio.Event()
        self._empty.set()

    async def open(self) -> None:
        """Let clients come to the address bound. Raises OSError."""
        assert self._server is not None
        await self._server.start_serving()

    async def bind(self, host: str, port: int) -> tuple[str, int]:
        """Take an address nobody else can have from here on, and let no client come yet. Returns the address bound (port 0 picks a free
        one). Raises OSError."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(
            lambda: ClientConnection(self), host, port, backlog=1024, reuse_address=True, start_serving=False
        )
        address = self._server.sockets[0].getsockname()
        return str(address[0]), int(address[1])

    async def drain(self, timeout: float) -> None:
        """Stop accepting, close idle clients, wait `timeout` seconds for those with work under way, then close them."""
        self._stopping = True
        if self._server is not None:
            self._server.close()
        try:
            async with asyncio.timeout(timeout):
                while self._connections:
                    for connection in tuple(self._connections):
                        if connection.idle:
                            connection.shut_down()
                    try:
                        async with asyncio.timeout(0.05):
                            await self._empty.wait()
                    except TimeoutError:
                        continue
        except TimeoutError:
            _log.warning(
                "%d clients were still busy after %g s and are cut off", len(self._connections), timeout
            )
        for connection in tuple(self._connections):
            connection.abort()
        await self._empty.wait()

    def take_users(self, users: Sequence[User]) -> None:
        """The accounts of the configuration from here on; clients that are in stay, with what their accounts hold now."""
        use_authority(self.mesh, self.mesh.authority.with_written(users))

    def _take_accounts(self, authority: Authority) -> asyncio.Task[None] | None:
        self.accounts.use(authority)
        return self.make_rsa_key()

    def make_rsa_key(self) -> asyncio.Task[None] | None:
        """The key pair for caching_sha2 logins without TLS takes a while to make: not before the first client. Returns who makes it."""
        if self.accounts.need_full_login and self.rsa_key is None:
            return self.tasks.start(self._make_rsa_key(), "rsa key")
        return None

    async def _make_rsa_key(self) -> None:
        from dbmesh.wire.rsa import make_rsa_key

        self.rsa_key = await asyncio.to_thread(make_rsa_key)

    def refuse(self, by: str, reason: str) -> None:
        """Serve nobody from here on, and say why: clients between two statements outside transactions are closed at once, others by
        `close_quiet` when they are so far. '' takes back what the same has said (`by`); without a reason everybody is served."""
        if reason:
            self._refusals[by] = reason
        else:
            self._refusals.pop(by, None)
        self._close_refused()

    def _close_refused(self) -> None:
        for connection in tuple(self._connections) if self._refusals else ():
            if connection.idle:
                connection.shut_down()

    def close_quiet(self, now: float) -> None:
        """Close clients that have been silent beyond the idle timeout or their wait_timeout, or do not log in. Called now
        and then."""
        self._close_refused()
        for connection in tuple(self._connections):
            began = connection.logging_in_since()
            if began is not None and now - began > LOGIN_TIMEOUT:
                connection.abort()
        for session in tuple(self.mesh.sessions.values()):
            patience = min(self._idle_timeout, wait_timeout(session))
            if not session.command_text and now - session.command_since > patience:
                session.kill_connection()

    # ------------------------------------------------------------------ Door

    def admit(self, connection: ClientConnection) -> MeshError | None:
        """See `Door`."""
        full = bool(self._maximum) and len(self._connections) >= self._maximum
        self._connections.add(connection)
        self._empty.clear()
        if self._stopping:
            return MeshError(SERVER_SHUTDOWN)
        if self._refusals:
            return MeshError(NOT_SERVING, reason="; ".join(self._refusals.values()))
        return MeshError(TOO_MANY_CONNECTIONS) if full else None

    def leave(self, connection: ClientConnection) -> None:
        """See `Door`."""
        self._connections.discard(connection)
        if not self._connections:
            self._empty.set()

    def make_nonce(self) -> bytes:
        """See `Door`. No zero bytes: the greeting is zero-terminated for old clients."""
        return bytes(byte or 1 for byte in secrets.token_bytes(20))

    def _next_id(self) -> int:
        """An id that no connection of the mesh has, as long as the worker's number is this process's own."""
        while True:
            id_ = connection_id(self._worker.number, next(self._ids))
            if id_ and id_ not in self.mesh.sessions:
                return id_

    def make_handshake(self, host: str, *, secure: bool) -> tuple[int, ServerHandshake]:
        """See `Door`."""
        id_ = self._next_id()
        return id_, ServerHandshake(
            nonce=self.make_nonce(),
            connection_id=id_,
            server_version=self._version,
            collation=UTF8MB4_GENERAL_CI,
            host=host,
            status=Status.AUTOCOMMIT.value if self.mesh.autocommit else 0,
            capabilities=self._capabilities,
            plugin=NATIVE,
            tls_available=self.tls is not None,
            secure=secure,
            rsa_key=self.rsa_key,
        )
