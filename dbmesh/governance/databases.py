"""Logic databases that CREATE DATABASE made, as they lie in the store, and as rule sets.

Decides that such a database is a schema of its name on every server of the database it was made beside.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from types import MappingProxyType

from dbmesh.governance import layout
from dbmesh.governance.store import ABSENT, MOST_CHANGES, Store, Write
from dbmesh.rules.ruleset import RuleSet


@dataclass(frozen=True, slots=True)
class MadeDatabase:
    """A logic database by its name, and the one of the configuration whose servers it is on."""

    name: str
    beside: str

    def rule_set(self, base: RuleSet) -> RuleSet:
        """Its rules before any table is made. Of data sources on one server the first is used: a schema can be there
        only once."""
        by_server = {
            (config.host, config.port): config for config in reversed(tuple(base.data_sources.values()))
        }
        servers = {config.name: replace(config, database=self.name) for config in by_server.values()}
        sources = {name: servers[name] for name in base.data_sources if name in servers}
        return RuleSet(
            self.name,
            1,
            MappingProxyType(sources),
            MappingProxyType({}),
            single_tables=("*.*",),
            exact_text_keys=base.exact_text_keys,
            auto_shards=base.auto_shards,
            groups=MappingProxyType(
                {name: group.in_schema(self.name) for name, group in base.groups.items() if name in sources}
            ),
        )


async def read_databases(store: Store) -> tuple[MadeDatabase, ...]:
    """Every such database, in the order of their names."""
    snapshot = await store.range(layout.databases_prefix())
    return tuple(MadeDatabase(**json.loads(entry.value)) for entry in snapshot.entries)


async def keep(store: Store, database: MadeDatabase) -> None:
    """Remember a database. Raises Conflict when there is one of that name."""
    value = json.dumps({"name": database.name, "beside": database.beside}).encode()
    await store.commit([Write(layout.database(database.name), value, ABSENT)])


async def forget(store: Store, name: str) -> None:
    """Forget a database and everything stored of it: it is known until all else is forgotten."""
    while True:
        keys = [entry.key for entry in (await store.range(layout.database_prefix(name))).entries]
        some = keys[: MOST_CHANGES - 1]
        if len(some) == len(keys):
            some.append(layout.database(name))
        await store.commit([Write(key, None) for key in some])
        if len(some) > len(keys):
            return
