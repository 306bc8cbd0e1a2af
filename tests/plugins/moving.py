"""One sidecar with a store of its own, and a reshard job of a logic database `shop`, whatever its rules are.

Decides where files lie, and how the sidecar and `dbmesh reshard` are started and asked. Knows nothing of tables and of pytest. A file of the
store names no secret: passwords come from the environment as `MOVING_PASSWORD`, so all data sources have the same.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Any

import pymysql

from dbmesh.cli.main import run as cli
from tests.plugins.database_server import ROOT_PASSWORD, DatabaseServer
from tests.plugins.mesh import Mesh
from tests.plugins.processes import wait_until

_PASSWORD = "MOVING_PASSWORD"
_GLOBAL = """\
mode:
  type: Standalone
  repository: {{type: SQLite, props: {{path: '{store}'}}}}
authority:
  users:
  - {{user: root@%, password: '*81F5E21E35407D884A6CD4A731AEBFB6AF209E1B', admin: true}}  # root
transaction:
  defaultType: XA
props: {{rules-drain-timeout-seconds: 2}}
"""

HASHED_RULES = """\
- !SHARDING
  tables:
    item:
      actualDataNodes: ds_0.item_${{0..{last}}}
      tableStrategy: {{standard: {{shardingColumn: id, shardingAlgorithmName: by_table}}}}
  shardingAlgorithms:
    by_table: {{type: INLINE, props: {{algorithm-expression: 'item_${{id % {count}}}'}}}}
- !SINGLE
  tables: ['*.*']
"""
"""Rules of a table on one data source, by how many actual tables it has (`count`, numbered up to `last`)."""


def source_yaml(
    name: str, server: DatabaseServer, schema: str, user: str = "root", **settings: object
) -> str:
    """A data source of `dataSources`."""
    lines = "".join(f"    {key}: {value}\n" for key, value in settings.items())
    return (
        f"  {name}:\n    url: 'mysql://{server.host}:{server.port}/{schema}'\n    username: {user}\n"
        f"    password: '${{env:{_PASSWORD}}}'\n{lines}"
    )


def database_yaml(sources: str, rules: str) -> str:
    """The file of the logic database; `rules` are the items of its list."""
    return f"databaseName: shop\ndataSources:\n{sources}rules:\n{rules}"


class MovingMesh:
    """See the module's docstring. `before` and `after` are the directories of both sides' files."""

    def __init__(self, directory: Path, before: str, after: str) -> None:
        self.before, self.after = directory / "before", directory / "after"
        self._store = directory / "store.db"
        self.write(self.before, before)
        self.write(self.after, after)
        self.mesh = Mesh(self.before, directory / "mesh.log", environment={_PASSWORD: ROOT_PASSWORD})

    def write(self, directory: Path, database: str) -> None:
        """A directory of files."""
        directory.mkdir(parents=True, exist_ok=True)
        (directory / "global.yaml").write_text(_GLOBAL.format(store=self._store))
        (directory / "database-shop.yaml").write_text(database)

    def turn_round(self) -> None:
        """A job has ended: the next one goes back."""
        self.before, self.after = self.after, self.before

    def connect(self, **options: Any) -> pymysql.Connection[Any]:
        """A client's connection."""
        return self.mesh.connect("shop", **options)

    def run(self, *statements: str) -> list[tuple[Any, ...]]:
        """Statements of a client, on a connection of its own; the rows of the last."""
        connection = self.connect()
        try:
            with connection.cursor() as cursor:
                for statement in statements:
                    cursor.execute(statement)
                return list(cursor.fetchall())
        finally:
            connection.close()

    def reshard(self, verb: str, *arguments: str, code: int | None = 0) -> str:
        """Run `dbmesh reshard`, which ends with this code, if it is not None; what it prints, spaces made one."""
        printed = StringIO()
        with redirect_stdout(printed), redirect_stderr(printed):
            found = cli(["reshard", verb, *arguments, "--config", str(self.before)])
        assert code is None or found == code, printed.getvalue()
        return " ".join(printed.getvalue().split())

    def start(self, *options: str, phase: str = "ready") -> dict[str, Any]:
        """Begin a job to the rules after; how it is when it waits or does not go on."""
        self.reshard("start", str(self.after), *options)
        return self.at_rest(phase)

    def status(self) -> dict[str, Any]:
        """The job, with how far it is."""
        printed = StringIO()
        with redirect_stdout(printed):
            cli(["reshard", "status", "--json", "--config", str(self.before)])
        found: dict[str, Any] = json.loads(printed.getvalue())
        return found

    def at_rest(self, phase: str, seconds: float = 60) -> dict[str, Any]:
        """The job when it waits for its operator, has ended, or does not go on: in this phase."""

        def look() -> dict[str, Any] | None:
            found = self.status()
            return found if found["waits"] or found["ended"] or found["stopped"] else None

        found = wait_until(look, seconds, "the job comes to rest", interval=0.2)
        assert found is not None
        assert found["phase"] == phase, found
        return found


@contextmanager
def moving_mesh(directory: Path, before: str, after: str) -> Iterator[MovingMesh]:
    """With its sidecar running; ends it, and insists on a log without trouble."""
    former: Mapping[str, str | None] = {_PASSWORD: os.environ.get(_PASSWORD)}
    os.environ[_PASSWORD] = ROOT_PASSWORD
    made = MovingMesh(directory, before, after)
    try:
        made.mesh.start(60)
        yield made
        made.mesh.stop_cleanly()
    finally:
        if made.mesh.running:
            made.mesh.stop()
        for name, value in former.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
