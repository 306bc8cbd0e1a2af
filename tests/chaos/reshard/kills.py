"""One thing is killed at one journalled step of a reshard job, under clients: what becomes of the job, and of the rows.

Decides how a job is brought to a step, how long what was killed is away, and what is wrong afterwards: every row has to be where it is
read, and on both sides while both are written, as the clients know it; none is lost, doubled or stale.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from dbmesh.governance.store import Store
from dbmesh.reshard.jobs.documents import change_job, read_files_of, read_jobs, read_progress
from dbmesh.reshard.jobs.job import WAITING, Job, Mode, Phase, Wish, resumed, wished
from tests.chaos.reshard.moments import Look, Moment, until
from tests.chaos.reshard.outcomes import Outcome
from tests.chaos.reshard.stage import ReshardStage
from tests.chaos.reshard.writers import MINE, Client, Row, going_on
from tests.plugins.processes import wait_until

CLIENTS = 4
PAUSE = 0.05
"""Seconds that a client rests between two steps."""
RATE = 2_000
"""Rows a second: copying and verifying have a middle."""
PATIENCE = 90.0
"""Seconds in which a job has to come where it ends."""
AFTERWARDS = 40
"""Statements of the clients once it is there."""
FOLLOWED = 15.0
"""Seconds in which binlogs are followed again."""
LOOK = 0.1

_NUMBER = re.compile(r"\d+")

VICTIMS = ("runner", "other", "server 0", "server 1", "etcd")
LONGER_AWAY = 1.5
"""Seconds that a sidecar or etcd is away beyond those for which a registration lasts."""
SERVER_AWAY = 1.0

_WISHES = {
    Phase.CUTOVER: Wish.CUTOVER,
    Phase.ROLLBACK: Wish.ROLLBACK,
    Phase.CLEAN_UP: Wish.FINISH,
    Phase.CANCEL: Wish.CANCEL,
}
_FROM = {
    Phase.CUTOVER: Phase.READY,
    Phase.CANCEL: Phase.READY,
    Phase.ROLLBACK: Phase.REVERSE,
    Phase.CLEAN_UP: Phase.REVERSE,
}
_ENDS = {
    Phase.CUTOVER: Phase.REVERSE,
    Phase.ROLLBACK: Phase.READY,
    Phase.CLEAN_UP: Phase.FINISHED,
    Phase.CANCEL: Phase.CANCELLED,
}
"""Where a phase ends; those that are not named end where both sides are equal."""


@dataclass(frozen=True, slots=True)
class Case:
    """Who is killed, and when."""

    moment: Moment
    victim: str

    def __str__(self) -> str:
        return f"{self.moment}; {self.victim} killed"


class Kills:
    """Cases on one stage, one after another: a job of `mode` goes on from one to the next. `away`: for how many seconds a sidecar or etcd is;
    without it longer than a registration lasts."""

    def __init__(
        self,
        stage: ReshardStage,
        rows: int,
        seed: int,
        *,
        mode: Mode = Mode.DOUBLE_WRITE,
        away: float | None = None,
    ) -> None:
        self._mode = mode
        self._away = stage.lease + LONGER_AWAY if away is None else away
        self._stage = stage
        self._seed = seed
        self._next = 0
        self._old = {id_: (id_ // 2 % 4, 0, f"old {id_}") for id_ in range(1, rows + 1)}
        self._asked: list[str] = []
        # Whose clients can be served all the while: all, but for those of a sidecar that is killed.
        self._killed: int | None = None

    @property
    def phase(self) -> Phase | None:
        """Where the last job is; None before the first one."""
        job = self._job()
        return None if job is None else job.phase

    def run(self, case: Case) -> Outcome:
        """Bring a job there, kill, mend, and look what has become of it."""
        outcome = Outcome(str(case), case.victim)
        self._killed = None
        phase = case.moment.phase
        self._bring(phase)
        self._asked = outcome.asked
        with self._writing(outcome) as clients:
            self._more(clients, 3 * CLIENTS)
            self._kill(case)
            began = time.monotonic()
            number = self._until(_ENDS.get(phase, Phase.READY)).number
            outcome.seconds = time.monotonic() - began
            self._more(clients, AFTERWARDS)
        self._compare(outcome, number, clients)
        if phase is Phase.CLEAN_UP:
            self._stage.turn_round()
        return outcome

    # ---------------------------------------------------------------------------------------- the job

    def _bring(self, phase: Phase) -> None:
        """To where `phase` follows."""
        wanted = _FROM.get(phase)
        job = self._job()
        if job is None or job.ended:
            if wanted is None:
                return
            self._start()
            job = self._until(Phase.READY)
        if wanted is None:
            if job.phase is Phase.REVERSE:
                self._wish(job, Wish.ROLLBACK)
                self._until(Phase.READY)
            self._wish(job, Wish.CANCEL)
            self._until(Phase.CANCELLED)
        elif job.phase is not wanted:
            self._wish(job, Wish.CUTOVER if wanted is Phase.REVERSE else Wish.ROLLBACK)
            self._until(wanted)

    def _job(self) -> Job | None:
        jobs = self._stage.ask(read_jobs)
        return jobs[-1] if jobs else None

    def _wish(self, job: Job, wish: Wish) -> None:
        self._stage.ask(
            lambda store: change_job(store, job.number, lambda one: wished(one, wish, time.time()))
        )

    def _until(self, end: Phase) -> Job:
        """Wait until the job is in a phase; where it has stopped, say that it goes on."""
        job: Job | None = None
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            job = self._job()
            assert job is not None
            if job.phase is end and not job.stopped:
                return job
            if job.stopped:
                self._asked.append(f"{job.phase.value}: {job.stopped}")
                self._go_on(job, end)
            time.sleep(LOOK)
        raise TimeoutError(f"not '{end.value}' within {PATIENCE:g} s: {job}")

    def _go_on(self, job: Job, end: Phase) -> None:
        again = next((wish for phase, wish in _WISHES.items() if _ENDS[phase] is end), None)

        def go_on(one: Job) -> Job:
            if one.phase in WAITING and one.phase is not end and again is not None:
                return wished(one, again, time.time())
            return resumed(one)

        self._stage.ask(lambda store: change_job(store, job.number, go_on))

    # ---------------------------------------------------------------------------------------- killing

    def _kill(self, case: Case) -> None:
        stage = self._stage
        last = self._job()
        number = 1 if last is None else last.number + last.ended
        heal: list[Callable[[], object]] = []

        async def kill(store: Store) -> None:
            async def provoke() -> None:
                if case.moment.phase in _WISHES:
                    wish = _WISHES[case.moment.phase]
                    await change_job(store, number, lambda one: wished(one, wish, time.time()))
                else:
                    # On a thread, which ends by itself where the moment comes first.
                    await asyncio.to_thread(self._start)

            heal.append(self._hit(case.victim, await until(store, number, case.moment, provoke)))

        stage.ask(kill)
        time.sleep(SERVER_AWAY if case.victim.startswith("server") else self._away)
        heal[0]()

    def _start(self) -> None:
        after = str(self._stage.after)
        self._stage.reshard("start", after, "--mode", self._mode.value, "--rate", str(RATE))

    def _hit(self, victim: str, look: Look) -> Callable[[], object]:
        """Kill it; how it is brought back."""
        stage = self._stage
        if victim == "etcd":
            stage.member.kill()
            return stage.start_etcd
        if victim.startswith("server"):
            number = int(victim[-1])
            stage.kill_server(number)
            return lambda: stage.start_server(number)
        # Nobody is it yet when the first job of all begins.
        runner = next(
            (one for one in stage.sidecars if look.runner.endswith(f":{one.port}")), stage.sidecars[0]
        )
        mesh = next(one for one in stage.sidecars if (one is runner) is (victim == "runner"))
        mesh.kill()
        self._killed = stage.sidecars.index(mesh)
        return lambda: mesh.start(60)

    # ---------------------------------------------------------------------------------------- rows

    @contextmanager
    def _writing(self, outcome: Outcome) -> Iterator[list[Client]]:
        """Clients for the block, half of them at each sidecar; then it is known what their rows are."""
        stage, first = self._stage, self._next
        self._next += CLIENTS
        clients = [
            Client(
                number,
                lambda n=number: stage.connect(n % 2),  # type: ignore[misc]
                self._seed,
                pause=PAUSE,
                may_fail=True,
                settled=stage.settled,
            )
            for number in range(first, first + CLIENTS)
        ]
        with going_on(clients):
            yield clients
        failed = Counter[str]()
        for client in clients:
            client.settle()
            outcome.wrong += client.wrong
            outcome.wrong += client.errors
            if client.number % 2 != self._killed:
                failed.update(_NUMBER.sub("#", text) for text in client.failed)
            outcome.statements += len(client.stalls)
            outcome.longest = max([outcome.longest, *(seconds for _, seconds in client.stalls)])
        outcome.failed = dict(failed)

    def _more(self, clients: Sequence[Client], statements: int) -> None:
        """Each client gets some answers more."""
        before = [len(client.stalls) for client in clients]
        wait_until(
            lambda: all(len(one.stalls) >= count + statements // CLIENTS for one, count in zip(clients, before, strict=True)),
            60,
            "clients are answered",
        )  # fmt: skip

    def _unfollowed(self, number: int) -> list[str]:
        """Data sources whose binlogs are not followed, though one may write past the mesh."""
        deadline = time.monotonic() + FOLLOWED
        while True:
            told = self._stage.ask(lambda store: read_progress(store, number)).get("sources", [])
            followed = {one["data_source"] for one in told if not one["problem"]}
            wrong = [
                f"ds_{source} is not followed: {told}"
                for source in range(2)
                if f"ds_{source}" not in followed
            ]
            if not wrong or time.monotonic() > deadline:
                return wrong
            time.sleep(LOOK)

    def _compare(self, outcome: Outcome, number: int, clients: Sequence[Client]) -> None:
        held: dict[int, Row] = dict(self._old)
        for client in clients:
            held |= client.known
        files = self._stage.ask(lambda store: read_files_of(store, number))
        job = self._job()
        assert job is not None
        (table,) = files.tables
        old = [str(node.table) for node in table.sources]
        new = [built_as for _, built_as in table.targets]
        sides = {"old": old, "new": new}
        if job.phase is Phase.CANCELLED:
            sides = {"old": old}
        elif job.phase is Phase.FINISHED:
            sides = {"final": [str(node.table) for node, _ in table.targets]}
        outcome.rows = len(held) * len(sides)
        if job.phase is Phase.READY:
            told = self._stage.ask(lambda store: read_progress(store, number))["tables"]
            outcome.repaired = sum(one.get("repaired", 0) for one in told.values())
            if self._stage.has_binlogs:
                outcome.wrong += self._unfollowed(number)
        wanted = {name for names in sides.values() for name in names}
        outcome.wrong += [
            f"server {server} has tables {sorted(there ^ wanted)} too many or too few"
            for server, tables in enumerate(self._stage.tables())
            if (there := {name for name in tables if name.startswith("item")}) != wanted
        ]
        for side, names in sides.items():
            found = self._stage.rows(sorted(set(names)))
            outcome.wrong += [
                f"the {side} side has {found.get(id_)} of row {id_}, which is {held.get(id_)}"
                for id_ in sorted(found.keys() | held.keys())
                if found.get(id_) != held.get(id_)
            ]
        outcome.wrong += [trouble for mesh in self._stage.sidecars if (trouble := mesh.troubles())]
        connection = self._stage.connect(0)
        try:
            connection.cursor().execute(f"DELETE FROM item WHERE id >= {MINE}")
        finally:
            connection.close()
