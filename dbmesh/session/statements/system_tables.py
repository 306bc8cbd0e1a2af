"""Runs a statement over information_schema: reads every data source's own, loads the merged rows, runs the final statement.

Decides which logic databases a session sees and which rows are read where. Each connection is borrowed from the pools of
merge connections while no other is held, so that two such statements never wait for each other.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from dbmesh.backend.connection import Connection, Product
from dbmesh.engine.collect import Result, collect
from dbmesh.engine.exchange import Exchange, Outcome, Sink
from dbmesh.engine.federation import LOAD_STATE, STATEMENT_BYTES, final_state
from dbmesh.engine.lane import Lane
from dbmesh.errors import CATALOG_UNREAD, INTERNAL, MERGE_LIMIT, MeshError, not_supported
from dbmesh.merge.account_rows import Viewer, account_rows
from dbmesh.merge.declared_rows import DECLARED_TABLES, declared_rows
from dbmesh.merge.encrypted_rows import logic_rows
from dbmesh.merge.system_rows import Row, SourceRows, merge_system_rows
from dbmesh.planner.catalog import is_single
from dbmesh.planner.information_schema import same_name
from dbmesh.planner.one_server import INFORMATION_SCHEMA
from dbmesh.planner.plan import BoundStatement, Relay, Shot
from dbmesh.planner.routines import has_one_place
from dbmesh.planner.scans import SystemFederation, SystemScan
from dbmesh.planner.system_tables import SYSTEM_TABLES, SystemNode, system_nodes
from dbmesh.rules.joint import schemas_of
from dbmesh.rules.privileges import Privilege
from dbmesh.session.answering.renaming import exact_collation
from dbmesh.session.authority.account_rights import own_name
from dbmesh.session.authority.visible import visible_rows
from dbmesh.session.mesh import Database
from dbmesh.session.planning import may_reload
from dbmesh.sql.literals import literal_text
from dbmesh.wire.packets import ColumnDefinition

if TYPE_CHECKING:
    from dbmesh.session.session import Session


async def run_system(session: Session, database: Database, bound: BoundStatement, sink: Sink) -> Outcome:
    """Read, load, run the final statement into `sink`. Raises MeshError or ShardError; nothing is left behind."""
    federation = bound.answer
    if not isinstance(federation, SystemFederation):
        raise MeshError(INTERNAL, reason="a statement without system tables was to read some")
    try:
        loads = [(scan, await _rows(session, database, federation, scan)) for scan in federation.scans]
        return await _merged(session, database, federation, loads, sink)
    finally:
        session.announce(None)


# ---------------------------------------------------------------------------------------------- reading


class Reading:
    """One query under way, for KILL; the client gets nothing of it."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def pause(self) -> None:
        """The client reads nothing yet."""

    def resume(self) -> None:
        """See `pause`."""

    def busy_connections(self) -> list[Connection]:
        """The connection, until its answer is complete."""
        return [] if self._connection.usable else [self._connection]

    def interrupt(self) -> None:
        """Nothing follows the one statement."""


async def _rows(
    session: Session, database: Database, federation: SystemFederation, scan: SystemScan
) -> list[Row]:
    """The mesh's rows of one system table."""
    definition = SYSTEM_TABLES[scan.system_table]
    if definition.of_accounts:
        return await _account_rows(session, database, federation, scan)
    columns: tuple[str, ...] = ()
    sources: list[SourceRows] = []
    own: list[Row] = []
    schemas = schemas_of(one.rule_set for one in session.databases.values())
    for known in _databases(session, scan):
        logic = await _seen(session, known)
        nodes = system_nodes(logic.rule_set, logic.catalog)
        one_place = has_one_place(logic.rule_set, logic.catalog)
        for source, config in logic.rule_set.data_sources.items():
            where = _where_anything(scan) if one_place else _where(scan, nodes[source])
            if where is None:
                continue
            if config.kind != "mysql":
                raise not_supported(
                    f"information_schema over {config.kind} data sources ('{logic.name}')",
                    "add WHERE table_schema = '…' for a database on MySQL data sources",
                )
            found = await _read(session, logic, source, scan, where)
            columns = tuple(column.name.decode().upper() for column in found.columns)
            own_nodes = nodes[source]
            if one_place and definition.table:
                at = columns.index(definition.table)
                own_nodes = {**_unknown(logic, source, [row[at] for row in found.rows]), **own_nodes}
            sources.append(SourceRows(logic.name, config.database, own_nodes, found.rows, schemas))
        if columns and scan.system_table in DECLARED_TABLES:
            sources.append(declared_rows(scan.system_table, columns, logic.rule_set, logic.catalog))
    if definition.lists_itself and same_name(INFORMATION_SCHEMA, scan.schema):
        where = f"{definition.schema} = {literal_text(INFORMATION_SCHEMA)}"
        own = (await _read(session, database, federation.merge_node, scan, where)).rows
    if not sources:
        return own
    rows = merge_system_rows(definition, columns, sources)
    encrypted = {
        (one.name.lower(), table.name.lower()): table
        for one in session.databases.values()
        for table in one.rule_set.encrypted.values()
    }
    if encrypted:
        rows = logic_rows(columns, rows, definition.schema, encrypted, exact_collation(session.mesh.product))
    if session.checked is not None:
        rows = visible_rows(session.checked, scan.system_table, definition, columns, rows)
    return own + rows


async def _account_rows(
    session: Session, database: Database, federation: SystemFederation, scan: SystemScan
) -> list[Row]:
    """Rows about the mesh's accounts: a data source tells which columns there are."""
    told = await _read(session, database, federation.merge_node, scan, "FALSE")
    columns = [column.name.decode().upper() for column in told.columns]
    # Who may change accounts may know of them, as with the schema mysql of a server.
    sees_all = session.checked is None or session.checked.may(Privilege.CREATE_USER)
    mysql = session.mesh.product is Product.MYSQL
    viewer = Viewer(own_name(session), session.roles, sees_all, mysql)
    return account_rows(scan.system_table, columns, session.mesh.authority, viewer)


async def _seen(session: Session, database: Database) -> Database:
    """The database, all of whose data sources have been read at least once: a list with tables missing would be believed.
    Raises MeshError(CATALOG_UNREAD)."""
    if database.unseen and may_reload(session, database):
        await session.mesh.reload(database)
        database = session.find_database(database.name) or database
    if database.unseen:
        raise MeshError(CATALOG_UNREAD, database=database.name, reason=database.unseen)
    return database


def _databases(session: Session, scan: SystemScan) -> list[Database]:
    """The logic databases rows may be about, of those the account may use."""
    return [
        database
        for database in session.databases.values()
        if same_name(database.name, scan.schema) and session.privileges.sees_database(database.name)
    ]


def _where(scan: SystemScan, nodes: Mapping[str, SystemNode]) -> str | None:
    """The condition on one data source's own rows, None when none of them matters."""
    definition = SYSTEM_TABLES[scan.system_table]
    here = f"{definition.schema} = DATABASE()"
    if not definition.table:
        return here
    wanted = [
        actual
        for actual, node in nodes.items()
        if same_name(node.logic, scan.name) and (node.first or (definition.combined and node.counts))
    ]
    if not wanted:
        return None
    if len(wanted) == 1:
        return f"{here} AND {definition.table} = {literal_text(wanted[0])}"
    listed = ", ".join([literal_text(actual) for actual in wanted])
    return f"{here} AND {definition.table} IN ({listed})"


def _where_anything(scan: SystemScan) -> str:
    """The same where all that the data source has is the logic database's, whoever made it and whatever became of it."""
    definition = SYSTEM_TABLES[scan.system_table]
    here = f"{definition.schema} = DATABASE()"
    if not definition.table or scan.name is None or not scan.name.isascii():
        return here
    return f"{here} AND {definition.table} = {literal_text(scan.name)}"


def _unknown(database: Database, source: str, tables: Iterable[bytes | None]) -> dict[str, SystemNode]:
    """What tables are that nobody has found out yet."""
    names = {(table or b"").decode("utf-8", "surrogateescape") for table in tables}
    rule_set = database.rule_set
    return {
        name: SystemNode(name, first=True, counts=True) for name in names if is_single(rule_set, source, name)
    }


async def _read(session: Session, database: Database, source: str, scan: SystemScan, where: str) -> Result:
    connection = await database.merge_pools[source].acquire(session.flavour)
    try:
        # Times of creation and the like are told in the session's time zone.
        await connection.bring_to(LOAD_STATE.with_variable("time_zone", session.state.variable("time_zone")))
        session.announce(Reading(connection))
        table = SYSTEM_TABLES[scan.system_table].source or f"{INFORMATION_SCHEMA}.{scan.system_table}"
        sql = f"SELECT * FROM {table} WHERE {where}"
        return await collect(connection, sql.encode("utf-8", "surrogateescape"))
    finally:
        session.announce(None)
        connection.home.release(connection, session.now())


# ---------------------------------------------------------------------------------------------- the merge node


class SystemColumnSink:
    """A sink in front of another: columns of temporary tables become those of the system tables. A temporary table cannot
    have a LONGTEXT as short as theirs, MySQL tells other decimals of its texts, and what a SHOW calls a column is not its own
    name."""

    def __init__(
        self, sink: Sink, told: Mapping[str, Sequence[ColumnDefinition]], titles: Mapping[str, str]
    ) -> None:
        self._sink = sink
        self._told = {
            (table.encode(), column.name.upper()): column
            for table, columns in told.items()
            for column in columns
        }
        self._titles = {title.encode(): name.encode() for title, name in titles.items()}
        self.rows = sink.rows

    def columns(self, columns: Sequence[ColumnDefinition]) -> None:
        """See `Sink`."""
        self._sink.columns([self._shown(column) for column in columns])

    def _shown(self, column: ColumnDefinition) -> ColumnDefinition:
        name = self._titles.get(column.org_name, column.org_name)
        own = self._told.get((column.org_table, name.upper()))
        if own is None or own.type != column.type:
            return replace(column, org_name=name)
        return replace(column, org_name=name, length=own.length, decimals=own.decimals)


async def _merged(
    session: Session,
    database: Database,
    federation: SystemFederation,
    loads: Sequence[tuple[SystemScan, list[Row]]],
    sink: Sink,
) -> Outcome:
    """The final statement over temporary tables that hold `loads`."""
    merge = await database.merge_pools[federation.merge_node].acquire(session.flavour)
    clean = False
    try:
        await merge.bring_to(LOAD_STATE)
        session.announce(Reading(merge))
        limit = session.mesh.federation_limits.max_rows
        if sum(len(rows) for _, rows in loads) > limit:
            raise MeshError(MERGE_LIMIT, limit=f"{limit} rows", setting="federation-max-rows")
        columns = {scan.table: await _load(merge, scan, rows) for scan, rows in loads}
        await merge.bring_to(final_state(session.state))
        lane = Lane(merge, (Shot(federation.merge_node, federation.final),))
        shown = SystemColumnSink(sink, columns, federation.titles)
        exchange = Exchange((lane,), Relay(), shown, session.mesh.limits)
        session.announce(exchange)
        outcome = await exchange.run()
        names = ", ".join([scan.table for scan in federation.scans])
        await collect(merge, f"DROP TEMPORARY TABLE {names}".encode())
        clean = True
        return outcome
    finally:
        if not clean:
            # Its server drops the temporary tables.
            merge.abort()
        merge.home.release(merge, session.now())


async def _load(merge: Connection, scan: SystemScan, rows: Sequence[Row]) -> Sequence[ColumnDefinition]:
    """One temporary table with the system table's own columns, which are returned, and its rows."""
    nothing = f"SELECT * FROM {INFORMATION_SCHEMA}.{scan.system_table} LIMIT 0"
    await collect(merge, f"CREATE TEMPORARY TABLE {scan.table} AS {nothing}".encode())
    columns = (await collect(merge, nothing.encode())).columns
    head = f"INSERT INTO {scan.table} VALUES ".encode()
    waiting: list[bytes] = []
    size = 0
    for row in rows:
        waiting.append(_row_text(row[: len(columns)]))
        size += len(waiting[-1])
        if size >= STATEMENT_BYTES:
            await collect(merge, head + b",".join(waiting))
            waiting, size = [], 0
    if waiting:
        await collect(merge, head + b",".join(waiting))
    return columns


def _row_text(row: Row) -> bytes:
    values = [
        literal_text(None if value is None else value.decode("utf-8", "surrogateescape")) for value in row
    ]
    return f"({','.join(values)})".encode("utf-8", "surrogateescape")
