"""COM_PROCESS_KILL: the connection it names, and nothing for half a number."""

from __future__ import annotations

import struct
from types import SimpleNamespace
from typing import Any

import pytest

from dbmesh.errors import MALFORMED_PACKET, UNKNOWN_THREAD, MeshError
from dbmesh.session.commands.process_kill import process_kill


def _session(said: list[str]) -> Any:
    victim = SimpleNamespace(account="a@%", kill_connection=lambda: said.append("killed"))
    return SimpleNamespace(
        account="root@%",
        administrator=True,
        mesh=SimpleNamespace(sessions={70_000: victim}, peers=None),
        ok=lambda *, sequence: said.append(f"ok {sequence}"),
        finish=lambda: said.append("finished"),
    )


def test_the_connection_is_closed_then_the_answer_sent() -> None:
    said: list[str] = []
    assert process_kill(_session(said), b"\x0c" + struct.pack("<I", 70_000), 1) is None
    assert said == ["killed", "ok 1", "finished"]


@pytest.mark.parametrize(
    ("payload", "kind"),
    [
        (struct.pack("<I", 4464), UNKNOWN_THREAD),
        (struct.pack("<H", 4464), MALFORMED_PACKET),
        (struct.pack("<Q", 70_000), MALFORMED_PACKET),
        (b"", MALFORMED_PACKET),
    ],
)
def test_anything_else_is_an_error_and_kills_nobody(payload: bytes, kind: object) -> None:
    said: list[str] = []
    with pytest.raises(MeshError) as found:
        process_kill(_session(said), b"\x0c" + payload, 1)
    assert found.value.kind is kind
    assert said == []
