"""What the tester plays on: real servers, the mesh in front of them, and one plain server with the same rows.

Decides how the tables of a layout come to be and how they are put back. Knows no statement.
"""

from __future__ import annotations

import contextlib
import random
import threading
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pymysql

from tests.differential.client import Client
from tests.differential.layouts import LAYOUTS, Layout
from tests.differential.schema import Table, make_tables, quoted
from tests.differential.values import Value
from tests.differential.witnesses import (
    ANALYZED,
    COUNTED,
    INDEXED,
    KEYLESS,
    OUTDATED,
    PARTITIONED,
    SHUFFLED,
    SPREAD,
)
from tests.plugins import mysql
from tests.plugins.database_server import DatabaseServer, chosen_product, start_all
from tests.plugins.mariadb import MariaDb, make_template
from tests.plugins.mesh import Mesh

USER, PASSWORD = "root", "root"


def _insert(table: str, rows: Sequence[Sequence[Value]]) -> str:
    lines = ",".join(f"({','.join(value.sql for value in row)})" for row in rows)
    return f"INSERT INTO {table} VALUES {lines}"


def _inserts_by_node(scene: Scene, name: str, table: Table) -> Iterator[str]:
    """Fill a table with the rows of the plain one, those of each data node by themselves and in the order of its key."""
    key = ", ".join(map(quoted, table.key))
    rest = f"INSERT INTO {name} SELECT * FROM {scene.name}.{table.name}"
    if table.name not in scene.layout.keys:
        yield f"{rest} ORDER BY {key}"
        return
    for node in scene.layout.nodes_of(table.name):
        rows = [row for row in table.rows if node in scene.layout.places(table, row)]
        keys = ", ".join(f"({', '.join(row[table.index(one)].sql for one in table.key)})" for row in rows)
        if rows:
            yield f"{rest} WHERE ({key}) IN ({keys}) ORDER BY {key}"


_SUFFIXES = (SHUFFLED, SPREAD, PARTITIONED, INDEXED, ANALYZED, COUNTED, *OUTDATED.values())

_VIEWS = {
    "seen": ("part", "SELECT * FROM part WHERE id <> 4"),
    "pairs": ("item", "SELECT i.* FROM item AS i LEFT JOIN part AS p ON p.id = i.id"),
}
"""Views of each layout: the table whose columns and keys their rows have, and their query."""


@dataclass(frozen=True)
class Scene:
    """One layout with its tables."""

    layout: Layout
    tables: tuple[Table, ...]

    @property
    def name(self) -> str:
        """The logic database."""
        return self.layout.name

    def table(self, name: str) -> Table:
        """The table of that name."""
        return next(table for table in self.tables if table.name == name)

    @staticmethod
    def view_of(table: str) -> str | None:
        """A view with the columns and keys of a table, to be read only."""
        return next((name for name, (base, _) in _VIEWS.items() if base == table), None)

    def shard_schema(self, source: int) -> str:
        """The schema of data source `ds_<source>`."""
        return f"{self.name}_ds_{source}"

    def configuration(self, servers: Sequence[DatabaseServer]) -> str:
        """database-<name>.yaml."""
        lines = [f"databaseName: {self.name}", "dataSources:"]
        for source in range(self.layout.sources):
            server = servers[source % len(servers)]
            lines += [
                f"  ds_{source}:",
                f"    url: jdbc:mysql://{server.host}:{server.port}/{self.shard_schema(source)}?useSSL=false",
                f"    username: {server.user}",
                f"    password: {server.password}",
                "    maxPoolSize: 10",
            ]
        lines += ["rules:", "- !SHARDING", self.layout.rules.rstrip("\n")]
        lines += ["- !BROADCAST", "  tables: [land]", "- !SINGLE", "  tables: [ds_0.setting]"]
        return "\n".join(lines) + "\n"


def make_scene(layout: Layout, seed: int, *, on_mysql: bool = False) -> Scene:
    """The layout with the tables of a seed."""
    chooser = random.Random(f"{layout.name} {seed}")
    return Scene(layout, make_tables(chooser, dict(layout.keys), layout.folded_codes, on_mysql=on_mysql))


class Stage:
    """Servers and mesh with all scenes. `open_stage` makes one from nothing."""

    def __init__(
        self, servers: Sequence[DatabaseServer], scenes: Sequence[Scene], directory: Path, seed: int
    ) -> None:
        self.seed = seed
        self.servers = list(servers)
        self.scenes = list(scenes)
        self.plain_server = servers[0]
        rules = directory / "rules"
        rules.mkdir()
        (rules / "global.yaml").write_text(
            f"authority:\n  users:\n  - {{user: {USER}@%, password: {PASSWORD}, admin: true}}\n"
        )
        for scene in scenes:
            (rules / f"database-{scene.name}.yaml").write_text(scene.configuration(servers))
        self.mesh = Mesh(rules, directory / "mesh.log")
        # Layouts run side by side, each in a thread with connections of its own.
        self._connections: dict[tuple[int, int], pymysql.Connection[Any]] = {}

    def create(self) -> None:
        """Makes and fills all tables."""
        for scene in self.scenes:
            for source in range(scene.layout.sources):
                self._create(self.servers[source % len(self.servers)], scene, source)
            self._run(self.plain_server, f"CREATE DATABASE {scene.name}")
            for table in scene.tables:
                self._run(self.plain_server, f"CREATE TABLE {scene.name}.{table.name} ({table.definition()})")
            self._create_views(self._connection(self.plain_server), scene.name)
            self.fill(scene)
            self._create_witnesses(scene)

    def create_views(self) -> None:
        """Makes the views of every layout, through the mesh."""
        for scene in self.scenes:
            with contextlib.closing(
                self.mesh.connect(scene.name, user=USER, password=PASSWORD)
            ) as connection:
                self._create_views(connection, scene.name)

    @staticmethod
    def _create_views(connection: pymysql.Connection[Any], schema: str, algorithm: str = "") -> None:
        with connection.cursor() as cursor:
            cursor.execute(f"USE {schema}")
            for name, (_, query) in _VIEWS.items():
                cursor.execute(f"CREATE {algorithm} VIEW {name} AS {query}")

    def _create_witnesses(self, scene: Scene) -> None:
        """The same tables as other plain servers may have them. See `witnesses`."""
        on_mysql = self.plain_server.product == mysql.MySql.product
        for suffix in _SUFFIXES:
            schema = f"{scene.name}{suffix}"
            self._run(self.plain_server, f"CREATE DATABASE {schema}")
            for table in scene.tables:
                self._create_witness(scene, suffix, table, on_mysql=on_mysql)
            # Views whose own conditions are looked at first.
            algorithm = "ALGORITHM=TEMPTABLE" if suffix == ANALYZED else ""
            self._create_views(self._connection(self.plain_server), schema, algorithm)

    def _create_witness(self, scene: Scene, suffix: str, table: Table, *, on_mysql: bool) -> None:
        name = f"{scene.name}{suffix}.{table.name}"
        analyze = f"ANALYZE TABLE {name}"
        options, empty, filled = "", "", ""
        if suffix == COUNTED and not on_mysql:
            options = " ENGINE=Aria"
        elif suffix == PARTITIONED and table.name in scene.layout.keys:
            columns = ", ".join(map(quoted, scene.layout.keys[table.name]))
            options = f" PARTITION BY KEY ({columns}) PARTITIONS 4"
        elif suffix == ANALYZED:
            filled = analyze if on_mysql else f"{analyze} PERSISTENT FOR ALL"
        elif suffix == OUTDATED.get(table.name) and not on_mysql:
            # Of columns nothing: their statistics would say what no row has.
            empty = f"{analyze} PERSISTENT FOR COLUMNS () INDEXES ()"
        definition = table.definition(keys=suffix not in KEYLESS, every=suffix == INDEXED)
        rows = [_insert(name, table.rows[::-1] if suffix == SHUFFLED else table.rows)]
        if suffix == SPREAD:
            rows = list(_inserts_by_node(scene, name, table))
        statements = (f"CREATE TABLE {name} ({definition}){options}", empty, *rows, filled)
        self._run(self.plain_server, *filter(None, statements))

    def _create(self, server: DatabaseServer, scene: Scene, source: int) -> None:
        schema = scene.shard_schema(source)
        self._run(server, f"CREATE DATABASE {schema}")
        for table in scene.tables:
            for owner, actual in scene.layout.nodes_of(table.name):
                if owner == source:
                    self._run(server, f"CREATE TABLE {schema}.{actual} ({table.definition()})")

    def fill(self, scene: Scene, names: Iterable[str] = ()) -> None:
        """Puts the rows of these tables (of all when none is named) back, on the shards and on the plain server."""
        chosen = [table for table in scene.tables if not names or table.name in set(names)]
        for table in chosen:
            whole = f"{scene.name}.{table.name}"
            self._run(self.plain_server, f"DELETE FROM {whole}", _insert(whole, table.rows))
            for source, actual in scene.layout.nodes_of(table.name):
                name = f"{scene.shard_schema(source)}.{actual}"
                rows = [row for row in table.rows if (source, actual) in scene.layout.places(table, row)]
                statements = [f"DELETE FROM {name}", *([_insert(name, rows)] if rows else [])]
                self._run(self.servers[source % len(self.servers)], *statements)

    def misplaced(self, scene: Scene, name: str) -> list[str]:
        """Rows of a sharded table that lie where their keys do not belong."""
        table = scene.table(name)
        columns = scene.layout.keys[name]
        found: list[str] = []
        for source, actual in scene.layout.nodes_of(name):
            server = self.servers[source % len(self.servers)]
            listing = ", ".join(f"CAST({quoted(column)} AS CHAR)" for column in columns)
            for row in self._run(server, f"SELECT {listing} FROM {scene.shard_schema(source)}.{actual}"):
                cells = dict(zip(columns, map(str, row), strict=True))
                if scene.layout.place(table.name, cells) != (source, actual):
                    found.append(f"{cells} in ds_{source}.{actual}")
        return found

    def _run(self, server: DatabaseServer, *statements: str) -> list[tuple[Any, ...]]:
        with self._connection(server).cursor() as cursor:
            for statement in statements:
                cursor.execute(statement)
            return list(cursor.fetchall())

    def _connection(self, server: DatabaseServer) -> pymysql.Connection[Any]:
        owner = threading.get_ident(), server.port
        if owner not in self._connections:
            self._connections[owner] = server.connect()
        return self._connections[owner]

    def mesh_client(self, scene: Scene) -> Client:
        """A session at the mesh."""
        return Client(self.mesh.port, USER, PASSWORD, scene.name)

    def plain_client(self, scene: Scene, suffix: str = "") -> Client:
        """A session at the plain server, in its copy of the tables with this suffix."""
        server = self.plain_server
        return Client(server.port, server.user, server.password, f"{scene.name}{suffix}")

    def close(self) -> None:
        """Ends the connections and the mesh; the servers belong to whoever started them."""
        for connection in self._connections.values():
            connection.close()
        self.mesh.stop()


@contextlib.contextmanager
def stage_on(
    servers: Sequence[DatabaseServer], directory: Path, seed: int, names: Sequence[str] = ()
) -> Iterator[Stage]:
    """A stage with the named layouts (all when none is named) over running servers."""
    layouts = [layout for layout in LAYOUTS if not names or layout.name in names]
    mysql_only = servers[0].product == mysql.MySql.product
    stage = Stage(
        servers, [make_scene(layout, seed, on_mysql=mysql_only) for layout in layouts], directory, seed
    )
    try:
        stage.create()
        stage.mesh.start()
        stage.create_views()
        yield stage
    finally:
        stage.close()


@contextlib.contextmanager
def open_stage(directory: Path, seed: int, names: Sequence[str] = ()) -> Iterator[Stage]:
    """A stage with servers of its own."""
    with _servers(directory) as servers:
        start_all(servers)
        try:
            with stage_on(servers, directory, seed, names) as stage:
                yield stage
        finally:
            for server in servers:
                server.stop()


@contextlib.contextmanager
def _servers(directory: Path) -> Iterator[list[DatabaseServer]]:
    """Two servers of the chosen product, not started yet."""
    names = ("shard0", "shard1")
    if chosen_product() == MariaDb.product:
        template = make_template(directory)
        yield [MariaDb(name, directory, template) for name in names]
        return
    tree = mysql.find_tree()
    with mysql.directory_inside(tree) as inside:
        data = mysql.make_template(tree, inside)
        yield [mysql.MySql(name, inside, tree, data) for name in names]
