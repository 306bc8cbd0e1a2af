"""A prepared statement starts with nothing known of its parameters, and shares nothing with another."""

from __future__ import annotations

import pytest

from dbmesh.errors import MeshError
from dbmesh.session.prepared import LAST_PREPARED, PreparedStatement, Statements


def test_statements_share_no_long_data() -> None:
    first, second = (PreparedStatement(number, b"SELECT ?", "SELECT ?", 1) for number in (1, 2))
    first.long_data[0] = b"x"
    assert second.long_data == {}
    assert (second.parameter_types, second.long_data_too_large, second.cursor) == (b"", False, None)


def test_the_last_one_has_an_id_of_its_own() -> None:
    statements = Statements()
    with pytest.raises(MeshError, match="4294967295"):
        statements.find(LAST_PREPARED, "x")
    first, second = statements.add(b"1", "1", 0), statements.add(b"2", "2", 0)
    assert statements.find(LAST_PREPARED, "x") is second
    assert statements.find(first.statement_id, "x") is first
    del statements[second.statement_id]
    with pytest.raises(MeshError):
        statements.find(LAST_PREPARED, "x")
