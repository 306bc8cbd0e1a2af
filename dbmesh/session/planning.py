"""From a statement's text to its plan, in the session's terms.

Decides which cache is asked with which flags, and when an unknown table is worth another look at the data sources.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from dbmesh.errors import NOT_SUPPORTED, TABLES_UNREAD, UNKNOWN_TABLE, MeshError
from dbmesh.planner.metadata import described_database
from dbmesh.planner.plan import Plan
from dbmesh.session.mesh import Database
from dbmesh.sql.fingerprint import fingerprint
from dbmesh.sql.shape import cut

if TYPE_CHECKING:
    from dbmesh.session.session import Session

RELOAD_INTERVAL = 1.0
"""Seconds between two readings of a catalog that unknown tables may cause."""


def look_up(session: Session, database: Database, text: str) -> tuple[Plan, Sequence[object]]:
    """The plan of a text and its literals. Raises MeshError (parse error, refusal, unknown table)."""
    try:
        return database.plans.lookup(text, session.database, session.lexer_flags)
    except MeshError as error:
        if error.kind is UNKNOWN_TABLE and database.unread:
            # "Doesn't exist" would be a guess: the table may be on the data source that did not answer.
            raise MeshError(TABLES_UNREAD, unknown=str(error), reason=database.unread) from error
        raise


def must_reload(session: Session, database: Database, error: MeshError) -> bool:
    """Whether the catalog should be read again before this error is believed: a table may have been created on a data
    source behind the mesh's back. At most once in `RELOAD_INTERVAL`, so that a wrong name costs nothing."""
    return (
        error.kind in (UNKNOWN_TABLE, TABLES_UNREAD) and session.now() - database.loaded_at > RELOAD_INTERVAL
    )


def described_elsewhere(session: Session, database: Database, error: MeshError, text: str) -> Database | None:
    """The other logic database a statement describes a table of, when that is why it was refused. A name the account may
    not use stays refused."""
    if error.kind is not NOT_SUPPORTED:
        return None
    name = described_database(text)
    other = None if name is None else session.mesh.database(name)
    if other is None or other is database:
        return None
    allowed = session.allowed_databases
    return other if allowed is None or other.name in allowed else None


def count_parameters(session: Session, text: str) -> int:
    """The number of `?` in a statement."""
    shape = fingerprint(text, session.lexer_flags).shape
    return sum(slot.parameter for slot in cut(shape, session.lexer_flags).slots)
