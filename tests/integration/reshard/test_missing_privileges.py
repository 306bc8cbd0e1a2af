"""An account that may not do what a job needs: `plan` names what is missing, and a job that loses a privilege on its way stops, says so, and goes
on when it has it again. A table that cannot be moved at all is refused before anything has changed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pymysql
import pytest

from tests.plugins.database_server import ROOT_PASSWORD, DatabaseServer
from tests.plugins.moving import MovingMesh, database_yaml, moving_mesh, source_yaml
from tests.plugins.processes import wait_until

pytestmark = pytest.mark.integration

ROWS = 600
DENIED = 1142
ENOUGH = "SELECT, INSERT, UPDATE, DELETE, CREATE, ALTER, DROP"

_SHARDED = """\
- !SHARDING
  tables:
    item:
      actualDataNodes: {source}.item_${{0..1}}
      tableStrategy: {{standard: {{shardingColumn: id, shardingAlgorithmName: by_table}}}}
  shardingAlgorithms:
    by_table: {{type: INLINE, props: {{algorithm-expression: 'item_${{id % 2}}'}}}}
- !SINGLE
  tables: ['ds_0.*']
"""


@pytest.fixture
def moving(servers: list[DatabaseServer], tmp_path: Path) -> Iterator[MovingMesh]:
    """From one server, whose account may do everything, to one whose account `mover` may do what is enough."""
    values = ", ".join(f"({id_}, 0)" for id_ in range(1, ROWS + 1))
    for server in servers:
        server.execute("DROP DATABASE IF EXISTS granted", "CREATE DATABASE granted")
    servers[0].execute(
        "CREATE TABLE item (id BIGINT PRIMARY KEY, n INT NOT NULL)",
        "CREATE TABLE bare (id BIGINT, n INT NOT NULL)",
        f"INSERT INTO item VALUES {values}",
        database="granted",
    )
    servers[1].execute(
        "DROP USER IF EXISTS mover@'%'",
        f"CREATE USER mover@'%' IDENTIFIED BY '{ROOT_PASSWORD}'",
        f"GRANT {ENOUGH} ON granted.* TO mover@'%'",
    )
    sources = source_yaml("ds_0", servers[0], "granted") + source_yaml(
        "ds_1", servers[1], "granted", user="mover"
    )
    before = database_yaml(sources, "- !SINGLE\n  tables: ['ds_0.item', 'ds_0.bare']\n")
    with moving_mesh(tmp_path, before, database_yaml(sources, _SHARDED.format(source="ds_1"))) as made:
        yield made


def test_what_is_missing_on_the_new_side_is_named(moving: MovingMesh, servers: list[DatabaseServer]) -> None:
    for privilege in ENOUGH.split(", "):
        servers[1].execute(f"REVOKE {privilege} ON granted.* FROM mover@'%'")
        said = moving.reshard("plan", str(moving.after), code=3)
        assert f"obstacle: ds_1: the account 'mover' has not got {privilege} " in said
        assert f"cure: GRANT {privilege} ON `granted`.* TO 'mover'" in said
        assert "the job cannot begin: 1 obstacle" in said
        servers[1].execute(f"GRANT {privilege} ON granted.* TO mover@'%'")
    servers[1].execute("REVOKE CREATE, DROP ON granted.* FROM mover@'%'")
    assert "has not got CREATE, DROP" in moving.reshard("start", str(moving.after), code=3)
    assert moving.reshard("list") == "there is no reshard job"


def test_one_that_is_lost_while_rows_are_copied(moving: MovingMesh, servers: list[DatabaseServer]) -> None:
    moving.reshard("start", str(moving.after), "--rate", "100")
    wait_until(lambda: moving.status()["phase"] == "copy", 30, "rows are copied")
    # A session keeps what it was granted until it chooses its schema again.
    servers[1].execute("REVOKE INSERT ON granted.* FROM mover@'%'", "KILL USER mover")
    moving.at_rest("copy")
    moving.reshard("throttle", "0")
    moving.reshard("resume")
    assert moving.at_rest("copy")["stopped"].startswith("ds_1: INSERT command denied to user 'mover'")
    with pytest.raises(pymysql.err.OperationalError, match="other side of a table") as caught:
        moving.run("INSERT INTO item VALUES (10001, 1)")
    assert caught.value.args[0] == DENIED
    assert moving.run("SELECT COUNT(*) FROM item") == [(ROWS,)]
    servers[1].execute("GRANT INSERT ON granted.* TO mover@'%'")
    moving.reshard("resume")
    moving.at_rest("ready")
    moving.run("INSERT INTO item VALUES (10001, 1)")
    moving.reshard("cutover")
    assert moving.run("SELECT COUNT(*), SUM(n) FROM item") == [(ROWS + 1, 1)]
    # Giving up, and finishing, take privileges too.
    moving.reshard("rollback")
    servers[1].execute("REVOKE DROP ON granted.* FROM mover@'%'")
    assert "ds_1: DROP command denied to user 'mover'" in moving.reshard("cancel", code=3)
    assert moving.run("SELECT COUNT(*), SUM(n) FROM item") == [(ROWS + 1, 1)]
    servers[1].execute("GRANT DROP ON granted.* TO mover@'%'")
    moving.reshard("resume")
    moving.at_rest("cancelled")
    assert [name for (name,) in servers[1].execute("SHOW TABLES", database="granted") if "item" in name] == []


def test_a_table_without_primary_key(moving: MovingMesh) -> None:
    moving.write(moving.after, (moving.after / "database-shop.yaml").read_text().replace("item", "bare"))
    said = moving.reshard("start", str(moving.after), code=3)
    assert "obstacle: bare: it has no primary key: its rows cannot be told apart cure: give it one" in said
    moving.run("INSERT INTO bare VALUES (1, 1)", "ALTER TABLE bare ADD PRIMARY KEY (id)")
    moving.start()
    moving.reshard("cutover")
    assert moving.run("SELECT * FROM bare") == [(1, 1)]
