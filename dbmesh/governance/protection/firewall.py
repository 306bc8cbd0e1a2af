"""The firewall: which statements may run.

Decides by the first rule that is about a statement; where none is, by the default, which never stops what begins and ends
transactions or sets variables. While it learns it stops nothing and notes who runs what.
"""

from __future__ import annotations

import logging
from collections import Counter

from dbmesh.errors import FIREWALL_DENIED, MeshError
from dbmesh.governance.protection.line_writer import LineWriter
from dbmesh.governance.protection.statements import Remembered, reaches_data
from dbmesh.planner.plan import Verb
from dbmesh.rules.protection.firewall import FirewallMode, FirewallPolicy, FirewallRule
from dbmesh.rules.protection.patterns import changes_every_row
from dbmesh.session.filtering import RunningStatement, Seen
from dbmesh.session.log_fields import fields_of
from dbmesh.session.session import Session

_log = logging.getLogger(__name__)

MOST_FINGERPRINTS = 8192
"""Fingerprints whose texts' findings are kept, and most that are learned."""

DEFAULT = "default"
"""What stands in the place of a rule's name where the default decides."""

_NOT_ALLOWED = "it is not allowed to run"


class Firewall:
    """A `StatementFilter`. `stopped` counts by rule what was stopped, or would have been."""

    def __init__(self, policy: FirewallPolicy, learned: LineWriter | None) -> None:
        self._policy = policy
        self._writer = learned
        self._found: dict[tuple[str, str], bool] = {}
        self._told: set[tuple[str, str]] = set()
        self.stopped: Counter[str] = Counter()
        self.learned: set[tuple[str, str]] = set()
        self._stopping = Remembered(self._that_stops)

    def find(self, session: Session, seen: Seen) -> tuple[str, str] | None:
        """See `StatementFilter`."""
        return self._stopping.of(session, seen)

    def begin(self, statement: RunningStatement, found: tuple[str, str]) -> None:
        """See `StatementFilter`."""
        if self._policy.mode is FirewallMode.LEARNING:
            self._learn(statement)
            return
        name, message = found
        self.stopped[name] += 1
        self._tell(name, statement)
        if self._policy.mode is FirewallMode.PROTECTING:
            raise MeshError(FIREWALL_DENIED, rule=name, fingerprint=statement.fingerprint, message=message)

    def end(self, statement: RunningStatement) -> None:
        """See `StatementFilter`."""

    def _that_stops(self, statement: RunningStatement) -> tuple[str, str] | None:
        """The name and the message of what stops a statement, or would; None for nothing. While it learns, what there is to learn is stopped
        by the default."""
        if self._policy.mode is FirewallMode.LEARNING:
            return (DEFAULT, _NOT_ALLOWED) if _is_to_be_allowed(statement) else None
        rule = next((one for one in self._policy.rules if self._is_about(one, statement)), None)
        if rule is None:
            if self._policy.allows_by_default or not _is_to_be_allowed(statement):
                return None
            return DEFAULT, _NOT_ALLOWED
        return None if rule.allows else (rule.name, rule.message or _NOT_ALLOWED)

    def _is_about(self, rule: FirewallRule, statement: RunningStatement) -> bool:
        if rule.without_where and statement.verb not in (Verb.UPDATE, Verb.DELETE):
            return False
        if not rule.selection.names(statement):
            return False
        if rule.pattern is None and not rule.without_where:
            return True
        # What is found in a text without values is the same for all that have it.
        key = rule.name, statement.fingerprint
        found = self._found.get(key)
        if found is None:
            if len(self._found) >= MOST_FINGERPRINTS:
                self._found.clear()
            found = self._found[key] = _finds(rule, statement.digest.text)
        return found

    def _tell(self, rule: str, statement: RunningStatement) -> None:
        """Once for each fingerprint: what comes again and again must not fill the log."""
        key = rule, statement.fingerprint
        if key in self._told:
            return
        if len(self._told) >= MOST_FINGERPRINTS:
            self._told.clear()
        self._told.add(key)
        what = "stops" if self._policy.mode is FirewallMode.PROTECTING else "would stop"
        _log.warning(
            "the firewall %s %s of user '%s' from %s (rule '%s'): %s",
            what,
            statement.fingerprint,
            statement.user,
            statement.host,
            rule,
            " ".join(statement.digest.text.split()),
            extra=fields_of(statement.session, rule=rule, digest=statement.fingerprint),
        )

    def _learn(self, statement: RunningStatement) -> None:
        key = statement.user, statement.fingerprint
        if key in self.learned or len(self.learned) >= MOST_FINGERPRINTS:
            return
        self.learned.add(key)
        if self._writer is not None:
            text = " ".join(statement.digest.text.split())
            line = f"{statement.fingerprint} {statement.user} {statement.database_name} {text}"
            self._writer.put(lambda: line)


def _is_to_be_allowed(statement: RunningStatement) -> bool:
    """Whether the default is about a statement. What changes databases and routines names no tables."""
    return reaches_data(statement) or statement.verb is Verb.DDL


def _finds(rule: FirewallRule, text: str) -> bool:
    if rule.without_where and not changes_every_row(text):
        return False
    return rule.pattern is None or rule.pattern.search(text) is not None
