"""COM_SET_OPTION: on, off, nonsense, and both ways of saying so."""

from __future__ import annotations

from typing import Any, cast

import pytest

from dbmesh.errors import MeshError
from dbmesh.session.commands.set_option import set_option
from dbmesh.wire.constants import Capability
from tests.plugins.scripted import RecordingClient


class Session:
    """What the command needs of a session."""

    def __init__(self, capabilities: int = 0) -> None:
        self.client = RecordingClient()
        self.capabilities = capabilities
        self.status = 2
        self.multi_statements = False
        self.said: list[str] = []

    def ok(self, *, sequence: int) -> None:
        self.said.append(f"ok {sequence}")

    def finish(self) -> None:
        self.said.append("finished")


def _set(session: Session, option: bytes) -> None:
    assert set_option(cast("Any", session), b"\x1b" + option, 1) is None


def test_it_is_turned_on_and_off() -> None:
    session = Session(Capability.DEPRECATE_EOF)
    _set(session, b"\x00\x00")
    assert session.multi_statements
    _set(session, b"\x01\x00")
    assert not session.multi_statements
    assert session.said == ["ok 1", "finished"] * 2


def test_a_client_with_eof_packets_gets_one() -> None:
    session = Session()
    _set(session, b"\x00\x00")
    assert session.client.packets() == [(1, b"\xfe\x00\x00\x02\x00")]
    assert session.said == ["finished"]


@pytest.mark.parametrize("option", [b"", b"\x00", b"\x02\x00", b"\x00\x00\x00", b"\x00\x01"])
def test_nonsense_changes_nothing(option: bytes) -> None:
    session = Session()
    with pytest.raises(MeshError):
        _set(session, option)
    assert not session.multi_statements
    assert session.client.data == b""
