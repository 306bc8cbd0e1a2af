"""Every order of events of a two-phase commit: answers, lost connections, a coordinator that dies between any two steps,
and others that recover meanwhile, die too, and begin again. The world below is what XA and one locked row promise.

No state may have a branch committed and another rolled back, what the client is told stays true, and once nobody is left
but one who recovers, nothing stays in doubt.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple, TypeVar

import pytest

from dbmesh.transaction.two_phase import End, Ending, Machine, Member, Reply, Step, commit, recover

ACTIVE, PREPARED, COMMITTED, UNDONE = "active", "prepared", "committed", "undone"
NO_ROW, ROW_PENDING, ROW_COMMITTED, ROW_ABORTED = "no row", "pending", "committed row", "aborted row"

T = TypeVar("T")
Pairs = tuple[tuple[str, str], ...]
Replies = tuple[tuple[tuple[str, Reply], ...], ...]


class Recovery(NamedTuple):
    """Somebody who found a branch prepared: the replies so far, one for each round."""

    branch: str
    replies: tuple[Reply, ...] = ()


class World(NamedTuple):
    """`linked`: connections the servers still believe in; `cut`: those the coordinator has lost. `sent`: steps on their way
    to a server, of which `done` have taken effect, with the reply on its way back; `orphans`: those nobody waits for."""

    branches: Pairs
    row: str
    linked: frozenset[str]
    cut: frozenset[str] = frozenset()
    alive: bool = True
    history: Replies = ()
    sent: tuple[tuple[str, Step], ...] = ()
    orphans: tuple[tuple[str, Step], ...] = ()
    done: tuple[tuple[str, Reply], ...] = ()
    replies: tuple[tuple[str, Reply], ...] = ()
    recoveries: frozenset[Recovery] = frozenset()

    def branch(self, name: str) -> str:
        return dict(self.branches)[name]

    def with_branch(self, name: str, state: str) -> World:
        return self._replace(branches=tuple(sorted({**dict(self.branches), name: state}.items())))


def _advance(machine: Machine, history: Replies) -> tuple[Mapping[str, Step], Ending | None]:
    """Where a machine stands after these replies: its next round, or its ending."""
    try:
        round_ = next(machine)
        for replies in history:
            round_ = machine.send(dict(replies))
        while not round_:
            round_ = machine.send({})
    except StopIteration as stop:
        return {}, stop.value
    return round_, None


def _sorted(*pairs: tuple[str, T]) -> tuple[tuple[str, T], ...]:
    """In one order: worlds that differ in the order of what is on its way are the same."""
    return tuple(sorted(pairs, key=str))


class Model:
    """All worlds that can follow a world."""

    def __init__(self, members: tuple[Member, ...]) -> None:
        self.members = members
        self.decider = members[0].name
        self.wrote = {member.name for member in members if member.wrote}
        self._known: dict[Replies, tuple[Mapping[str, Step], Ending | None]] = {}

    def _at(self, history: Replies) -> tuple[Mapping[str, Step], Ending | None]:
        """Where the coordinator stands after these replies."""
        if history not in self._known:
            self._known[history] = _advance(commit(self.members), history)
        return self._known[history]

    def first(self) -> World:
        names = tuple(member.name for member in self.members)
        world = World(tuple(sorted((name, ACTIVE) for name in names)), NO_ROW, frozenset(names))
        return self._sent(world)

    def ending(self, world: World) -> Ending | None:
        return self._at(world.history)[1]

    def _sent(self, world: World) -> World:
        """The coordinator sends its next round; a connection it has lost answers at once."""
        round_, _ = self._at(world.history)
        world = world._replace(sent=tuple(sorted(round_.items())), done=(), replies=())
        lost = [
            (name, Reply.LOST) for name, step in world.sent if step is not Step.SETTLE and name in world.cut
        ]
        left = tuple((name, step) for name, step in world.sent if (name, Reply.LOST) not in lost)
        return self._collected(world._replace(sent=left, replies=tuple(lost)))

    def _collected(self, world: World) -> World:
        """All answers of the round are there: the machine goes on."""
        round_, ending = self._at(world.history)
        if ending is not None or set(dict(world.replies)) != set(round_):
            return world
        return self._sent(world._replace(history=(*world.history, world.replies)))

    def following(self, world: World) -> Iterator[World]:
        yield from self._servers(world)
        if world.alive:
            yield from self._coordinator(world)
        yield from self._recoveries(world)

    def _servers(self, world: World) -> Iterator[World]:
        for name, step in world.sent:
            if name not in dict(world.done):
                for after, reply in self._effects(world, name, step):
                    yield after._replace(done=_sorted(*after.done, (name, reply)))
        for orphan in world.orphans:
            for after, _ in self._effects(world, *orphan):
                yield after._replace(orphans=tuple(one for one in after.orphans if one != orphan))
        for name in world.cut & world.linked:
            # The server notices that the connection is gone; what it had not run is never run.
            orphans = tuple(one for one in world.orphans if one[0] != name)
            after = world._replace(linked=world.linked - {name}, orphans=orphans)
            yield self._undone(after, name) if world.branch(name) == ACTIVE else after

    def _undone(self, world: World, name: str) -> World:
        row = NO_ROW if name == self.decider and world.row == ROW_PENDING else world.row
        return world.with_branch(name, UNDONE)._replace(row=row)

    def _committed(self, world: World, name: str) -> World:
        row = ROW_COMMITTED if name == self.decider and world.row == ROW_PENDING else world.row
        return world.with_branch(name, COMMITTED)._replace(row=row)

    def _effects(self, world: World, name: str, step: Step) -> Iterator[tuple[World, Reply]]:
        """What a server may make of a step of the coordinator."""
        if step is Step.SETTLE:
            yield from self._settled(world)
        elif step is Step.PREPARE:
            yield world.with_branch(name, PREPARED), Reply.DONE
            yield world, Reply.REFUSED
        elif step is Step.RECORD:
            yield world, Reply.REFUSED
            if world.row == NO_ROW:
                yield world._replace(row=ROW_PENDING), Reply.DONE
        elif step is Step.COMMIT:
            yield self._committed(world, name), Reply.DONE
            yield self._committed(world, name), Reply.REFUSED
            yield self._undone(world, name), Reply.REFUSED
        elif step is Step.ROLL_BACK:
            yield self._undone(world, name), Reply.DONE
        elif step is Step.COMMIT_PREPARED:
            assert world.branch(name) == PREPARED
            yield self._committed(world, name), Reply.DONE
        else:
            assert world.branch(name) == PREPARED
            yield self._undone(world, name), Reply.DONE

    def _settled(self, world: World) -> Iterator[tuple[World, Reply]]:
        """The row of the opposite decision waits while the coordinator's is there and not committed."""
        if world.row == ROW_COMMITTED:
            yield world, Reply.COMMITTED
        elif world.row != ROW_PENDING:
            yield world._replace(row=ROW_ABORTED), Reply.ROLLED_BACK

    def _coordinator(self, world: World) -> Iterator[World]:
        for name, reply in world.done:
            yield self._replied(world, name, reply)
        for name, step in world.sent:
            lost = self._replied(world, name, Reply.LOST)
            if step is Step.SETTLE:
                yield lost
                continue
            orphans = () if name in dict(world.done) else ((name, step),)
            cut = world._replace(cut=world.cut | {name}, orphans=_sorted(*world.orphans, *orphans))
            yield self._replied(cut, name, Reply.LOST)
        orphans = tuple(
            (name, step)
            for name, step in world.sent
            if step is not Step.SETTLE and name not in dict(world.done)
        )
        yield world._replace(
            alive=False, cut=world.linked, sent=(), done=(), orphans=_sorted(*world.orphans, *orphans)
        )

    def _replied(self, world: World, name: str, reply: Reply) -> World:
        after = world._replace(
            sent=tuple(one for one in world.sent if one[0] != name),
            done=tuple(one for one in world.done if one[0] != name),
            replies=_sorted(*world.replies, (name, reply)),
        )
        return self._collected(after)

    def _recoveries(self, world: World) -> Iterator[World]:
        for name, state in world.branches:
            if state == PREPARED and not any(one.branch == name for one in world.recoveries):
                yield world._replace(recoveries=world.recoveries | {Recovery(name)})
        for recovery in world.recoveries:
            others = world.recoveries - {recovery}
            # It dies, or gives up.
            yield world._replace(recoveries=others)
            history = tuple(
                ((self.decider if number == 0 else recovery.branch, reply),)
                for number, reply in enumerate(recovery.replies)
            )
            round_, ending = _advance(recover(self.decider, recovery.branch), history)
            if ending is not None:
                yield world._replace(recoveries=others)
                continue
            for after, reply in self._recovery_effects(world, recovery.branch, round_):
                yield after._replace(
                    recoveries=others | {recovery._replace(replies=(*recovery.replies, reply))},
                )

    def _recovery_effects(
        self, world: World, branch: str, round_: Mapping[str, Step]
    ) -> Iterator[tuple[World, Reply]]:
        if round_ == {self.decider: Step.SETTLE}:
            yield from self._settled(world)
        elif world.branch(branch) != PREPARED or branch in world.linked:
            # XAER_NOTA: it has ended, or belongs to a connection that is there.
            yield world, Reply.REFUSED
        elif round_ == {branch: Step.COMMIT_PREPARED}:
            yield self._committed(world, branch), Reply.DONE
        else:
            yield self._undone(world, branch), Reply.DONE


def _explore(model: Model) -> set[World]:
    seen = {model.first()}
    ahead = list(seen)
    while ahead:
        for following in model.following(ahead.pop()):
            if following not in seen:
                seen.add(following)
                ahead.append(following)
    return seen


def _recovered(model: Model, world: World) -> World:
    """The coordinator is dead, every server knows it, and one process recovers."""
    world = world._replace(alive=False, sent=(), done=(), recoveries=frozenset())
    for name in sorted(world.linked):
        world = next(iter(model._servers(world._replace(cut=frozenset({name}), orphans=()))))
    for name, state in world.branches:
        if state == PREPARED:
            machine = recover(model.decider, name)
            round_ = next(machine)
            with pytest.raises(StopIteration) as stop:  # noqa: PT012
                while True:
                    (world, reply), *_ = model._recovery_effects(world, name, round_)
                    round_ = machine.send({next(iter(round_)): reply})
            assert stop.value.value.pending == ()
    return world


@pytest.mark.parametrize(
    "wrote",
    [(True, True), (False, True), (True, True, True), (True, True, False)],
    ids=str,
)
def test_every_order_of_events_ends_whole(wrote: tuple[bool, ...]) -> None:
    model = Model(tuple(Member(f"b{number}", one) for number, one in enumerate(wrote)))
    worlds = _explore(model)
    recovered: dict[tuple[Pairs, str, frozenset[str]], World] = {}
    ends = set()
    for world in worlds:
        ending = model.ending(world)
        told = None if ending is None else ending.end
        ends.add(told)
        left = (world.branches, world.row, world.linked)
        if left not in recovered:
            recovered[left] = _recovered(model, world)
        for one in (world, recovered[left]):
            states = {state for name, state in one.branches if name in model.wrote}
            assert not {COMMITTED, UNDONE} <= states, one
            assert told is not End.COMMITTED or UNDONE not in states, one
            assert len(model.wrote) < 2 or told is not End.ROLLED_BACK or COMMITTED not in states, one
        assert PREPARED not in {state for _, state in one.branches}
    assert ends == {None, *End}


def test_what_could_not_be_told_is_named() -> None:
    members = (Member("a", True), Member("b", True), Member("c", True))
    done = {"a": Reply.DONE, "b": Reply.DONE, "c": Reply.DONE}
    history: Replies = (tuple(done.items()), (("a", Reply.DONE),), (("b", Reply.LOST), ("c", Reply.DONE)))
    assert _advance(commit(members), history)[1] == Ending(End.COMMITTED, ("b",), told=True)


def test_a_single_writer_commits_in_one_round_and_readers_end_after_it() -> None:
    members = (Member("a", False), Member("b", True))
    assert _advance(commit(members), ())[0] == {"b": Step.COMMIT}
    assert _advance(commit(members), ((("b", Reply.DONE),),))[0] == {"a": Step.COMMIT}
    assert _advance(commit(members[1:]), ((("b", Reply.DONE),),))[1] == Ending(End.COMMITTED)


def test_a_branch_whose_preparation_was_lost_is_named() -> None:
    members = (Member("a", True), Member("b", True))
    history: Replies = ((("a", Reply.DONE), ("b", Reply.LOST)), (("a", Reply.DONE),))
    assert _advance(commit(members), history)[1] == Ending(End.ROLLED_BACK, ("b",))
