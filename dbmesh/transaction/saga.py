"""The state table of BASE transactions: writes are committed at once, and compensated in reverse order if the whole is not to be.

Decides what follows after every answer, and what may be said of the whole. A machine is as in `two_phase`: a generator without SQL,
connections and time, so that tests can stop it before and after each step.

Every write commits together with what undoes it. A row at the *decider*, the data source written first, says that the
transaction is committed; without it, it is not, and whoever finds its writes undoes them (presumed abort). Who takes the
coordinator for dead first records the opposite under the same key: a coordinator that lives after all cannot commit any more.
(Sagas: Garcia-Molina and Salem, 1987.)
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from dbmesh.transaction.two_phase import End, Ending, Machine, Reply, Step


def commit(decider: str, places: Sequence[str]) -> Machine:
    """End a transaction well that has written on these places, the decider among them."""
    reply = (yield {decider: Step.DECIDE})[decider]
    if reply is Reply.DONE:
        return Ending(End.COMMITTED, told=True)
    # It may have taken effect all the same; or somebody took this coordinator for dead.
    return (yield from recover(decider, places))


def roll_back(places: Sequence[str]) -> Machine:
    """Undo what a transaction of one's own has written. Nobody else could commit it, so nothing needs to be recorded: who dies
    here leaves what any other undoes."""
    return (yield from _compensate(places))


def recover(decider: str, places: Sequence[str]) -> Machine:
    """Writes were found whose coordinator is gone, or whose decision is not known. Safe while it lives, and while others do the
    same."""
    reply = (yield {decider: Step.SETTLE})[decider]
    if reply is Reply.COMMITTED:
        followed = yield dict.fromkeys(places, Step.FORGET)
        return Ending(End.COMMITTED, _left(followed), told=True)
    if reply is Reply.ROLLED_BACK:
        return (yield from _compensate(places))
    return Ending(End.UNKNOWN, tuple(places))


def _compensate(places: Sequence[str]) -> Machine:
    """Each place undoes its own writes: rows of one are none of another."""
    if not places:
        return Ending(End.ROLLED_BACK)
    followed = yield dict.fromkeys(places, Step.COMPENSATE)
    return Ending(End.ROLLED_BACK, _left(followed))


def _left(replies: Mapping[str, Reply]) -> tuple[str, ...]:
    return tuple(name for name, reply in replies.items() if reply is not Reply.DONE)
