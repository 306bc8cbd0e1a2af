"""All circuit breakers of a process: one for each data source and each fingerprint that the configuration or somebody's decision
gives one.

Decides which breaker is asked, what a refusal says, and which outcomes count. When a breaker opens is `breaker`'s.
"""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from dbmesh.errors import BREAKER_OPEN, MeshError, is_unhealthy
from dbmesh.governance.protection.breaker import BreakerStatus, CircuitBreaker, State
from dbmesh.governance.protection.statements import Remembered, reaches_data
from dbmesh.rules.protection.values import BreakerPolicy, Protection
from dbmesh.session.filtering import RunningStatement, Seen
from dbmesh.session.session import Session

_log = logging.getLogger(__name__)

MOST_FINGERPRINTS = 4096
"""Fingerprints whose breakers are kept; the least recently used one makes room."""

_ONLY_COUNTS = BreakerPolicy(enforced=False)
"""The policy of one that has a breaker because of somebody's decision only."""


@dataclass(frozen=True, slots=True)
class Clock:
    """The time in seconds, steady; chance: numbers of [0, 1); and seconds since 1970."""

    now: Callable[[], float]
    draw: Callable[[], float]
    wall: Callable[[], float]


def refusal(breaker: CircuitBreaker, what: str, now: float) -> MeshError:
    """Why a call is not made: which breaker, and when it may close."""
    left = breaker.seconds_left(now)
    if breaker.state is State.HALF_OPEN:
        when = "a few statements are tried just now, and it closes when they do well"
    elif left is None:
        when = "it stays so until it is reset"
    else:
        when = f"it may close in {left:.1f} s"
    return MeshError(BREAKER_OPEN, name=what, state=breaker.state.value, when=when)


class DataSourceBreaker:
    """A data source's breaker."""

    def __init__(self, name: str, policy: BreakerPolicy, clock: Clock) -> None:
        self.breaker = CircuitBreaker(name, policy, clock.now(), clock.draw)
        self._clock = clock

    @property
    def permits_all(self) -> bool:
        """Whether a call may be made without asking: it is not open in any way."""
        return self.breaker.permits_all

    def admit(self) -> None:
        """A call begins. Raises MeshError when the breaker refuses it."""
        now = self._clock.now()
        if not self.breaker.permits(now):
            raise refusal(self.breaker, f"data source '{self.breaker.name}'", now)

    def ended(self, began: float, now: float, error: Exception | None) -> None:
        """A call has ended."""
        _ended(self.breaker, began, now, error)


class Breakers:
    """See the module's docstring. A `StatementFilter` for fingerprints. `forced` are somebody's decisions by breaker's name:
    `database.data_source` or a fingerprint."""

    def __init__(self, protection: Protection, clock: Clock) -> None:
        self._protection = protection
        self._clock = clock
        self._of_sources: dict[str, DataSourceBreaker] = {}
        self._of_fingerprints: OrderedDict[str, CircuitBreaker] = OrderedDict()
        self._forced: dict[str, State] = {}
        self._found = Remembered(self._policy_of)
        # Statements under way, with the moment they were let through.
        self._running: dict[RunningStatement, tuple[CircuitBreaker, float]] = {}

    @property
    def watches_statements(self) -> bool:
        """Whether fingerprints have breakers: else statements need not be looked at."""
        return bool(self._protection.fingerprint_breakers) or any("." not in name for name in self._forced)

    def of_data_source(self, database: str, data_source: str) -> DataSourceBreaker | None:
        """The breaker of a data source, None where it has none."""
        name = f"{database}.{data_source}".lower()
        known = self._of_sources.get(name)
        if known is None:
            entries = self._protection.data_source_breakers
            policy = next((one.policy for one in entries if one.names(database, data_source)), None)
            if policy is None and name not in self._forced:
                return None
            known = self._of_sources[name] = DataSourceBreaker(name, policy or _ONLY_COUNTS, self._clock)
            self._apply(known.breaker)
        return known

    def statuses(self) -> list[BreakerStatus]:
        """All there are, those of data sources first."""
        now = self._clock.now()
        of_sources = [self._of_sources[name].breaker for name in sorted(self._of_sources)]
        return [breaker.status(now) for breaker in (*of_sources, *self._of_fingerprints.values())]

    def decide(self, forced: Mapping[str, State]) -> None:
        """From now on these are all of somebody's decisions; breakers that had one and have none any more begin anew."""
        before, self._forced = self._forced, dict(forced)
        self._found.forget()
        now = self._clock.now()
        for breaker in self._all():
            name = breaker.name
            if before.get(name) == self._forced.get(name):
                continue
            if name in self._forced:
                self._apply(breaker)
            else:
                breaker.reset(now)
            _log.warning(
                "the circuit breaker of %s is %s by decision", name, breaker.state, extra=_fields(breaker)
            )

    def reset(self, name: str) -> None:
        """A breaker begins anew, whatever it has counted."""
        for breaker in self._all():
            if breaker.name == name.lower():
                breaker.reset(self._clock.now())

    # StatementFilter

    def find(self, session: Session, seen: Seen) -> tuple[str, BreakerPolicy] | None:
        """See `StatementFilter`."""
        return self._found.of(session, seen)

    def begin(self, statement: RunningStatement, found: tuple[str, BreakerPolicy]) -> None:
        """See `StatementFilter`."""
        breaker = self._of_fingerprint(*found)
        now = self._clock.now()
        if not breaker.permits(now):
            raise refusal(breaker, f"statements like this one ({breaker.name})", now)
        self._running[statement] = breaker, now

    def end(self, statement: RunningStatement) -> None:
        """See `StatementFilter`."""
        under_way = self._running.pop(statement, None)
        if under_way is not None:
            breaker, began = under_way
            _ended(breaker, began, self._clock.now(), statement.cause)

    def _of_fingerprint(self, name: str, policy: BreakerPolicy) -> CircuitBreaker:
        known = self._of_fingerprints.get(name)
        if known is not None:
            self._of_fingerprints.move_to_end(name)
            return known
        if len(self._of_fingerprints) >= MOST_FINGERPRINTS:
            self._of_fingerprints.popitem(last=False)
        made = CircuitBreaker(name, policy, self._clock.now(), self._clock.draw)
        self._of_fingerprints[name] = made
        self._apply(made)
        return made

    def _policy_of(self, statement: RunningStatement) -> tuple[str, BreakerPolicy] | None:
        """A statement's breaker: its name, and what it does when it is new; None where it has none."""
        if not reaches_data(statement):
            return None
        entries = self._protection.fingerprint_breakers
        policy = next((one.policy for one in entries if one.selection.names(statement)), None)
        if policy is None and statement.fingerprint in self._forced:
            policy = _ONLY_COUNTS
        return None if policy is None else (statement.fingerprint, policy)

    def _apply(self, breaker: CircuitBreaker) -> None:
        state = self._forced.get(breaker.name)
        if state is not None:
            breaker.force(state, self._clock.now())

    def _all(self) -> list[CircuitBreaker]:
        return [*(one.breaker for one in self._of_sources.values()), *self._of_fingerprints.values()]


def _ended(breaker: CircuitBreaker, began: float, now: float, error: Exception | None) -> None:
    before = breaker.state
    breaker.ended(began, now, error is not None and is_unhealthy(error))
    if breaker.state is not before:
        left = breaker.seconds_left(now)
        until = "" if left is None else f" for {left:.1f} s"
        _log.warning(
            "the circuit breaker of %s is %s%s", breaker.name, breaker.state, until, extra=_fields(breaker)
        )


def _fields(breaker: CircuitBreaker) -> dict[str, object]:
    return {"breaker": breaker.name, "state": breaker.state.value}
