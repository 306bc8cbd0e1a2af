"""DistSQL of a running mesh: what it shows, to sessions and to operators, and members taken out of service.

Decides what is told of the mesh itself. What rules look like, `planner.distsql_rules` decides; who may ask, the planner and the ports.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from dbmesh.errors import NO_DATABASE, UNKNOWN_DATABASE, MeshError, not_supported
from dbmesh.planner.distsql import CONFIGURATION
from dbmesh.planner.distsql_rules import Row, Shown, listed, properties_text
from dbmesh.planner.like import matches_like
from dbmesh.planner.session_plan import ShowMesh, ShowRules, SwitchMember
from dbmesh.rules.exporting import exported
from dbmesh.rules.replica_groups import ReplicaGroup
from dbmesh.rules.repositories import EtcdRepository
from dbmesh.rules.source import read_source
from dbmesh.session.answering.result_sink import ResultSink, text_column
from dbmesh.session.statements.overviews import own_rows
from dbmesh.wire.packets import OkPacket

if TYPE_CHECKING:
    from dbmesh.session.mesh import Database, Mesh
    from dbmesh.session.session import Session

Listed = tuple[Sequence[str], Sequence[Row]]
"""Columns and rows."""

_NODE = (
    "instance_id",
    "instance_type",
    "host",
    "port",
    "status",
    "mode_type",
    "worker_id",
    "labels",
    "version",
)


def rules_of(database: Database, statement: ShowRules) -> Listed:
    """What a statement shows of a logic database's rules."""
    off = {name for name, pool in database.pools.items() if pool.disabled}
    for group in database.replicas.values():
        off |= group.off
    shown = Shown(database.rule_set, database.catalog, frozenset(name.lower() for name in off))
    return listed(statement, shown)


async def mesh_of(mesh: Mesh, statement: ShowMesh, database: str | None = None) -> Listed:
    """What a statement shows of the mesh; `database` is the one that is meant when it names none. Raises MeshError."""
    if statement.form == CONFIGURATION:
        return ("result",), [(_exported(mesh, statement.database or database),)]
    configuration = mesh.configuration
    repository = configuration.repository
    mode = "Cluster" if isinstance(repository, EtcdRepository) else "Standalone"
    match statement.form:
        case "COMPUTE NODES" | "COMPUTE NODE INFO":
            sidecars = () if mesh.peers is None else await mesh.peers.sidecars()
            wanted = [one for one in sidecars if statement.form == "COMPUTE NODES" or one.own]
            rows = [
                (one.id, "PROXY", *_place(one.address), one.status, mode, "", "", one.version)
                for one in wanted
            ]
            if statement.form == "COMPUTE NODES":
                return (*_NODE, "database_name"), [(*row, "") for row in rows]
            columns = tuple(name for name in _NODE if name != "instance_type")
            return columns, [(row[0], *row[2:]) for row in rows]
        case "COMPUTE NODE MODE":
            kind, props = "", ""
            if isinstance(repository, EtcdRepository):
                kind = "etcd"
                props = properties_text(
                    {"namespace": repository.namespace, "server-lists": ";".join(repository.servers)}
                )
            elif repository is not None:
                kind = "SQLite"
            return ("type", "repository", "props"), [(mode, kind, props)]
        case "TRANSACTION RULE":
            isolation = "isolation=RECORD_LOCKS" if configuration.record_locks else ""
            name = configuration.transaction_type.value
            return ("default_type", "provider_type", "props"), [(name, "", isolation)]
        case "AUTHORITY RULE":
            users = "; ".join(str(name) for name in sorted(mesh.authority.users))
            return ("users", "provider", "props"), [(users, "GRANTS", "")]
        case _:
            variables = [
                (name.replace("-", "_"), _value(value)) for name, value in configuration.properties.items()
            ]
            wanted_name = (statement.name or "").replace("-", "_").lower()
            return ("variable_name", "variable_value"), [
                row
                for row in variables
                if wanted_name in ("", row[0])
                and (statement.pattern is None or matches_like(row[0], statement.pattern))
            ]


async def switch(mesh: Mesh, database: Database | None, statement: SwitchMember) -> None:
    """Take a sidecar, or a member of a group, out of service, or back, on the whole mesh. Raises MeshError."""
    if mesh.peers is None:
        raise not_supported(
            "taking a member of the mesh out of service without a store", "name one in mode.repository"
        )
    if statement.group is None:
        await mesh.peers.switch_sidecar(statement.name, on=statement.on)
        return
    group = None if database is None else _group(database, statement.group)
    members = [] if group is None else [group.primary.name, *(one.name for one in group.replicas)]
    found = next((name for name in members if name.lower() == statement.name.lower()), None)
    if database is None or found is None:
        raise not_supported(
            f"ALTER of group '{statement.group}', which has no member '{statement.name}'",
            "SHOW READWRITE_SPLITTING RULES lists them",
        )
    await mesh.peers.switch_data_source(f"{database.name}.{found}".lower(), on=statement.on)


async def show_rules(session: Session, statement: ShowRules, sink: ResultSink, more: int) -> None:
    """SHOW … RULES and its like. Raises MeshError."""
    _answer(session, sink, rules_of(_database(session, statement.database), statement), more)


async def show_mesh(session: Session, statement: ShowMesh, sink: ResultSink, more: int) -> None:
    """SHOW COMPUTE NODES and its like. Raises MeshError."""
    _answer(session, sink, await mesh_of(session.mesh, statement, session.logic_database), more)


async def switch_member(session: Session, statement: SwitchMember, sink: ResultSink, more: int) -> None:
    """ENABLE and DISABLE. Raises MeshError."""
    database = None if statement.group is None else _database(session, statement.database)
    await switch(session.mesh, database, statement)
    session.row_count = 0
    sink.ok(OkPacket(status=session.status | more))


def _answer(session: Session, sink: ResultSink, found: Listed, more: int) -> None:
    columns, rows = found
    session.warnings = []
    session.found_rows = len(rows)
    own_rows(session, sink, [text_column(name) for name in columns], rows, more)


def _database(session: Session, name: str | None) -> Database:
    wanted = name or session.logic_database
    if wanted is None:
        raise MeshError(NO_DATABASE)
    found = session.find_database(wanted)
    if found is None or not session.privileges.sees_database(wanted):
        raise MeshError(UNKNOWN_DATABASE, database=wanted)
    return found


def _exported(mesh: Mesh, name: str | None) -> str:
    """The file of a logic database without its secrets."""
    if name is None:
        raise MeshError(NO_DATABASE)
    if mesh.database(name) is None:
        raise MeshError(UNKNOWN_DATABASE, database=name)
    for file, text in mesh.configuration.files.items():
        value = read_source(file, text).value
        if isinstance(value, dict) and str(value.get("databaseName", "")).lower() == name.lower():
            return exported(file, text)
    raise not_supported(
        f"EXPORT of database '{name}', which no file configures", "SHOW CREATE TABLE shows its tables"
    )


def _group(database: Database, name: str) -> ReplicaGroup | None:
    return next((one for key, one in database.rule_set.groups.items() if key.lower() == name.lower()), None)


def _place(address: str) -> tuple[str, str]:
    host, _, port = address.rpartition(":")
    return host, port


def _value(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
