"""A raw connection to the target, logged in."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from tests.plugins.fix_mesh import Target
from tests.plugins.raw_client import BASIC, Ok, RawClient

Connect = Callable[..., RawClient]


@pytest.fixture
def connect(target: Target) -> Iterator[Connect]:
    """Makes logged-in raw connections with the given capabilities; they are closed with the test."""
    with ExitStack() as stack:

        def make(capabilities: int = BASIC, **login: object) -> RawClient:
            client = stack.enter_context(RawClient(target.host, target.port, capabilities))
            settings = {
                "user": target.user,
                "password": target.password,
                "database": target.database,
                **login,
            }
            reply = client.log_in(**settings)  # type: ignore[arg-type]
            assert isinstance(reply, Ok), reply
            return client

        yield make


@pytest.fixture
def raw(connect: Connect) -> RawClient:
    """One connection with basic capabilities."""
    return connect()
