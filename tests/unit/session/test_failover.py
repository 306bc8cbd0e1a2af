"""A statement that a read-only server has refused waits for nobody but the groups that could have refused it."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any, cast

import pytest

from dbmesh.backend.connection import Connection, Flavour
from dbmesh.backend.pool import Pool
from dbmesh.backend.replica_health import Observation
from dbmesh.backend.replicas import Replicas
from dbmesh.errors import MeshError, ShardError
from dbmesh.rules.replica_groups import ReplicaGroup
from dbmesh.rules.ruleset import DataSourceConfig
from dbmesh.session.failover import again

REFUSED = ShardError(1290, "HY000", "read-only")


def _group(name: str, seen: Observation) -> Replicas:
    async def open_connection(flavour: Flavour) -> Connection:
        raise AssertionError("nobody connects")

    config = DataSourceConfig(f"{name}_p", "mysql", "host", 3306, "shop", "mesh")
    group = ReplicaGroup(name, config, (), failover_wait=0.01)
    replicas = Replicas(group, (), lambda one: Pool(one, open_connection), lambda: 0.5)
    replicas.observe({config.name: seen}, 0.0)
    return replicas


def _session(*groups: Replicas) -> Any:
    database = SimpleNamespace(replicas={one.group.name: one for one in groups})
    return SimpleNamespace(
        mesh=SimpleNamespace(databases={"shop": database}),
        given=(b"\x03UPDATE", 1),
        command_since=asyncio.get_running_loop().time(),
    )


@pytest.mark.parametrize(
    ("seen", "expected"),
    [(Observation("connection refused"), ShardError), (Observation(read_only=True), MeshError)],
)
async def test_a_group_that_does_not_answer_is_not_waited_for(
    seen: Observation, expected: type[Exception]
) -> None:
    session = _session(_group("others", seen), _group("own", Observation()))
    with pytest.raises(expected):
        await again(cast("Any", session), REFUSED)
