"""Statements for every server behind the mesh: SET GLOBAL, FLUSH.

Decides who may send them, which servers get them, and what a new global value means here: as on one server, sessions that are
there keep the value they had, new ones get the new one.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from dbmesh.backend.connection import Connection
from dbmesh.backend.mysql import MySQLConnection
from dbmesh.backend.pool import Pool
from dbmesh.backend.state import SessionState
from dbmesh.engine.collect import collect
from dbmesh.errors import ShardError, not_supported
from dbmesh.planner.derived.literals import literal_writers, row_literals
from dbmesh.planner.session_plan import Flush
from dbmesh.rules.privileges import Privilege
from dbmesh.session.answering.result_sink import ResultSink
from dbmesh.session.authority.rights import require
from dbmesh.wire.packets import OkPacket

if TYPE_CHECKING:
    from dbmesh.session.session import Session

_AUTOCOMMIT = "autocommit"
_OF_THE_MESH = frozenset(
    (
        *(
            "sql_mode",
            "sql_select_limit",
            "sql_safe_updates",
            "max_error_count",
            "wait_timeout",
        ),
        *(
            "auto_increment_increment",
            "auto_increment_offset",
            "max_allowed_packet",
            "init_connect",
            "time_zone",
        ),
        *("transaction", "transaction_isolation", "tx_isolation", "transaction_read_only", "tx_read_only"),
        *("names", "character set", "read_only", "super_read_only", "server_id", "offline_mode"),
        *(
            "character_set_client",
            "character_set_connection",
            "character_set_results",
            "collation_connection",
        ),
        *("character_set_server", "collation_server", "character_set_database", "collation_database"),
    )
)
"""Variables whose value in a session the mesh keeps or relies on itself, and those that would shut it out."""


async def set_everywhere(session: Session, values: Mapping[str, str]) -> Mapping[str, str]:
    """SET GLOBAL on every server: names and SQL literals. Returns the values that sessions had so far, which the others
    keep from here on. Raises MeshError or ShardError."""
    require(session, Privilege.SUPER)
    for name in values:
        if name in _OF_THE_MESH:
            raise not_supported(
                f"SET GLOBAL {name}, which the mesh keeps for each session",
                "use SET SESSION, or set it on the servers",
            )
    # Whether a session has autocommit it knows itself.
    before = await _session_values(session, [name for name in values if name != _AUTOCOMMIT])
    listed = ", ".join(f"GLOBAL {name} = {value}" for name, value in values.items())
    await _run_everywhere(session, f"SET {listed}")
    if _AUTOCOMMIT in values:
        await _learn_autocommit(session)
    for other in session.mesh.sessions.values():
        other.state = with_values(other.state, before)
    # So have the connections: a session to come that gets one sets its variable to DEFAULT.
    for pool in _pools(session):
        for connection in pool.all_connections():
            if isinstance(connection, MySQLConnection) and connection.state.names:
                connection.state = with_values(connection.state, before)
    return before


def with_values(state: SessionState, values: Mapping[str, str]) -> SessionState:
    """The state with these values for variables it says nothing of."""
    for name, value in values.items():
        if state.variable(name) is None:
            state = state.with_variable(name, value)
    return state


async def flush(session: Session, statement: Flush, sink: ResultSink, more: int) -> None:
    """FLUSH, which commits as on one server. Raises MeshError or ShardError."""
    require(session, Privilege.RELOAD)
    session.warnings = await session.end_transaction(commit=True)
    for text in statement.texts:
        await _run_everywhere(session, text)
    session.row_count = 0
    sink.ok(OkPacket(status=session.status | more, warnings=len(session.warnings)))


def _pools(session: Session) -> Iterator[Pool]:
    """Those of MySQL-family data sources."""
    for database in session.mesh.databases.values():
        for pools in (database.pools, database.merge_pools):
            yield from (pool for pool in pools.values() if pool.config.kind == "mysql")


async def _session_values(session: Session, names: list[str]) -> dict[str, str]:
    """The global values, as SQL literals, of those variables that sessions have a copy of."""
    found: dict[str, str] = {}
    pool = next(_pools(session))
    connection = await pool.acquire(session.flavour)
    try:
        for name in names:
            try:
                answer = await collect(connection, f"SELECT @@global.{name}".encode())
                writers = literal_writers(answer.columns, session.lexer_flags)
                value = row_literals(writers, answer.rows[0])[0]
                await collect(connection, f"SET SESSION {name} = {value}".encode())
            except ShardError:
                # A session cannot have its own; whether there is such a variable at all the SET will tell.
                continue
            found[name] = value
    finally:
        connection.home.release(connection, session.now())
    return found


async def _learn_autocommit(session: Session) -> None:
    for pool in list(_pools(session)):
        connection = await pool.acquire(session.flavour)
        try:
            answer = await collect(connection, b"SELECT @@global.autocommit")
        finally:
            connection.home.release(connection, session.now())
        pool.autocommit = answer.rows[0][0] != b"0"


async def _run_everywhere(session: Session, sql: str) -> None:
    """Once on each server. Raises MeshError or ShardError, which tells of the servers that had done it already."""
    done: list[str] = []
    seen = set()
    for pool in list(_pools(session)):
        place = (pool.config.host, pool.config.port)
        if place in seen:
            continue
        seen.add(place)
        try:
            await _run(session, await pool.acquire(session.flavour), sql)
        except ShardError as error:
            if not done:
                raise
            text = f"{error} (dbmesh: already done on {', '.join(done)})"
            raise ShardError(error.number, error.sqlstate, text) from error
        done.append(pool.config.name)


async def _run(session: Session, connection: Connection, sql: str) -> None:
    try:
        await connection.bring_to(session.state)
        await collect(connection, sql.encode("utf-8", "surrogateescape"))
    finally:
        connection.home.release(connection, session.now())
