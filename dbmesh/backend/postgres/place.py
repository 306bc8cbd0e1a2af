"""What refusals call PostgreSQL data sources."""

from __future__ import annotations

from typing import Final

from dbmesh.backend.transpile.refusals import Place

PLACE: Final = Place("on PostgreSQL data sources")
