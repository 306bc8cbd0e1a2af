"""What refusals call the embedded data source."""

from __future__ import annotations

from typing import Final

from dbmesh.backend.transpile.refusals import Place

PLACE: Final = Place("on the embedded SQLite data source")
