"""What a session has asked for says nothing about a server."""

from __future__ import annotations

import pytest

from dbmesh.backend.own_limits import is_own_limit
from dbmesh.backend.state import SessionState
from dbmesh.errors import DATA_SOURCE_LOST, MeshError, ShardError


@pytest.mark.parametrize(
    ("number", "variable", "text", "own"),
    [
        (1969, "", "SELECT 1", False),
        (1969, "max_statement_time", "SELECT 1", True),
        (1969, "max_execution_time", "SELECT 1", False),
        (1969, "", "SET STATEMENT MAX_STATEMENT_TIME = 1 FOR SELECT 1", True),
        (3024, "max_execution_time", "SELECT 1", True),
        (3024, "", "SELECT /*+ MAX_EXECUTION_TIME(5) */ 1", True),
        (1205, "", "UPDATE t SET a = 1", False),
        (1205, "innodb_lock_wait_timeout", "UPDATE t SET a = 1", True),
        (1040, "max_statement_time", "SELECT 1", False),
    ],
)
def test_the_table(number: int, variable: str, text: str, own: bool) -> None:
    state = SessionState().with_variable(variable, "1") if variable else SessionState()
    assert is_own_limit(ShardError(number, "HY000", "too long"), state, text.encode()) is own
    assert not is_own_limit(MeshError(DATA_SOURCE_LOST, data_source="ds", reason="gone"), state, b"")
