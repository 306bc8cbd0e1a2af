"""The temporary tables of one session: which names it sees beside, or instead of, those every session sees.

Decides the catalog this session's statements are planned with. The tables themselves live on a connection that the
session keeps; how it keeps it is `session.connections`' business.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from dbmesh.backend.connection import Connection, Product
from dbmesh.engine.collect import collect
from dbmesh.errors import ShardError
from dbmesh.model import Catalog, DataNode
from dbmesh.planner.cache import PlanCache
from dbmesh.planner.planner import Planner
from dbmesh.session.corrections import DefinitionCache
from dbmesh.session.mesh import Database

_UNKNOWN_VARIABLE, _NOT_ALLOWED = 1193, 1227

_PLANS = 64
"""Plans kept for a session with temporary tables; they die with the next one it creates or drops."""


class TemporaryTables:
    """Temporary tables by logic database and lower-case name."""

    def __init__(self) -> None:
        self._nodes: dict[str, dict[str, DataNode]] = {}
        self._seen: dict[str, tuple[Database, Database]] = {}

    def seen_from(self, database: Database) -> Database:
        """The database as this session sees it. O(1) while neither it nor the session's tables change."""
        key = database.name.lower()
        nodes = self._nodes.get(key)
        if not nodes:
            return database
        known = self._seen.get(key)
        if known is None or known[0] is not database:
            known = self._seen[key] = (database, _with_tables(database, nodes))
        return known[1]

    def add(self, database: Database, node: DataNode) -> None:
        """A table was created."""
        self._nodes.setdefault(database.name.lower(), {})[node.table.lower()] = node
        self._seen.clear()

    def remove(self, database: Database, tables: Iterable[str]) -> None:
        """Tables of these names, if there are any, were dropped."""
        nodes = self._nodes.get(database.name.lower(), {})
        for table in tables:
            nodes.pop(table.lower(), None)
        self._seen.clear()

    def on(self, database: Database, data_source: str) -> bool:
        """Whether there are any on this data source."""
        nodes = self._nodes.get(database.name.lower(), {})
        return any(node.data_source == data_source for node in nodes.values())

    def forget(self, database: Database, data_source: str) -> None:
        """The connection to this data source was lost, and the tables with it."""
        nodes = self._nodes.get(database.name.lower(), {})
        self.remove(database, [name for name, node in nodes.items() if node.data_source == data_source])


async def admit_temporary_tables(connection: Connection) -> None:
    """Before a connection with temporary tables joins a transaction: MySQL 8.0.29 and later let XA branches use them only
    where a prepared branch stays with its session. Where that may not be set (it takes SESSION_VARIABLES_ADMIN) using one
    in a branch is the server's error 4091. Raises MeshError, or ShardError for another refusal."""
    if connection.product is not Product.MYSQL:
        return
    try:
        await collect(connection, b"SET SESSION xa_detach_on_prepare = OFF")
    except ShardError as error:
        if error.number not in (_UNKNOWN_VARIABLE, _NOT_ALLOWED):
            raise


def _with_tables(database: Database, nodes: dict[str, DataNode]) -> Database:
    """A temporary table hides what has its name; its columns are the data source's knowledge alone."""
    catalog = Catalog(
        {name: schema for name, schema in database.catalog.tables.items() if name not in nodes},
        {**database.catalog.single_nodes, **nodes},
        {name: view for name, view in database.catalog.views.items() if name not in nodes},
        {name: view for name, view in database.catalog.single_views.items() if name not in nodes},
    )
    planner = database.plans.planner
    own = Planner(database.rule_set, catalog, planner.databases, planner.settings)
    return replace(database, catalog=catalog, plans=PlanCache(own, _PLANS), definitions=DefinitionCache())
