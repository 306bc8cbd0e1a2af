"""The slow log: one line for each statement that took longer than it should.

Decides which statements and how the line reads. Values are not in it, since they are the data.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

from dbmesh.session.filtering import RunningStatement
from dbmesh.session.log_fields import fields_of

_log = logging.getLogger(__name__)


class SlowStatements:
    """An observer that writes down what took `seconds` or longer. `clock` is `time.perf_counter`."""

    def __init__(self, seconds: float, clock: Callable[[], float]) -> None:
        self.least = seconds
        self._clock = clock

    def ended(self, statement: RunningStatement) -> None:
        """See `StatementObserver`."""
        seconds = self._clock() - statement.begun
        if seconds >= self.least:
            self._write(statement, seconds)

    def _write(self, statement: RunningStatement, seconds: float) -> None:
        session, error = statement.session, statement.error
        _log.warning(
            "slow statement: %.1f ms, session %d, %s, database %s, %d shots, %s, %s, digest %s: %s",
            seconds * 1000,
            session.connection_id,
            session.account,
            statement.database.name,
            statement.shots,
            f"{statement.rows} rows" if error is None else f"error {error.number}",
            statement.answer,
            statement.digest.name,
            " ".join(statement.digest.text.split()),
            extra=fields_of(
                session,
                statement,
                account=session.account,
                database=statement.database.name,
                milliseconds=round(seconds * 1000, 3),
                shots=statement.shots,
                digest=statement.digest.name,
            ),
        )
