"""Session-state-change entries, as the manual lays them out."""

from __future__ import annotations

from dbmesh.session.answering.session_track import schema_changed, variable_changed


def test_entries() -> None:
    assert schema_changed("shop") == b"\x01\x05\x04shop"
    assert variable_changed("autocommit", b"ON") == b"\x00\x0e\x0aautocommit\x02ON"
    assert variable_changed("character_set_results", b"") == b"\x00\x17\x15character_set_results\x00"
