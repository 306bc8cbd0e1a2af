"""A prepared statement starts with nothing known of its parameters, and shares nothing with another."""

from __future__ import annotations

from dbmesh.session.prepared import PreparedStatement


def test_statements_share_no_long_data() -> None:
    first, second = (PreparedStatement(number, b"SELECT ?", "SELECT ?", 1) for number in (1, 2))
    first.long_data[0] = b"x"
    assert second.long_data == {}
    assert (second.parameter_types, second.long_data_too_large, second.cursor) == (b"", False, None)
