"""When spans are sent, what is tried again, and what is dropped."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from functools import partial
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from dbmesh.admin import span_sender
from dbmesh.admin.span_sender import NotSent, SpanSender, post_to
from dbmesh.admin.spans import Kind, Place, Span, SpanEncoder
from tests.plugins.processes import free_port


def _span(number: int) -> Span:
    return Span(Place(1, number), "SELECT t", Kind.SERVER, 1, 2, ())


class Posts:
    """What is sent: each request is noted, and answered by `answer`. `come` is set whenever there is one."""

    def __init__(self) -> None:
        self.numbers: list[list[int]] = []
        self.come = threading.Semaphore(0)
        self.answer: Callable[[], None] = lambda: None

    def __call__(self, body: bytes) -> None:
        [whole] = ExportTraceServiceRequest.FromString(body).resource_spans
        spans = whole.scope_spans[0].spans
        self.numbers.append([int.from_bytes(one.span_id, "big") for one in spans])
        self.come.release()
        self.answer()


@pytest.fixture
def posts(monkeypatch: pytest.MonkeyPatch) -> Posts:
    monkeypatch.setattr(span_sender, "_EVERY", 0.01)
    monkeypatch.setattr(span_sender, "PAUSES", (0.01, 0.01))
    return Posts()


def _sender(posts: Posts, most: int = 10) -> SpanSender:
    return SpanSender(SpanEncoder((), "dbmesh"), posts, most)


def _refuse(*, again: bool) -> None:
    raise NotSent("HTTP 503", again=again)


def test_spans_are_sent_together_and_what_waits_when_it_ends_too(
    posts: Posts, caplog: pytest.LogCaptureFixture
) -> None:
    sender = _sender(posts)
    sender.put(_span(1))
    assert posts.come.acquire(timeout=10)
    for number in (2, 3):
        sender.put(_span(number))
    sender.close()
    assert [number for batch in posts.numbers for number in batch] == [1, 2, 3]
    assert not caplog.records


def test_a_full_batch_is_sent_at_once(posts: Posts, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(span_sender, "_EVERY", 60.0)
    monkeypatch.setattr(span_sender, "_BATCH", 2)
    sender = _sender(posts)
    for number in (1, 2):
        sender.put(_span(number))
    assert posts.come.acquire(timeout=10)
    assert posts.numbers == [[1, 2]]
    sender.close()


@pytest.mark.parametrize(("again", "times"), [(True, 3), (False, 1)])
def test_what_may_be_taken_later_is_tried_again(
    posts: Posts, caplog: pytest.LogCaptureFixture, again: bool, times: int
) -> None:
    posts.answer = partial(_refuse, again=again)
    sender = _sender(posts)
    sender.put(_span(1))
    for _ in range(times):
        assert posts.come.acquire(timeout=10)
    posts.answer = lambda: None
    sender.put(_span(2))
    assert posts.come.acquire(timeout=10)
    sender.close()
    assert posts.numbers == [[1]] * times + [[2]]
    assert caplog.messages == ["1 spans were dropped: the collector does not take them: HTTP 503"]


def test_what_comes_while_too_many_wait_is_dropped_and_the_log_says_so(
    posts: Posts, caplog: pytest.LogCaptureFixture
) -> None:
    taken = threading.Event()

    def wait() -> None:
        assert taken.wait(10)

    posts.answer = wait
    sender = _sender(posts, most=2)
    sender.put(_span(1))
    assert posts.come.acquire(timeout=10)
    for number in range(2, 6):
        sender.put(_span(number))
    taken.set()
    sender.close()
    assert [number for batch in posts.numbers for number in batch] == [1, 2, 3]
    assert caplog.messages == ["2 spans were dropped: the collector does not take them"]


def test_a_span_that_cannot_be_written_does_not_keep_those_behind_it(
    posts: Posts, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(span_sender, "_BATCH", 1)
    sender = _sender(posts)
    for number in (1 << 64, 2):
        sender.put(_span(number))
    sender.close()
    assert posts.numbers == [[2]]
    assert caplog.messages == ["1 spans cannot be sent"]


def test_the_end_tries_once(posts: Posts, caplog: pytest.LogCaptureFixture) -> None:
    tried = threading.Event()

    def refuse() -> None:
        tried.set()
        raise NotSent("no", again=True, after=3600)

    posts.answer = refuse
    sender = _sender(posts)
    sender.put(_span(1))
    assert tried.wait(10)
    sender.close()
    assert posts.numbers == [[1]]
    assert caplog.messages == ["1 spans were dropped: the collector does not take them: no"]


class _Answering(BaseHTTPRequestHandler):
    status, headers_sent = 200, ()
    seen: list[tuple[str | None, str | None, bytes]]

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        self.seen.append((self.headers["content-type"], self.headers["authorization"], body))
        self.send_response(self.status)
        for name, value in self.headers_sent:
            self.send_header(name, value)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Nobody reads it."""


@pytest.fixture
def server() -> Iterator[tuple[str, type[_Answering]]]:
    handler = type("Handler", (_Answering,), {"seen": []})
    made = HTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=made.serve_forever, args=(0.01,))
    thread.start()
    yield f"http://127.0.0.1:{made.server_address[1]}/v1/traces", handler
    made.shutdown()
    made.server_close()
    thread.join()


def test_a_request_is_posted_with_its_headers(server: tuple[str, type[_Answering]]) -> None:
    address, handler = server
    post_to(address, {"authorization": "Bearer x"})(b"body")
    assert handler.seen == [("application/x-protobuf", "Bearer x", b"body")]


@pytest.mark.parametrize(
    ("status", "headers", "again", "after"),
    [
        (503, (("retry-after", "7"),), True, 7.0),
        (429, (("retry-after", "Wed, 21 Oct 2026 07:28:00 GMT"),), True, 0.0),
        (400, (), False, 0.0),
        (307, (("location", "http://elsewhere.invalid/"),), False, 0.0),
    ],
)
def test_what_a_collector_refuses(
    server: tuple[str, type[_Answering]],
    status: int,
    headers: tuple[tuple[str, str], ...],
    again: bool,
    after: float,
) -> None:
    address, handler = server
    handler.status, handler.headers_sent = status, headers  # type: ignore[assignment]
    with pytest.raises(NotSent, match=f"HTTP {status}") as refused:
        post_to(address, {})(b"body")
    assert (refused.value.again, refused.value.after) == (again, after)
    assert len(handler.seen) == 1


def test_without_a_collector_there_may_be_one_later() -> None:
    with pytest.raises(NotSent, match="refused") as refused:
        post_to(f"http://127.0.0.1:{free_port()}/", {})(b"body")
    assert refused.value.again
