"""Fills the demo's shop through the mesh's own port, as any client would.

Decides how progress is shown. The statements are `demo_data`'s, placing the rows is the mesh's, and the client is the
one that otherwise talks to data sources: to it, the mesh is a MySQL server like another.
"""

from __future__ import annotations

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn

from dbmesh.backend.connection import Flavour
from dbmesh.backend.mysql_connect import open_mysql
from dbmesh.cli import demo_data
from dbmesh.cli.output import Failure
from dbmesh.engine.collect import collect
from dbmesh.errors import MeshError, ShardError
from dbmesh.rules.ruleset import DataSourceConfig


def as_client(host: str, port: int) -> DataSourceConfig:
    """How a client reaches the demo's shop."""
    return DataSourceConfig("demo", "mysql", host, port, "shop", "root", "root")


async def seed(console: Console, host: str, port: int, orders: int = demo_data.ORDERS) -> int:
    """Creates the tables, writes the rows, and returns how many were written. Raises Failure when the mesh refuses."""
    mesh = as_client(host, port)
    statements = (*demo_data.SCHEMA, *demo_data.seed_statements(orders))
    rows = 0
    try:
        connection = await open_mysql(mesh, Flavour())
        try:
            with _progress(console) as progress:
                for statement in progress.track(statements, description="Filling the shop"):
                    result = await collect(connection, statement.encode())
                    rows += result.ok.affected_rows if result.ok else 0
        finally:
            await connection.close()
    except (MeshError, ShardError) as error:
        raise Failure(f"the demo's shop could not be filled: {error}") from error
    return rows


def _progress(console: Console) -> Progress:
    """A bar that leaves no trace behind."""
    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.percentage:>3.0f} %"))
    return Progress(*columns, console=console, transient=True)
