"""COM_STATISTICS: one line, as text without a header."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from dbmesh.session.commands.statistics import statistics
from tests.plugins.scripted import RecordingClient


def test_it_tells_age_clients_and_connections() -> None:
    pools = {"ds_0": SimpleNamespace(size=3), "ds_1": SimpleNamespace(size=4)}
    databases = {"shop": SimpleNamespace(pools=pools)}
    finished: list[bool] = []
    session: Any = SimpleNamespace(
        client=RecordingClient(),
        mesh=SimpleNamespace(databases=databases, started_at=10.0, sessions={1: None, 2: None}),
        now=lambda: 75.5,
        finish=lambda: finished.append(True),
    )
    assert statistics(session, b"\x09", 1) is None
    assert session.client.packets() == [(1, b"Uptime: 65  Threads: 2  Backend connections: 7")]
    assert finished == [True]
