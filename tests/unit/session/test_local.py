"""KILL and the list of sessions, as far as accounts may look."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from dbmesh.errors import MeshError
from dbmesh.session.local import kill


def _session(account: str, databases: tuple[str, ...] | None, sessions: dict[int, object]) -> SimpleNamespace:
    killed: list[str] = []
    made = SimpleNamespace(
        account=account,
        allowed_databases=databases,
        mesh=SimpleNamespace(sessions=sessions),
        killed=killed,
        kill_query=lambda: killed.append("query"),
        kill_connection=lambda: killed.append("connection"),
    )
    sessions[len(sessions) + 1] = made
    return made


def test_an_account_kills_its_own_sessions_and_an_unbounded_one_any() -> None:
    sessions: dict[int, object] = {}
    root = _session("root@%", None, sessions)
    app = _session("app@%", ("shop",), sessions)
    other = _session("app@%", ("shop",), sessions)
    kill(app, 3, query=True)  # type: ignore[arg-type]
    kill(root, 3, query=False)  # type: ignore[arg-type]
    assert other.killed == ["query", "connection"]
    with pytest.raises(MeshError) as caught:
        kill(app, 1, query=True)  # type: ignore[arg-type]
    assert (caught.value.number, root.killed) == (1095, [])
    with pytest.raises(MeshError) as caught:
        kill(root, 99, query=True)  # type: ignore[arg-type]
    assert caught.value.number == 1094
