"""What protections need of statements: which ones they look at, and how one is made to wait."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Generator
from typing import Any

from dbmesh.planner.session_plan import CallProcedure, LoadData, SessionStatement
from dbmesh.session.filtering import RunningStatement


def reaches_data(statement: RunningStatement) -> bool:
    """Whether a statement does something with tables: BEGIN, COMMIT, SET and the like must always get through, and what EXECUTE,
    SET or INTO run is looked at by itself."""
    plan = statement.plan
    return not isinstance(plan, SessionStatement) or isinstance(plan, (CallProcedure, LoadData))


class Later:
    """An awaitable that begins when it is awaited: one that never is leaves nothing behind."""

    def __init__(self, make: Callable[[], Coroutine[Any, Any, None]]) -> None:
        self._make = make

    def __await__(self) -> Generator[Any, None, None]:
        return self._make().__await__()
