"""`python -m tests.differential [--statements N] [--seed S] …`: random statements on a mesh and on one server.

Starts servers and mesh of its own. Ends with 1 when anything differed.
"""

from __future__ import annotations

import argparse
import signal
import sys
import tempfile
import time
from functools import partial
from pathlib import Path

from tests.differential.judge import Judge, judge_together
from tests.differential.layouts import LAYOUTS
from tests.differential.run import Mode
from tests.differential.stage import open_stage


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.differential", description=__doc__)
    parser.add_argument("--statements", type=int, default=2000, metavar="N")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--layout", action="append", default=[], choices=[layout.name for layout in LAYOUTS])
    parser.add_argument(
        "--shrink", type=int, default=3, metavar="N", help="mismatches of a sort to shrink, per layout"
    )
    parser.add_argument("--mode", action="append", default=[], choices=[mode.value for mode in Mode])
    return parser.parse_args()


def main() -> int:
    """Runs what the arguments ask for."""
    arguments = _arguments()
    # So that servers and mesh end with the tester.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    with (
        tempfile.TemporaryDirectory() as directory,
        open_stage(Path(directory), arguments.seed, arguments.layout) as stage,
    ):
        modes = [mode for mode in Mode if not arguments.mode or mode.value in arguments.mode]
        judges = [
            Judge(stage, scene, arguments.seed, most_shrunk=arguments.shrink, modes=modes)
            for scene in stage.scenes
        ]
        began = time.monotonic()
        try:
            report = judge_together(judges, arguments.statements, partial(print, flush=True))
        finally:
            for judge in judges:
                judge.close()
        print(report.table(time.monotonic() - began))
        troubles = stage.mesh.troubles()
        if troubles:
            print(f"dbmesh's log shows trouble:\n{troubles}")
    return 0 if report.clean and not troubles else 1


if __name__ == "__main__":
    sys.exit(main())
