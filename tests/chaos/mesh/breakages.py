"""What is broken, how it is mended, what the mesh must notice meanwhile and how soon, and whom it may hurt.

Decides what a breakage is, as a table; how one is run and judged. Everybody else must not see an error.
"""

from __future__ import annotations

import random
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from tests.chaos.mesh.ledger import Event, Ledger
from tests.chaos.mesh.stage import BREAKER_CALLS, LEASE_SECONDS, SIDECARS, STATEMENT_SECONDS, MeshStage
from tests.plugins.processes import wait_until

NORMAL_SECONDS = 40.0
"""Everything is normal again after so many at the latest: a replica that is out comes back after two seconds and more, a breaker is
open for two at most, a lost lease is noticed after five."""

CALM_SECONDS = 1.0
"""So long nobody may see an error then."""

HELD = 1053
"""The error of who may not know which rules hold."""


@dataclass(frozen=True)
class Breakage:
    """One line of the table. `hurts` says of a failed statement whether it may have failed, `noticed` whether the mesh has seen to what is
    broken: within `notice` seconds of breaking it. `changes`: rules are changed all the time."""

    name: str
    hurt: Callable[[MeshStage], object]
    mend: Callable[[MeshStage], object]
    hurts: Callable[[Event], bool]
    noticed: Callable[[MeshStage], bool]
    notice: float
    changes: bool = False


@dataclass
class Judged:
    """How one went, in seconds: until it was noticed, and from mending until everything was normal."""

    name: str
    noticed: float
    normal: float
    statements: int
    errors: Counter[int] = field(default_factory=Counter)


def _nobody(event: Event) -> bool:
    del event
    return False


def _of_sidecar(number: int) -> Callable[[Event], bool]:
    return lambda event: event.sidecar == number


def _of_source(number: int) -> Callable[[Event], bool]:
    return lambda event: number in event.sources


def _opened(stage: MeshStage, sidecar: int, source: str) -> bool:
    return stage.breaker(sidecar, source) in ("open", "half-open")


def _breakers_open(source: str) -> Callable[[MeshStage], bool]:
    return lambda stage: all(_opened(stage, number, source) for number in range(SIDECARS))


def _alive(count: int) -> Callable[[MeshStage], bool]:
    return lambda stage: len(stage.instances()) == count


def _replica_out(stage: MeshStage) -> bool:
    return all(stage.replica(number) != "in use" for number in range(SIDECARS))


def _start_etcd(stage: MeshStage) -> None:
    stage.member.start([stage.member])
    stage.member.wait_ready()


_LEASE = LEASE_SECONDS + 5.0

BREAKAGES = (
    Breakage(
        "etcd killed",
        lambda stage: stage.member.kill(),
        _start_etcd,
        _nobody,
        _alive(0),
        8.0,
    ),
    Breakage(
        "a sidecar cut off from etcd",
        lambda stage: stage.store_links[0].stall(),
        lambda stage: stage.store_links[0].restore(),
        _nobody,
        _alive(SIDECARS - 1),
        _LEASE,
    ),
    Breakage(
        "a sidecar killed",
        lambda stage: stage.meshes[1].kill(),
        lambda stage: stage.meshes[1].start(),
        _of_sidecar(1),
        _alive(SIDECARS - 1),
        _LEASE,
    ),
    Breakage(
        "the replica killed",
        lambda stage: stage.servers[-1].kill(),
        lambda stage: stage.start_server(-1),
        # A read that is under way when its server dies.
        _of_source(3),
        _replica_out,
        5.0,
    ),
    Breakage(
        "a data source killed",
        lambda stage: stage.servers[1].kill(),
        lambda stage: stage.start_server(1),
        _of_source(1),
        _breakers_open("ds_1"),
        5.0,
    ),
    Breakage(
        "a data source cut off, silently",
        lambda stage: [link.stall() for link in stage.links_to(2)],
        lambda stage: [link.restore() for link in stage.links_to(2)],
        _of_source(2),
        _breakers_open("ds_2"),
        BREAKER_CALLS * (STATEMENT_SECONDS + 2.0),
    ),
    Breakage(
        "a data source cut off, loudly",
        lambda stage: [link.refuse() for link in stage.links_to(0)],
        lambda stage: [link.restore() for link in stage.links_to(0)],
        _of_source(0),
        _breakers_open("ds_0"),
        5.0,
    ),
    Breakage(
        "one sidecar cut off from one data source",
        lambda stage: stage.links[2][1].stall(),
        lambda stage: stage.links[2][1].restore(),
        lambda event: event.sidecar == 2 and 1 in event.sources,
        lambda stage: [_opened(stage, number, "ds_1") for number in range(SIDECARS)] == [False, False, True],
        BREAKER_CALLS * (STATEMENT_SECONDS + 2.0),
    ),
    Breakage(
        "a sidecar paused while rows move",
        lambda stage: stage.pause_mesh(2),
        lambda stage: stage.resume_mesh(2),
        lambda event: event.sidecar == 2 or event.error == HELD,
        _alive(SIDECARS - 1),
        _LEASE,
        changes=True,
    ),
    Breakage(
        "a sidecar cut off from etcd while rows move",
        lambda stage: stage.store_links[1].stall(),
        lambda stage: stage.store_links[1].restore(),
        lambda event: event.sidecar == 1 or event.error == HELD,
        _alive(SIDECARS - 1),
        _LEASE,
        changes=True,
    ),
    Breakage(
        "etcd killed while rows move",
        lambda stage: stage.member.kill(),
        _start_etcd,
        lambda event: event.error == HELD or "rows are being moved" in event.text,
        _alive(0),
        8.0,
        changes=True,
    ),
)


def run(one: Breakage, stage: MeshStage, ledger: Ledger, seconds: float) -> Judged:
    """Break it for at least so long, mend it, wait until all is normal, and judge. Raises TimeoutError for what was not noticed or did
    not become normal in time; errors that nobody should have seen are contradictions of the ledger."""
    ending = threading.Event()
    changing = threading.Thread(target=_change_rules, args=(stage, ending))
    began = time.monotonic()
    if one.changes:
        changing.start()
    try:
        one.hurt(stage)
        try:
            broken = time.monotonic()
            wait_until(lambda: one.noticed(stage), one.notice, f"{one.name}: noticed", interval=0.1)
            noticed = time.monotonic() - broken
            ending.wait(max(0.0, seconds - noticed))
        finally:
            one.mend(stage)
        mended = time.monotonic()
    finally:
        ending.set()
        if one.changes:
            changing.join(60)
    _wait_until_normal(one, stage)
    calm = time.monotonic()
    threading.Event().wait(CALM_SECONDS)
    events = ledger.since(began)
    failed = [event for event in events if event.error]
    for event in failed:
        # A statement that began before everything was normal may end behind it.
        if not one.hurts(event) or event.at - event.seconds > calm:
            ledger.contradict(f"{one.name}: {event} (normal since {calm:.1f})")
    return Judged(one.name, noticed, calm - mended, len(events), Counter(event.error for event in failed))


def _wait_until_normal(one: Breakage, stage: MeshStage) -> None:
    problem = ""

    def normal() -> bool:
        nonlocal problem
        problem = stage.what_is_not_normal()
        return not problem

    try:
        wait_until(normal, NORMAL_SECONDS, f"{one.name}: normal", interval=0.1)
    except TimeoutError as error:
        raise TimeoutError(f"{error}: {problem}") from error


def _change_rules(stage: MeshStage, ending: threading.Event) -> None:
    """Move a table, let another come or go, and so on."""
    dice = random.Random(stage.moves)
    while not ending.is_set():
        stage.change_rules(moves=dice.random() < 0.6)
        ending.wait(0.2)
