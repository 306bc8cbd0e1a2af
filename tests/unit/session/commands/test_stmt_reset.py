"""COM_STMT_RESET: long data and cursor go, the statement stays."""

from __future__ import annotations

import struct
from collections import deque
from types import SimpleNamespace
from typing import Any

import pytest

from dbmesh.errors import UNKNOWN_STATEMENT, MeshError
from dbmesh.session.commands.stmt_reset import stmt_reset
from dbmesh.session.prepared import HeldRows, Statements


def test_nothing_sent_ahead_survives() -> None:
    said: list[str] = []
    statements = Statements()
    prepared = statements.add(b"SELECT ?", "SELECT ?", 1)
    prepared.cursor = HeldRows(deque([b"row"]))
    prepared.long_data, prepared.long_data_too_large = {0: b"x"}, True
    prepared.cursor = HeldRows(deque())
    session: Any = SimpleNamespace(
        statements=statements,
        ok=lambda *, sequence: said.append("ok"),
        finish=lambda: said.append("finished"),
    )
    assert stmt_reset(session, b"\x1a" + struct.pack("<I", 1), 1) is None
    assert said == ["ok", "finished"]
    assert prepared.cursor is None
    assert (prepared.long_data, prepared.long_data_too_large) == ({}, False)
    assert statements == {1: prepared}


def test_an_unknown_statement_is_an_error() -> None:
    session: Any = SimpleNamespace(statements=Statements())
    with pytest.raises(MeshError) as found:
        stmt_reset(session, b"\x1a" + struct.pack("<I", 1), 1)
    assert found.value.kind is UNKNOWN_STATEMENT
