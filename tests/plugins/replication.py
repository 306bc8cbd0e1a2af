"""A primary and two replicas that really replicate, and the rules that make them one data source.

Decides how replication is set up, stopped and turned round. Knows nothing of pytest.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from tests.plugins.database_server import DatabaseServer, chosen_product
from tests.plugins.mariadb import MariaDb
from tests.plugins.processes import wait_until

SCHEMA = "accounts"
ACCOUNT = "mesh"
TLS_ACCOUNT = "secret_mesh"
"""An account that insists on TLS."""
PASSWORD = "mesh-secret"

Start = Callable[..., list[Any]]


class Replication:
    """Three servers p, r1 and r2, with ids 1 to 3; the latter two follow p. The mesh's account may not write on a read-only
    server. `certificate` and its key are the servers', for clients that want TLS."""

    def __init__(self, start: Start, prefix: str, certificate: tuple[Path, Path] | None = None) -> None:
        self.certificate = certificate
        self.servers: dict[str, DatabaseServer] = {}
        for number, name in enumerate(("p", "r1", "r2"), 1):
            options = (
                *((f"--ssl-cert={certificate[0]}", f"--ssl-key={certificate[1]}") if certificate else ()),
                f"--server-id={number}",
                "--log-bin=binlog",
                "--log-bin-trust-function-creators=1",
                "--gtid-strict-mode=1" if _mariadb() else "--gtid-mode=ON",
                "--log-slave-updates=1" if _mariadb() else "--enforce-gtid-consistency=ON",
                *(("--relay-log=relay", "--skip-slave-start") if _mariadb() else ("--relay-log=relay",)),
            )
            (server,) = start(f"{prefix}-{name}", options=options)
            self.servers[name] = server
            # What made the server is in its binary log, and would be again after a restart.
            server.execute("RESET MASTER" if _mariadb() else "RESET BINARY LOGS AND GTIDS")
            (server.directory / "init.sql").write_text("")
        primary = self.servers["p"]
        primary.execute(
            f"CREATE DATABASE {SCHEMA}",
            f"CREATE TABLE {SCHEMA}.account (id INT PRIMARY KEY, balance INT NOT NULL)",
            *_account(ACCOUNT),
            *_account(TLS_ACCOUNT, "REQUIRE SSL"),
            f"INSERT INTO {SCHEMA}.account VALUES (1, 100), (2, 200)",
        )
        for name in ("r1", "r2"):
            self.follow(name, "p")
            self.servers[name].execute("SET GLOBAL read_only = 1")
        self.caught_up()

    def follow(self, name: str, source: str, delay: int = 0) -> None:
        """Make a server the replica of another, `delay` seconds behind it."""
        of = self.servers[source]
        if _mariadb():
            change = (
                f"CHANGE MASTER TO master_host = '{of.host}', master_port = {of.port}, master_user = '{of.user}', "
                f"master_password = '{of.password}', master_use_gtid = slave_pos, master_delay = {delay}, "
                "master_connect_retry = 1"
            )
            self.servers[name].execute("STOP SLAVE", change, "START SLAVE")
            return
        change = (
            f"CHANGE REPLICATION SOURCE TO source_host = '{of.host}', source_port = {of.port}, source_user = '{of.user}', "
            f"source_password = '{of.password}', source_auto_position = 1, source_delay = {delay}, "
            "source_connect_retry = 1, get_source_public_key = 1"
        )
        self.servers[name].execute("STOP REPLICA", change, "START REPLICA")

    def stop_applying(self, name: str) -> None:
        """A replica goes on receiving and applies nothing."""
        self.servers[name].execute("STOP SLAVE SQL_THREAD" if _mariadb() else "STOP REPLICA SQL_THREAD")

    def go_on(self, name: str) -> None:
        """The end of `stop_applying`."""
        self.servers[name].execute("START SLAVE SQL_THREAD" if _mariadb() else "START REPLICA SQL_THREAD")

    def restart(self, name: str) -> None:
        """A replica that was killed starts again, and follows."""
        server = self.servers[name]
        server.start()
        server.wait_ready()
        server.execute("SET GLOBAL read_only = 1", "START SLAVE" if _mariadb() else "START REPLICA")

    def promote(self, name: str) -> None:
        """Make a server nobody's replica, and writable."""
        if _mariadb():
            self.servers[name].execute("STOP SLAVE", "RESET SLAVE ALL", "SET GLOBAL read_only = 0")
        else:
            self.servers[name].execute("STOP REPLICA", "RESET REPLICA ALL", "SET GLOBAL read_only = 0")

    def caught_up(self) -> None:
        """Wait until the replicas have all the primary has."""
        wanted = self.servers["p"].execute(f"CHECKSUM TABLE {SCHEMA}.account")
        for name in ("r1", "r2"):
            wait_until(lambda name=name: self._checksum(name) == wanted, 20, f"{name} has caught up")

    def _checksum(self, name: str) -> list[tuple[Any, ...]]:
        rows = self.servers[name].execute("SHOW DATABASES LIKE 'accounts'")
        return rows and self.servers[name].execute(f"CHECKSUM TABLE {SCHEMA}.account")

    def reads(self, name: str) -> int:
        """How many SELECTs a server has run."""
        return self.servers[name].status("Com_select")

    def write_rules(
        self,
        directory: Path,
        rules: str = "",
        pool_size: int = 50,
        *,
        primary: str = "p",
        account: str = ACCOUNT,
        parameters: str = "",
        databases: Mapping[str, str] = MappingProxyType({"bank": SCHEMA}),
        **options: object,
    ) -> Path:
        """A configuration with one logic database `bank` over the group `ds`, `pool_size` connections to each server;
        `options` are keys of the group, `rules` more items, `parameters` those of the URLs, `databases` the schema of each
        logic database where there are others."""
        directory.mkdir(parents=True)
        (directory / "global.yaml").write_text(
            "authority:\n  users:\n  - {user: root@%, password: root, admin: true}\n"
        )
        settings = {"checkIntervalMilliseconds": 50, "causalReads": "none", **options}
        lines = "".join(f"      {key}: {value}\n" for key, value in settings.items())
        replicas = ", ".join(name for name in self.servers if name != primary)
        for database, schema in databases.items():
            sources = "".join(
                f"  {name}:\n    url: jdbc:mysql://{server.host}:{server.port}/{schema}{parameters}\n"
                f"    username: {account}\n    password: {PASSWORD}\n    connectionTimeoutMilliseconds: 3000\n"
                f"    maxPoolSize: {pool_size}\n"
                for name, server in self.servers.items()
            )
            (directory / f"database-{database}.yaml").write_text(
                f"databaseName: {database}\ndataSources:\n{sources}rules:\n- !READWRITE_SPLITTING\n"
                f"  dataSourceGroups:\n    ds:\n      writeDataSourceName: {primary}\n"
                f"      readDataSourceNames: [{replicas}]\n{lines}"
                f'- !SINGLE\n  tables: ["*.*"]\n{rules}'
            )
        return directory


def _account(name: str, requirement: str = "") -> list[str]:
    """An account for a mesh, which may neither write on a read-only server nor administer anything."""
    return [
        f"CREATE USER {name}@'%' IDENTIFIED BY '{PASSWORD}' {requirement}",
        f"GRANT SELECT, INSERT, UPDATE, DELETE, CREATE, ALTER, DROP, INDEX, EXECUTE ON *.* TO {name}@'%'",
        f"GRANT CREATE ROUTINE, ALTER ROUTINE, CREATE VIEW, SHOW VIEW, CREATE TEMPORARY TABLES ON *.* TO {name}@'%'",
        f"GRANT REPLICATION CLIENT ON *.* TO {name}@'%'",
        f"GRANT SLAVE MONITOR, BINLOG MONITOR ON *.* TO {name}@'%'"
        if _mariadb()
        else f"GRANT XA_RECOVER_ADMIN ON *.* TO {name}@'%'",
    ]


def _mariadb() -> bool:
    return chosen_product() == MariaDb.product
