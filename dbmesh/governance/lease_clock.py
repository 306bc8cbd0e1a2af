"""The clock of leases: one that nobody sets, the same for all processes of a machine.

Decides which of the system's clocks that is. It goes on while a process does not, and while the machine sleeps where the system counts
that (Linux); it begins anew when the machine does.
"""

from __future__ import annotations

import time


def lease_clock() -> float:
    """Seconds since some moment of this machine's life."""
    # What is not every system's is asked for by its name.
    clock: int | None = getattr(time, "CLOCK_BOOTTIME", None)
    return time.monotonic() if clock is None else time.clock_gettime(clock)
