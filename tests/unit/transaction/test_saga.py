"""Every order of events of a BASE transaction's end: answers, lost connections, a coordinator that dies between any two steps, and
others that recover meanwhile and die too. No write may be undone while another stays, and what the client is told is true.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

import pytest

from dbmesh.transaction import saga
from dbmesh.transaction.two_phase import End, Ending, Machine, Reply, Step

NOTHING, COMMITTED, ROLLED_BACK = "nothing", "committed", "rolled back"
WRITTEN, UNDONE, KEPT = "written", "undone", "kept"

PLACES = ("a", "b")
Replies = tuple[tuple[str, Reply], ...]


@dataclass(frozen=True)
class Actor:
    """Somebody who runs a machine: the replies of the rounds so far, and those of this one. `deletes`: it has forgotten everything
    and deletes the decision next."""

    kind: str
    history: tuple[Replies, ...] = ()
    replies: Replies = ()
    deletes: bool = False


@dataclass(frozen=True)
class World:
    row: str
    writes: tuple[str, ...]
    actors: tuple[Actor, ...]
    started: int = 0

    def write(self, place: str) -> str:
        return self.writes[PLACES.index(place)]

    def with_write(self, place: str, state: str) -> World:
        at = PLACES.index(place)
        return replace(self, writes=(*self.writes[:at], state, *self.writes[at + 1 :]))

    def with_actor(self, old: Actor, new: Actor | None) -> World:
        others = [actor for actor in self.actors if actor is not old]
        return replace(self, actors=tuple(sorted([*others, *([new] if new else [])], key=str)))


def _machine(kind: str) -> Machine:
    if kind == "commit":
        return saga.commit("a", PLACES)
    return saga.roll_back(PLACES) if kind == "roll back" else saga.recover("a", PLACES)


def _at(actor: Actor) -> tuple[Mapping[str, Step], Ending | None]:
    machine = _machine(actor.kind)
    try:
        round_ = next(machine)
        for replies in actor.history:
            round_ = machine.send(dict(replies))
    except StopIteration as stop:
        return {}, stop.value
    return round_, None


def _effect(world: World, place: str, step: Step) -> tuple[World, Reply]:
    """What a server makes of a step."""
    if step is Step.DECIDE:
        if world.row == NOTHING:
            return replace(world, row=COMMITTED), Reply.DONE
        return world, Reply.REFUSED
    if step is Step.SETTLE:
        if world.row == NOTHING:
            return replace(world, row=ROLLED_BACK), Reply.ROLLED_BACK
        return world, Reply.COMMITTED if world.row == COMMITTED else Reply.ROLLED_BACK
    wanted = UNDONE if step is Step.COMPENSATE else KEPT
    return (world.with_write(place, wanted) if world.write(place) == WRITTEN else world), Reply.DONE


def _answered(world: World, actor: Actor, place: str, reply: Reply) -> World:
    round_, _ = _at(actor)
    replies = tuple(sorted([*actor.replies, (place, reply)], key=str))
    if len(replies) < len(round_):
        return world.with_actor(actor, replace(actor, replies=replies))
    return world.with_actor(actor, replace(actor, history=(*actor.history, replies), replies=()))


def _following(world: World, most: int) -> Iterator[World]:
    if world.started < most:
        yield replace(world, started=world.started + 1).with_actor(Actor(""), Actor("recover"))
    for actor in world.actors:
        yield world.with_actor(actor, None)
        round_, ending = _at(actor)
        for place, step in round_.items():
            if place in dict(actor.replies):
                continue
            after, reply = _effect(world, place, step)
            yield _answered(after, actor, place, reply)
            yield _answered(after, actor, place, Reply.LOST)
            yield _answered(world, actor, place, Reply.LOST)
        # Others delete decisions too, but only old ones: long after whoever committed has asked for the last time.
        deletes = actor.kind == "commit" and ending is not None and ending.end is End.COMMITTED
        if deletes and not actor.deletes:
            forgotten = world
            for place in PLACES:
                forgotten, _ = _effect(forgotten, place, Step.FORGET)
            yield forgotten.with_actor(actor, replace(actor, deletes=True))
        elif actor.deletes and world.row == COMMITTED:
            yield replace(world, row=NOTHING).with_actor(actor, None)


def _worlds(kind: str, recoveries: int) -> Iterator[World]:
    first = World(NOTHING, (WRITTEN, WRITTEN), (Actor(kind),))
    seen, waiting = {first}, [first]
    while waiting:
        world = waiting.pop()
        yield world
        for after in _following(world, recoveries):
            if after not in seen:
                seen.add(after)
                waiting.append(after)


@pytest.mark.parametrize("kind", ["commit", "roll back"])
def test_whatever_happens_all_writes_stay_or_none(kind: str) -> None:
    count = 0
    for world in _worlds(kind, 2):
        count += 1
        assert not {UNDONE, KEPT} <= set(world.writes), world
        assert not (world.row == COMMITTED and UNDONE in world.writes), world
        for actor in world.actors:
            _, ending = _at(actor)
            if ending is None or actor.kind == "recover":
                # Who comes after everything is forgotten finds nothing to undo, and tells no client.
                continue
            if ending.end is End.COMMITTED:
                assert UNDONE not in world.writes, world
            if ending.end is End.ROLLED_BACK:
                left = {place for place in PLACES if world.write(place) != UNDONE}
                assert left <= set(ending.pending), world
                assert KEPT not in world.writes, world
    assert count > 200


@pytest.mark.parametrize("kind", ["commit", "roll back"])
def test_whoever_recovers_undisturbed_leaves_nothing_open(kind: str) -> None:
    for world in _worlds(kind, 1):
        alone = replace(world, actors=(Actor("recover"),))
        while True:
            (actor,) = alone.actors
            round_, ending = _at(actor)
            if ending is not None:
                break
            place, step = next((p, s) for p, s in round_.items() if p not in dict(actor.replies))
            after, reply = _effect(alone, place, step)
            alone = _answered(after, actor, place, reply)
        assert len(set(alone.writes)) == 1, world
        assert WRITTEN not in alone.writes, world
        assert not ending.pending
