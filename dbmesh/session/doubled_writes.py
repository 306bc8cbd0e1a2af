"""How much is written to tables that move: what clients write, and what that makes on the other side. Counts only."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class DoubledWrites:
    """Of one job, in this process: statements of clients and the rows these have written, and the same of the other side. A row that every
    data source has is written on each; one that is taken away and written anew is written twice."""

    statements: int = 0
    rows: int = 0
    other_statements: int = 0
    other_rows: int = 0
