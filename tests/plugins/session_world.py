"""A session over the planner's small world: its pools and connections are the product's, what they talk to is a script.

For tests of what a command does between the client's packet and the shards' packets. Every command a shard is sent is
noted in `sent` and answered by `reply`, at once or not at all. `kills` names the data sources told to stop a statement. Knows no socket and no clock.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from types import SimpleNamespace
from typing import Any, cast

from dbmesh.backend.connection import Connection, Flavour
from dbmesh.backend.mysql import MySQLConnection
from dbmesh.backend.pool import Pool
from dbmesh.backend.state import SessionState
from dbmesh.backend.tasks import TaskOwner
from dbmesh.planner.cache import PlanCache
from dbmesh.planner.planner import Planner
from dbmesh.rules.accounts import User
from dbmesh.rules.privileges import ADMINISTRATOR
from dbmesh.rules.properties import PROPERTIES
from dbmesh.rules.ruleset import TransactionType
from dbmesh.session.authority.rights import use_account
from dbmesh.session.commands import COMMANDS
from dbmesh.session.mesh import Database, Mesh
from dbmesh.session.session import Session
from dbmesh.wire.blocks import make_prepare_answer
from dbmesh.wire.constants import Capability
from dbmesh.wire.packets import ColumnDefinition, PrepareOk
from tests.plugins import canned
from tests.plugins.canned import MODERN, MemoryTransport
from tests.plugins.planner_world import CATALOG, RULES, SOURCES, Counter
from tests.plugins.scripted import RecordingClient

Reply = Callable[[str, bytes], bytes]
"""The answer of a data source (by name) to a command's payload; b'' is silence."""

SETTINGS = {name: known.default for name, known in PROPERTIES.items()} | {"max-allowed-packet": 1000}
USER = User("root", "%", grants=ADMINISTRATOR)
SHARD_STATEMENT = 99
"""The id every data source gives to what it prepares."""


def prepared(
    parameters: list[ColumnDefinition], columns: list[ColumnDefinition], capabilities: int = MODERN
) -> bytes:
    """A data source's answer to COM_STMT_PREPARE."""
    answer = PrepareOk(SHARD_STATEMENT, len(columns), len(parameters), 0)
    modern = bool(capabilities & Capability.DEPRECATE_EOF)
    return make_prepare_answer(answer, parameters, columns, deprecate_eof=modern, status=2)


class Client(RecordingClient):
    """A client that can be awaited."""

    def __init__(self) -> None:
        super().__init__()
        self.answered = asyncio.Event()

    def next_command(self) -> None:
        super().next_command()
        self.answered.set()

    def close(self) -> None:
        super().close()
        self.answered.set()


class SessionWorld:
    """See the module's docstring. `reply` may be replaced at any time."""

    def __init__(self, capabilities: int = MODERN) -> None:
        self.client = Client()
        self.capabilities = capabilities
        self.sent: list[tuple[str, bytes]] = []
        self.reply: Reply = lambda name, payload: canned.ok()
        self.server_version = ""
        self.kills: list[str] = []
        self.failures: list[BaseException] = []
        self.tasks = TaskOwner(self.failures.append)
        self.pools = {name: Pool(config, self.opener(name)) for name, config in SOURCES.items()}
        self.reloaded = 0
        database = Database(
            "shop",
            RULES,
            CATALOG,
            PlanCache(Planner(RULES, CATALOG)),
            self.pools,
            {"snow": Counter()},
            float("-inf"),
        )
        configuration = cast(
            "Any",
            SimpleNamespace(
                properties=SETTINGS,
                transaction_type=TransactionType.LOCAL,
                record_locks=False,
                users=(USER,),
                moving=None,
            ),
        )
        self.mesh = Mesh(configuration, {"shop": database}, self._reload, 0.0, bytes(8))
        self.session = Session(self.mesh, self.client, self.tasks, 7, capabilities, "localhost", COMMANDS)
        use_account(self.session, USER)
        self.session.database = "shop"

    async def command(self, payload: bytes) -> list[tuple[int, bytes]]:
        """Give one command and return the packets of its answer when it has ended."""
        self.client.data = b""
        self.client.answered.clear()
        self.session.handle(payload, 1)
        await self.client.answered.wait()
        assert not self.failures
        return self.client.packets()

    async def running(self, payload: bytes, data_sources: int = 1, answer: bytes = b"") -> None:
        """Give one command that so many data sources are sent something for, and none answers beyond `answer`."""
        self.reply = lambda name, payload: answer
        before = len(self.sent)
        self.client.answered.clear()
        self.session.handle(payload, 1)
        for _ in range(100):
            if len({name for name, _ in self.sent[before:]}) >= data_sources:
                return
            await asyncio.sleep(0)
        raise AssertionError(f"sent: {self.sent[before:]}")

    async def end(self) -> None:
        """The client is gone; nothing is left behind."""
        await self.session.end()
        # What is being ended takes some turns of the loop, such as a kill on a connection of its own.
        for _ in range(100):
            if not len(self.tasks):
                break
            await asyncio.sleep(0)
        assert not any(pool.size - pool.idle for pool in self.pools.values())
        assert not len(self.tasks)

    @property
    def lent(self) -> int:
        """Connections that are with a session."""
        return sum(pool.size - pool.idle for pool in self.pools.values())

    def statements(self) -> list[tuple[str, str]]:
        """The data source and text of every query that was sent."""
        return [(name, payload[1:].decode()) for name, payload in self.sent if payload[:1] == b"\x03"]

    def opener(self, name: str) -> Callable[[Flavour], Awaitable[Connection]]:
        """What opens connections to a data source, or a server, of this name."""

        async def open_connection(flavour: Flavour) -> Connection:
            transport = _FarEnd(self, name)

            async def kill(thread_id: int) -> bool:
                del thread_id
                self.kills.append(name)
                return True

            connection = MySQLConnection(
                name,
                "shop",
                flavour,
                transport,
                None,
                self.capabilities,
                1,
                2,
                0.0,
                kill,
                self.server_version,
            )
            connection.state = SessionState()
            connection.opened_at = asyncio.get_running_loop().time()
            return connection

        return open_connection

    async def _reload(self, database: Database, touched: frozenset[str] | None) -> Database:
        del touched
        self.reloaded += 1
        return database


class _FarEnd(MemoryTransport):
    """A data source: notes every command and answers it in a later turn of the loop."""

    def __init__(self, world: SessionWorld, name: str) -> None:
        super().__init__()
        self._world = world
        self._name = name

    def write(self, data: bytes | bytearray | memoryview) -> None:
        super().write(data)
        payload = bytes(data)[4:]
        self._world.sent.append((self._name, payload))
        # COM_QUIT, COM_STMT_CLOSE and COM_STMT_SEND_LONG_DATA have no answer.
        answer = b"" if payload[0] in (0x01, 0x18, 0x19) else self._world.reply(self._name, payload)
        if answer:
            asyncio.get_running_loop().call_soon(self._answer, answer)

    def _answer(self, data: bytes) -> None:
        if not self.closed:
            protocol = self.protocol
            assert isinstance(protocol, MySQLConnection)
            protocol.data_received(data)
