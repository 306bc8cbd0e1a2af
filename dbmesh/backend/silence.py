"""Sockets whose other side has gone without a word: after how long they are given up.

Decides times for every data source alike. A server that is busy, or stopped, still has a kernel that acknowledges; only a host or a network
that is gone does not. Source: tcp(7), TCP_USER_TIMEOUT and TCP_KEEPIDLE.
"""

from __future__ import annotations

import asyncio
import socket

SILENCE = 30
"""Seconds without an acknowledgement, of what was sent or of probes where nothing was."""

_PROBES = 3


def give_up_in_silence(transport: asyncio.BaseTransport) -> None:
    """From here on the transport's connection is lost when its host has been silent for `SILENCE`."""
    given = transport.get_extra_info("socket")
    if given is None or given.family not in (socket.AF_INET, socket.AF_INET6):
        return
    # Options belong to what both descriptors mean; a uvloop socket sets none itself.
    with socket.fromfd(given.fileno(), given.family, given.type) as own:
        own.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for name, value in (
            ("TCP_KEEPIDLE", SILENCE // 2),
            ("TCP_KEEPINTVL", SILENCE // 2 // _PROBES),
            ("TCP_KEEPCNT", _PROBES),
            ("TCP_USER_TIMEOUT", SILENCE * 1000),
        ):
            option = getattr(socket, name, None)
            if option is not None:
                own.setsockopt(socket.IPPROTO_TCP, option, value)
