"""What clients send as it is shown to others, and the property `sql-show`: that and what data sources receive, one line each in the log.

Decides how the lines read. Whether they are written, the configuration says; where they go, the command line.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from dbmesh.planner.plan import BoundStatement
from dbmesh.session.log_fields import fields_of
from dbmesh.sql.secrets import veiled

if TYPE_CHECKING:
    from dbmesh.session.session import Session

_log = logging.getLogger(__name__)


def shown_text(session: Session) -> str:
    """What a session runs, as others may read it: without passwords; '' for nothing. O(text)."""
    return veiled(session.command_text.decode("utf-8", "replace"))


def log_command(session: Session) -> None:
    """The client's own text. O(text)."""
    _log.info(
        "session %d: logic SQL: %s",
        session.connection_id,
        _one_line(session.command_text),
        extra=fields_of(session),
    )


def log_shots(session: Session, bound: BoundStatement) -> None:
    """What each data source receives; values that travel beside the text stay out. O(text)."""
    for shot in bound.shots:
        _log.info(
            "session %d: actual SQL: %s: %s",
            session.connection_id,
            shot.data_source,
            _one_line(shot.sql),
            extra=fields_of(session, data_source=shot.data_source),
        )


def _one_line(sql: bytes) -> str:
    return " ".join(veiled(sql.decode("utf-8", "backslashreplace")).splitlines())
