"""The lines of `sql-show`: one per statement and one per shot, whatever bytes they hold."""

from __future__ import annotations

import logging
from types import SimpleNamespace
from typing import Any, cast

import pytest

from dbmesh.planner.plan import BoundStatement, Names, Relay, Shot
from dbmesh.session.statement_log import log_command, log_shots


def test_every_statement_and_every_shot_is_one_line(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    session = cast(
        "Any",
        SimpleNamespace(connection_id=7, running=None, command_text="SELECT 'Ä',\r\n 1\n".encode() + b"\xff"),
    )
    log_command(session)
    shots = (Shot("ds_0", b"SELECT 1"), Shot("ds_1", b"SELECT\n2"))
    log_shots(session, BoundStatement(shots, Relay(), Names("shop", {})))
    assert caplog.messages == [
        "session 7: logic SQL: SELECT 'Ä',  1 \\xff",
        "session 7: actual SQL: ds_0: SELECT 1",
        "session 7: actual SQL: ds_1: SELECT 2",
    ]
