"""Two logic databases over the same two servers, and one server with databases of these names to compare them with."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pymysql
import pytest

from tests.plugins import plain_client
from tests.plugins import shop as shop_data
from tests.plugins.equivalence import ask, assert_equal_answers
from tests.plugins.fix_mesh import Shop
from tests.plugins.mesh import Mesh

_RULES = """rules:
- !SHARDING
  autoTables:
    account:
      actualDataSources: ds_0,ds_1
      shardingStrategy: {standard: {shardingColumn: id, shardingAlgorithmName: mod_4}}
  shardingAlgorithms:
    mod_4: {type: MOD, props: {sharding-count: 4}}
- !SINGLE
  tables: ["*.*"]
"""


class Pair:
    """The same session on the mesh and on one server."""

    def __init__(self, mesh: Mesh, shop: Shop, database: str | None) -> None:
        plain = shop.plain
        self._mesh = mesh.connect(database, user=shop_data.USER, password=shop_data.PASSWORD)
        self._plain = plain_client.connect(
            host=plain.host,
            port=plain.port,
            user=plain.user,
            password=plain.password,
            database=database,
            autocommit=True,
            charset="utf8mb4",
        )

    def same(self, statement: str, arguments: Any = None) -> None:
        """Runs the statement on both and insists on equal answers, but for the warning of commits on two servers."""
        mesh, plain = ask(self._mesh, statement, arguments), ask(self._plain, statement, arguments)
        assert_equal_answers(replace(mesh, warnings=0), replace(plain, warnings=0), statement)

    def same_rows(self, statement: str) -> None:
        """As `same`, whatever the columns are of."""
        mesh, plain = ask(self._mesh, statement), ask(self._plain, statement)
        assert (mesh.error, mesh.as_bag().rows) == (plain.error, plain.as_bag().rows), statement

    def refused(self, statement: str) -> str:
        """What the mesh says."""
        with self._mesh.cursor() as cursor, pytest.raises(pymysql.err.MySQLError) as found:
            cursor.execute(statement)
        return str(found.value)

    def close(self) -> None:
        """Ends both sessions."""
        self._mesh.close()
        self._plain.close()


@pytest.fixture(scope="session")
def two_databases(shop: Shop, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mesh]:
    """A mesh with the logic databases `here` and `there`; the plain server has databases of these names."""
    directory = tmp_path_factory.mktemp("two")
    rules = directory / "rules"
    rules.mkdir()
    (rules / "global.yaml").write_text(shop_data.global_yaml())
    for database in ("here", "there"):
        sources = ""
        for number, server in enumerate(shop.sources):
            schema = f"{database}_{number}"
            server.execute(f"CREATE DATABASE {schema}")
            source = shop_data.source_yaml(number, server)
            sources += source.replace(shop_data.shard_schema(number), schema)
        shop.plain_server.execute(f"CREATE DATABASE {database}")
        (rules / f"database-{database}.yaml").write_text(
            f"databaseName: {database}\ndataSources:\n{sources}{_RULES}"
        )
    made = Mesh(rules, directory / "mesh.log").start()
    yield made
    made.stop_cleanly()
    for database in ("here", "there"):
        shop.plain_server.execute(f"DROP DATABASE {database}")
        for number, server in enumerate(shop.sources):
            server.execute(f"DROP DATABASE {database}_{number}")
