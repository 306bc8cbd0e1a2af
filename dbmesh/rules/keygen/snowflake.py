"""SNOWFLAKE: 64-bit keys that grow with time: 41 bits of milliseconds, 10 of worker, 12 of sequence.

Layout and properties are ShardingSphere's (`SnowflakeKeyGenerateAlgorithm`): milliseconds count from 2016-11-01 00:00 UTC
(ShardingSphere takes midnight of its machine's zone), and the first sequence number of a millisecond alternates between
0 and `max-vibration-offset`, so that keys taken one per millisecond are not all even.

Unlike ShardingSphere this never waits. When 4,096 keys of one millisecond are used up, or the clock went back, keys
continue in the next millisecond of the generator's own time: borrowed from the future. That keeps keys unique and growing
within one process, and a statement never stalls. What would be unsafe after a restart is bounded: a generator that is
ahead of the clock by more than `max-tolerate-time-difference-milliseconds` and a second refuses.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from dbmesh.errors import INTERNAL, STORE, MeshError

EPOCH_MS = 1_477_958_400_000
"""2016-11-01 00:00:00 UTC in milliseconds of the Unix epoch."""

WORKERS = 1024
"""Workers there can be at one time."""

_SEQUENCE_MASK = 4095
_BORROWED_MS = 1000


class Worker:
    """The number of a process among those that make keys: two with one number would repeat keys. With a `clock` of monotonic
    seconds it is held for a time only."""

    def __init__(self, number: int = 0, clock: Callable[[], float] | None = None) -> None:
        if not 0 <= number < WORKERS:
            raise ValueError(f"worker-id {number} is not between 0 and {WORKERS - 1}")
        self.number = number
        self._clock = clock
        self._until = -math.inf

    def hold(self, number: int, until: float) -> None:
        """Be this number until the clock shows `until`."""
        self.number = number
        self._until = until

    @property
    def held(self) -> bool:
        """Whether the number is one's own now."""
        return self._clock is None or self._clock() < self._until


class Snowflake:
    """The generator of one worker."""

    def __init__(
        self, now_ms: Callable[[], int], worker: Worker, vibration: int = 1, tolerance_ms: int = 10
    ) -> None:
        if not 0 <= vibration <= _SEQUENCE_MASK:
            raise ValueError(f"max-vibration-offset {vibration} is not between 0 and {_SEQUENCE_MASK}")
        self._now_ms = now_ms
        self._worker = worker
        self._vibration = vibration
        self._tolerance_ms = tolerance_ms
        self._offset = -1
        self._sequence = 0
        self._last_ms = 0

    def next_key(self) -> int:
        """A key greater than every key before. Raises MeshError(INTERNAL) when the clock went back too far, and
        MeshError(STORE) when the worker's number is no longer held."""
        now = self._now_ms()
        if not self._worker.held:
            raise MeshError(
                STORE, reason="the worker number of SNOWFLAKE could not be kept; another may have it by now"
            )
        if now > self._last_ms:
            self._last_ms = now
            self._offset = 0 if self._offset >= self._vibration else self._offset + 1
            self._sequence = self._offset
        else:
            ahead = self._last_ms - now
            if ahead > self._tolerance_ms + _BORROWED_MS:
                raise MeshError(INTERNAL, reason=f"the clock is {ahead} ms behind the last generated key")
            self._sequence = self._sequence + 1 & _SEQUENCE_MASK
            if not self._sequence:
                self._last_ms += 1
        return self._last_ms - EPOCH_MS << 22 | self._worker.number << 12 | self._sequence

    def number(self, given: Sequence[object]) -> list[int | None]:
        """A key for every None of `given`."""
        return [self.next_key() if value is None else None for value in given]
