"""What one merge may hold in memory, and the refusal when it needs more.

Decides nothing about merging. Streaming merges hold only what their sources are ahead of each other; these limits
bound what must be complete before a first row can leave: sorting merged groups, and sets of distinct values.
"""

from __future__ import annotations

from dataclasses import dataclass

from dbmesh.errors import MERGE_LIMIT, MeshError


@dataclass(frozen=True, slots=True)
class MergeLimits:
    """`max_rows` rows or distinct values and `max_bytes` bytes one merge may hold."""

    max_rows: int = 1_000_000
    max_bytes: int = 256 * 1024 * 1024


class Budget:
    """Counts what a merge holds against its limits."""

    __slots__ = ("_bytes", "_limits", "_rows")

    def __init__(self, limits: MergeLimits) -> None:
        self._limits = limits
        self._rows = 0
        self._bytes = 0

    def take(self, rows: int, size: int) -> None:
        """Hold `rows` more rows of `size` bytes together. Raises MeshError(MERGE_LIMIT)."""
        self._rows += rows
        self._bytes += size
        if self._rows > self._limits.max_rows:
            raise MeshError(MERGE_LIMIT, limit=f"{self._limits.max_rows} rows", setting="merge-max-rows")
        if self._bytes > self._limits.max_bytes:
            raise MeshError(MERGE_LIMIT, limit=f"{self._limits.max_bytes} bytes", setting="merge-max-bytes")

    def give_back(self, rows: int, size: int) -> None:
        """Let go of `rows` rows of `size` bytes together."""
        self._rows -= rows
        self._bytes -= size
