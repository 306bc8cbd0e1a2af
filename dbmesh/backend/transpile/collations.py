"""Names of the collations the embedded data source has; PostgreSQL's own is in `postgres.types`."""

from __future__ import annotations

from typing import Final

GENERAL_CI: Final = "utf8mb4_general_ci"
BINARY: Final = "utf8mb4_bin"
TEXT_COLLATIONS: Final = frozenset({GENERAL_CI, BINARY})
