"""`python -m tests.chaos [--kills N] [--seed S] [--type BASE]`: the bank under faults, and its record. Ends with 1 on any contradiction."""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
import time
from pathlib import Path

from tests.chaos.bank import Bank, mistakes
from tests.chaos.faults import KILLS, Faults
from tests.chaos.stage import open_stage
from tests.plugins.processes import wait_until

RECOVERY_SECONDS = 90


def run(
    directory: Path, seed: int, kills: int, kind: str = "XA"
) -> tuple[list[tuple[str, object]], list[str]]:
    """The record, line by line, and what the rows contradict. `kind` is the type of the transactions."""
    with open_stage(directory, kind) as stage:
        # What a BASE transaction has written is seen before it has ended: sums are exact at the end only.
        bank, faults = Bank(stage.connect, seed, sums=kind != "BASE"), Faults(stage, seed, kills)
        began = time.monotonic()
        bank.start()
        try:
            faults.run()
        finally:
            bank.stop()
        took = time.monotonic() - began
        wait_until(lambda: stage.prepared() == 0, RECOVERY_SECONDS, "every branch to be ended", interval=0.5)
        wait_until(
            lambda: stage.undo_rows() == 0, RECOVERY_SECONDS, "every write to be settled", interval=0.5
        )
        record = bank.record
        wrong = mistakes(record, stage.rows("account"), stage.rows("transfer"))
        wrong += [trouble for mesh in stage.meshes if (trouble := mesh.troubles())]
        lines: list[tuple[str, object]] = [
            ("seconds", round(took)),
            *sorted(faults.made.items()),
            ("transfers acknowledged", len(record.acknowledged)),
            ("transfers refused", len(record.refused)),
            ("transfers whose outcome no client was told", len(record.unknown)),
            ("sums under locks, all exact" if not record.wrong_sums else "sums under locks", record.sums),
            ("branches or writes found and ended by recovery", stage.recovered()),
            ("branches in doubt at the end", stage.prepared()),
            ("contradictions", len(wrong)),
        ]
        lines += [(f"error: {text}", times) for text, times in record.errors.most_common(10)]
        return lines, wrong


def main() -> int:
    """Runs what the arguments ask for."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--kills", type=int, default=50, help=f"how many of: {', '.join(KILLS)}")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().getrandbits(32))
    parser.add_argument("--type", choices=("XA", "LOCAL", "BASE"), default="XA", help="of the transactions")
    arguments = parser.parse_args()
    print(f"seed {arguments.seed}", flush=True)
    with tempfile.TemporaryDirectory() as directory:
        lines, wrong = run(Path(directory), arguments.seed, arguments.kills, arguments.type)
    for name, value in lines:
        print(f"| {name} | {value} |")
    for one in wrong:
        print(one)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
