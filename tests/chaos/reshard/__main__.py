"""`python -m tests.chaos.reshard [--mode MODE] [--engine ENGINE] [--only TEXT] [--every N] [--resume FILE] [--away SECONDS]`: whatever carries
a reshard job out is killed at each of its journalled steps, and the record of it. Ends with 1 on any contradiction."""

from __future__ import annotations

import argparse
import random
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from dbmesh.reshard.jobs.job import Mode
from tests.chaos.reshard import outcomes
from tests.chaos.reshard.engines import ENGINES, open_stage
from tests.chaos.reshard.kills import VICTIMS, Case, Kills
from tests.chaos.reshard.moments import MOMENTS
from tests.chaos.reshard.order import following
from tests.chaos.reshard.outcomes import Outcome
from tests.chaos.reshard.stage import ReshardStage

ROWS = 3_000
LEASE = 3
"""Seconds a registration lasts: a sidecar has to be away for longer."""


class Enumeration:
    """Cases on a stage that is set up anew after each contradiction: what one has spoilt is not told of the next. `found` is where outcomes and
    the logs of contradictions are kept."""

    def __init__(
        self, engine: str, mode: Mode, directory: Path, seed: int, found: Path, away: float | None
    ) -> None:
        self._engine = engine
        self._mode = mode
        self._directory = directory
        self._seed = seed
        self._dice = random.Random(seed)
        self._found = found
        self._away = away
        self._stages = 0

    def run(self, cases: Sequence[Case]) -> list[Outcome]:
        """What became of each; told and kept one after another."""
        left = list(cases)
        done: list[Outcome] = []
        while left:
            with ExitStack() as ending:
                stage, kills = self._stage(ending)
                while left:
                    case = following(left, kills.phase, self._dice)
                    left.remove(case)
                    done.append(self._run(kills, case))
                    outcomes.append(self._found, done[-1])
                    print(outcomes.told(done[-1]), flush=True)
                    if done[-1].wrong:
                        self._keep_logs(stage, case)
                        break
        return done

    def _run(self, kills: Kills, case: Case) -> Outcome:
        try:
            return kills.run(case)
        except Exception as error:
            traceback.print_exc()
            return Outcome(str(case), case.victim, wrong=[f"{type(error).__name__}: {error}"])

    def _stage(self, ending: ExitStack) -> tuple[ReshardStage, Kills]:
        self._stages += 1
        own = self._directory / f"stage{self._stages}"
        stage = ending.enter_context(open_stage(self._engine, own, rows=ROWS, lease=LEASE))
        return stage, Kills(stage, ROWS, self._seed + self._stages, mode=self._mode, away=self._away)

    def _keep_logs(self, stage: ReshardStage, case: Case) -> None:
        name = str(case).replace("/", " ")
        for number, mesh in enumerate(stage.sidecars):
            shutil.copy(mesh.log, self._found.with_name(f"{self._found.name} {name} sidecar{number}.log"))


def main() -> int:
    """Runs what the arguments ask for."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos.reshard", description=__doc__)
    parser.add_argument(
        "--mode", type=Mode, choices=Mode, default=Mode.DOUBLE_WRITE, help="of the job: %(choices)s"
    )
    parser.add_argument(
        "--engine", choices=ENGINES, default="mariadb", help="of the data sources: %(choices)s"
    )
    parser.add_argument("--only", default="", help="cases that have this in their names")
    parser.add_argument("--every", type=int, default=1, help="each Nth of them")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().getrandbits(32))
    parser.add_argument(
        "--resume",
        type=Path,
        help="where outcomes of one mode and engine are kept; cases that are there already are not run again",
    )
    parser.add_argument(
        "--away",
        type=float,
        help="seconds a sidecar or etcd is away; longer than a registration lasts unless said",
    )
    arguments = parser.parse_args()
    if (arguments.mode, arguments.engine) == (Mode.CDC, "postgres"):
        parser.error("PostgreSQL has no binlog that the mode cdc could follow")
    # Whatever was started is ended with it.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    print(f"seed {arguments.seed}", flush=True)
    cases = [Case(moment, victim) for victim in VICTIMS for moment in MOMENTS[arguments.mode]]
    chosen = [case for case in cases if arguments.only in str(case)][:: arguments.every]
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as directory:
        kept = Path(directory, "outcomes") if arguments.resume is None else arguments.resume
        before = outcomes.read(kept)
        names = {one.case for one in before}
        left = [case for case in chosen if str(case) not in names]
        # PostgreSQL's servers are not run by root.
        Path(directory).chmod(0o711)
        enumeration = Enumeration(
            arguments.engine, arguments.mode, Path(directory), arguments.seed, kept, arguments.away
        )
        done = before + enumeration.run(left)
    print(f"| seconds | {time.monotonic() - began:.0f} |")
    for name, value in outcomes.record(done):
        print(f"| {name} | {value} |")
    return 1 if any(one.wrong for one in done) else 0


if __name__ == "__main__":
    sys.exit(main())
