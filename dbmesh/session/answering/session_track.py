"""Session-state-change entries of OK packets, for clients that asked for CLIENT_SESSION_TRACK.

Decides their bytes (manual: "OK_Packet", "Session State Information"), and which variables are told of: those of the
default of `session_track_system_variables`.
"""

from __future__ import annotations

from dbmesh.wire.primitives import pack_lenenc_bytes

CHARACTER_SETS = ("character_set_client", "character_set_connection", "character_set_results")
"""What SET NAMES sets."""

TRACKED = frozenset({"autocommit", "time_zone", *CHARACTER_SETS})

_SYSTEM_VARIABLE = b"\x00"
_SCHEMA = b"\x01"


def schema_changed(database: str) -> bytes:
    """A login, USE or COM_INIT_DB chose the current schema."""
    return _SCHEMA + pack_lenenc_bytes(pack_lenenc_bytes(database.encode()))


def variable_changed(name: str, value: bytes) -> bytes:
    """SET assigned a system variable; NULL is told as an empty value."""
    return _SYSTEM_VARIABLE + pack_lenenc_bytes(pack_lenenc_bytes(name.encode()) + pack_lenenc_bytes(value))
