"""COM_STMT_SEND_LONG_DATA: pieces add up, are bounded, and are never answered."""

from __future__ import annotations

import struct
from types import SimpleNamespace
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from dbmesh.session.commands.stmt_send_long_data import stmt_send_long_data
from dbmesh.session.prepared import PreparedStatement
from tests.plugins.scripted import RecordingClient


def _session(limit: int = 100) -> Any:
    return SimpleNamespace(
        client=RecordingClient(),
        statements={1: PreparedStatement(1, b"SELECT ?, ?", "SELECT ?, ?", 2)},
        mesh=SimpleNamespace(max_allowed_packet=limit),
        finish=lambda: None,
    )


def _send(session: Any, statement: int, parameter: int, data: bytes) -> PreparedStatement:
    payload = b"\x18" + struct.pack("<IH", statement, parameter) + data
    assert stmt_send_long_data(session, payload, 1) is None
    assert session.client.data == b""
    prepared: PreparedStatement = session.statements[1]
    return prepared


@given(pieces=st.lists(st.tuples(st.integers(0, 1), st.binary(max_size=40)), max_size=8))
def test_pieces_add_up_by_parameter_within_the_limit(pieces: list[tuple[int, bytes]]) -> None:
    session = _session()
    whole = {0: b"", 1: b""}
    for parameter, data in pieces:
        prepared = _send(session, 1, parameter, data)
        whole[parameter] += data
        fits = all(len(value) <= 100 for value in whole.values())
        assert prepared.long_data_too_large == (not fits)
        if not fits:
            break
        assert {0: b"", 1: b"", **prepared.long_data} == whole


def test_what_nobody_prepared_is_passed_over() -> None:
    session = _session()
    for statement, parameter in ((2, 0), (1, 2), (1, 65535)):
        assert not _send(session, statement, parameter, b"x").long_data
