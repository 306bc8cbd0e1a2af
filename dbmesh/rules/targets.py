"""Targets: the data sources or actual tables an algorithm chooses from, and how a numbered suffix names one.

Decides only naming. Source: ShardingSphere's `DataNodeInfo` (prefix, shortest suffix, padding character) as built by
`ShardingTable` and read by `ShardingAutoTableAlgorithmUtils`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

_DIGITS_AT_END = re.compile(r"[0-9]+$")


class NoTarget(Exception):
    """A value has no target. The table adds its name and tells the client (`MeshError(NO_ROUTE)`)."""

    def __init__(self, value: object, reason: str) -> None:
        super().__init__(reason)
        self.value = value
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Targets:
    """Target names in configuration order, without repeats.

    `prefix` is the first name without its digits at the end; a logic table's own name is never cut (`t_2024` keeps its
    digits). `suffix_length` is the shortest suffix found; shorter numbers are padded with zeros up to it.
    """

    names: tuple[str, ...]
    prefix: str
    suffix_length: int
    by_lower_name: Mapping[str, str] = field(repr=False)

    @classmethod
    def of(cls, names: Sequence[str], logic_table: str = "") -> Targets:
        """Targets of these names; `logic_table` is given when they are actual tables. O(names)."""
        unique = tuple(dict.fromkeys(names))
        first = unique[0] if unique else ""
        kept = logic_table if logic_table and first.startswith(logic_table) else ""
        prefix = kept + _DIGITS_AT_END.sub("", first[len(kept) :])
        length = min((len(name) - len(prefix) for name in unique), default=1)
        return cls(unique, prefix, length, {name.lower(): name for name in unique})

    def numbered(self, suffix: str) -> str | None:
        """The target a suffix names, or None."""
        return self.by_lower_name.get((self.prefix + suffix.rjust(self.suffix_length, "0")).lower())

    def named(self, name: str) -> str | None:
        """The target of that name, compared without case, or None."""
        return self.by_lower_name.get(name.lower())

    def in_order(self, chosen: set[str]) -> tuple[str, ...]:
        """The chosen names in configuration order."""
        return tuple(name for name in self.names if name in chosen)
