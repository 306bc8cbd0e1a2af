"""Rules end to end: several logic databases at once, hints, auditors, key generators, single tables."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.plugins import shop as shop_data
from tests.plugins.equivalence import Answer, ask
from tests.plugins.fix_mesh import Shop
from tests.plugins.mesh import Mesh

pytestmark = pytest.mark.integration

_DATABASE = """\
databaseName: archive
dataSources:
  east: {{url: "jdbc:mysql://{hosts[0]}/archive_0", username: root, password: {password}}}
  west: {{url: "jdbc:mysql://{hosts[1]}/archive_1", username: root, password: {password}}}
rules:
- !SHARDING
  tables:
    t_event:
      actualDataNodes: east.t_event,west.t_event
      databaseStrategy: {{standard: {{shardingColumn: region, shardingAlgorithmName: by_region}}}}
      keyGenerateStrategy: {{column: id, keyGeneratorName: uuid}}
      auditStrategy: {{auditorNames: [region_required], allowHintDisable: true}}
    t_strict:
      actualDataNodes: east.t_strict,west.t_strict
      databaseStrategy: {{standard: {{shardingColumn: region, shardingAlgorithmName: by_region}}}}
      auditStrategy: {{auditorNames: [region_required], allowHintDisable: false}}
    t_told:
      actualDataNodes: east.t_told,west.t_told
      databaseStrategy: {{hint: {{shardingAlgorithmName: told}}}}
  shardingAlgorithms:
    by_region: {{type: INLINE, props: {{algorithm-expression: "${{region % 2 == 0 ? 'east' : 'west'}}"}}}}
    told: {{type: HINT_INLINE, props: {{algorithm-expression: "${{value}}"}}}}
  keyGenerators:
    uuid: {{type: UUID}}
  auditors:
    region_required: {{type: DML_SHARDING_CONDITIONS}}
- !SINGLE
  tables: ["*.*"]
"""


def _tables(number: int) -> list[str]:
    return [
        f"CREATE DATABASE archive_{number}",
        f"USE archive_{number}",
        "CREATE TABLE t_event (id CHAR(36) PRIMARY KEY, region INT NOT NULL, word VARCHAR(20))",
        "CREATE TABLE t_strict (id INT PRIMARY KEY, region INT NOT NULL)",
        "CREATE TABLE t_told (id INT PRIMARY KEY, word VARCHAR(20))",
        f"CREATE TABLE t_only_{number} (id INT PRIMARY KEY)",
        f"INSERT INTO t_strict VALUES ({number}, {number})",
        f"INSERT INTO t_told VALUES ({number}, 'told {number}')",
    ]


def _write(directory: Path, shop: Shop) -> Path:
    sources = [shop_data.source_yaml(number, server) for number, server in enumerate(shop.sources)]
    configuration = shop_data.write_configuration(directory, sources, {"sql-show": "true"})
    hosts = [f"{server.host}:{server.port}" for server in shop.sources]
    (configuration / "database-archive.yaml").write_text(
        _DATABASE.format(hosts=hosts, password=shop.sources[0].password)
    )
    return configuration


@pytest.fixture(scope="module")
def archive(shop: Shop, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mesh]:
    """A mesh with two logic databases: the shop, and an archive with rules of its own."""
    if not shop.meshed:
        pytest.skip("needs the mesh")
    for number, server in enumerate(shop.sources):
        server.execute(*_tables(number))
    directory = tmp_path_factory.mktemp("archive")
    mesh = Mesh(_write(directory / "rules", shop), directory / "mesh.log").start()
    yield mesh
    mesh.stop_cleanly()
    for number, server in enumerate(shop.sources):
        server.execute(f"DROP DATABASE archive_{number}")


def _ask(mesh: Mesh, statement: str, database: str = "archive") -> Answer:
    with mesh.connect(database) as connection:
        return ask(connection, statement)


def test_several_logic_databases_stand_side_by_side(archive: Mesh) -> None:
    with archive.connect("archive") as connection:
        names = [row[0] for row in ask(connection, "SHOW DATABASES").rows]
        assert {"archive", "shop"} <= set(names)
        assert ask(connection, "SELECT COUNT(*) FROM t_told").rows == ((2,),)
        assert ask(connection, "SELECT COUNT(*) FROM shop.t_user").rows == ((60,),)
        assert ask(connection, "SELECT COUNT(*) FROM shop.t_user, t_told").rows == ((120,),)
        assert ask(connection, "SELECT COUNT(*) FROM t_user").error == 1146
        assert ask(connection, "USE shop").error is None
        assert ask(connection, "SELECT COUNT(*) FROM t_user").rows == ((60,),)
        assert ask(connection, "SELECT COUNT(*) FROM t_told").error == 1146


def test_the_log_shows_what_clients_send_and_data_sources_receive(archive: Mesh) -> None:
    with archive.connect("archive") as connection:
        for statement in (
            "SELECT 'one node' FROM t_strict WHERE region = 1",
            "SELECT 'every node' FROM t_told",
            "SET @shown = 'nowhere'",
        ):
            assert ask(connection, statement).error is None
    lines = [line for line in archive.output().splitlines() if " SQL: " in line]

    def shown(word: str) -> list[str]:
        return [line.split(": ", 1)[1] for line in lines if word in line]

    assert shown("one node") == [
        "logic SQL: SELECT 'one node' FROM t_strict WHERE region = 1",
        "actual SQL: west: SELECT 'one node' FROM t_strict WHERE region = 1",
    ]
    assert shown("every node") == [
        "logic SQL: SELECT 'every node' FROM t_told",
        "actual SQL: east: SELECT 'every node' FROM t_told",
        "actual SQL: west: SELECT 'every node' FROM t_told",
    ]
    assert shown("nowhere") == ["logic SQL: SET @shown = 'nowhere'"]


def test_single_tables_are_found_on_their_data_sources(archive: Mesh) -> None:
    tables = [row[0] for row in _ask(archive, "SHOW TABLES").rows]
    assert tables == ["t_event", "t_only_0", "t_only_1", "t_strict", "t_told"]
    assert _ask(archive, "SELECT COUNT(*) FROM t_only_0").rows == ((0,),)
    assert _ask(archive, "SELECT COUNT(*) FROM t_only_1").rows == ((0,),)
    sources = {row[0] for row in _ask(archive, "PREVIEW SELECT COUNT(*) FROM t_only_0, t_only_1").rows}
    assert sources == {"east", "west"}


def test_single_tables_of_one_name_are_a_mistake(shop: Shop, archive: Mesh, tmp_path: Path) -> None:
    for number, server in enumerate(shop.sources):
        server.execute(f"CREATE TABLE archive_{number}.t_twice (id INT PRIMARY KEY)")
    try:
        mesh = Mesh(_write(tmp_path / "rules", shop), tmp_path / "mesh.log")
        with pytest.raises(RuntimeError):
            mesh.start()
        text = mesh.output()
        assert "Traceback" not in text
        for word in ("t_twice", "east", "west"):
            assert word in text
    finally:
        for number, server in enumerate(shop.sources):
            server.execute(f"DROP TABLE archive_{number}.t_twice")


def test_uuid_keys_are_generated(shop: Shop, archive: Mesh) -> None:
    try:
        inserted = _ask(archive, "INSERT INTO t_event (region, word) VALUES (0, 'a'), (1, 'b'), (2, 'c')")
        assert inserted.affected == 3
        stored = [
            [row[0] for row in server.execute(f"SELECT id FROM archive_{number}.t_event")]
            for number, server in enumerate(shop.sources)
        ]
        assert [len(ids) for ids in stored] == [2, 1]
        ids = [key for keys in stored for key in keys]
        assert len(set(ids)) == 3
        for key in ids:
            assert uuid.UUID(key).version is not None
    finally:
        for number, server in enumerate(shop.sources):
            server.execute(f"DELETE FROM archive_{number}.t_event")


def test_an_auditor_insists_on_a_sharding_condition(archive: Mesh) -> None:
    for statement in (
        "SELECT * FROM t_strict",
        "SELECT * FROM t_strict WHERE id = 1",
        "UPDATE t_strict SET id = id",
        "DELETE FROM t_strict WHERE id = 1",
        "/* SHARDINGSPHERE_HINT: DISABLE_AUDIT_NAMES=region_required */ SELECT * FROM t_strict",
    ):
        refused = _ask(archive, statement)
        assert refused.error == 1235, statement
        assert "region_required" in refused.text
    assert _ask(archive, "SELECT id FROM t_strict WHERE region = 1").rows == ((1,),)
    assert _ask(archive, "SELECT * FROM t_event").error == 1235


@pytest.mark.parametrize("prefix", ["SHARDINGSPHERE_HINT", "DBMESH_HINT"])
def test_a_hint_disables_an_auditor_that_allows_it(archive: Mesh, prefix: str) -> None:
    hint = f"/* {prefix}: DISABLE_AUDIT_NAMES=region_required */ "
    assert _ask(archive, hint + "SELECT * FROM t_event").rows == ()
    other = f"/* {prefix}: DISABLE_AUDIT_NAMES=another */ "
    assert _ask(archive, other + "SELECT * FROM t_event").error == 1235


@pytest.mark.parametrize("prefix", ["SHARDINGSPHERE_HINT", "DBMESH_HINT"])
def test_a_hint_value_chooses_the_data_node(archive: Mesh, prefix: str) -> None:
    assert len(_ask(archive, "SELECT * FROM t_told").rows) == 2, "without a hint every node"
    for number, source in enumerate(("east", "west")):
        for key in ("t_told.SHARDING_DATABASE_VALUE", "SHARDING_DATABASE_VALUE", "shardingDatabaseValue"):
            answer = _ask(archive, f"/* {prefix}: {key}={source} */ SELECT word FROM t_told")
            assert answer.rows == ((f"told {number}",),), key
    assert _ask(archive, f"/* {prefix}: SHARDING_DATABASE_VALUE=nowhere */ SELECT word FROM t_told").error


def test_the_hint_data_source_name_chooses_the_data_source(archive: Mesh) -> None:
    for number, source in enumerate(("east", "west")):
        hint = f"/* SHARDINGSPHERE_HINT: DATA_SOURCE_NAME={source} */ "
        assert _ask(archive, hint + "SELECT id FROM t_strict").rows == ((number,),)
        assert _ask(archive, hint + "SELECT DATABASE()").rows in (((f"archive_{number}",),), (("archive",),))
    for statement in ("SELECT 1", "SELECT * FROM t_strict", "UPDATE t_strict SET id = 9", "SHOW TABLES"):
        answer = _ask(archive, "/* SHARDINGSPHERE_HINT: DATA_SOURCE_NAME=nowhere */ " + statement)
        assert answer.error == 1235, statement
        assert "east, west" in answer.text


@pytest.mark.parametrize(
    "statement",
    [
        "CREATE TABLE t_hinted (id INT)",
        "ALTER TABLE t_told ADD COLUMN x INT",
        "DROP TABLE t_told",
        "TRUNCATE t_told",
    ],
)
def test_the_hint_data_source_name_is_never_ignored(shop: Shop, archive: Mesh, statement: str) -> None:
    answer = _ask(archive, f"/* DBMESH_HINT: DATA_SOURCE_NAME=east */ {statement}")
    assert answer.error == 1235
    assert [
        server.execute(f"SELECT * FROM archive_{number}.t_told") for number, server in enumerate(shop.sources)
    ] == [
        [(0, "told 0")],
        [(1, "told 1")],
    ]
