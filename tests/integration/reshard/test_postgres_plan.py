"""`dbmesh reshard plan` names what stands in the way on PostgreSQL data sources."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest

from dbmesh.cli.main import run as cli
from tests.plugins.database_server import DatabaseServer
from tests.plugins.postgres import Postgres, source_yaml

pytestmark = pytest.mark.integration

KEY = "id bigint PRIMARY KEY"
TABLES = {
    "partitioned": f"CREATE TABLE partitioned ({KEY}) PARTITION BY HASH (id)",
    "inherited": f"CREATE TABLE inherited ({KEY}); CREATE TABLE heir (PRIMARY KEY (id)) INHERITS (inherited)",
    "generated": f"CREATE TABLE generated ({KEY}, twice bigint GENERATED ALWAYS AS (id * 2) STORED)",
    "always": "CREATE TABLE always (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY)",
    "serial": "CREATE TABLE serial (id bigserial PRIMARY KEY)",
    "excluded": f"CREATE TABLE excluded ({KEY}, n int, CONSTRAINT apart EXCLUDE USING btree (n WITH =))",
    "deferred": f"CREATE TABLE deferred ({KEY}, n int, CONSTRAINT late UNIQUE (n) DEFERRABLE)",
    "partial": f"CREATE TABLE partial ({KEY}, n int); CREATE UNIQUE INDEX parts ON partial (n) WHERE n > 0",
    "expressive": f"CREATE TABLE expressive ({KEY}, n int); CREATE UNIQUE INDEX computed ON expressive (abs(n))",
    "ruled": f"CREATE TABLE ruled ({KEY}); CREATE RULE quiet AS ON DELETE TO ruled DO INSTEAD NOTHING",
    "guarded": f"CREATE TABLE guarded ({KEY}); ALTER TABLE guarded ENABLE ROW LEVEL SECURITY",
    "viewed": f"CREATE TABLE viewed ({KEY}); CREATE VIEW look AS SELECT id FROM viewed",
    "triggered": f"CREATE TABLE triggered ({KEY}); CREATE FUNCTION act() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'; "
    "CREATE TRIGGER acts AFTER INSERT ON triggered FOR EACH ROW EXECUTE FUNCTION act()",
    "parent": f"CREATE TABLE parent ({KEY})",
    "child": f"CREATE TABLE child ({KEY}, parent bigint CONSTRAINT kin REFERENCES parent)",
    "keyless": "CREATE TABLE keyless (id bigint)",
    "felt": f"CREATE TYPE mood AS ENUM ('glad'); CREATE TABLE felt ({KEY}, feeling mood)",
    "lent": f"CREATE TABLE lent ({KEY}); GRANT SELECT ON lent TO reader",
    "plain": f"CREATE TABLE plain ({KEY}, note text)",
}
OBSTACLES = {
    ("ds_0.partitioned", "it is partitioned, or a partition"),
    ("ds_0.inherited", "tables inherit from it, or it does from others"),
    ("ds_0.heir", "tables inherit from it, or it does from others"),
    ("ds_0.generated", "its column 'twice' is generated"),
    ("ds_0.always", "PostgreSQL alone gives its column 'id' numbers (GENERATED ALWAYS)"),
    (
        "serial",
        "PostgreSQL numbers its column 'id': which rows an INSERT of several has made cannot be told",
    ),
    ("ds_0.excluded", "it has the exclusion constraint 'apart'"),
    ("ds_0.deferred", "its key 'late' is deferrable"),
    (
        "ds_0.partial",
        "its unique index 'parts' is of an expression, or of some rows only: the mesh does not know it",
    ),
    (
        "ds_0.expressive",
        "its unique index 'computed' is of an expression, or of some rows only: the mesh does not know it",
    ),
    ("ds_0.ruled", "it has the rule 'quiet', which would run on both sides"),
    ("ds_0.guarded", "row level security may hide rows of it"),
    ("ds_0.viewed", "the view 'look' reads it on its data source"),
    ("ds_0.triggered", "it has triggers (acts), which would run on both sides"),
    ("ds_0.parent", "foreign keys (kin) bind it: their rows would have to move together"),
    ("ds_0.child", "foreign keys (kin) bind it: their rows would have to move together"),
    ("keyless", "it has no primary key: its rows cannot be told apart"),
    ("felt", "its column 'feeling' is of a type of its database, which others may not have"),
    *(
        (source, "max_prepared_transactions is 0: a write to two data sources could not be one")
        for source in ("ds_0", "ds_1")
    ),
}


@pytest.fixture(scope="module")
def postgres() -> Iterator[Postgres]:
    """A server as it is delivered, with tables of all kinds in one of two databases."""
    with TemporaryDirectory(prefix="dbmesh-postgres-") as directory:
        Path(directory).chmod(0o711)
        server = Postgres(Path(directory) / "server")
        try:
            server.start()
            server.execute("CREATE ROLE reader LOGIN PASSWORD 'reader'")
            for number in (0, 1):
                server.execute(f"CREATE DATABASE planned_{number}")
            for statements in TABLES.values():
                server.execute(statements, "planned_0")
            yield server
        finally:
            server.stop()


def _write(directory: Path, sources: str, single: str) -> str:
    directory.mkdir()
    (directory / "global.yaml").write_text("authority:\n  users:\n  - {user: root@%, password: root}\n")
    (directory / "database-shop.yaml").write_text(
        f"databaseName: shop\ndataSources:\n{sources}rules:\n- !SINGLE\n  tables: {single}\n"
    )
    return str(directory)


def _plan(now: str, new: str, capsys: pytest.CaptureFixture[str]) -> Any:
    cli(["reshard", "plan", new, "--config", now, "--json"])
    return json.loads(capsys.readouterr().out)


def _said(plan: Any, *, blocks: bool) -> set[tuple[str, str]]:
    return {(one["about"], one["finding"]) for one in plan["findings"] if one["blocks"] is blocks}


def test_each_obstacle_is_named(
    postgres: Postgres, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sources = "".join(source_yaml(number, postgres, f"planned_{number}") for number in (0, 1))
    now = _write(tmp_path / "now", sources, "['ds_0.*']")
    listed = ", ".join(f"ds_1.{name}" for name in (*TABLES, "heir"))
    plan = _plan(now, _write(tmp_path / "new", sources, f"[{listed}]"), capsys)
    assert not plan["possible"]
    assert _said(plan, blocks=True) == OBSTACLES
    remarks = _said(plan, blocks=False)
    assert ("ds_0.lent", "'reader' may use it, and not the new tables") in remarks
    assert (
        "ds_0",
        "PostgreSQL has no binlog: writes that bypass the mesh are found by verification only",
    ) in remarks


def test_there_is_no_binlog_to_take_writes_from(
    postgres: Postgres, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sources = "".join(source_yaml(number, postgres, f"planned_{number}") for number in (0, 1))
    now = _write(tmp_path / "now", sources, "['ds_0.plain']")
    new = _write(tmp_path / "new", sources, "['ds_1.plain']")
    cli(["reshard", "plan", new, "--config", now, "--json", "--mode", "cdc"])
    found = _said(json.loads(capsys.readouterr().out), blocks=True)
    assert (
        "ds_0",
        "it is no MySQL or MariaDB server, and has no binlog: in the mode cdc nothing else tells what is written",
    ) in found


def test_an_account_that_may_not_do_what_a_job_does(
    postgres: Postgres, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    postgres.execute("GRANT SELECT ON plain TO reader", "planned_0")
    sources = "".join(source_yaml(number, postgres, f"planned_{number}") for number in (0, 1))
    sources = sources.replace(postgres.user, "reader").replace(postgres.password, "reader")
    now = _write(tmp_path / "now", sources, "['ds_0.plain']")
    plan = _plan(now, _write(tmp_path / "new", sources, "['ds_1.plain']"), capsys)
    found = _said(plan, blocks=True)
    assert ("ds_1", "the account 'reader' may not create tables in its schema") in found
    assert (
        "ds_0.plain",
        f"it belongs to '{postgres.user}', and only its owner may rename and drop it",
    ) in found


def test_rows_do_not_go_between_products(
    postgres: Postgres, servers: list[DatabaseServer], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    server = servers[0]
    server.execute("DROP DATABASE IF EXISTS planned_2", "CREATE DATABASE planned_2")
    sources = source_yaml(0, postgres, "planned_0") + (
        f"  ds_1: {{url: 'mysql://{server.host}:{server.port}/planned_2', username: {server.user}, "
        f"password: '{server.password}'}}\n"
    )
    now = _write(tmp_path / "now", sources, "['ds_0.plain']")
    plan = _plan(now, _write(tmp_path / "new", sources, "['ds_1.plain']"), capsys)
    assert (
        "plain",
        "its rows would go between PostgreSQL and another product, whose values and keys are not the same",
    ) in _said(plan, blocks=True)
