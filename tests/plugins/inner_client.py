"""A client inside the process: statements are planned, split over data nodes and committed like anybody's, without a socket."""

from __future__ import annotations

import asyncio

from dbmesh.backend.receivers import shard_error
from dbmesh.backend.state import SessionState
from dbmesh.backend.tasks import TaskOwner
from dbmesh.engine.collect import Result
from dbmesh.errors import INTERNAL, MeshError
from dbmesh.rules.privileges import ADMINISTRATOR, Privileges
from dbmesh.session.commands import COMMANDS
from dbmesh.session.inner import InnerPort
from dbmesh.session.mesh import Mesh
from dbmesh.session.reading import lexer_flags
from dbmesh.session.session import Session
from dbmesh.wire.blocks import parse_header
from dbmesh.wire.constants import Capability, Command, ResponseKind
from dbmesh.wire.progress import ANSWER_END, NEED_DATA
from dbmesh.wire.response import ResponseReader
from dbmesh.wire.values import decode_text_row

_CAPABILITIES = int(Capability.PROTOCOL_41 | Capability.TRANSACTIONS | Capability.DEPRECATE_EOF)
_QUERY = bytes((Command.QUERY.value,))


class InnerClient:
    """Whom nothing is refused. One statement at a time; `close` must be awaited. `state` is what its `session` has set."""

    def __init__(
        self, mesh: Mesh, tasks: TaskOwner, connection_id: int, database: str, state: SessionState
    ) -> None:
        self._port = InnerPort()
        session = Session(mesh, self._port, tasks, connection_id, _CAPABILITIES, "localhost", COMMANDS)
        session.user_name, session.account = "dbmesh", "dbmesh@localhost"
        session.privileges, session.checked = Privileges(ADMINISTRATOR), None
        session.handshake_state = state
        session.reset()
        session.lexer_flags = lexer_flags(session.state)
        session.database = database
        self.session = session

    async def run(self, statement: str) -> Result:
        """Run one statement; its whole (last) answer. Raises ShardError with the error a client would get, MeshError where it was
        killed or closed."""
        reader, port = _ResultReader(), self._port
        if not port.closed:
            port.listen(reader)
            self.session.handle(_QUERY + statement.encode("utf-8", "surrogateescape"), 1)
        try:
            await port.answered.wait()
        except asyncio.CancelledError:
            self.session.kill_query()
            raise
        if port.reader is not reader:
            raise MeshError(INTERNAL, reason="a client inside the mesh was killed")
        return reader.result()

    async def close(self) -> None:
        """Roll back what is open; what runs is stopped, and nothing can be run afterwards."""
        self._port.close()
        await self.session.end()


class _ResultReader:
    """Packets become a result."""

    def __init__(self) -> None:
        self._reader = ResponseReader(deprecate_eof=True, session_track=False)
        self._reader.start(ResponseKind.QUERY, split=True)
        self._found = Result()
        self._error: Exception | None = None

    def result(self) -> Result:
        """Raises what the statement ended with."""
        if self._error is not None:
            raise self._error
        return self._found

    def feed(self, data: bytes) -> None:
        """See `Reader`."""
        reader = self._reader
        progress = reader.feed(data)
        while True:
            if reader.header:
                self._found = Result(tuple(parse_header(reader.header, deprecate_eof=True)))
            self._found.rows.extend(map(decode_text_row, reader.packets))
            if progress is NEED_DATA:
                return
            if reader.failed:
                self._error = shard_error(reader.error())
                return
            self._found.ok = reader.ok()
            if progress is ANSWER_END:
                return
            progress = reader.resume()
