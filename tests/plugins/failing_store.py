"""A sidecar in the test's own process, on a real store that can be made to fail at one commit.

Decides how a commit is chosen, and what happens before it fails. Knows nothing of what is stored.
"""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any, cast

import pytest

import dbmesh.app
from dbmesh.cli.configuration import resolve_secret
from dbmesh.cli.loading import load_directory
from dbmesh.governance.opening import open_store
from dbmesh.governance.store import Guard, Store, Write
from dbmesh.rules.ruleset import Configuration

Meanwhile = Callable[[], Awaitable[None]]
Chooses = Callable[[Sequence[Write]], bool]


async def nothing() -> None:
    """Nothing happens meanwhile."""


class FailingStore:
    """Another store, one of whose commits fails: nothing of it is done."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._chooses: Chooses | None = None
        self._error: Exception = AssertionError("nothing is armed")
        self._meanwhile: Meanwhile = nothing

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    @property
    def plain(self) -> Store:
        """The same, which mypy takes for one."""
        return cast("Store", self)

    def arm(self, chooses: Chooses, error: Exception, meanwhile: Meanwhile = nothing) -> None:
        """The first commit that is chosen fails with this error, after what happens `meanwhile`. All that are made are shown to `chooses`."""
        self._chooses, self._error, self._meanwhile = chooses, error, meanwhile

    @property
    def failed(self) -> bool:
        """Whether it has."""
        return self._chooses is None

    async def commit(self, writes: Sequence[Write], guards: Sequence[Guard] = ()) -> int:
        """See `Store`."""
        if self._chooses is not None and self._chooses(writes):
            self._chooses = None
            await self._meanwhile()
            raise self._error
        return await self._store.commit(writes, guards)


Scenario = Callable[[FailingStore, int], Awaitable[None]]
"""Given the store and the port of the sidecar."""


def serve_beside(directory: Path, monkeypatch: pytest.MonkeyPatch, scenario: Scenario) -> None:
    """Serve a configuration with a store while the scenario runs; raises what that raises."""
    made: list[FailingStore] = []

    async def open_failing(
        configuration: Configuration, own: Path, *, remembering: bool = False
    ) -> Store | None:
        store = await open_store(configuration, own, remembering=remembering)
        assert store is not None
        made.append(FailingStore(store))
        return made[-1].plain

    async def ready(host: str, port: int) -> None:
        del host
        await scenario(made[0], port)
        os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr(dbmesh.app, "open_store", open_failing)
    configuration = load_directory(directory)
    asyncio.run(dbmesh.app.serve(configuration, "127.0.0.1", 0, ready, directory, resolve_secret))
