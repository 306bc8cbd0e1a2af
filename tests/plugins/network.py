"""A network between two programs that does what networks do: it cuts, resets, delays, stalls, and stops half-way.

Decides what happens to bytes on their way. Knows nothing of what they mean. It runs in a thread of its own, so that
blocking tests can use it.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
import threading
from collections.abc import Callable
from typing import TypeVar

_Result = TypeVar("_Result")
_CHUNK = 65536


class _Pair:
    """One client connection and its onward connection."""

    def __init__(self, client: asyncio.StreamWriter, server: asyncio.StreamWriter) -> None:
        self.client = client
        self.server = server

    def reset(self) -> None:
        """Closes both sides with RST instead of FIN."""
        for writer in (self.client, self.server):
            plain = writer.get_extra_info("socket")
            with contextlib.suppress(OSError):
                plain.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            writer.transport.abort()

    def close(self) -> None:
        """Closes both sides in the ordinary way."""
        for writer in (self.client, self.server):
            writer.close()


class FaultyLink:
    """Forwards a port of its own to a server; every method may be called from the test's thread at any time."""

    def __init__(self, host: str, port: int) -> None:
        self.port = 0
        self._onward = (host, port)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="faulty-link", daemon=True)
        self._pairs: set[_Pair] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._listener: asyncio.Server | None = None
        self._flowing = asyncio.Event()
        self._delay = 0.0
        self._answer_budget: int | None = None

    def _call(self, work: Callable[[], _Result]) -> _Result:
        async def run() -> _Result:
            return work()

        return asyncio.run_coroutine_threadsafe(run(), self._loop).result(10)

    def start(self) -> FaultyLink:
        """Starts to listen on a free port."""
        self._thread.start()
        self._flowing.set()
        asyncio.run_coroutine_threadsafe(self._listen(), self._loop).result(10)
        return self

    async def _listen(self) -> None:
        self._listener = await asyncio.start_server(self._serve, "127.0.0.1", self.port, limit=_CHUNK)
        self.port = self._listener.sockets[0].getsockname()[1]

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        try:
            onward_reader, onward = await asyncio.open_connection(*self._onward, limit=_CHUNK)
        except OSError:
            writer.transport.abort()
            return
        pair = _Pair(writer, onward)
        self._pairs.add(pair)
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._pump(reader, onward, pair, answers=False))
                group.create_task(self._pump(onward_reader, writer, pair, answers=True))
        finally:
            pair.close()
            self._pairs.discard(pair)

    async def _pump(
        self, source: asyncio.StreamReader, sink: asyncio.StreamWriter, pair: _Pair, *, answers: bool
    ) -> None:
        with contextlib.suppress(ConnectionError):
            while data := await source.read(_CHUNK):
                await self._flowing.wait()
                if self._delay:
                    await asyncio.sleep(self._delay)
                if answers and self._answer_budget is not None:
                    data = data[: self._answer_budget]
                    self._answer_budget -= len(data)
                sink.write(data)
                await sink.drain()
                if answers and self._answer_budget == 0:
                    pair.reset()
                    return
        # One side has ended: the other learns of it, and both pumps end.
        sink.close()

    @property
    def connections(self) -> int:
        """How many connections are open through the link."""
        return self._call(lambda: len(self._pairs))

    def cut(self) -> None:
        """Resets every open connection; new ones are still accepted."""
        self._call(lambda: [pair.reset() for pair in list(self._pairs)])

    def refuse(self) -> None:
        """Resets every open connection and stops listening: the port is closed until `restore`."""

        def act() -> None:
            assert self._listener is not None
            self._listener.close()
            for pair in list(self._pairs):
                pair.reset()

        self._call(act)

    def restore(self) -> None:
        """Ends every fault; listens again on the same port after `refuse`."""

        def act() -> None:
            self._delay = 0.0
            self._answer_budget = None
            self._flowing.set()

        self._call(act)
        if self._listener is not None and not self._listener.is_serving():
            asyncio.run_coroutine_threadsafe(self._listen(), self._loop).result(10)

    def stall(self) -> None:
        """Forwards nothing more, in either direction, and closes nothing."""
        self._call(self._flowing.clear)

    def delay(self, seconds: float) -> None:
        """Holds every piece of data this long."""

        def act() -> None:
            self._delay = seconds

        self._call(act)

    def break_answers_after(self, count: int) -> None:
        """Lets `count` more bytes of answers through (over all connections), then resets the one that sent them."""

        def act() -> None:
            self._answer_budget = count

        self._call(act)

    def stop(self) -> None:
        """Closes everything and ends the thread."""

        async def act() -> None:
            if self._listener is not None:
                self._listener.close()
            tasks = list(self._tasks)
            for pair in list(self._pairs):
                pair.reset()
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

        if self._thread.is_alive():
            asyncio.run_coroutine_threadsafe(act(), self._loop).result(10)
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join(10)
        self._loop.close()
