"""A write under autocommit that takes several statements: all of it or nothing of it.

Decides when it is tried again, and what the session has by then. How the work is done it is told, what commits as one `transaction` knows.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from dbmesh.engine.exchange import Outcome
from dbmesh.errors import DEADLOCK, ShardError
from dbmesh.planner.plan import BoundStatement, ReturnedRows
from dbmesh.planner.steps import DerivedWrite
from dbmesh.session.statements.beginning import begin_hinted
from dbmesh.session.statements.compensated import lock_wait
from dbmesh.session.statements.returned import returns

if TYPE_CHECKING:
    from dbmesh.session.session import Session


DEADLOCK_TRIES = 8
"""How often a write is tried that deadlocks undo."""

FIRST_PAUSE = 0.002
"""Seconds until the second try; each further pause is twice as long."""


def repeatable(session: Session, bound: BoundStatement) -> bool:
    """Whether a write that was undone may be run again: the client has been told nothing."""
    answer = bound.answer
    shown = isinstance(answer, ReturnedRows) or (isinstance(answer, DerivedWrite) and bool(answer.returning))
    return not (shown or returns(session, bound))


async def in_own_transaction(
    session: Session, work: Callable[[], Awaitable[Outcome]], *, tries: int = 1
) -> Outcome:
    """A write of several shots under autocommit: all of it or nothing of it, as on one server, as far as one commit per
    data source can promise. What it cannot promise is told by a warning. Several statements take locks that one would not, in an order
    that is not its own: what a deadlock has undone is tried again as it began, unless other rules hold by then, or it has waited for
    others as long as one statement may."""
    pause, deadline = FIRST_PAUSE, session.now() + lock_wait(session)
    variables, insert_id, rules = session.state.user_variables, session.last_insert_id, session.databases
    while True:
        tries -= 1
        begin_hinted(session, "")
        session.transaction.alone = True
        try:
            outcome = await work()
        except BaseException as error:
            session.broken_transaction = None
            await session.end_transaction(commit=False)
            again = tries and session.databases is rules and session.now() < deadline
            if not (again and isinstance(error, ShardError) and error.number == DEADLOCK[0]):
                raise
        else:
            outcome.warnings += await session.end_transaction(commit=True)
            return outcome
        finally:
            session.transaction.alone = False
        await asyncio.sleep(pause)
        pause *= 2
        # A query of the write's own may have assigned some.
        session.state = replace(session.state, user_variables=variables)
        session.last_insert_id = insert_id
