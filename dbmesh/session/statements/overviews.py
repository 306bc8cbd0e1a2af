"""What the mesh tells of itself: its sessions and the servers of its replica groups.

Decides columns, and which sessions an account may see. Changes nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from dbmesh.planner.session_plan import ShowMeshProcesses, ShowProcessList, ShowReplicas, ShowSessions
from dbmesh.session.answering.result_sink import ResultSink, number_column, text_column
from dbmesh.session.peers import Process, may_see, processes
from dbmesh.session.statement_log import shown_text
from dbmesh.wire.constants import ColumnFlag, ColumnType
from dbmesh.wire.packets import ColumnDefinition

if TYPE_CHECKING:
    from dbmesh.backend.replicas import Replicas, Server
    from dbmesh.session.session import Session


def what_it_holds(session: Session) -> str:
    """The connections a session keeps between statements, each with the reason."""
    pins = [f"{source}: {reason.value}" for source, (_, reason) in sorted(session.pins.items())]
    pins += [f"{branch.data_source}: transaction" for branch in session.transaction.branches.values()]
    return "; ".join(pins)


def _visible_sessions(session: Session) -> list[Session]:
    found = (other for other in session.mesh.sessions.values() if may_see(session, other))
    return sorted(found, key=lambda other: other.connection_id)


async def show_process_list(
    session: Session, statement: ShowProcessList, sink: ResultSink, more: int
) -> None:
    """SHOW [FULL] PROCESSLIST: the sessions of this process."""
    now = session.now()
    rows = []
    for other in _visible_sessions(session):
        text = shown_text(other)
        rows.append(
            [
                str(other.connection_id),
                other.user_name,
                other.host,
                other.database,
                "Query" if text else "Sleep",
                str(int(now - other.command_since)),
                "",
                (text if statement.full else text[:100]) or None,
            ]
        )
    own_rows(session, sink, process_columns(statement), rows, more)


def process_columns(statement: ShowProcessList) -> list[ColumnDefinition]:
    """The columns of SHOW PROCESSLIST."""
    signed = ColumnFlag.NOT_NULL | ColumnFlag.BINARY
    return [
        replace(number_column("Id"), length=11, flags=signed),
        text_column("User", 128, nullable=False),
        text_column("Host", 64, nullable=False),
        text_column("db", 64),
        text_column("Command", 16, nullable=False),
        replace(number_column("Time"), type=ColumnType.LONG, length=7, flags=signed),
        text_column("State", 30),
        text_column("Info", 65_535 if statement.full else 100),
    ]


async def show_mesh_processes(
    session: Session, statement: ShowMeshProcesses, sink: ResultSink, more: int
) -> None:
    """SHOW PROXY PROCESSLIST: the sessions of every sidecar, statements without their values. Raises MeshError."""
    del statement
    peers = session.mesh.peers
    found: Sequence[tuple[str, Process]] = (
        [("", one) for one in processes(session.mesh, session)]
        if peers is None
        else await peers.processes(session)
    )
    rows = [
        [
            address,
            str(one.id) if one.id else None,
            one.user,
            one.host,
            one.database,
            one.command,
            str(one.seconds),
            one.state,
            one.text,
        ]
        for address, one in found
    ]
    names = ("Instance", "Id", "User", "Host", "db", "Command", "Time", "State", "Info")
    own_rows(session, sink, [text_column(name) for name in names], rows, more)


async def show_sessions(session: Session, statement: ShowSessions, sink: ResultSink, more: int) -> None:
    """SHOW PROXY SESSIONS: what each session holds, and why."""
    del statement
    rows = [
        [str(other.connection_id), other.user_name, other.host, other.database, what_it_holds(other)]
        for other in _visible_sessions(session)
    ]
    names = ("Id", "User", "Host", "db", "Pins")
    own_rows(session, sink, [text_column(name) for name in names], rows, more)


def role_and_state(replicas: Replicas, server: Server) -> tuple[str, str]:
    """What a server of a group is, and whether it is used, or why not."""
    if server is replicas.primary:
        return "primary", "in use" if replicas.has_primary else server.seen.problem or "it is read-only"
    return "replica", ("disabled" if server.name in replicas.off else server.health.reason) or "in use"


async def show_replicas(session: Session, statement: ShowReplicas, sink: ResultSink, more: int) -> None:
    """SHOW PROXY REPLICAS: of the logic databases the account may use."""
    del statement
    rows: list[list[str | None]] = []
    for name, database in sorted(session.databases.items()):
        if not session.privileges.sees_database(name):
            continue
        for group, replicas in database.replicas.items():
            for server in replicas.servers.values():
                lag = server.seen.lag
                rows.append(
                    [
                        database.name,
                        group,
                        server.name,
                        *role_and_state(replicas, server),
                        None if lag is None else f"{lag:g}",
                        f"{server.latency * 1000:.3f}" if server.latency else None,
                        str(server.reads),
                    ]
                )
    names = ("Database", "Group", "Server", "Role", "State", "Lag_seconds", "Latency_ms", "Reads")
    own_rows(session, sink, [text_column(name) for name in names], rows, more)


def own_rows(
    session: Session,
    sink: ResultSink,
    columns: Sequence[ColumnDefinition],
    rows: Sequence[Sequence[str | None]],
    more: int,
) -> None:
    """Rows of the session's own, after which ROW_COUNT() is that of a query."""
    session.row_count = -1
    sink.local_rows(columns, rows, session.status | more)
