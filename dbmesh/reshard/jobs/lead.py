"""Who carries reshard jobs out: the one sidecar whose name the store has for it, as long as its lease lasts.

Decides that nobody else writes down what became of a job or begins a step of it: who was that one, and does not know yet that it is no more, is
refused by the store. What is carried out, `runner` and `phases` know.
"""

from __future__ import annotations

from dbmesh.governance import layout
from dbmesh.governance.store import ABSENT, Conflict, Guard, LeaseLost, Store, StoreError, Write


class LeadLost(StoreError):
    """This sidecar does not carry jobs out any more."""


async def take_lead(store: Store, sidecar: str, lease: int) -> Guard | None:
    """What holds as long as this sidecar carries jobs out, which is up to it from here on if it is to nobody; None where another one does.
    Raises StoreError."""
    found = await store.get(layout.reshard_runner())
    if found is not None:
        return Guard(found.key, found.revision) if found.value.decode() == sidecar else None
    write = Write(layout.reshard_runner(), sidecar.encode(), ABSENT, lease)
    try:
        return Guard(write.key, await store.commit([write]))
    except (Conflict, LeaseLost):
        return None


async def check_lead(store: Store, lead: Guard) -> None:
    """Raises LeadLost where that does not hold any more, StoreError."""
    found = await store.get(lead.key)
    if found is None or found.revision != lead.expected:
        raise LeadLost("it is carried out by another sidecar, or will be")
