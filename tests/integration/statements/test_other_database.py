"""Statements about tables of another logic database than the current one, compared with one server."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pymysql
import pytest

from tests.plugins import shop as shop_data
from tests.plugins.equivalence import ask, assert_equal_answers
from tests.plugins.fix_mesh import Shop
from tests.plugins.mesh import Mesh

pytestmark = pytest.mark.integration

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
_ACCOUNT = "(id BIGINT NOT NULL PRIMARY KEY, name VARCHAR(20))"


@pytest.fixture(scope="module")
def mesh(shop: Shop, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mesh]:
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


class Pair:
    """The same session on the mesh and on one server."""

    def __init__(self, mesh: Mesh, shop: Shop, database: str | None) -> None:
        plain = shop.plain
        self._mesh = mesh.connect(database, user=shop_data.USER, password=shop_data.PASSWORD)
        self._plain = pymysql.connect(
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

    def refused(self, statement: str) -> str:
        """What the mesh says."""
        with self._mesh.cursor() as cursor, pytest.raises(pymysql.err.MySQLError) as found:
            cursor.execute(statement)
        return str(found.value)

    def close(self) -> None:
        """Ends both sessions."""
        self._mesh.close()
        self._plain.close()


@pytest.mark.parametrize("current", ["here", None])
def test_a_statement_runs_in_the_database_all_its_tables_are_of(
    mesh: Mesh, shop: Shop, current: str | None
) -> None:
    pair = Pair(mesh, shop, current)
    try:
        pair.same(f"CREATE TABLE there.account {_ACCOUNT}")
        pair.same("CREATE TABLE `there`.`note` (id INT PRIMARY KEY, body TEXT) ENGINE=InnoDB")
        pair.same(
            "CREATE TABLE there.line (id INT PRIMARY KEY, note_id INT, FOREIGN KEY (note_id) REFERENCES note (id), "
            "FOREIGN KEY (note_id) REFERENCES there.note (id))"
        )
        pair.same("CREATE INDEX by_name ON there.account (name)")
        pair.same("INSERT INTO there.account VALUES (1, 'a'), (2, 'b'), (3, 'c'), (4, 'd')")
        pair.same("INSERT INTO there.note (id, body) SELECT id, name FROM there.account")
        pair.same("SELECT id, name FROM there.account ORDER BY id")
        pair.same("SELECT there.account.name FROM there.account WHERE there.account.id = %s", (3,))
        pair.same("SELECT a.id, n.body FROM there.account a JOIN there.note n USING (id) ORDER BY a.id")
        pair.same(
            "SELECT COUNT(*) FROM there.note WHERE id IN (SELECT id FROM there.account WHERE name > 'a')"
        )
        pair.same("UPDATE there.account SET id = 9 WHERE name = 'a'")
        pair.same("DELETE FROM there.account WHERE name > 'b' ORDER BY name LIMIT 1")
        pair.same("SELECT * FROM there.account ORDER BY id")
        pair.same("DESCRIBE there.note")
        pair.same("TRUNCATE TABLE there.account")
        pair.same("ALTER TABLE there.note ADD COLUMN more INT")
        pair.same("SELECT * FROM there.note ORDER BY id")
        pair.same("DROP TABLE there.line")
        pair.same("DROP TABLE there.account, there.note")
        pair.same("SELECT * FROM there.note")
        pair.same("SELECT * FROM nowhere.note")
        pair.same("INSERT INTO nowhere.note VALUES (1)")
        pair.same("CREATE TABLE nowhere.note (id INT)")
    finally:
        pair.close()


def test_rows_go_where_the_statement_says_not_where_the_session_is(mesh: Mesh, shop: Shop) -> None:
    pair = Pair(mesh, shop, "here")
    try:
        for database in ("here", "there"):
            pair.same(f"CREATE TABLE {database}.account {_ACCOUNT}")
        pair.same("INSERT INTO there.account VALUES (1, 'there'), (2, 'there')")
        pair.same("INSERT INTO account VALUES (1, 'here')")
        pair.same("UPDATE there.account SET id = id + 10, name = 'moved'")
        pair.same("SELECT * FROM account ORDER BY id")
        pair.same("SELECT * FROM here.account ORDER BY id")
        pair.same("SELECT id, name, DATABASE() FROM there.account ORDER BY id")
        assert "'here' and 'there' in one statement" in pair.refused(
            "SELECT * FROM account JOIN there.account AS t USING (id)"
        ).replace("'there' and 'here'", "'here' and 'there'")
        pair.same("DROP TABLE here.account")
        pair.same("DROP TABLE there.account")
    finally:
        pair.close()
