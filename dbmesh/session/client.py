"""What a session needs of the connection its client sits on.

Decides the port between session and listener, so that sessions can be read and tested without sockets.
"""

from __future__ import annotations

from typing import Protocol


class Client(Protocol):
    """The client's side of a session."""

    def write(self, data: bytes) -> None:
        """Send framed bytes. Never blocks; when too much waits, the session is told through `Session.pause`."""
        ...

    async def read_packet(self, sequence: int) -> tuple[int, bytes]:
        """The next packet of the command under way, which has asked the client for a file and counts on from `sequence`:
        its last id and its payload. The socket is read no further than that takes. Raises MeshError for a stream that
        cannot be read on, which is closed."""
        ...

    def encryption(self) -> tuple[str, str] | None:
        """TLS of the client's connection: its cipher and its version, as OpenSSL names them; None without TLS."""
        ...

    def next_command(self) -> None:
        """The command under way has been answered in full: the next one may come."""
        ...

    def close(self) -> None:
        """Close after what was written has left."""
        ...

    def abort(self) -> None:
        """Close at once; used when the stream can no longer be trusted."""
        ...
