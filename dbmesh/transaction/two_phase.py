"""The state table of the last-agent two-phase commit, and of what undoes the death of its coordinator.

Decides in which order branches end, and what may be said of the whole after every answer. A machine is a generator: it
yields rounds (what each branch does next, all at once), is sent the answers and returns how the transaction ended. It knows
no SQL, no connections and no time, so that tests can stop it before and after each step.

The first data source of a transaction, its *decider*, has a plain transaction, the others have XA branches. While
these are prepared, the decider's transaction records the decision in a row; **its commit is the decision**, and all
prepared branches follow. Whoever finds a prepared branch without its coordinator tries to record the opposite under
the same key: either it waits for the coordinator's row and finds it committed, or its own row is there first, and the
coordinator's cannot be recorded any more. (Last-agent optimisation: Gray and Reuter, "Transaction Processing", 10.2.)
"""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum


class Step(Enum):
    """What a branch does in a round."""

    PREPARE = "prepare"
    """XA END, XA PREPARE: the branch can be committed whatever happens."""
    RECORD = "record"
    """The decider's transaction gets the row of the decision."""
    COMMIT = "commit"
    """Commit in one phase."""
    ROLL_BACK = "roll back"
    """Undo what is not prepared."""
    COMMIT_PREPARED = "commit prepared"
    ROLL_BACK_PREPARED = "roll back prepared"
    SETTLE = "settle"
    """On another connection to the decider: record that the transaction is rolled back unless it is decided already, and
    tell which."""
    DECIDE = "decide"
    """On another connection to the decider: record that the transaction is committed unless it is decided already."""
    COMPENSATE = "compensate"
    """Undo what is committed there, last write first (`saga`)."""
    FORGET = "forget"
    """Delete what would be needed to undo it."""


class Reply(Enum):
    """What became of a step."""

    DONE = "done"
    REFUSED = "refused"
    """The server answered with an error: of a PREPARE nothing or its first half is in effect, of a COMMIT all or nothing."""
    LOST = "lost"
    """The connection is gone, before or after the step took effect."""
    COMMITTED = "committed"
    ROLLED_BACK = "rolled back"
    """The two answers of SETTLE."""


class End(Enum):
    """How a transaction ended."""

    COMMITTED = "committed"
    ROLLED_BACK = "rolled back"
    UNKNOWN = "unknown"
    """The decider cannot be asked; whoever reaches it next settles it."""


@dataclass(frozen=True, slots=True)
class Member:
    """A branch. `wrote`: it changed something."""

    name: str
    wrote: bool


@dataclass(frozen=True, slots=True)
class Ending:
    """How it ended, and which branches could not be told yet: they stay prepared until somebody reaches them. `told`
    tells that a decision was recorded, whose row is of no use once every branch has followed."""

    end: End
    pending: tuple[str, ...] = ()
    told: bool = False


Round = Mapping[str, Step]
Machine = Generator[Round, Mapping[str, Reply], Ending]


def commit(members: Sequence[Member]) -> Machine:
    """Commit a transaction of these branches; the first is the decider, the others that wrote can be prepared.

    Branches that only read end last: locks they hold guard what the others write."""
    writers = [member.name for member in members if member.wrote]
    readers = dict.fromkeys((member.name for member in members if not member.wrote), Step.COMMIT)
    if len(writers) < 2:
        return (yield from _commit_one(writers, readers))
    decider = members[0].name
    readers.pop(decider, None)
    prepared = [name for name in writers if name != decider]
    replies = yield dict.fromkeys(prepared, Step.PREPARE) | {decider: Step.RECORD}
    if any(reply is not Reply.DONE for reply in replies.values()):
        return (yield from _roll_back(replies, decider, readers))
    reply = (yield {decider: Step.COMMIT})[decider]
    if reply is not Reply.DONE:
        # An error of COMMIT, too, may have come after it took effect: the row knows.
        reply = (yield {decider: Step.SETTLE})[decider]
        if reply is Reply.ROLLED_BACK:
            followed = yield dict.fromkeys(prepared, Step.ROLL_BACK_PREPARED) | readers
            return Ending(End.ROLLED_BACK, _left(followed, prepared))
        if reply is not Reply.COMMITTED:
            yield readers
            return Ending(End.UNKNOWN, tuple(prepared))
    followed = yield dict.fromkeys(prepared, Step.COMMIT_PREPARED) | readers
    return Ending(End.COMMITTED, _left(followed, prepared), told=True)


def _commit_one(writers: Sequence[str], readers: Round) -> Machine:
    """At most one branch wrote: it commits in one phase, and what the others answer loses nothing."""
    reply = Reply.DONE
    for name in writers:
        reply = (yield {name: Step.COMMIT})[name]
    if readers:
        yield readers
    return Ending(_ONE_PHASE[reply])


_ONE_PHASE = {Reply.DONE: End.COMMITTED, Reply.REFUSED: End.ROLLED_BACK, Reply.LOST: End.UNKNOWN}


def _roll_back(replies: Mapping[str, Reply], decider: str, readers: Round) -> Machine:
    """Undo after the first round. A branch whose answer was lost may be prepared: without a decision it can only be
    rolled back, by whoever finds it."""
    steps = dict(readers)
    for name, reply in replies.items():
        if reply is not Reply.LOST:
            prepared = name != decider and reply is Reply.DONE
            steps[name] = Step.ROLL_BACK_PREPARED if prepared else Step.ROLL_BACK
    lost = tuple(name for name, reply in replies.items() if reply is Reply.LOST and name != decider)
    followed = yield steps
    left = _left(followed, [name for name, step in steps.items() if step is Step.ROLL_BACK_PREPARED])
    return Ending(End.ROLLED_BACK, lost + left)


def _left(replies: Mapping[str, Reply], prepared: Sequence[str]) -> tuple[str, ...]:
    """Those of the prepared branches that could not be told."""
    return tuple(name for name in prepared if replies[name] is not Reply.DONE)


def recover(decider: str, branch: str) -> Machine:
    """A branch was found prepared and nobody seems to see to it: ask its decider, then do as it says. Safe while the
    coordinator lives, and while others do the same."""
    reply = (yield {decider: Step.SETTLE})[decider]
    if reply is Reply.COMMITTED:
        followed = yield {branch: Step.COMMIT_PREPARED}
        return Ending(End.COMMITTED, _left(followed, [branch]))
    if reply is Reply.ROLLED_BACK:
        followed = yield {branch: Step.ROLL_BACK_PREPARED}
        return Ending(End.ROLLED_BACK, _left(followed, [branch]))
    return Ending(End.UNKNOWN, (branch,))
