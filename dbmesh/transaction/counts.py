"""How transactions ended, counted for operators.

Decides kinds and ends. Shows nothing.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

from dbmesh.transaction.transaction import Transaction

COMMITTED, ROLLED_BACK, FAILED = "committed", "rolled_back", "failed"
"""How a transaction ended: `failed` when its COMMIT was answered with an error."""


class Ended(NamedTuple):
    """Transactions that are counted as one."""

    kind: str
    end: str


@dataclass(slots=True)
class Spent:
    """How many there were, and the seconds they were open."""

    count: int = 0
    seconds: float = 0.0


@dataclass(slots=True)
class TransactionCounts:
    """All of a process. What was left prepared by others is the coordinator's."""

    ended: dict[Ended, Spent] = field(default_factory=dict)

    def add(self, kind: str, end: str, seconds: float) -> None:
        """One more."""
        spent = self.ended.setdefault(Ended(kind, end), Spent())
        spent.count += 1
        spent.seconds += seconds


def kind_of(transaction: Transaction) -> str:
    """What it takes to end an open transaction: `local` on one data source (or none), `two_phase`, `one_by_one` without a coordinator,
    `compensated` of type BASE, `outer` for what another transaction manager ends."""
    if transaction.outer is not None:
        return "outer"
    if transaction.saga is not None:
        return "compensated"
    if sum(branch.wrote for branch in transaction.branches.values()) < 2:
        return "local"
    return "one_by_one" if transaction.coordinator is None else "two_phase"
