"""When rows may be copied: not faster than the operator says, and not while replicas lag, binlogs wait to be brought over, or servers are crowded.

Pure: what servers say and what time it is are given. Something that holds copying up lets it go on only when it is clearly over, so that
it does not stop and go at every look.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

LAG_OVER = 0.5
RUNNING_OVER = 0.8
"""The parts of their limits that lag, of replicas and of bringing over, and running threads have to be down to."""

BURST = 0.5
"""Seconds whose rows may be copied at once by who was slower before."""


@dataclass(frozen=True, slots=True)
class Limits:
    """`rate`: rows a second, 0 for no limit; `lag`: seconds a replica may be behind; `backlog`: seconds that what is in a source's binlog may
    wait until it is brought over; `running`: threads a server may be running (Threads_running), those that copy among them. 0 there: it is
    not looked at."""

    rate: float = 0.0
    lag: float = 10.0
    running: int = 100
    backlog: float = 10.0


@dataclass(frozen=True, slots=True)
class Load:
    """What servers say, by name: `lag` in seconds of replicas, `running` threads of data sources; `stalled`: why a replica does not
    follow at all; `backlog`: by how many seconds bringing over is behind the binlog of a data source. `silent` are those that could not be asked, which holds nothing up."""

    lag: Mapping[str, float] = field(default_factory=dict)
    running: Mapping[str, int] = field(default_factory=dict)
    stalled: Mapping[str, str] = field(default_factory=dict)
    silent: frozenset[str] = frozenset()
    backlog: Mapping[str, float] = field(default_factory=dict)


class Throttle:
    """See the module's docstring. Times are seconds of any steady clock. `reason` is why nothing may be copied, '' while it may; `load`
    is what was seen last."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.reason = ""
        self.load = Load()
        self._due: float | None = None

    def change(self, limits: Limits) -> None:
        """Other limits hold from here on; nobody waits for the former rate's sake any more."""
        self.limits = limits
        self._due = None
        self.see(self.load)

    def see(self, load: Load) -> None:
        """How servers are now."""
        self.load = load
        limits = self.limits
        lag = limits.lag * LAG_OVER if self.reason else limits.lag
        backlog = limits.backlog * LAG_OVER if self.reason else limits.backlog
        running = limits.running * RUNNING_OVER if self.reason else limits.running
        reasons = (
            *(f"{name}: {why}" for name, why in sorted(load.stalled.items()) if limits.lag),
            *(
                f"{name} is {one:g} s behind"
                for name, one in sorted(load.lag.items())
                if limits.lag and one > lag
            ),
            *(
                f"the binlog of {name} is brought over {one:g} s late"
                for name, one in sorted(load.backlog.items())
                if limits.backlog and one > backlog
            ),
            *(
                f"{name} runs {one} threads"
                for name, one in sorted(load.running.items())
                if limits.running and one > running
            ),
        )
        self.reason = "; ".join(reasons)

    def copied(self, rows: int, now: float) -> None:
        """So many rows were copied, just now."""
        rate = self.limits.rate
        if not rate:
            return
        began = now - BURST if self._due is None else max(self._due, now - BURST)
        self._due = began + rows / rate

    def pause(self, now: float) -> float:
        """Seconds until more may be copied by the rate; 0 for at once."""
        return 0.0 if self._due is None else max(0.0, self._due - now)
