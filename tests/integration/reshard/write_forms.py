"""Two logic databases by the same rules in one sidecar: the tables of `shop` are written on both sides, those of `calm` stay where they are.

Decides what the tables are, and how sides are compared. No binlog is followed: what is on the other side, a write has put there.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Any

import pymysql

from dbmesh.cli.main import run as cli
from tests.plugins.database_server import DatabaseServer
from tests.plugins.mesh import Mesh

_ROOT = "'*81F5E21E35407D884A6CD4A731AEBFB6AF209E1B'"  # root

COLUMNS: Mapping[str, str] = {
    "t_order": (
        "order_id BIGINT, user_id BIGINT NOT NULL, note VARCHAR(200), amount DECIMAL(10,2), at DATETIME(3), raw VARBINARY(40), "
        "PRIMARY KEY (order_id, user_id), KEY (note)"
    ),
    "t_item": (
        "item_id BIGINT AUTO_INCREMENT PRIMARY KEY, code VARCHAR(20) NOT NULL DEFAULT 'none', n INT NOT NULL DEFAULT 5, "
        "twice INT AS (n * 2) VIRTUAL, kept INT AS (n + 1) STORED, UNIQUE KEY (code, item_id)"
    ),
    "t_single": (
        "id INT AUTO_INCREMENT PRIMARY KEY, code VARCHAR(20), n INT NOT NULL DEFAULT 5, price DECIMAL(8,2) DEFAULT 1.5, "
        "twice INT AS (n * 2) VIRTUAL, UNIQUE KEY (code)"
    ),
    "t_country": "code CHAR(2) PRIMARY KEY, name VARCHAR(40) NOT NULL, n INT NOT NULL DEFAULT 0",
    "t_still": "id BIGINT, owner BIGINT NOT NULL, word VARCHAR(40), PRIMARY KEY (id, owner)",
    "t_log": "id INT AUTO_INCREMENT PRIMARY KEY, word VARCHAR(40)",
}
"""Logic tables. The last two do not move."""

_OLD: Mapping[str, Sequence[str]] = {
    "t_order": ("0.t_order_0", "0.t_order_1", "1.t_order_0", "1.t_order_1"),
    "t_item": ("0.t_item_0", "1.t_item_0"),
    "t_single": ("0.t_single",),
    "t_country": ("0.t_country", "1.t_country"),
    "t_still": ("0.t_still_0", "0.t_still_1", "1.t_still_0", "1.t_still_1"),
    "t_log": ("0.t_log",),
}
_NEW: Mapping[str, Sequence[str]] = {
    "t_order": tuple(
        f"{source}.t_order_{table}{'__s1' * (table < 2)}" for source in (0, 1) for table in range(4)
    ),
    "t_item": tuple(
        f"{source}.t_item_{table}{'__s1' * (table < 1)}" for source in (0, 1) for table in range(2)
    ),
    "t_single": ("0.t_single_0", "1.t_single_0"),
    "t_country": ("0.t_country__s1", "1.t_country__s1", "2.t_country"),
}
"""Data source and actual table, on either side."""

ROWS = (
    "INSERT INTO t_order VALUES "
    + ", ".join(
        f"({key}, {key % 7}, 'note {key}', {key}.25, '2024-02-03 04:05:06.789', x'00ff{key:02x}')"
        for key in range(1, 31)
    ),
    "INSERT INTO t_item (item_id, code, n) VALUES "
    + ", ".join(f"({key}, 'c{key}', {key})" for key in range(1, 21)),
    "INSERT INTO t_single (id, code, n) VALUES "
    + ", ".join(f"({key}, 'c{key}', {key})" for key in range(1, 21)),
    "INSERT INTO t_country VALUES ('DE', 'Germany', 1), ('FR', 'France', 2), ('IT', 'Italy', 3)",
    "INSERT INTO t_still VALUES " + ", ".join(f"({key}, {key % 7}, 'still {key}')" for key in range(1, 31)),
    "INSERT INTO t_log VALUES (1, 'one'), (2, 'two')",
)


def _rules(*, old: bool) -> str:
    inline = {
        "by_user": "ds_${user_id % 2}",
        "by_order": f"t_order_${{order_id % {2 if old else 4}}}",
        "by_item": "ds_${item_id % 2}",
        "to_item": "t_item_${(item_id >> 1) % 2}" if old else "t_item_${item_id.intdiv(2) % 2}",
        "by_owner": "ds_${owner % 2}",
        "to_still": "t_still_${id % 2}",
        "by_single": "ds_${id % 2}",
    }
    none = "{none: }"

    def table(
        name: str, nodes: str, source: tuple[str, str], actual: tuple[str, str] | None, key: str = ""
    ) -> str:
        def by(one: tuple[str, str] | None) -> str:
            return (
                none
                if one is None
                else f"{{standard: {{shardingColumn: {one[0]}, shardingAlgorithmName: {one[1]}}}}}"
            )

        generated = (
            f"\n      keyGenerateStrategy: {{column: {key}, keyGeneratorName: counted}}" if key else ""
        )
        return (
            f"    {name}:\n      actualDataNodes: {nodes}\n      databaseStrategy: {by(source)}\n"
            f"      tableStrategy: {by(actual)}{generated}\n"
        )

    tables = [
        table(
            "t_order",
            f"ds_${{0..1}}.t_order_${{0..{1 if old else 3}}}",
            ("user_id", "by_user"),
            ("order_id", "by_order"),
        ),
        table(
            "t_item",
            f"ds_${{0..1}}.t_item_${{0..{0 if old else 1}}}",
            ("item_id", "by_item"),
            None if old else ("item_id", "to_item"),
            "item_id",
        ),
        table("t_still", "ds_${0..1}.t_still_${0..1}", ("owner", "by_owner"), ("id", "to_still")),
    ]
    if old:
        for name in ("to_item", "by_single"):
            del inline[name]
    else:
        tables.append(table("t_single", "ds_${0..1}.t_single_0", ("id", "by_single"), None, "id"))
    algorithms = "".join(
        f"    {name}: {{type: INLINE, props: {{algorithm-expression: '{text}'}}}}\n"
        for name, text in inline.items()
    )
    return (
        f"rules:\n- !SHARDING\n  tables:\n{''.join(tables)}  shardingAlgorithms:\n{algorithms}"
        "  keyGenerators:\n    counted: {type: AUTO_INCREMENT}\n- !BROADCAST\n  tables: [t_country]\n"
        "- !SINGLE\n  tables: ['*.*']\n  defaultDataSource: ds_0\n"
    )


class WriteForms:
    """See the module's docstring."""

    def __init__(self, servers: Sequence[DatabaseServer], directory: Path) -> None:
        self.servers = (*servers, servers[0])
        self.before, self.after = directory / "before", directory / "after"
        for place, old in ((self.before, True), (self.after, False)):
            place.mkdir()
            (place / "global.yaml").write_text(
                f"mode: {{type: Standalone, repository: {{type: SQLite, props: {{path: {directory / 'store.db'}}}}}}}\n"
                f"authority:\n  users: [{{user: root@%, password: {_ROOT}, admin: true}}]\n"
                "props: {rules-drain-timeout-seconds: 2}\n"
            )
            (place / "database-shop.yaml").write_text(self._file("shop", old=old))
            (place / "database-calm.yaml").write_text(self._file("calm", old=True))
        self.mesh = Mesh(self.before, directory / "log")
        self._numbered = 1
        self._looking = [server.connect() for server in self.servers]

    def _file(self, name: str, *, old: bool) -> str:
        sources = "".join(
            f"  ds_{number}: {{url: 'mysql://{server.host}:{server.port}/{name}_{number}', username: {server.user}, "
            "password: '${env:FORMS_PASSWORD}'}\n"
            for number, server in enumerate(self.servers[: 2 if old else 3])
        )
        return f"databaseName: {name}\ndataSources:\n{sources}{_rules(old=old)}"

    def make_tables(self) -> None:
        """Empty ones, behind the mesh's back."""
        for name in ("shop", "calm"):
            for number, server in enumerate(self.servers):
                schema = f"{name}_{number}"
                server.execute(
                    f"DROP DATABASE IF EXISTS {schema}", f"CREATE DATABASE {schema} CHARACTER SET utf8mb4"
                )
                for table, columns in COLUMNS.items():
                    for node in _OLD[table]:
                        source, _, actual = node.partition(".")
                        if int(source) == number:
                            server.execute(f"CREATE TABLE {actual} ({columns})", database=schema)

    def reshard(self, verb: str, *arguments: str) -> str:
        """Run `dbmesh reshard`; what it prints."""
        printed = StringIO()
        with redirect_stdout(printed):
            code = cli(["reshard", verb, *arguments, "--config", str(self.before)])
        assert code == 0, printed.getvalue()
        return printed.getvalue()

    def status(self) -> dict[str, Any]:
        """The job, with how far it is."""
        found: dict[str, Any] = json.loads(self.reshard("status", "--json"))
        return found

    def connect(self, database: str, **options: Any) -> pymysql.Connection[Any]:
        """A client."""
        return self.mesh.connect(database, **options)

    def close(self) -> None:
        """Look no more."""
        for connection in self._looking:
            connection.close()

    def refill(self) -> None:
        """The rows there are at the beginning, in both databases, and the same next number."""
        for name in ("shop", "calm"):
            with self.connect(name) as connection, connection.cursor() as cursor:
                for table in COLUMNS:
                    cursor.execute(f"DELETE FROM {table}")
                for statement in ROWS:
                    cursor.execute(statement)
            self._numbered += 1
            self.servers[0].execute(
                f"ALTER TABLE {name}_0.t_single AUTO_INCREMENT = {self._numbered // 2 * 10_000}"
            )

    def stored(self, database: str, table: str, *, new: bool = False) -> list[str]:
        """The rows of one side, read behind the mesh's back; of a broadcast table all data nodes have the same."""
        found: list[list[str]] = []
        for node in (_NEW if new else _OLD)[table]:
            source, _, actual = node.partition(".")
            with self._looking[int(source)].cursor() as cursor:
                cursor.execute(f"SELECT * FROM {database}_{source}.{actual}")
                found.append([repr(row) for row in cursor.fetchall()])
        if table == "t_country":
            assert all(sorted(rows) == sorted(found[0]) for rows in found), found
            return sorted(found[0])
        return sorted(row for rows in found for row in rows)

    def assert_sides(self, what: str) -> None:
        """What is on the old side is on the new side."""
        for table in _NEW:
            assert self.stored("shop", table) == self.stored("shop", table, new=True), (
                f"{what}: {table} differs"
            )

    def assert_equal(self, what: str) -> None:
        """What is on the old side is on the new side, and what would be there if nothing moved."""
        self.assert_sides(what)
        for table in COLUMNS:
            old, calm = self.stored("shop", table), self.stored("calm", table)
            assert old == calm, f"{what}: {table} is not what it is where nothing moves"


@contextmanager
def open_write_forms(servers: Sequence[DatabaseServer], directory: Path) -> Iterator[WriteForms]:
    """A job that waits for its operator, so that every write is doubled."""
    forms = WriteForms(servers, directory)
    forms.make_tables()
    before = os.environ.get("FORMS_PASSWORD")
    os.environ["FORMS_PASSWORD"] = servers[0].password
    try:
        forms.mesh.start(60)
        forms.refill()
        forms.reshard("start", str(forms.after), "--database", "shop")
        forms.reshard("watch", "--json")
        assert forms.status()["phase"] == "ready", forms.status()
        yield forms
        forms.mesh.stop_cleanly()
    finally:
        if forms.mesh.running:
            forms.mesh.stop()
        forms.close()
        os.environ.pop("FORMS_PASSWORD")
        if before is not None:
            os.environ["FORMS_PASSWORD"] = before
