"""Foreign keys that clients declared and no server has, as they lie in the store.

Decides their form there: one entry per table, as JSON.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from typing import Any

from dbmesh.governance import layout
from dbmesh.governance.store import Store, Write
from dbmesh.rules.ruleset import DeclaredKey, DeclaredKeys


async def read_declared(store: Store, database: str) -> tuple[DeclaredKeys, ...]:
    """Those of one logic database, in the order of their tables' names."""
    snapshot = await store.range(layout.declared_keys_prefix(database))
    return tuple(decoded(json.loads(entry.value)) for entry in snapshot.entries)


def writes_of(database: str, declared: Iterable[DeclaredKeys]) -> list[Write]:
    """Store these; a table that has none any more has no entry."""
    return [
        Write(
            layout.declared_keys(database, one.table), json.dumps(asdict(one)).encode() if one.keys else None
        )
        for one in declared
    ]


def decoded(value: Mapping[str, Any]) -> DeclaredKeys:
    """What `asdict` and JSON have made of them."""
    return DeclaredKeys(
        value["table"],
        tuple(
            DeclaredKey(**{**key, "columns": tuple(key["columns"]), "referenced": tuple(key["referenced"])})
            for key in value["keys"]
        ),
    )
