"""What somebody has decided about circuit breakers, kept in the store for every process of the mesh.

Decides how a decision lies in the store and how a process learns of it. What it does to a breaker is `breakers`'.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping

from dbmesh.governance import layout
from dbmesh.governance.following import follow
from dbmesh.governance.protection.breaker import FORCED, State
from dbmesh.governance.store import Snapshot, Store, Write

_log = logging.getLogger(__name__)


async def decide(store: Store, name: str, state: State | None) -> None:
    """A breaker (`database.data_source`, or a fingerprint) is in this state from now on, on every process; None: it decides by
    itself again. Raises StoreError, and ValueError for a state that is nobody's to decide."""
    if state is not None and state not in FORCED:
        raise ValueError(f"{state} is not somebody's to decide")
    value = None if state is None else json.dumps({"state": state.value}).encode()
    await store.commit([Write(layout.breaker(name), value)])


async def read_decisions(store: Store) -> dict[str, State]:
    """Every decision by its breaker's name. Raises StoreError."""
    return _decisions(await store.range(layout.breakers_prefix()))


async def follow_decisions(store: Store, take_over: Callable[[Mapping[str, State]], None]) -> None:
    """Tell every change of decisions until the store is closed; see `following.follow`."""

    async def look() -> None:
        take_over(await read_decisions(store))

    await follow(store, layout.breakers_prefix(), look, "decisions about circuit breakers")


def _decisions(snapshot: Snapshot) -> dict[str, State]:
    start = len(layout.breakers_prefix())
    found: dict[str, State] = {}
    for entry in snapshot.entries:
        state = json.loads(entry.value)["state"]
        if state in FORCED:
            found[entry.key[start:]] = State(state)
        else:
            # A newer version may know more.
            _log.warning("circuit breaker %s: a state '%s' is not known here", entry.key[start:], state)
    return found
