"""What goes wrong while the bank is open: sidecars and servers are killed, links are cut, closed, stalled and delayed.

Decides the order of faults, from a seed, and heals what it hurt before the next.
"""

from __future__ import annotations

import random
import threading
from collections import Counter

from tests.chaos.stage import Stage

KILLS = ("sidecar killed", "server killed")
LINK_FAULTS = ("link cut", "link closed", "link stalled", "link delayed")


class Faults:
    """One fault after another until so many kills have been made."""

    def __init__(self, stage: Stage, seed: int, kills: int) -> None:
        self.made: Counter[str] = Counter()
        self._stage = stage
        self._dice = random.Random(f"faults {seed}")
        self._kills = kills
        self._between = threading.Event()

    def run(self) -> None:
        """Hurt and heal; returns when all kills are made."""
        while sum(self.made[kind] for kind in KILLS) < self._kills:
            self._between.wait(self._dice.uniform(0.2, 1.2))
            kind = self._dice.choice(KILLS + LINK_FAULTS)
            self._make(kind)
            self.made[kind] += 1

    def _make(self, kind: str) -> None:
        dice, stage = self._dice, self._stage
        if kind == "sidecar killed":
            stage.kill_mesh(dice.randrange(len(stage.meshes)))
        elif kind == "server killed":
            stage.kill_server(dice.randrange(len(stage.servers)))
        else:
            link = dice.choice(stage.links)
            if kind == "link cut":
                link.cut()
            elif kind == "link closed":
                link.refuse()
            elif kind == "link stalled":
                link.stall()
            else:
                link.delay(dice.uniform(0.005, 0.1))
            self._between.wait(dice.uniform(0.1, 1.5))
            link.restore()
