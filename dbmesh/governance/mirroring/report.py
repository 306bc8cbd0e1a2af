"""What mirroring has found: how often answers were alike, by digest, and some that were not.

Decides what is counted, bounded however many different statements there are. Keeps no value of any statement.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from dbmesh.governance.mirroring.answers import Answer
from dbmesh.sql.digest import Digest

MOST_DIGESTS = 1000
"""Different statements counted one by one for each mirror."""

MOST_EXAMPLES = 100
"""Answers that differed and are shown: the last ones."""

OTHER = Digest("other", "")
"""What statements beyond are counted as."""


class Key(NamedTuple):
    """Statements that are counted as one."""

    database: str
    target: str
    digest: str


@dataclass(slots=True)
class Counts:
    """Of the same statements: how many were run twice, how many answers were the same, and what differed how often. `seconds` and
    `mirrored_seconds` are sums."""

    text: str
    compared: int = 0
    same: int = 0
    differing: Counter[str] = field(default_factory=Counter)
    seconds: float = 0.0
    mirrored_seconds: float = 0.0

    @property
    def slower(self) -> float:
        """How many times as long the mirror takes; 0 while nothing is known."""
        return self.mirrored_seconds / self.seconds if self.seconds else 0.0


@dataclass(frozen=True, slots=True)
class Example:
    """Two answers that differ. `at` is in seconds since 1970."""

    key: Key
    text: str
    differs: tuple[str, ...]
    own: str
    mirrored: str
    at: float


@dataclass(slots=True)
class Tally:
    """What became of a mirror's statements beside those compared: `dropped` for want of room, `failed` where they could not be run or took
    too long, `skipped` where they cannot be mirrored. `waiting` are kept and have not been run yet."""

    dropped: int = 0
    failed: int = 0
    skipped: int = 0
    waiting: int = 0


class Report:
    """See the module's docstring."""

    def __init__(self) -> None:
        self.counts: dict[Key, Counts] = {}
        self.examples: deque[Example] = deque(maxlen=MOST_EXAMPLES)
        self.tallies: dict[tuple[str, str], Tally] = {}

    def tally(self, database: str, target: str) -> Tally:
        """Of one mirror."""
        return self.tallies.setdefault((database, target), Tally())

    def compared(
        self,
        key: Key,
        text: str,
        differs: Sequence[str],
        answers: tuple[Answer, Answer],
        seconds: tuple[float, float],
        at: float,
    ) -> None:
        """A statement was run twice: what its `answers` differ in, the client's own first, and how long each took."""
        if key not in self.counts and len(self.counts) >= MOST_DIGESTS:
            key, text = key._replace(digest=OTHER.name), OTHER.text
        counts = self.counts.setdefault(key, Counts(text))
        counts.compared += 1
        counts.seconds += seconds[0]
        counts.mirrored_seconds += seconds[1]
        if not differs:
            counts.same += 1
            return
        counts.differing.update(differs)
        own, mirrored = map(_described, answers)
        self.examples.append(Example(key, text, tuple(differs), own, mirrored, at))


def _described(answer: Answer) -> str:
    if answer.error:
        return f"error {answer.error}"
    if answer.rows is None:
        return f"{answer.affected} affected"
    return f"{answer.rows} rows"
