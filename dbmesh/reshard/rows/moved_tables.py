"""The tables of a job as a sidecar that writes to both sides reaches them: their rows, and the pools of their data nodes.

Decides nothing but which pools these are.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from dbmesh.backend.pool import Pool
from dbmesh.errors import INTERNAL, MeshError
from dbmesh.model import DataNode, TableSchema
from dbmesh.reshard.jobs.scope import Scope, TableMove
from dbmesh.reshard.rows.moved_rows import MovedRows, moved_rows
from dbmesh.reshard.rows.reconcile import Reconciler
from dbmesh.rules.moving import Side
from dbmesh.rules.ruleset import BroadcastTable
from dbmesh.session.mesh import Database


@dataclass(frozen=True)
class MovedTable:
    """One logic table while both sides are served. `behind`: the new side is brought up to date by the binlogs of the old one."""

    move: TableMove
    schema: TableSchema
    rows: MovedRows
    sources: Mapping[DataNode, Pool]
    targets: Mapping[DataNode, Pool]
    behind: bool = False

    @cached_property
    def reconciler(self) -> Reconciler:
        """Makes its new side equal to the old one."""
        return Reconciler(self.rows, self.sources, self.target_pools, behind=self.behind)

    @property
    def target_pools(self) -> Mapping[str, Pool]:
        """Those of the data sources of its new side."""
        return {node.data_source: pool for node, pool in self.targets.items()}

    @property
    def copies(self) -> bool:
        """Whether each new data node has all rows."""
        return isinstance(self.move.after, BroadcastTable)


def moved_tables(scope: Scope, database: Database, reads: Side, *, behind: bool) -> list[MovedTable]:
    """All of a job's, of a logic database that serves both sides and `reads` one. Raises MeshError for rows that cannot be moved."""
    other = database.other
    if other is None:
        raise MeshError(INTERNAL, reason=f"one side of '{database.name}' is not served here")
    old, new = (database, other) if reads is Side.BEFORE else (other, database)
    return [_moved(move, old, new, behind=behind) for move in scope.moves]


def servers_of(
    tables: Sequence[MovedTable], databases: Iterable[Database]
) -> tuple[Mapping[str, Pool], Mapping[str, Pool]]:
    """The pools of the data sources of both sides, and those of their replicas, each by name: where the sides call two servers alike,
    that of the new rules is said to be theirs. `databases` are the mesh's."""
    sources: dict[str, Pool] = {}
    for table in tables:
        sources |= {node.data_source: pool for node, pool in table.sources.items()}
    for table in tables:
        for name, pool in table.target_pools.items():
            sources[_name(sources, name, pool)] = pool
    used = frozenset(sources.values())
    replicas: dict[str, Pool] = {}
    for database in databases:
        for side in database.sides:
            for source, group in side.replicas.items():
                if side.pools[source] not in used:
                    continue
                for name, server in group.servers.items():
                    if server is not group.primary:
                        replicas[_name(replicas, name, server.pool)] = server.pool
    return sources, replicas


def _name(taken: Mapping[str, Pool], name: str, pool: Pool) -> str:
    return name if taken.get(name, pool) is pool else f"{name} of the new rules"


def _moved(move: TableMove, old: Database, new: Database, *, behind: bool) -> MovedTable:
    schema, rule = old.catalog.table(move.name), new.rule_set.table(move.name)
    if schema is None or rule is None:
        raise MeshError(INTERNAL, reason=f"both sides of '{move.name}' are not served here")
    rows = moved_rows(schema, move.before, rule, exact_text=new.rule_set.exact_text_keys)
    return MovedTable(
        move,
        schema,
        rows,
        {node: old.pools[node.data_source] for node in move.sources},
        {node: new.pools[node.data_source] for node in rows.nodes},
        behind,
    )
