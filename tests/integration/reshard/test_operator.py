"""What an operator is told who asks for something at the wrong time, or while nobody is there to do it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.plugins.database_server import DatabaseServer
from tests.plugins.moving import database_yaml, moving_mesh, source_yaml

pytestmark = pytest.mark.integration

_RULES = "- !SINGLE\n  tables: ['{source}.item']\n"


def test_what_is_asked_for_at_the_wrong_time(servers: list[DatabaseServer], tmp_path: Path) -> None:
    for number, server in enumerate(servers):
        server.execute(f"DROP DATABASE IF EXISTS asked_{number}", f"CREATE DATABASE asked_{number}")
    servers[0].execute(
        "CREATE TABLE item (id INT PRIMARY KEY)", "INSERT INTO item VALUES (1), (2)", database="asked_0"
    )
    sources = "".join(
        source_yaml(f"ds_{number}", server, f"asked_{number}") for number, server in enumerate(servers)
    )
    before, after = (database_yaml(sources, _RULES.format(source=f"ds_{number}")) for number in range(2))
    with moving_mesh(tmp_path, before, after) as moving:
        moving.start()
        assert "reshard job 1 is under way" in moving.reshard("start", str(moving.after), code=1)
        assert "job 1 is in phase 'ready'; nothing of it can be paused" in moving.reshard("pause", code=1)
        assert "rollback follows 'reverse double write'" in moving.reshard("rollback", code=1)
        # It waits for its operator: there is nothing to be watched.
        assert "both sides are equal" in moving.reshard("watch")
        moving.mesh.stop_cleanly()
        for verb in ("cutover", "verify", "cancel"):
            assert "no sidecar is alive that could carry the job out; start one" in moving.reshard(
                verb, code=1
            )
        assert moving.status()["phase"] == "ready"
        moving.mesh.start(60)
        moving.reshard("cutover")
        assert moving.run("SELECT id FROM item ORDER BY id") == [(1,), (2,)]
        moving.reshard("finish")
        moving.turn_round()
        # At once, from where it is now.
        moving.start()
        moving.reshard("cancel")
        assert moving.run("SELECT id FROM item ORDER BY id") == [(1,), (2,)]
