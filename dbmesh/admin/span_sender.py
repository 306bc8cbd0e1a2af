"""Sends spans to a collector by OTLP over HTTP, in a thread of its own.

Decides when they are sent, what is tried again, and what is dropped: what comes while too many wait, and what the collector does not
take. Whoever gives a span never waits. Source: the OTLP specification, "OTLP/HTTP".
"""

from __future__ import annotations

import logging
import ssl
import threading
from collections import deque
from collections.abc import Callable, Mapping
from http.client import HTTPException
from time import monotonic
from typing import Final
from urllib.error import HTTPError, URLError
from urllib.request import HTTPRedirectHandler, HTTPSHandler, Request, build_opener

from dbmesh.admin.spans import Span, SpanEncoder

_log = logging.getLogger(__name__)

_BATCH: Final = 512
_EVERY: Final = 1.0
"""Seconds that a span waits at most for others to go with it."""
_ANSWER_WITHIN: Final = 3.0
"""Seconds for one answer of the collector."""
PAUSES: Final = (1.0, 2.0, 4.0)
"""Seconds before a batch is sent once more. Then it is dropped."""
_LONGEST_PAUSE: Final = 30.0
_COMPLAIN_EVERY: Final = 60.0
"""Seconds between two lines of the log about spans that were dropped."""
_BUSY: Final = frozenset((429, 502, 503, 504))
"""What a collector answers that may take the same later."""

Post = Callable[[bytes], None]
"""Sends a request of OTLP. Blocks. Raises NotSent."""


class NotSent(Exception):
    """The collector has not taken a request. `again`: it may later, after so many seconds where it tells `after`."""

    def __init__(self, reason: str, *, again: bool, after: float = 0.0) -> None:
        super().__init__(reason)
        self.again = again
        self.after = after


class SpanSender:
    """Takes spans, `most` of which may wait."""

    def __init__(self, encoder: SpanEncoder, post: Post, most: int) -> None:
        self._encoder = encoder
        self._post = post
        self._most = most
        self._batch = min(_BATCH, most)
        # One thread appends, another one takes: a deque needs no lock for that, and each has a counter of its own.
        self._waiting: deque[Span] = deque()
        self._refused = self._lost = self._told = 0
        self._reason = ""
        self._complained = -_COMPLAIN_EVERY
        self._wake = threading.Event()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="spans", daemon=True)
        self._thread.start()

    def put(self, span: Span) -> None:
        """Send this soon, or drop it. Never waits."""
        waiting = self._waiting
        if len(waiting) >= self._most:
            self._refused += 1
            return
        waiting.append(span)
        if len(waiting) >= self._batch and not self._wake.is_set():
            self._wake.set()

    def close(self) -> None:
        """Send what waits, without trying again. Blocks no longer than two answers of the collector may take."""
        self._stopping.set()
        self._wake.set()
        self._thread.join(2 * _ANSWER_WITHIN)

    def _run(self) -> None:
        while not self._stopping.is_set():
            self._wake.wait(_EVERY)
            self._wake.clear()
            self._send_waiting()
            if monotonic() - self._complained >= _COMPLAIN_EVERY:
                self._complain()
        self._send_waiting()
        self._complain()

    def _send_waiting(self) -> None:
        """What waits now, not what comes meanwhile: that goes with others."""
        count = len(self._waiting)
        while count:
            batch = [self._waiting.popleft() for _ in range(min(count, self._batch))]
            count -= len(batch)
            try:
                self._send(self._encoder.request(batch))
            except NotSent as error:
                self._reason = str(error)
                self._lost += len(batch)
                if self._stopping.is_set():
                    self._lost += count
                    return
            except Exception:
                # Nobody else would send what comes after.
                _log.exception("%d spans cannot be sent", len(batch))

    def _send(self, request: bytes) -> None:
        for pause in PAUSES:
            try:
                self._post(request)
                return
            except NotSent as error:
                if not error.again or self._stopping.wait(min(error.after or pause, _LONGEST_PAUSE)):
                    raise
        self._post(request)

    def _complain(self) -> None:
        dropped = self._refused + self._lost - self._told
        if dropped:
            self._told += dropped
            self._complained = monotonic()
            reason = f": {self._reason}" if self._reason else ""
            _log.warning("%d spans were dropped: the collector does not take them%s", dropped, reason)
            self._reason = ""


class _NoRedirects(HTTPRedirectHandler):
    """What is sent is for the collector that was named, and so are its secrets."""

    def redirect_request(self, *arguments: object) -> None:
        """See `HTTPRedirectHandler`: None makes an error of it."""


def post_to(endpoint: str, headers: Mapping[str, str]) -> Post:
    """What sends to this address, with these headers."""
    opener = build_opener(_NoRedirects, HTTPSHandler(context=ssl.create_default_context()))
    whole = {**headers, "content-type": "application/x-protobuf"}

    def post(body: bytes) -> None:
        request = Request(endpoint, body, whole, method="POST")
        try:
            with opener.open(request, timeout=_ANSWER_WITHIN):
                return
        except HTTPError as error:
            error.close()
            after = error.headers.get("retry-after", "")
            raise NotSent(
                f"HTTP {error.code}",
                again=error.code in _BUSY,
                after=float(after) if after.isdecimal() else 0.0,
            ) from error
        except URLError as error:
            raise NotSent(str(error.reason), again=True) from error
        except (OSError, HTTPException) as error:
            raise NotSent(str(error) or type(error).__name__, again=True) from error

    return post
