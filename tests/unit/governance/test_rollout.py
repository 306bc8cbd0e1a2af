"""A roll-out ends one way for the whole mesh, whoever dies in between."""

from __future__ import annotations

from dataclasses import dataclass, field

from hypothesis import example, given
from hypothesis import strategies as st

from dbmesh.governance.rollout import (
    MARGIN,
    Acknowledgement,
    Activate,
    Duty,
    Hold,
    Refuse,
    Situation,
    Step,
    Wait,
    duties,
    next_step,
)

LIMIT = 10.0


def _situation(live: str, ready: str = "", failed: str = "", waited: float = 0.0) -> Situation:
    said = [Acknowledgement(one) for one in ready] + [Acknowledgement(one, "no such file") for one in failed]
    return Situation({one: f"host-{one}" for one in live}, said, waited, LIMIT)


def test_the_table() -> None:
    table: list[tuple[Situation, Step]] = [
        (_situation(""), Activate()),
        (_situation("ab"), Wait(("host-a", "host-b"))),
        (_situation("ab", "a"), Wait(("host-b",))),
        (_situation("ab", "ab"), Activate()),
        (_situation("ab", "ab", waited=99), Activate()),
        (_situation("a", "ab"), Activate()),
        (_situation("ab", "a", waited=LIMIT), Refuse("no answer within 10 s from host-b")),
        (_situation("ab", "a", "b"), Refuse("host-b: no such file")),
        (_situation("a", "a", "bc"), Refuse("b: no such file; c: no such file")),
    ]
    for situation, step in table:
        assert next_step(situation) == step, situation


def test_duties_of_one_sidecar() -> None:
    def of(running: int, active: int, rolling: int | None, prepared: set[int], answered: set[int]) -> object:
        return duties(
            running=running,
            active=active,
            rolling=rolling,
            prepared=frozenset(prepared),
            answered=frozenset(answered),
        )

    assert of(0, 0, None, set(), set()) == ()
    assert of(0, 0, 1, set(), set()) == ((Duty.PREPARE, 1),)
    assert of(0, 0, 1, {1}, {1}) == ()
    assert of(0, 1, None, {1}, {1}) == ((Duty.RUN, 1),)
    assert of(1, 1, None, {2}, {1, 2}) == ((Duty.DISCARD, 2),)
    assert of(1, 2, 3, set(), set()) == ((Duty.RUN, 2), (Duty.PREPARE, 3))
    held = frozenset({2})
    for said, expected in ((False, ((Duty.HOLD, 2),)), (True, ())):
        found = duties(running=1, active=1, rolling=2, prepared=held, answered=held, holding=True, held=said)
        assert found == expected


@dataclass
class _Sidecar:
    running: int = 0
    prepared: set[int] = field(default_factory=set)
    answered: set[int] = field(default_factory=set)
    able: bool = True


@dataclass
class _World:
    """The store's truth, and sidecars that look at it whenever they like."""

    active: int = 0
    rolling: int | None = 1
    refused: set[int] = field(default_factory=set)
    sidecars: dict[str, _Sidecar] = field(default_factory=dict)
    said: dict[tuple[int, str], Acknowledgement] = field(default_factory=dict)
    waited: float = 0.0

    def acts(self, name: str) -> None:
        one = self.sidecars.get(name)
        if one is None:
            return
        todo = duties(
            running=one.running,
            active=self.active,
            rolling=self.rolling,
            prepared=frozenset(one.prepared),
            answered=frozenset(one.answered),
        )
        for duty, number in todo:
            if duty is Duty.PREPARE:
                one.answered.add(number)
                self.said[number, name] = Acknowledgement(name, "" if one.able else "it cannot")
                if one.able:
                    one.prepared.add(number)
            elif duty is Duty.RUN:
                one.running = number
                one.prepared.discard(number)
            else:
                one.prepared.discard(number)

    def decides(self) -> None:
        """Whoever looks: an applier, or any sidecar."""
        if self.rolling is None:
            return
        live = {name: name for name in self.sidecars}
        said = [one for (number, _), one in self.said.items() if number == self.rolling]
        step = next_step(Situation(live, said, self.waited, LIMIT))
        if isinstance(step, Activate):
            assert all((self.rolling, name) in self.said for name in self.sidecars)
            assert all(self.rolling in one.prepared for one in self.sidecars.values())
            self.active, self.rolling = self.rolling, None
        elif isinstance(step, Refuse):
            self.refused.add(self.rolling)
            self.rolling = None


_events = st.lists(
    st.tuples(
        st.sampled_from(("acts", "decides", "dies", "joins", "waits", "applies")), st.sampled_from("abcd")
    ),
    max_size=60,
)


@given(_events, st.sets(st.sampled_from("abcd"), max_size=1))
def test_every_order_of_events_ends_in_one_revision(events: list[tuple[str, str]], unable: set[str]) -> None:
    world = _World(sidecars={name: _Sidecar(able=name not in unable) for name in "abc"})
    newest = 1
    for number, (what, letter) in enumerate(events):
        name = next((one for one in world.sidecars if one.startswith(letter)), letter)
        if what == "acts":
            world.acts(name)
        elif what == "decides":
            world.decides()
        elif what == "dies":
            world.sidecars.pop(name, None)
        elif what == "joins":
            # Each process has an id of its own.
            new = _Sidecar(running=world.active, able=letter not in unable)
            world.sidecars[f"{letter}{number}"] = new
        elif what == "waits":
            world.waited += 4
        elif world.rolling is None:
            newest += 1
            world.rolling, world.waited = newest, 0.0
    # From here on nobody dies: the roll-out ends by itself.
    for _ in range(2):
        for name in list(world.sidecars):
            world.acts(name)
        world.decides()
    for name in list(world.sidecars):
        world.acts(name)
    assert world.rolling is None
    assert world.active not in world.refused
    for one in world.sidecars.values():
        assert one.running == world.active
        assert not one.prepared


# ---------------------------------------------------------------------------------- revisions that move rows

TTL = 3.0
"""Seconds the store takes a sidecar for alive."""


@dataclass
class _Node:
    """A sidecar, what it knows, and the network between it and the store."""

    place: str
    now: float
    running: int = 0
    connected: bool = True
    closed: bool = False
    promised: int | None = None
    asked: float = -TTL
    prepared: set[int] = field(default_factory=set)
    held: int | None = None
    # What those who look have seen.
    gone_since: dict[str, float] = field(default_factory=dict)
    phase: tuple[object, float] = ("", 0.0)

    def heard(self, now: float) -> bool:
        """Whether it knows that the store takes it for alive."""
        return now < self.asked + TTL

    def serves(self, now: float) -> bool:
        """Whether a statement that arrives begins."""
        return not self.closed and (self.promised is None or self.heard(now))


@dataclass
class _Moves:
    """As `_World`, for revisions that move rows, with a network that is cut and mended."""

    now: float = 0.0
    active: int = 0
    rolling: int | None = None
    holding: bool = False
    newest: int = 0
    nodes: dict[str, _Node] = field(default_factory=dict)
    leases: dict[str, float] = field(default_factory=dict)
    members: dict[str, str] = field(default_factory=dict)
    answered: set[str] = field(default_factory=set)
    held: set[str] = field(default_factory=set)

    def starts(self, id_: str, place: str) -> None:
        """A process in a place: the one there was is dead. It does not serve before it has registered and looked."""
        self.nodes = {name: one for name, one in self.nodes.items() if one.place != place}
        self.nodes[id_] = _Node(place, self.now, self.active)
        self.registers(id_)
        self.looks(id_)

    def registers(self, id_: str) -> None:
        one = self.nodes[id_]
        one.asked = self.now
        self.leases[id_] = self.now + TTL
        self.members[one.place] = id_

    def live(self) -> dict[str, str]:
        return {id_: id_ for id_, ends in self.leases.items() if ends > self.now}

    def looks(self, id_: str) -> None:
        """What a sidecar does that reaches the store."""
        one = self.nodes.get(id_)
        if one is None or not one.connected:
            return
        self.registers(id_)
        todo = duties(
            running=one.running,
            active=self.active,
            rolling=self.rolling,
            prepared=frozenset(one.prepared),
            answered=frozenset({self.rolling} if self.rolling and id_ in self.answered else ()),
            holding=self.holding,
            held=one.held == self.rolling,
        )
        one.closed = self.holding or (one.running != self.active and self.active not in one.prepared)
        if self.rolling != one.promised:
            one.promised = None
        for duty, number in todo:
            if duty is Duty.PREPARE:
                one.prepared.add(number)
                one.promised = number
                self.answered.add(id_)
            elif duty is Duty.HOLD:
                one.held = number
                self.held.add(id_)
            elif duty is Duty.RUN:
                one.running = number
                one.closed = self.holding
            else:
                one.prepared.discard(number)
        self.decides(one)

    def decides(self, one: _Node) -> None:
        if self.rolling is None:
            return
        live = self.live()
        unheard = {id_: place for place, id_ in self.members.items() if id_ not in live}
        one.gone_since = {id_: one.gone_since.get(id_, self.now) for id_ in unheard}
        if one.phase[0] != (self.rolling, self.holding):
            one.phase = (self.rolling, self.holding), self.now
        step = next_step(
            Situation(
                live,
                [Acknowledgement(id_) for id_ in self.answered],
                self.now - one.phase[1],
                LIMIT,
                moves=True,
                holding=self.holding,
                held=frozenset(self.held),
                unheard=unheard,
                gone={id_: self.now - since for id_, since in one.gone_since.items()},
            )
        )
        if isinstance(step, Hold):
            self.holding = True
        elif isinstance(step, Activate | Refuse):
            if isinstance(step, Activate):
                self.active = self.rolling
            self.rolling, self.holding = None, False
            self.answered.clear()
            self.held.clear()

    def check(self) -> None:
        """Nobody finds rows where another does not look for them."""
        serving = {one.running for one in self.nodes.values() if one.serves(self.now)}
        assert len(serving) <= 1, self


_moves = st.lists(
    st.tuples(
        st.sampled_from(("looks", "cut", "mended", "dies", "starts", "waits", "goes on", "applies")),
        st.sampled_from("abc"),
    ),
    max_size=80,
)


_PREPARED = [("applies", "a"), ("looks", "a"), ("looks", "b"), ("looks", "c")]


@given(_moves)
@example([*_PREPARED[:3], ("cut", "c"), *(_PREPARED[:1] * 3), *([("goes on", "a")] * 9)])
@example([*_PREPARED, ("cut", "c"), *([("goes on", "a")] * 4), ("mended", "c"), ("looks", "c")])
@example([*_PREPARED, ("dies", "c"), *([("goes on", "a")] * 4), ("starts", "c")])
def test_rows_that_move_are_never_looked_for_in_two_places(events: list[tuple[str, str]]) -> None:
    world = _Moves()
    for place in "abc":
        world.starts(place, place)
    for number, (what, place) in enumerate(events):
        there = next((id_ for id_, one in world.nodes.items() if one.place == place), None)
        if what == "starts":
            world.starts(f"{place}{number}", place)
        elif what == "waits":
            world.now += 0.5
        elif what == "goes on":
            # Finer than any of the times above, so that nothing is missed in between.
            for _ in range(4):
                world.now += 0.5
                for id_ in list(world.nodes):
                    world.looks(id_)
                    world.check()
        elif what == "applies":
            if world.rolling is None:
                world.newest += 1
                world.rolling = world.newest
        elif there is None:
            continue
        elif what == "looks":
            world.looks(there)
        elif what == "dies":
            del world.nodes[there]
        else:
            world.nodes[there].connected = what == "mended"
        world.check()
    # Everything is mended: what is rolled out ends, and all run one revision.
    for place in "abc":
        there = next((id_ for id_, one in world.nodes.items() if one.place == place), None)
        if there is None:
            world.starts(f"{place}{place}", place)
        else:
            world.nodes[there].connected = True
    for _ in range(2 * int(LIMIT + TTL + MARGIN)):
        world.now += 0.5
        for id_ in list(world.nodes):
            world.looks(id_)
            world.check()
    assert world.rolling is None
    assert {one.running for one in world.nodes.values()} == {world.active}
    assert all(one.serves(world.now) for one in world.nodes.values())
