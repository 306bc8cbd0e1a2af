"""What a rewritten query returns beside what the client asked for: a value that the parts of a rewriting fill in.

Decides nothing.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from dbmesh.planner.encrypted.decryption import DecryptedColumn
from dbmesh.planner.encrypted.plan import PatternPlace


@dataclass(slots=True)
class Answer:
    """`hidden`: so many columns at the end are for the checks of `patterns` alone."""

    columns: list[DecryptedColumn] = field(default_factory=list)
    patterns: list[PatternPlace] = field(default_factory=list)
    hidden: int = 0
