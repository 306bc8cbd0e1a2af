"""A fixture with a link that fails on demand, for tests that need one between any two programs."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from tests.plugins.network import FaultyLink

LinkFactory = Callable[[str, int], FaultyLink]


@pytest.fixture
def faulty_link() -> Iterator[LinkFactory]:
    """Makes links to servers by host and port; they end with the test."""
    links: list[FaultyLink] = []

    def make(host: str, port: int) -> FaultyLink:
        link = FaultyLink(host, port).start()
        links.append(link)
        return link

    yield make
    for link in links:
        link.stop()
