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


class FaultyLink:
    """Forwards a port of its own to a server; every method may be called from the test's thread at any time."""

    def __init__(self, host: str, port: int) -> None:
        self.port = 0
        self._onward = (host, port)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="faulty-link", daemon=True)
        self._pairs: set[_Pair] = set()
        self._tasks: dict[asyncio.Task[None], socket.socket] = {}
        self._listener: socket.socket | None = None
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
        self._listener = socket.create_server(("127.0.0.1", self.port))
        self._listener.setblocking(False)
        self.port = self._listener.getsockname()[1]
        # A reader and a plain accept: asyncio's own way loses a connection that arrives while the port is closed.
        self._loop.add_reader(self._listener, self._accept, self._listener)

    def _accept(self, listener: socket.socket) -> None:
        try:
            connection, _ = listener.accept()
        except OSError:
            return
        connection.setblocking(False)
        # asyncio does not see that it is TCP: small packets would wait for acknowledgements, 40 ms.
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        task = self._loop.create_task(self._serve(connection))
        self._tasks[task] = connection
        task.add_done_callback(self._end)

    def _close_listener(self) -> None:
        if self._listener is not None:
            self._loop.remove_reader(self._listener)
            self._listener.close()
            self._listener = None

    def _end(self, task: asyncio.Task[None]) -> None:
        # A task cancelled before its first step has not run any `finally` of its own.
        self._tasks.pop(task).close()

    async def _serve(self, connection: socket.socket) -> None:
        reader, writer = await asyncio.open_connection(sock=connection, limit=_CHUNK)
        try:
            onward_reader, onward = await asyncio.open_connection(*self._onward, limit=_CHUNK)
            pair = _Pair(writer, onward)
            self._pairs.add(pair)
            try:
                async with asyncio.TaskGroup() as group:
                    group.create_task(self._pump(reader, onward, pair, answers=False))
                    group.create_task(self._pump(onward_reader, writer, pair, answers=True))
            finally:
                onward.transport.abort()
                self._pairs.discard(pair)
        except OSError:
            return  # nobody listens there: the client is reset below
        finally:
            writer.transport.abort()

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

        self._call(self._close_listener)
        self.cut()

    def restore(self) -> None:
        """Ends every fault; listens again on the same port after `refuse`."""

        def act() -> None:
            self._delay = 0.0
            self._answer_budget = None
            self._flowing.set()

        self._call(act)
        if self._listener is None:
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
            self._close_listener()
            tasks = list(self._tasks)
            for pair in list(self._pairs):
                pair.reset()
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            # An aborted transport closes its socket in a later turn of the loop.
            await asyncio.sleep(0.01)

        if self._thread.is_alive():
            asyncio.run_coroutine_threadsafe(act(), self._loop).result(10)
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join(10)
        self._loop.close()
