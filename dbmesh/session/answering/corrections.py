"""What column definitions of one plan's answers have otherwise than one server's, and how it is put right.

Decides which parts of a definition are corrected. Asks nobody: `session.answering.definitions` does.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from dbmesh.planner.cache import Generations
from dbmesh.planner.plan import ShardPlan
from dbmesh.wire.packets import ColumnDefinition

PLANS_KEPT = 4096
"""Plans whose columns are remembered."""

_PARTS = ("schema", "table", "org_table", "org_name", "character_set", "length", "type", "decimals")
"""What may differ beside flags. A column's name is the text's, which is the client's own in both."""


@dataclass(frozen=True, slots=True)
class _Correction:
    """A column as the shards told it, and as one server would have."""

    seen: ColumnDefinition
    told: ColumnDefinition

    def of(self, column: ColumnDefinition) -> ColumnDefinition:
        """This column with what is different put right. O(1)."""
        seen, told = self.seen, self.told
        if column == seen:
            # Nearly always: literals and character sets seldom change.
            return told
        changes = {
            part: getattr(told, part)
            for part in _PARTS
            if getattr(seen, part) != getattr(told, part) and getattr(column, part) == getattr(seen, part)
        }
        if "org_name" in changes and told.org_name == told.name:
            # An expression is its own origin in a temporary table, and may name other literals by now.
            changes["org_name"] = column.name
        different = seen.flags ^ told.flags
        return replace(column, flags=column.flags & ~different | told.flags & different, **changes)


class Corrections:
    """What is put right in the columns of one plan's answers."""

    def __init__(self, seen: Sequence[ColumnDefinition], told: Sequence[ColumnDefinition]) -> None:
        self._columns = tuple(
            None if one == other else _Correction(one, other) for one, other in zip(seen, told, strict=False)
        )

    def of(self, columns: Sequence[ColumnDefinition]) -> Sequence[ColumnDefinition]:
        """The columns as one server tells them. A table that has others by now is told as it is."""
        if len(columns) != len(self._columns) or not any(self._columns):
            return columns
        return [
            column if correction is None else correction.of(column)
            for column, correction in zip(columns, self._columns, strict=True)
        ]


class DefinitionCache:
    """Corrections by plan, and apart for LIMIT 0 (`empty`), for as long as plans live: with a logic database's rules and
    catalog."""

    def __init__(self) -> None:
        # By identity: plans are large values. The plan is kept beside, so that its identity is not given to another.
        self._known: Generations[tuple[int, bool], tuple[ShardPlan, Corrections]] = Generations(PLANS_KEPT)

    def get(self, plan: ShardPlan, *, empty: bool) -> Corrections | None:
        """What is known of a plan's columns. O(1)."""
        known = self._known.get((id(plan), empty))
        return None if known is None else known[1]

    def put(self, plan: ShardPlan, corrections: Corrections, *, empty: bool) -> None:
        """Remember."""
        self._known.put((id(plan), empty), (plan, corrections))
