"""A session world that is protected, whose loop's time can be put forward, with further clients of the same mesh."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from dbmesh.backend.mysql import MySQLConnection
from dbmesh.governance.protection.breakers import Clock
from dbmesh.governance.protection.protector import Protector
from dbmesh.rules.protection.values import Protection
from dbmesh.session.authority.rights import use_account
from dbmesh.session.commands import COMMANDS
from dbmesh.session.session import Session
from dbmesh.wire.packets import parse_err
from tests.plugins import canned
from tests.plugins.session_world import USER, Client, SessionWorld, prepared


async def until(condition: Callable[[], bool]) -> None:
    """Wait until something is so, ten seconds at most."""
    for _ in range(5000):
        if condition():
            return
        await asyncio.sleep(0.002)
    raise AssertionError("it did not come to be")


@dataclass
class Other:
    """Another client and its session."""

    client: Client
    session: Session


class ProtectedWorld(SessionWorld):
    """See the module's docstring. `passed` are the seconds the time was put forward; writes are answered with `number`, if it is
    an error's."""

    def __init__(self, protection: Protection, directory: Path = Path()) -> None:
        loop = asyncio.get_running_loop()
        real = loop.time
        self.passed = 0.0
        loop.time = lambda: real() + self.passed  # type: ignore[method-assign]
        super().__init__()
        self.draw = 0.0
        self.wall = 1000.0
        self.protector = Protector(
            protection, Clock(loop.time, lambda: self.draw, lambda: self.wall), directory
        )
        self.protector.protect(self.mesh)
        self.number = 0
        self.reply = self._reply

    def another(self) -> Other:
        """One more client of this mesh."""
        client = Client()
        session = Session(
            self.mesh,
            client,
            self.tasks,
            len(self.mesh.sessions) + 100,
            self.capabilities,
            "localhost",
            COMMANDS,
        )
        session.database = "shop"
        use_account(session, USER)
        return Other(client, session)

    async def numbers(self, payload: bytes, times: int = 1, *, fails: int = 0) -> list[int]:
        """The error's number of each of so many answers, 0 for none."""
        self.number = fails
        found = []
        for _ in range(times):
            [(_, packet), *_] = await self.command(payload)
            found.append(parse_err(packet).number if packet[0] == 0xFF else 0)
        return found

    def answer(self, data: bytes) -> None:
        """Every data source that is at work answers this."""
        for pool in self.pools.values():
            for connection in pool.all_connections():
                if isinstance(connection, MySQLConnection) and not connection.usable:
                    connection.data_received(data)

    def _reply(self, name: str, payload: bytes) -> bytes:
        del name
        if payload[:1] == b"\x16":
            return prepared([], [])
        writes = payload[:1] == b"\x03" and any(word in payload for word in (b"UPDATE", b"DELETE"))
        return canned.failure(self.number) if self.number and writes else canned.ok(affected=1)
