"""Copying waits for a replica that is behind, says which and how far, and goes on when it has caught up; clients are served meanwhile."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.plugins.fix_mysql import ServerFactory
from tests.plugins.moving import MovingMesh, database_yaml, moving_mesh, source_yaml
from tests.plugins.processes import wait_until
from tests.plugins.replication import SCHEMA, Replication

pytestmark = pytest.mark.integration

ROWS = 3_000
SERVED = 2.0
"""Seconds."""
BEHIND = 14
"""Seconds: more than the ten that hold copying up."""

_GROUP = """\
- !READWRITE_SPLITTING
  dataSourceGroups:
    ds:
      writeDataSourceName: p
      readDataSourceNames: [r1, r2]
      checkIntervalMilliseconds: 50
"""
_RULES = """\
- !SHARDING
  tables:
    item:
      actualDataNodes: {source}.item_${{0..{last}}}
      tableStrategy: {{standard: {{shardingColumn: id, shardingAlgorithmName: by_table}}}}
  shardingAlgorithms:
    by_table: {{type: INLINE, props: {{algorithm-expression: 'item_${{id % {count}}}'}}}}
- !SINGLE
  tables: ['{source}.account']
"""


@pytest.fixture(scope="module")
def replication(database_server: ServerFactory) -> Replication:
    """A primary that two replicas follow, with two actual tables."""
    made = Replication(database_server, "lagging")
    primary = made.servers["p"]
    for table in range(2):
        values = ", ".join(f"({id_}, 0)" for id_ in range(1, ROWS + 1) if id_ % 2 == table)
        primary.execute(
            f"CREATE TABLE item_{table} (id BIGINT PRIMARY KEY, n INT NOT NULL)",
            f"INSERT INTO item_{table} VALUES {values}",
            database=SCHEMA,
        )
    return made


BOTH_SIDES, NEW_SIDE = "of both sides", "of the new side"


@pytest.fixture
def moving(replication: Replication, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[MovingMesh]:
    """From two actual tables to four; the group of replicas is one of both rules, or of the new ones alone."""
    sources = "".join(source_yaml(name, server, SCHEMA) for name, server in replication.servers.items())
    group, source = (_GROUP, "ds") if request.param == BOTH_SIDES else ("", "p")
    before = database_yaml(sources, group + _RULES.format(source=source, last=1, count=2))
    after = database_yaml(sources, _GROUP + _RULES.format(source="ds", last=3, count=4))
    with moving_mesh(tmp_path, before, after) as made:
        yield made


def _is_held_up(moving: MovingMesh, why: str) -> str:
    """Copying waits, as fast as it may be, while clients are served; what the operator is told."""
    wait_until(lambda: why in moving.status()["progress"].get("throttled", ""), 60, f"copying waits: {why}")
    said = moving.reshard("status")
    moving.reshard("throttle", "0")
    connection = moving.connect()
    with connection.cursor() as cursor:
        ends, n = time.monotonic() + SERVED, 0
        while time.monotonic() < ends:
            n += 1
            cursor.execute("UPDATE item SET n = n + 1 WHERE id = 7")
            cursor.execute("SELECT n FROM item WHERE id = 7 FOR UPDATE")
            assert cursor.fetchall() == ((n,),)
    connection.close()
    found = moving.status()
    assert (found["phase"], why in found["progress"]["throttled"]) == ("copy", True)
    assert found["progress"]["tables"]["item"].get("copied", 0) < ROWS
    return said


def _goes_on(moving: MovingMesh) -> None:
    """To its end, with all rows, now that nothing holds it up."""
    found = moving.at_rest("ready")
    assert found["progress"]["tables"]["item"]["copied"] >= ROWS
    assert found["progress"]["throttled"] == ""
    moving.reshard("cutover")
    moving.run("UPDATE item SET n = 0 WHERE id = 7")
    assert moving.run("SELECT COUNT(*), SUM(n) FROM item") == [(ROWS, 0)]
    moving.reshard("rollback")
    assert moving.run("SELECT COUNT(*), SUM(n) FROM item") == [(ROWS, 0)]
    moving.reshard("cancel")


@pytest.mark.parametrize("moving", [NEW_SIDE], indirect=True)
def test_a_replica_that_is_behind(moving: MovingMesh, replication: Replication) -> None:
    replication.follow("r1", "p", delay=BEHIND)
    try:
        moving.reshard("start", str(moving.after), "--rate", "50")
        said = _is_held_up(moving, "r1 is ")
        assert re.search(r"copy .* held up: r1 is 1\d s behind", said), said
    finally:
        replication.follow("r1", "p")
    _goes_on(moving)


@pytest.mark.parametrize("moving", [BOTH_SIDES], indirect=True)
def test_a_replica_that_applies_nothing(moving: MovingMesh, replication: Replication) -> None:
    replication.stop_applying("r2")
    try:
        moving.reshard("start", str(moving.after), "--rate", "50")
        assert "held up: r2: " in _is_held_up(moving, "r2: ")
    finally:
        replication.go_on("r2")
    _goes_on(moving)
