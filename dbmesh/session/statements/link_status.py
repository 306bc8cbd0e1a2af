"""Answers SHOW STATUS for the client's own link: the shard knows the link between itself and the mesh.

Decides which counters these are. Only small answers pass here.
"""

from __future__ import annotations

from collections.abc import Sequence

from dbmesh.engine.exchange import Sink
from dbmesh.wire.packets import ColumnDefinition
from dbmesh.wire.values import decode_text_row, encode_text_row


class LinkStatusSink:
    """A sink in front of a client's sink. `encryption`: the client's cipher and TLS version, None without TLS;
    `compresses` tells whether its packets are compressed."""

    def __init__(self, sink: Sink, encryption: tuple[str, str] | None, *, compresses: bool) -> None:
        self._sink = sink
        cipher, version = encryption or ("", "")
        self._own = {
            b"compression": b"ON" if compresses else b"OFF",
            b"ssl_cipher": cipher.encode(),
            b"ssl_version": version.encode(),
        }

    def columns(self, columns: Sequence[ColumnDefinition]) -> None:
        self._sink.columns(columns)

    def rows(self, rows: list[bytes]) -> None:
        self._sink.rows([self._told(row) for row in rows])

    def _told(self, row: bytes) -> bytes:
        name, value = decode_text_row(row)
        own = self._own.get((name or b"").lower(), value)
        return row if own == value else encode_text_row([name, own])
