"""DDL statements that have begun: what they would do where, kept in the store until every node has done it.

Decides the form of a record and how it moves: begun → stopped half-way → done (gone), each from what it was before: of several that
would finish a statement one does. Runs no statement.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass, replace

from dbmesh.governance import counters, declared_keys, layout, made_rules
from dbmesh.governance.store import ABSENT, MOST_CHANGES, Conflict, Entry, Guard, Store, Write
from dbmesh.planner.plan import Shot
from dbmesh.rules.ruleset import NO_CHANGE, MadeTable, RuleChange


@dataclass(frozen=True, slots=True)
class NodeWork:
    """The part of one data node: its SQL, and whether it is known to be done."""

    data_source: str
    sql: str
    done: bool = False


@dataclass(frozen=True, slots=True)
class DdlRecord:
    """One statement. `begun` is seconds since 1970, `revision` the store's by which it is known."""

    id: str
    database: str
    text: str
    begun: float
    nodes: tuple[NodeWork, ...]
    change: RuleChange
    revision: int = ABSENT

    @property
    def creates(self) -> bool:
        """Whether its rules are stored from its beginning: a table that is being made is a table already, while a
        renamed one keeps its old rule until every node has the new name."""
        return bool(self.change.made) and not self.change.gone


def make_record(
    id_: str, database: str, text: str, begun: float, shots: Sequence[Shot], change: RuleChange
) -> DdlRecord:
    """The record of a statement about to begin."""
    nodes = tuple(NodeWork(shot.data_source, shot.sql.decode("utf-8", "surrogateescape")) for shot in shots)
    return DdlRecord(id_, database, text, begun, nodes, change)


async def begin(store: Store, record: DdlRecord) -> DdlRecord:
    """Keep a record, and the rules of the tables it creates. Raises Conflict when one of these has a rule, or when rules change and a
    revision of them is being rolled out: what sidecars have prepared must not be outdated when it becomes active."""
    writes = [_write(record)]
    if record.creates:
        writes += made_rules.writes_of(record.database, record.change.made)
    guards = [] if record.change == NO_CHANGE else [Guard(layout.rollout(), ABSENT)]
    return replace(record, revision=await store.commit(writes, guards))


async def stop(store: Store, record: DdlRecord, done: Collection[NodeWork]) -> DdlRecord:
    """Remember which nodes are done. Raises Conflict when somebody else has gone on with it."""
    nodes = tuple(replace(node, done=node.done or replace(node, done=False) in done) for node in record.nodes)
    changed = replace(record, nodes=nodes)
    return replace(changed, revision=await store.commit([_write(changed)]))


async def undo(store: Store, record: DdlRecord) -> None:
    """Forget a statement that did nothing anywhere. Raises Conflict when somebody else has gone on with it."""
    writes = [Write(layout.ddl(record.id), None, record.revision)]
    if record.creates:
        writes += made_rules.removals_of(record.database, [table.name for table in record.change.made])
    await store.commit(writes)


async def finish(store: Store, record: DdlRecord, holder: str | None) -> None:
    """Every node is done: the rules change and the record goes, all at once; of tables that are numbered anew `holder` gives away none
    of its former numbers any more (see `counters`). What is more than a commit takes changes part by part, the record last. Raises Conflict when
    somebody else has gone on with it."""
    change, database = record.change, record.database
    writes: list[Write] = []
    # A rule that changes under its table's name is written over.
    changed = {table.name for table in change.made} & set(change.gone)
    writes += made_rules.removals_of(database, [table for table in change.gone if table not in changed])
    # What a half-done CREATE TABLE left is gone with its table: finishing it would make the table again.
    gone = {table.lower() for table in change.gone}
    for other in await read_all(store) if gone else ():
        made = {table.name.lower() for table in other.change.made}
        if other.id != record.id and other.creates and other.database == database and made <= gone:
            writes.append(Write(layout.ddl(other.id), None))
    if not record.creates:
        writes += made_rules.writes_of(database, change.made, known=changed)
    writes += declared_keys.writes_of(database, change.declared)

    async def set_back() -> list[Write]:
        return [await counters.set_back(store, database, *table, holder) for table in change.numbering]

    counted = await set_back()
    while True:
        try:
            await _finish(store, record, [*writes, *counted])
        except Conflict:
            before, counted = counted, await set_back()
            if counted == before:
                raise
            continue
        return


async def _finish(store: Store, record: DdlRecord, writes: Sequence[Write]) -> None:
    """The record goes with the last of these, all of which may be made again. Raises Conflict."""
    most = MOST_CHANGES - 1
    first = (len(writes) - 1) // most * most if writes else 0
    for start in range(0, first, most):
        await store.commit(writes[start : start + most], [Guard(layout.ddl(record.id), record.revision)])
    await store.commit([Write(layout.ddl(record.id), None, record.revision), *writes[first:]])


async def read_all(store: Store) -> tuple[DdlRecord, ...]:
    """Every record, oldest first."""
    snapshot = await store.range(layout.ddl_prefix())
    return tuple(sorted(map(_decode, snapshot.entries), key=lambda record: record.begun))


def _write(record: DdlRecord) -> Write:
    value = asdict(replace(record, change=RuleChange()))
    del value["revision"]
    change = record.change
    value["change"] = {
        "made": [{"name": table.name, "rule": dict(table.section)} for table in change.made],
        "gone": list(change.gone),
        "numbering": [list(entry) for entry in change.numbering],
        "declared": [asdict(table) for table in change.declared],
    }
    return Write(layout.ddl(record.id), json.dumps(value).encode(), record.revision)


def _decode(entry: Entry) -> DdlRecord:
    read = json.loads(entry.value)
    change = read["change"]
    return DdlRecord(
        read["id"],
        read["database"],
        read["text"],
        read["begun"],
        tuple(NodeWork(**node) for node in read["nodes"]),
        RuleChange(
            tuple(MadeTable(table["name"], table["rule"]) for table in change["made"]),
            tuple(change["gone"]),
            tuple((table, start) for table, start in change["numbering"]),
            tuple(declared_keys.decoded(table) for table in change.get("declared", ())),
        ),
        entry.revision,
    )
