"""The temporary tables of one session: which names it sees beside, or instead of, those every session sees.

Decides the catalog this session's statements are planned with, and how their columns are read. The tables themselves live on a
connection that the session keeps; how it keeps it is `session.connections`' business.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from dbmesh.backend.connection import Connection, Product
from dbmesh.backend.mysql import MySQLConnection
from dbmesh.backend.state import SessionState
from dbmesh.engine.catalog import read_temporary
from dbmesh.engine.collect import collect
from dbmesh.errors import ShardError
from dbmesh.model import Catalog, DataNode, TableSchema
from dbmesh.planner.cache import PlanCache
from dbmesh.planner.federation.definition import TableDefinition
from dbmesh.planner.planner import Planner
from dbmesh.session.answering.corrections import DefinitionCache
from dbmesh.session.mesh import Database

_UNKNOWN_VARIABLE, _NOT_ALLOWED = 1193, 1227

_PLANS = 64
"""Plans kept for a session with temporary tables; they die with the next one it creates or drops."""


@dataclass(frozen=True, slots=True)
class _Table:
    """Where it is; its columns, and the definition a twin of it is made from, as far as they are known."""

    node: DataNode
    schema: TableSchema | None = None
    definition: TableDefinition | None = None


class TemporaryTables:
    """Temporary tables by logic database and lower-case name."""

    def __init__(self) -> None:
        self._tables: dict[str, dict[str, _Table]] = {}
        self._seen: dict[str, tuple[Database, Database]] = {}

    def seen_from(self, database: Database) -> Database:
        """The database as this session sees it. O(1) while neither it nor the session's tables change."""
        key = database.name.lower()
        tables = self._tables.get(key)
        if not tables:
            return database
        known = self._seen.get(key)
        if known is None or known[0] is not database:
            known = self._seen[key] = (database, _with_tables(database, tables))
        return known[1]

    def add(self, database: Database, node: DataNode) -> None:
        """A table was created."""
        self._tables.setdefault(database.name.lower(), {})[node.table.lower()] = _Table(node)
        self._seen.clear()

    def remove(self, database: Database, tables: Iterable[str]) -> None:
        """Tables of these names, if there are any, were dropped."""
        known = self._tables.get(database.name.lower(), {})
        for table in tables:
            known.pop(table.lower(), None)
        self._seen.clear()

    def on(self, database: Database, data_source: str) -> list[str]:
        """The tables there are on this data source."""
        known = self._tables.get(database.name.lower(), {})
        return [table.node.table for table in known.values() if table.node.data_source == data_source]

    def forget(self, database: Database, data_source: str) -> None:
        """The connection to this data source was lost, and the tables with it."""
        self.remove(database, self.on(database, data_source))

    async def read(
        self, database: Database, data_source: str, connection: Connection, named: frozenset[str] | None
    ) -> None:
        """Read what those of the tables on this data source are like that are `named` (None: all), on the connection they
        live on. Raises ShardError or MeshError."""
        names = self.on(database, data_source)
        if named is not None:
            lowered = {name.lower() for name in named}
            names = [name for name in names if name.lower() in lowered]
        if not names or not isinstance(connection, MySQLConnection):
            return
        await connection.bring_to(_reading(connection.state))
        known = self._tables[database.name.lower()]
        for name in names:
            schema, definition = await read_temporary(connection, name)
            known[name.lower()] = _Table(known[name.lower()].node, schema, definition)
        self._seen.clear()

    def definition(self, database: Database, node: DataNode) -> TableDefinition | None:
        """The definition of the table at a node; None where that is none of the session's."""
        table = self._tables.get(database.name.lower(), {}).get(node.table.lower())
        return None if table is None or table.node != node else table.definition


def _reading(state: SessionState) -> SessionState:
    """A state that SHOW answers alike in, whatever the session's is; a connection gets there without a reset."""
    state = state.with_names("utf8mb4")
    for name, value in (("sql_mode", "''"), ("sql_quote_show_create", "1")):
        state = state.with_variable(name, value)
    return state


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


def _with_tables(database: Database, tables: dict[str, _Table]) -> Database:
    """A temporary table hides what has its name."""
    found = database.catalog
    known = {name: table.schema for name, table in tables.items() if table.schema is not None}
    catalog = Catalog(
        {name: schema for name, schema in found.tables.items() if name not in tables} | known,
        {**found.single_nodes, **{name: table.node for name, table in tables.items()}},
        {name: view for name, view in found.views.items() if name not in tables},
        {name: view for name, view in found.single_views.items() if name not in tables},
    )
    planner = database.plans.planner
    temporary = frozenset((database.name.lower(), name) for name in tables)
    settings = replace(planner.settings, temporary=temporary)
    own = Planner(database.rule_set, catalog, planner.databases, settings)
    return replace(database, catalog=catalog, plans=PlanCache(own, _PLANS), definitions=DefinitionCache())
