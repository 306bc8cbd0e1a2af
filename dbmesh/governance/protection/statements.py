"""Which statements protections look at, and what they have found out about those that come again.

Decides for how long that is remembered. What is found, each protection says itself.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, TypeVar

from dbmesh.planner.plan import Plan
from dbmesh.planner.session_plan import CallProcedure, LoadData
from dbmesh.session.filtering import RunningStatement, Seen, reaches_shards
from dbmesh.session.session import Session

T = TypeVar("T")

MOST_REMEMBERED = 4096
"""Plans, each for a user and an address, about which something is remembered."""


def reaches_data(statement: RunningStatement) -> bool:
    """Whether a statement does something with tables: BEGIN, COMMIT, SET and the like must always get through, and what EXECUTE,
    SET or INTO run is looked at by itself."""
    plan = statement.plan
    return reaches_shards(plan) or isinstance(plan, (CallProcedure, LoadData))


class Remembered(Generic[T]):
    """What `find` says of statements: it is asked once for all that have the same plan, user and address, and must look at nothing else
    that changes."""

    def __init__(self, find: Callable[[RunningStatement], T]) -> None:
        self._find = find
        # The plan is kept beside, so that nothing else can get its id meanwhile.
        self._known: dict[tuple[int, str, str], tuple[Plan, T]] = {}

    def of(self, session: Session, seen: Seen) -> T:
        """What is found about a statement that has arrived. O(1) where it was met before."""
        key = id(seen[1]), session.user_name, session.host
        known = self._known.get(key)
        if known is None:
            if len(self._known) >= MOST_REMEMBERED:
                self._known.clear()
            known = self._known[key] = seen[1], self._find(RunningStatement(session, *seen))
        return known[1]

    def forget(self) -> None:
        """Ask again from now on."""
        self._known.clear()
