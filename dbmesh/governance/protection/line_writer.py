"""Writes lines to a file that is rotated by its size, in a thread of its own.

Decides what is dropped: what comes while too many lines wait. The event loop never waits for the disk.
"""

from __future__ import annotations

import contextlib
import logging
import os
import queue
import threading
from collections.abc import Callable
from pathlib import Path

_log = logging.getLogger(__name__)


class LineWriter:
    """Lines are made where they are written: `put` takes what makes one. `files` older files are kept, `file.1` the latest, once
    one has `most_bytes`."""

    def __init__(self, file: Path, most_bytes: int, files: int, waiting: int) -> None:
        self.dropped = 0
        self._file = file
        self._most_bytes = most_bytes
        self._files = files
        self._queue: queue.Queue[Callable[[], str] | None] = queue.Queue(waiting)
        self._thread: threading.Thread | None = None
        self._complained = False

    def put(self, line: Callable[[], str]) -> None:
        """Write this soon, or count it as dropped. Never waits."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name=f"writer of {self._file}", daemon=True)
            self._thread.start()
        try:
            self._queue.put_nowait(line)
        except queue.Full:
            self.dropped += 1

    def close(self) -> None:
        """Write what waits, and end. Blocks until that is done."""
        if self._thread is not None:
            self._queue.put(None)
            self._thread.join()
            self._thread = None
        if self.dropped:
            _log.warning(
                "%d lines for %s were dropped: they could not be written, or not fast enough",
                self.dropped,
                self._file,
            )

    def _run(self) -> None:
        ended = False
        while not ended:
            batch = [self._queue.get()]
            with contextlib.suppress(queue.Empty):
                while len(batch) < 1000:
                    batch.append(self._queue.get_nowait())
            ended = None in batch
            lines = "".join(f"{make()}\n" for make in batch if make is not None)
            try:
                self._write(lines.encode("utf-8", "backslashreplace"))
                self._complained = False
            except OSError as error:
                self.dropped += len(batch) - ended
                if not self._complained:
                    _log.error("%s cannot be written: %s", self._file, error.strerror or error)
                self._complained = True

    def _write(self, lines: bytes) -> None:
        if not lines:
            return
        with self._file.open("ab") as opened:
            opened.write(lines)
            size = opened.tell()
        if size >= self._most_bytes:
            self._rotate()

    def _rotate(self) -> None:
        names = [self._file, *(Path(f"{self._file}.{number}") for number in range(1, self._files + 1))]
        if not self._files:
            self._file.unlink()
        for older, newer in zip(reversed(names), reversed(names[:-1]), strict=False):
            if newer.exists():
                os.replace(newer, older)
