"""What a process changes itself while it reads the store is not taken for another process's change."""

from __future__ import annotations

from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any, cast

from dbmesh.governance import layout
from dbmesh.governance.follower import follow
from dbmesh.governance.store import Snapshot


class Here:
    """A process with the configured database `app` and the made ones `more` and `old`, which is changing nothing any more."""

    def __init__(self) -> None:
        nothing = SimpleNamespace(made={}, declared={})
        databases = {name: SimpleNamespace(name=name, rule_set=nothing) for name in ("app", "more", "old")}
        self.mesh = SimpleNamespace(
            databases=databases, configuration=SimpleNamespace(databases={"app": databases["app"]})
        )
        self.removed: list[str] = []

    def is_changing(self, name: str) -> bool:
        del name
        return False

    async def remove(self, database: Any) -> None:
        self.removed.append(database.name)


class EmptyStore:
    """While it is read, a statement of the process itself drops `more`."""

    def __init__(self, here: Here) -> None:
        self._here = here

    async def range(self, prefix: str) -> Snapshot:
        if prefix == layout.made_tables_prefix("app"):
            del self._here.mesh.databases["more"]
        return Snapshot(1, ())

    async def watch(self, prefix: str, after: int) -> AsyncIterator[Any]:
        del prefix, after
        return
        yield


async def test_a_database_that_is_gone_meanwhile_is_not_taken_out_again() -> None:
    here = Here()
    await follow(cast("Any", EmptyStore(here)), cast("Any", here))
    assert here.removed == ["old"], "which another process has dropped"
