"""The audit log: who ran what, from where, and what came of it, one JSON object a line.

Decides which statements are written and what of them. That they are written without keeping anybody waiting, `line_writer` sees to.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from functools import partial
from time import perf_counter

from dbmesh.governance.protection.breakers import Clock
from dbmesh.governance.protection.line_writer import LineWriter
from dbmesh.rules.protection.values import Audit, AuditRule
from dbmesh.session.filtering import RunningStatement
from dbmesh.sql.secrets import veiled

OK, ERROR, LOST = "ok", "error", "lost"
"""How a statement ended: `lost` when its client went away before it was answered."""


class AuditLog:
    """A `StatementObserver`: it sees what filters refuse, and what could not be planned."""

    least = 0.0

    def __init__(self, audit: Audit, writer: LineWriter, clock: Clock) -> None:
        self._rules = audit.rules
        self._writer = writer
        self._wall = clock.wall

    @property
    def dropped(self) -> int:
        """Lines that were not written: too many waited."""
        return self._writer.dropped

    def ended(self, statement: RunningStatement) -> None:
        """See `StatementObserver`."""
        outcome = ERROR if statement.error is not None else OK if statement.answered else LOST
        for rule in self._rules:
            if outcome in rule.outcomes and rule.selection.names(statement):
                self._writer.put(partial(_line, self._record(rule, statement, outcome)))
                return

    def _record(self, rule: AuditRule, statement: RunningStatement, outcome: str) -> dict[str, object]:
        session, error = statement.session, statement.error
        record: dict[str, object] = {
            "time": self._wall(),
            "rule": rule.name,
            "connection": session.connection_id,
            "user": statement.user,
            "account": session.account,
            "host": statement.host,
            "database": statement.database_name,
            "verb": statement.verb.name,
            "tables": statement.tables,
            "fingerprint": statement.fingerprint,
            "statement": veiled(statement.text) if rule.literals else statement.digest.text,
            "outcome": outcome,
            "milliseconds": round((perf_counter() - statement.begun) * 1000, 3),
            "shots": statement.shots,
        }
        if error is not None:
            record["error"] = error.number
            record["sqlstate"] = error.sqlstate
        elif outcome == OK:
            record["rows"] = statement.rows
        return record


def _line(record: dict[str, object]) -> str:
    record["time"] = datetime.fromtimestamp(float(str(record["time"])), UTC).isoformat(
        timespec="milliseconds"
    )
    return json.dumps(record, ensure_ascii=False)
