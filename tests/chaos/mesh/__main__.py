"""`python -m tests.chaos.mesh [--rounds N] [--seed S]`: one thing after another is broken under a mesh that is changed while it runs, and the
record of it. Ends with 1 on any contradiction."""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from tests.chaos.mesh import breakages
from tests.chaos.mesh.breakages import BREAKAGES, Breakage, Judged
from tests.chaos.mesh.ledger import EACH, Client, Ledger, Places
from tests.chaos.mesh.stage import PLACES, SIDECARS, MeshStage, open_mesh_stage
from tests.plugins.processes import wait_until

CLIENTS = 6
"""The first of each sidecar sends no COMMIT."""
RECOVERY_SECONDS = 60.0


def run(
    directory: Path, seed: int, seconds: float, order: Sequence[Breakage]
) -> tuple[list[tuple[str, object]], list[str]]:
    """The record, line by line, and what must not be. Each thing of `order` is broken for at least so many seconds."""
    with open_mesh_stage(directory, CLIENTS * EACH) as stage:
        ledger = Ledger()
        clients = [
            Client(ledger, stage.connect, number % SIDECARS, number, seed, transfers=number >= SIDECARS)
            for number in range(CLIENTS)
        ]
        places = Places(ledger, stage.connect, SIDECARS, PLACES, lambda: stage.moves)
        began = time.monotonic()
        for thread in (*clients, places):
            thread.start()
        judged: list[Judged] = []
        try:
            for moves in (True, False, True):
                if not stage.change_rules(moves=moves):
                    ledger.contradict("rules cannot be changed under load")
            # The last revision is active; every sidecar has to run it, too, before etcd may go.
            wait_until(lambda: not stage.what_is_not_normal(), 20, "the last revision")
            for event in ledger.since(began):
                if event.error:
                    ledger.contradict(f"rules changed under load: {event}")
            for one in order:
                judged += [breakages.run(one, stage, ledger, seconds)]
                print(f"| {one.name} | {_told(judged[-1])} |", flush=True)
        finally:
            for thread in (*clients, places):
                thread.stop()
            for thread in (*clients, places):
                thread.join(60)
        took = time.monotonic() - began
        for client in clients:
            client.settle()
        wrong = _at_the_end(stage, clients, ledger)
        lines: list[tuple[str, object]] = [
            ("seconds", round(took)),
            ("statements, every answer checked", len(ledger.events)),
            ("of these failed", sum(bool(event.error) for event in ledger.events)),
            ("revisions accepted", stage.accepted),
            ("revisions refused", stage.refused),
            ("reads of the table that moves", places.reads),
            ("its moves", stage.moves),
            ("contradictions", len(wrong)),
        ]
        errors = Counter(f"{event.error}: {event.text[:90]}" for event in ledger.events if event.error)
        lines += [(f"error {text}", times) for text, times in errors.most_common(12)]
        return lines, wrong


def _at_the_end(stage: MeshStage, clients: Sequence[Client], ledger: Ledger) -> list[str]:
    """What the rows of all data sources contradict, and what the sidecars' logs show."""
    wait_until(lambda: not stage.in_doubt(), RECOVERY_SECONDS, "every branch to be ended", interval=0.5)
    rows = stage.rows()
    expected = {id_: held for client in clients for id_, held in client.known.items()}
    wrong = list(ledger.wrong)
    wrong += [
        f"account {id_} holds {rows.get(id_)}, not {held}"
        for id_, held in expected.items()
        if rows.get(id_) != held
    ]
    wrong += [trouble for mesh in stage.meshes if (trouble := mesh.troubles())]
    return wrong


def _told(one: Judged) -> str:
    errors = ", ".join(f"{times} × {number}" for number, times in sorted(one.errors.items())) or "none"
    return (
        f"noticed after {one.noticed:.1f} s, normal {one.normal:.1f} s after mending; "
        f"{one.statements} statements, errors: {errors}"
    )


def main() -> int:
    """Runs what the arguments ask for."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos.mesh", description=__doc__)
    parser.add_argument("--rounds", type=int, default=3, help="how often everything is broken")
    parser.add_argument("--seconds", type=float, default=8.0, help="for how long at least")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().getrandbits(32))
    parser.add_argument("--only", default="", help="what has this in its name")
    arguments = parser.parse_args()
    print(f"seed {arguments.seed}", flush=True)
    dice = random.Random(arguments.seed)
    chosen = [one for one in BREAKAGES if arguments.only in one.name]
    order = [one for _ in range(arguments.rounds) for one in dice.sample(chosen, len(chosen))]
    with tempfile.TemporaryDirectory() as directory:
        lines, wrong = run(Path(directory), arguments.seed, arguments.seconds, order)
    for name, value in lines:
        print(f"| {name} | {value} |")
    for one in wrong:
        print(one)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
