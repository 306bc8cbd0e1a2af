"""How far `dbmesh encrypt` is with each actual table, kept in the store: who stops goes on from there.

Decides how that lies in the store. Nothing of a row but its primary key is in it.
"""

from __future__ import annotations

import json

from dbmesh.engine.encrypting import Progress
from dbmesh.governance import layout
from dbmesh.governance.store import Store, Write


async def read_progress(store: Store, database: str, verb: str, node: str) -> Progress:
    """Where to begin: at the first row, unless it was left off half-way. Raises StoreError."""
    entry = await store.get(layout.encryption(database, verb, node))
    if entry is None:
        return Progress()
    value = json.loads(entry.value)
    return Progress(tuple(value["after"]), value["rows"], value["changed"])


async def remember_progress(store: Store, database: str, verb: str, node: str, progress: Progress) -> None:
    """What is done of a table; what is done altogether begins anew next time. Raises StoreError."""
    value = None
    if not progress.done and progress.after is not None:
        value = json.dumps(
            {"after": progress.after, "rows": progress.rows, "changed": progress.changed}
        ).encode()
    await store.commit([Write(layout.encryption(database, verb, node), value)])
