"""Opens connections to data sources of any kind, and makes their pools.

Decides which kind's module is asked.
"""

from __future__ import annotations

from dbmesh.backend.connection import Connection, Flavour
from dbmesh.backend.mysql_connect import open_mysql
from dbmesh.backend.pool import Pool
from dbmesh.rules.ruleset import DataSourceConfig


def make_pool(config: DataSourceConfig) -> Pool:
    """The pool of a data source; nothing is opened yet."""

    async def open_connection(flavour: Flavour) -> Connection:
        # A pool may be moved to another server.
        return await open_data_source(pool.config, flavour)

    pool = Pool(config, open_connection)
    return pool


async def open_data_source(config: DataSourceConfig, flavour: Flavour) -> Connection:
    """A connection to a data source of any kind. Raises MeshError."""
    if config.kind == "mysql":
        return await open_mysql(config, flavour)
    if config.kind == "sqlite":
        # Imported where it is used: a mesh without embedded data sources starts faster.
        from dbmesh.backend.sqlite.connection import SQLiteConnection

        return await SQLiteConnection.open(config.database, data_source=config.name, flavour=flavour)
    from dbmesh.backend.postgres.connection import PostgresConnection

    return await PostgresConnection.open(config, flavour)
