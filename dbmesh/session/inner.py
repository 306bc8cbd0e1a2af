"""A client inside the process: statements of the mesh itself, planned, split over data nodes and committed like anybody's.

Decides that it may do everything, and how an answer becomes a value. Knows nothing of what is run.
"""

from __future__ import annotations

import asyncio

from dbmesh.backend.receivers import shard_error
from dbmesh.backend.state import SessionState
from dbmesh.backend.tasks import TaskOwner
from dbmesh.engine.collect import Result
from dbmesh.errors import INTERNAL, MeshError
from dbmesh.rules.privileges import ADMINISTRATOR, Privileges
from dbmesh.session.commands import COMMANDS
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
    """See the module's docstring. One statement at a time; `close` must be awaited. `state` is what its session has set."""

    def __init__(
        self, mesh: Mesh, tasks: TaskOwner, connection_id: int, database: str, state: SessionState
    ) -> None:
        self._port = _Port()
        session = Session(mesh, self._port, tasks, connection_id, _CAPABILITIES, "localhost", COMMANDS)
        session.user_name, session.account = "dbmesh", "dbmesh@localhost"
        session.privileges, session.checked = Privileges(ADMINISTRATOR), None
        session.handshake_state = state
        session.reset()
        session.lexer_flags = lexer_flags(session.state)
        session.database = database
        self._session = session

    async def run(self, statement: str) -> Result:
        """Run one statement; its whole (last) answer. Raises ShardError with the error a client would get, MeshError where it was
        killed or closed."""
        answered = self._port.expect()
        self._session.handle(_QUERY + statement.encode("utf-8", "surrogateescape"), 1)
        try:
            await answered.wait()
        except asyncio.CancelledError:
            self._session.kill_query()
            raise
        return self._port.result()

    async def close(self) -> None:
        """Roll back what is open; what runs is stopped, and nothing can be run afterwards."""
        self._port.close()
        await self._session.end()


class _Port:
    """The `Client` of such a session: packets become a result."""

    def __init__(self) -> None:
        self._reader = ResponseReader(deprecate_eof=True, session_track=False)
        self._answered = asyncio.Event()
        self._found = Result()
        self._error: Exception | None = None
        self._closed = False

    def expect(self) -> asyncio.Event:
        """A statement follows; the event says that it has been answered and another may follow. Raises MeshError when closed."""
        if self._closed:
            raise MeshError(INTERNAL, reason="a client of the mesh itself was closed")
        self._answered = asyncio.Event()
        self._found, self._error = Result(), None
        self._reader.start(ResponseKind.QUERY, split=True)
        return self._answered

    def result(self) -> Result:
        """Raises what the statement ended with."""
        if self._error is not None:
            raise self._error
        return self._found

    def write(self, data: bytes) -> None:
        """See `Client`."""
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

    async def read_packet(self, sequence: int) -> tuple[int, bytes]:
        """See `Client`: it has no files."""
        del sequence
        raise MeshError(INTERNAL, reason="a statement of the mesh asked for a file")

    def encryption(self) -> tuple[str, str] | None:
        """See `Client`."""
        return None

    def next_command(self) -> None:
        """See `Client`."""
        self._answered.set()

    def close(self) -> None:
        """See `Client`."""
        self.abort()

    def abort(self) -> None:
        """See `Client`: somebody has killed it, or its stream cannot be read on."""
        self._closed = True
        self._error = MeshError(INTERNAL, reason="a statement of the mesh itself was killed")
        self._answered.set()
