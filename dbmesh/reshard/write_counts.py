"""How much writes to both sides of a job's tables cost: each process tells the store what it has written, whoever watches sees the sum.

Decides the form in the store, and what write amplification is: rows written on both sides, for each row that clients have written. What is
counted, `session.doubled_writes` says; a process that has gone leaves what it told last.
"""

from __future__ import annotations

import json
from dataclasses import asdict, fields
from typing import Any

from dbmesh.governance import layout
from dbmesh.governance.store import Store, Write
from dbmesh.session.doubled_writes import DoubledWrites
from dbmesh.session.mesh import Mesh


class WriteCounts:
    """What this process tells."""

    def __init__(self, store: Store, mesh: Mesh) -> None:
        self._store = store
        self._mesh = mesh
        self._told: tuple[int, DoubledWrites] | None = None

    async def tell(self, job: int) -> None:
        """Tell what has changed. Raises StoreError."""
        counts = self._mesh.doubled_writes.get(job)
        if counts is None or self._told == (job, counts):
            return
        values = asdict(counts)
        key = layout.reshard_writes(job, self._mesh.instance.hex())
        await self._store.commit([Write(key, json.dumps(values).encode())])
        self._told = job, DoubledWrites(**values)


async def read_writes(store: Store, job: int) -> dict[str, Any]:
    """What all processes have told, with `amplification`: None before anything was written. Raises StoreError."""
    entries = (await store.range(layout.reshard_writes_prefix(job))).entries
    told = [json.loads(entry.value) for entry in entries]
    found: dict[str, Any] = {one.name: sum(each[one.name] for each in told) for one in fields(DoubledWrites)}
    rows = found["rows"]
    return {**found, "amplification": round((rows + found["other_rows"]) / rows, 3) if rows else None}
