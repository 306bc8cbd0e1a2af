"""Which statements protections look at."""

from __future__ import annotations

from dbmesh.planner.session_plan import CallProcedure, LoadData, SessionStatement
from dbmesh.session.filtering import RunningStatement


def reaches_data(statement: RunningStatement) -> bool:
    """Whether a statement does something with tables: BEGIN, COMMIT, SET and the like must always get through, and what EXECUTE,
    SET or INTO run is looked at by itself."""
    plan = statement.plan
    return not isinstance(plan, SessionStatement) or isinstance(plan, (CallProcedure, LoadData))
