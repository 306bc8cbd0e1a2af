"""Session-state-change entries, as the manual lays them out."""

from __future__ import annotations

from dbmesh.session.session_track import autocommit_changed, schema_changed


def test_entries() -> None:
    assert schema_changed("shop") == b"\x01\x05\x04shop"
    assert autocommit_changed(True) == b"\x00\x0e\x0aautocommit\x02ON"
    assert autocommit_changed(False) == b"\x00\x0f\x0aautocommit\x03OFF"
