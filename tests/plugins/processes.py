"""Programs the tests start: free ports, waiting with a deadline, and an end that is certain.

Decides how a child process is ended and how long one waits for anything. Knows nothing of what the programs do.
"""

from __future__ import annotations

import contextlib
import os
import random
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

_Result = TypeVar("_Result")
_PORTS = range(10_000, 32_000)
_PORTS_EACH = 5_500


def free_port() -> int:
    """A loopback port nobody listens on right now: none of those the system gives to clients, and any of a range that no
    other process of this run of tests draws from, so that it is still free when the server gets there."""
    first = _PORTS.start + _PORTS_EACH * int(os.environ.get("PYTEST_XDIST_WORKER", "gw0")[2:])
    while True:
        port = random.randrange(first, first + _PORTS_EACH)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


def wait_until(question: Callable[[], _Result], seconds: float, what: str, interval: float = 0.02) -> _Result:
    """Asks until the answer is true and returns it. Raises TimeoutError naming `what` and the last answer."""
    deadline = time.monotonic() + seconds
    while True:
        answer = question()
        if answer:
            return answer
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what}: not within {seconds} s; last answer {answer!r}")
        time.sleep(interval)


def accepts(port: int, host: str = "127.0.0.1") -> bool:
    """Whether somebody accepts TCP connections on the port."""
    with contextlib.suppress(OSError), socket.create_connection((host, port), timeout=1):
        return True
    return False


def end(process: subprocess.Popen[bytes], seconds: float = 10.0) -> int:
    """Ends a child politely, then by force; returns its exit code."""
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(seconds)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(seconds)
    return int(process.returncode)


def _stat(pid: int) -> list[str]:
    """The fields of a process behind its name; none where there is no process."""
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return []


def children(pid: int) -> list[int]:
    """The processes that a process has started, and that are there."""
    present = [int(name) for name in os.listdir("/proc") if name.isdecimal()]
    return [one for one in present if _stat(one)[1:2] == [str(pid)]]


def runs(pid: int) -> bool:
    """Whether a process is there, and not only its exit code."""
    return _stat(pid)[:1] not in ([], ["Z"])


def resident_bytes(pid: int) -> int:
    """Resident memory (VmRSS) of a process, in bytes."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024
    raise ProcessLookupError(pid)


def cpu_seconds(pid: int) -> float:
    """utime + stime of a process so far, in seconds."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@contextlib.contextmanager
def ended(process: subprocess.Popen[bytes]) -> Iterator[subprocess.Popen[bytes]]:
    """A child that is ended when the block is left, whatever happens in it."""
    try:
        yield process
    finally:
        end(process)
