"""Where a session has no client: its statements come from inside the process, and its answers stay there.

Decides when an answer is whole, and that what is killed or cannot be read on has none. Knows nothing of what is run.
"""

from __future__ import annotations

import asyncio
from typing import Protocol

from dbmesh.errors import INTERNAL, MeshError, ProtocolError


class Reader(Protocol):
    """What becomes of one answer."""

    def feed(self, data: bytes) -> None:
        """More of its bytes. Raises ProtocolError."""
        ...


class InnerPort:
    """The `Client` of such a session. `reader` gets the answer under way; None when there is none, or none any more."""

    def __init__(self) -> None:
        self.answered = asyncio.Event()
        self.reader: Reader | None = None
        self.closed = False

    def listen(self, reader: Reader) -> None:
        """The next answer goes there; `answered` will say that it is whole, and that another command may follow."""
        self.reader = reader
        self.answered.clear()

    def write(self, data: bytes) -> None:
        """See `Client`."""
        if self.reader is not None:
            try:
                self.reader.feed(data)
            except ProtocolError:
                self.reader = None

    async def read_packet(self, sequence: int) -> tuple[int, bytes]:
        """See `Client`: it has no files."""
        raise MeshError(INTERNAL, reason="a statement from inside the mesh has no file")

    def encryption(self) -> tuple[str, str] | None:
        """See `Client`."""
        return None

    def next_command(self) -> None:
        """See `Client`."""
        self.answered.set()

    def close(self) -> None:
        """See `Client`."""
        self.abort()

    def abort(self) -> None:
        """See `Client`: what was written so far is no answer."""
        self.closed = True
        self.reader = None
        self.answered.set()
