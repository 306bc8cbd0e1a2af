"""Limits of statements and data sources: who is counted together, and what is said to those who are too many.

Decides which limiters a statement passes: all that name it. Whose turn it is, a `limiter` decides.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Sequence
from functools import partial

from dbmesh.errors import LIMIT_REACHED, MeshError
from dbmesh.governance.protection.budgets import Budgets
from dbmesh.governance.protection.limiter import Limiter
from dbmesh.governance.protection.statements import Remembered, reaches_data
from dbmesh.rules.protection.values import Limit, Per
from dbmesh.session.filtering import Later, RunningStatement, Seen
from dbmesh.session.session import Session

MOST_LIMITERS = 8192
"""Users, databases and fingerprints whose limits are kept; those where nothing runs make room."""


def refusal(limit: Limit, what: str, *, waited: bool) -> MeshError:
    """Why a call does not run: which limit, of whom, and what it is."""
    parts = [f"{limit.rate:g} statements per second"] if limit.rate else []
    parts += [f"{limit.concurrency} at one time"] if limit.concurrency else []
    return MeshError(
        LIMIT_REACHED,
        name=limit.name,
        what=what,
        limit=", ".join(parts),
        waited=f"and its turn did not come within {limit.wait_seconds:g} s" if waited else "try again later",
    )


def make_limiter(limit: Limit, key: str, budgets: Budgets) -> Limiter:
    """Who decides about a limit of one user, database, fingerprint or data source (`key`)."""
    return Limiter(limit, budgets.bucket(limit, key) if limit.shared else None)


class Limits:
    """A `StatementFilter`: a statement enters all limits that name it, in their order, and leaves them when it ends. One that is a
    part of another of the client enters none that this one is in."""

    def __init__(self, limits: Sequence[Limit], budgets: Budgets) -> None:
        self._budgets = budgets
        self._limits = [limit for limit in limits if limit.per is not Per.DATA_SOURCE]
        self._naming = Remembered(self._that_name)
        self._limiters: OrderedDict[tuple[str, str], Limiter] = OrderedDict()
        # The limits statements have entered, and when they had entered all of them.
        self._held: dict[RunningStatement, tuple[Sequence[Limiter], float | None]] = {}
        self._now = asyncio.get_running_loop().time

    def find(self, session: Session, seen: Seen) -> Sequence[Limiter] | None:
        """See `StatementFilter`."""
        return self._naming.of(session, seen)

    def begin(self, statement: RunningStatement, found: Sequence[Limiter]) -> Awaitable[None] | None:
        """See `StatementFilter`."""
        wanted = found if statement.outer is None else self._not_entered(statement, found)
        entered = 0
        for limiter in wanted:
            if not limiter.enter():
                break
            entered += 1
        else:
            self._held[statement] = wanted, self._now()
            return None
        # Nothing is held before somebody waits.
        for one in wanted[:entered]:
            one.take_back()
        if not limiter.has_room:
            limiter.refused += 1
            raise refusal(limiter.limit, _whom(limiter.limit, statement), waited=False)
        return Later(partial(self._wait, statement, wanted))

    async def _wait(self, statement: RunningStatement, wanted: Sequence[Limiter]) -> None:
        held: list[Limiter] = []
        self._held[statement] = held, None
        try:
            for limiter in wanted:
                if not limiter.enter():
                    may_wait = limiter.has_room
                    if not may_wait or not await limiter.wait():
                        limiter.refused += 1
                        raise refusal(limiter.limit, _whom(limiter.limit, statement), waited=may_wait)
                held.append(limiter)
            self._held[statement] = held, self._now()
        except BaseException:
            self.end(statement)
            raise

    def end(self, statement: RunningStatement) -> None:
        """See `StatementFilter`."""
        limiters, began = self._held.pop(statement, ((), None))
        # How long a failed one took says nothing about the others.
        seconds = None if began is None or statement.cause else self._now() - began
        for limiter in limiters:
            limiter.leave(seconds)

    def limiters(self) -> list[tuple[str, Limiter]]:
        """Those in use, with whom they limit ('' for all together), to be looked at."""
        return [(key, limiter) for (_, key), limiter in self._limiters.items()]

    def _that_name(self, statement: RunningStatement) -> Sequence[Limiter] | None:
        if not reaches_data(statement):
            return None
        named = [limit for limit in self._limits if limit.selection.names(statement)]
        return [self._limiter(limit, statement) for limit in named] or None

    def _not_entered(self, statement: RunningStatement, wanted: Sequence[Limiter]) -> Sequence[Limiter]:
        """Without those that a statement is in which this one is a part of."""
        outer: set[int] = set()
        around = statement.outer
        while around is not None:
            if around in self._held:
                outer.update(map(id, self._held[around][0]))
            around = around.outer
        return [limiter for limiter in wanted if id(limiter) not in outer]

    def _limiter(self, limit: Limit, statement: RunningStatement) -> Limiter:
        key = limit.name, _key(limit, statement)
        known = self._limiters.get(key)
        if known is None:
            if len(self._limiters) >= MOST_LIMITERS:
                self._make_room()
            known = self._limiters[key] = make_limiter(limit, key[1], self._budgets)
        self._limiters.move_to_end(key)
        return known

    def _make_room(self) -> None:
        """Forget some of those where nothing runs, beginning with those that were looked for longest ago."""
        idle = [key for key, limiter in self._limiters.items() if limiter.idle]
        for key in idle[: MOST_LIMITERS // 8]:
            del self._limiters[key]
        # Nobody may enter one that is forgotten.
        self._naming.forget()


def _key(limit: Limit, statement: RunningStatement) -> str:
    match limit.per:
        case Per.USER:
            return statement.user
        case Per.DATABASE:
            return statement.database_name
        case Per.FINGERPRINT:
            return statement.fingerprint
        case _:
            return ""


def _whom(limit: Limit, statement: RunningStatement) -> str:
    match limit.per:
        case Per.USER:
            return f"user '{statement.user}'"
        case Per.DATABASE:
            return f"database '{statement.database_name}'"
        case Per.FINGERPRINT:
            return f"statements like this one ({statement.fingerprint})"
        case _:
            return "all statements"


class DataSourceLimits:
    """All limits of one data source: how many statements per second are given connections."""

    def __init__(self, name: str, limits: Sequence[Limit], budgets: Budgets) -> None:
        self._name = name
        self._limiters = [make_limiter(limit, name, budgets) for limit in limits]

    def limiters(self) -> list[tuple[str, Limiter]]:
        """All of them, with the data source's name."""
        return [(self._name, limiter) for limiter in self._limiters]

    def permits(self) -> bool:
        """Whether a statement may begin at once. It has begun then, and ended for the limit: these know rates only."""
        for position, limiter in enumerate(self._limiters):
            if not limiter.enter():
                for entered in self._limiters[:position]:
                    entered.take_back()
                return False
        for limiter in self._limiters:
            limiter.leave()
        return True

    async def admit(self) -> None:
        """Wait for a turn with each. Raises MeshError."""
        for limiter in self._limiters:
            if not limiter.enter():
                may_wait = limiter.has_room
                if not may_wait or not await limiter.wait():
                    limiter.refused += 1
                    raise refusal(limiter.limit, f"data source '{self._name}'", waited=may_wait)
            limiter.leave()
