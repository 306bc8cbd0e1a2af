"""A roll-out ends one way for the whole mesh, whoever dies in between."""

from __future__ import annotations

from dataclasses import dataclass, field

from hypothesis import given
from hypothesis import strategies as st

from dbmesh.governance.rollout import (
    Acknowledgement,
    Activate,
    Duty,
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
