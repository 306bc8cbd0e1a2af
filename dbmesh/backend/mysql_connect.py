"""Opens connections to MySQL and MariaDB servers: TCP, TLS, login.

Decides which capabilities are asked for and how TLS is verified. The login itself is `wire.client_handshake`; what a
connection does afterwards is `backend.mysql`.

TLS follows the URL's `sslMode` (DISABLED, PREFERRED, REQUIRED, VERIFY_CA, VERIFY_IDENTITY; `useSSL=true` means
REQUIRED, `sslCa` names a file of trusted certificates), as Connector/J defines it: PREFERRED takes TLS where the server
offers it and goes without where it does not. The default is DISABLED: a sidecar's data sources are most
often reached over a private network, and a data source that must not be is one word away.
"""

from __future__ import annotations

import asyncio
import ssl
from typing import cast

from dbmesh.backend.connection import Flavour
from dbmesh.backend.mysql import MySQLConnection
from dbmesh.backend.silence import give_up_in_silence
from dbmesh.backend.tls import TlsChannel
from dbmesh.errors import DATA_SOURCE_UNREACHABLE, MeshError, ProtocolError, ShardError
from dbmesh.rules.ruleset import DataSourceConfig
from dbmesh.wire.constants import Capability
from dbmesh.wire.framing import PacketReader
from dbmesh.wire.handshake import CLIENT_CAPABILITIES, ClientHandshake, Failed, Ready, Send, StartTls

UTF8MB4_GENERAL_CI = 45
MAX_PACKET = 1 << 30


async def open_mysql(config: DataSourceConfig, flavour: Flavour) -> MySQLConnection:
    """A logged-in connection. Raises MeshError DATA_SOURCE_UNREACHABLE, also when the login is refused: which account
    the mesh uses is no business of the client's."""
    loop = asyncio.get_running_loop()
    try:
        # Made first: its settings may be at fault, and then no socket is to be left behind.
        login = _Login(config, flavour)
        async with asyncio.timeout(config.connection_timeout):
            await loop.create_connection(lambda: login, config.host, config.port)
            try:
                return await login.connection
            except BaseException:
                login.abort()
                raise
    except TimeoutError:
        reason = f"no answer within {config.connection_timeout:g} s"
    except OSError as error:
        reason = error.strerror or str(error)
    except (ShardError, ProtocolError) as error:
        reason = str(error)
    raise MeshError(DATA_SOURCE_UNREACHABLE, data_source=config.name, reason=reason)


KILL_SECONDS = 2.0
"""How long a server may take to stop a statement before it counts as not reached."""


async def kill_query(config: DataSourceConfig, thread_id: int) -> bool:
    """KILL QUERY from a connection of its own; whether the server could be reached within KILL_SECONDS."""
    try:
        async with asyncio.timeout(KILL_SECONDS):
            connection = await open_mysql(config, Flavour())
            try:
                await connection.simple(b"\x03KILL QUERY %d" % thread_id)
            finally:
                await connection.close()
    except ShardError:
        # The statement has ended meanwhile (1094).
        return True
    except (MeshError, TimeoutError):
        return False
    return True


def tls_mode(config: DataSourceConfig) -> str:
    """The `sslMode` of a data source, or what its older options mean."""
    if mode := config.properties.get("sslMode", "").upper().replace("-", "_"):
        return mode
    if config.properties.get("useSSL", "false").lower() != "true":
        return "DISABLED"
    verified = config.properties.get("verifyServerCertificate", "false").lower() == "true"
    return "VERIFY_CA" if verified else "REQUIRED"


def tls_context(config: DataSourceConfig) -> ssl.SSLContext | None:
    """The client's TLS settings for a data source, None when it is not wanted. Raises OSError for an unreadable CA."""
    mode = tls_mode(config)
    if mode == "DISABLED":
        return None
    authorities = config.properties.get("sslCa")
    if mode in ("PREFERRED", "REQUIRED"):
        # Nobody is verified. To read in all certificates that the system trusts would hold everybody up for each connection.
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        if authorities is not None:
            context.load_verify_locations(authorities)
        return context
    context = ssl.create_default_context(cafile=authorities)
    context.check_hostname = mode == "VERIFY_IDENTITY"
    return context


class _Login(asyncio.Protocol):
    """The connection phase; hands its transport over to a MySQLConnection."""

    def __init__(self, config: DataSourceConfig, flavour: Flavour) -> None:
        self.connection: asyncio.Future[MySQLConnection] = asyncio.get_running_loop().create_future()
        self._config = config
        self._flavour = flavour
        self._context = tls_context(config)
        mode = tls_mode(config)
        capabilities = CLIENT_CAPABILITIES & ~(Capability.MULTI_STATEMENTS | Capability.SESSION_TRACK)
        if not flavour.deprecate_eof:
            capabilities &= ~Capability.DEPRECATE_EOF
        if flavour.found_rows:
            capabilities |= Capability.FOUND_ROWS
        if flavour.ignore_space:
            capabilities |= Capability.IGNORE_SPACE
        self._machine = ClientHandshake(
            user=config.username,
            password=config.password,
            database=config.database or None,
            collation=UTF8MB4_GENERAL_CI,
            capabilities=int(capabilities),
            attributes=(("program_name", "dbmesh"),),
            tls=mode not in ("DISABLED", "PREFERRED"),
            tls_if_offered=mode == "PREFERRED",
        )
        self._reader = PacketReader(MAX_PACKET)
        self._transport: asyncio.Transport | None = None
        self._tls: TlsChannel | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """TCP is open; the server speaks first."""
        # uvloop's transports are no subclasses of asyncio's.
        self._transport = cast("asyncio.Transport", transport)
        give_up_in_silence(transport)

    def data_received(self, data: bytes) -> None:
        """Packets of the connection phase."""
        try:
            if self._tls is not None:
                data = self._tls.receive(data)
            self._reader.feed(data)
            while not self.connection.done() and (packet := self._reader.next_packet()) is not None:
                for event in self._machine.receive_packet(*packet):
                    self._perform(event)
        except (ProtocolError, MeshError, OSError) as error:
            self._fail(error if isinstance(error, OSError) else ProtocolError(str(error)))

    def connection_lost(self, exc: Exception | None) -> None:
        """The server hung up before the login ended."""
        self._fail(
            exc if isinstance(exc, OSError) else ProtocolError("the server closed the connection at login")
        )

    def abort(self) -> None:
        """Give up."""
        if self._transport is not None:
            self._transport.abort()

    def _perform(self, event: object) -> None:
        transport = self._transport
        if transport is None:
            return
        if isinstance(event, Send):
            (transport if self._tls is None else self._tls).write(event.data)
        elif isinstance(event, StartTls) and self._context is not None:
            self._tls = TlsChannel(
                transport, self._context, server_side=False, server_hostname=self._config.host
            )
            self._tls.start()
            for following in self._machine.tls_started():
                self._perform(following)
        elif isinstance(event, Failed):
            message = event.error.message.decode("utf-8", "replace")
            self._fail(ShardError(event.error.number, event.error.sqlstate, message))
        elif isinstance(event, Ready):
            self._ready(event, transport)

    def _ready(self, event: Ready, transport: asyncio.Transport) -> None:
        config = self._config
        loop = asyncio.get_running_loop()
        connection = MySQLConnection(
            config.name,
            config.database,
            self._flavour,
            transport,
            self._tls,
            event.capabilities,
            event.connection_id,
            event.status,
            loop.time(),
            lambda thread_id: kill_query(config, thread_id),
            event.server_version,
        )
        if not self.connection.done():
            self.connection.set_result(connection)

    def _fail(self, error: Exception) -> None:
        if not self.connection.done():
            self.connection.set_exception(error)
            # Whoever wanted the connection may have given up: then the error is nobody's, and none to log.
            self.connection.exception()
        self.abort()
