"""Session-state-change entries of OK packets, for clients that asked for CLIENT_SESSION_TRACK.

Decides their bytes (manual: "OK_Packet", "Session State Information").
"""

from __future__ import annotations

from dbmesh.wire.primitives import pack_lenenc_bytes

_SYSTEM_VARIABLE = b"\x00"
_SCHEMA = b"\x01"


def schema_changed(database: str) -> bytes:
    """USE or COM_INIT_DB changed the current schema."""
    return _SCHEMA + pack_lenenc_bytes(pack_lenenc_bytes(database.encode()))


def autocommit_changed(autocommit: bool) -> bytes:
    """SET autocommit changed the variable."""
    value = b"ON" if autocommit else b"OFF"
    return _SYSTEM_VARIABLE + pack_lenenc_bytes(pack_lenenc_bytes(b"autocommit") + pack_lenenc_bytes(value))
