"""Both machines of the connection phase and their events under one roof.

Decides nothing itself: see `server_handshake.py` (the mesh greets a client) and `client_handshake.py` (the mesh logs
in to a data source).
"""

from __future__ import annotations

from dbmesh.wire.client_handshake import CLIENT_CAPABILITIES, ClientEvent, ClientHandshake, Failed, Ready
from dbmesh.wire.server_handshake import (
    MARIADB_CAPABILITIES,
    SERVER_CAPABILITIES,
    Authenticated,
    Denied,
    LookUpSecret,
    Send,
    ServerEvent,
    ServerHandshake,
    StartTls,
)

__all__ = [
    "CLIENT_CAPABILITIES",
    "MARIADB_CAPABILITIES",
    "SERVER_CAPABILITIES",
    "Authenticated",
    "ClientEvent",
    "ClientHandshake",
    "Denied",
    "Failed",
    "LookUpSecret",
    "Ready",
    "Send",
    "ServerEvent",
    "ServerHandshake",
    "StartTls",
]
