"""Faults that somebody makes while the mesh runs, kept in the store for every process until their time is over.

Decides how one lies there, under a lease that ends with it, and how a process learns of it. What it does, `faults` decides.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime

from dbmesh.governance import layout
from dbmesh.governance.following import follow
from dbmesh.governance.store import Snapshot, Store, Write
from dbmesh.rules.mistakes import ConfigurationError
from dbmesh.rules.protection.build import build_fault
from dbmesh.rules.protection.values import Fault

_log = logging.getLogger(__name__)


async def add_fault(
    store: Store, name: str, section: Mapping[str, object], until: float, now: float
) -> Fault:
    """A fault, in the keys of the configuration's `faults` without `until`, is made on every process from now until then, in seconds
    since 1970. One of this name is replaced. Raises ConfigurationError and StoreError."""
    moment = datetime.fromtimestamp(until, UTC).isoformat()
    whole = {**section, "until": moment}
    fault = build_fault(name, whole)
    lease = await store.grant(max(1.0, until - now))
    await store.commit([Write(layout.fault(name), json.dumps(whole).encode(), lease=lease)])
    return fault


async def remove_fault(store: Store, name: str) -> None:
    """A fault ends now. Raises StoreError."""
    await store.commit([Write(layout.fault(name), None)])


async def read_faults(store: Store) -> list[Fault]:
    """Those under way, by their names. Raises StoreError."""
    return _faults(await store.range(layout.faults_prefix()))


async def follow_faults(store: Store, take_over: Callable[[Sequence[Fault]], None]) -> None:
    """Tell every change until the store is closed; see `following.follow`."""

    async def look() -> None:
        take_over(await read_faults(store))

    await follow(store, layout.faults_prefix(), look, "faults made on purpose")


def _faults(snapshot: Snapshot) -> list[Fault]:
    start = len(layout.faults_prefix())
    found: list[Fault] = []
    for entry in snapshot.entries:
        name = entry.key[start:]
        try:
            found.append(build_fault(name, json.loads(entry.value)))
        except (ConfigurationError, ValueError) as error:
            # A newer version may know more.
            _log.warning("fault '%s' is not understood here: %s", name, error)
    return found
