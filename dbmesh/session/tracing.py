"""What a traced statement tells while it runs: its shots, and what the mesh does with their answers.

Decides when it is told. What becomes of it, `admin.tracing` decides; a session of a mesh without tracing has nobody to tell.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Protocol

from dbmesh.backend.mysql import MySQLConnection
from dbmesh.engine.lane import ShotWatch

if TYPE_CHECKING:
    from dbmesh.session.session import Session


class StatementTrace(ShotWatch, Protocol):
    """One statement that is traced. No method raises."""

    @property
    def trace_id(self) -> str:
        """The trace's name, 32 hexadecimal digits."""
        ...

    def relayed(self, connection: MySQLConnection) -> None:
        """A shot is sent whose answer is passed on: it lasts until the next one, or to the statement's end."""
        ...

    def step(self, name: str, began: float, error: BaseException | None, facts: Mapping[str, Any]) -> None:
        """Something that began then, as `now` tells time, is done. `facts` have no values of rows or statements."""
        ...


def trace_of(session: Session) -> StatementTrace | None:
    """Of the statement under way, None where it is not traced."""
    return None if session.running is None else session.running.trace


@contextmanager
def step(session: Session, name: str, **facts: Any) -> Iterator[None]:
    """A step of the statement under way."""
    trace = trace_of(session)
    if trace is None:
        yield
        return
    began = trace.now()
    try:
        yield
    except BaseException as error:
        trace.step(name, began, error, facts)
        raise
    trace.step(name, began, None, facts)
