"""Leak checks: what a test opened must be closed when it ends.

`no_leaks` watches descriptors, threads and asyncio tasks of the test process. Whether the mesh leaks is asked with
`Mesh.descriptors`.
"""

from __future__ import annotations

import asyncio
import gc
import os
import threading
from collections.abc import Iterator

import pytest


def _descriptors() -> set[str]:
    found = set()
    for name in os.listdir("/proc/self/fd"):
        try:
            found.add(f"{name} {os.readlink(f'/proc/self/fd/{name}')}")
        except FileNotFoundError:
            continue
    return found


def _tasks() -> int:
    try:
        return len(asyncio.all_tasks())
    except RuntimeError:
        return 0


@pytest.fixture
def no_leaks() -> Iterator[None]:
    """Fails the test that leaves a descriptor, a thread or a task behind."""
    gc.collect()
    descriptors, threads, tasks = _descriptors(), set(threading.enumerate()), _tasks()
    yield
    gc.collect()
    assert _descriptors() <= descriptors, f"descriptors left open: {sorted(_descriptors() - descriptors)}"
    assert set(threading.enumerate()) <= threads, f"threads left: {set(threading.enumerate()) - threads}"
    assert _tasks() <= tasks, f"{_tasks() - tasks} asyncio tasks left"
