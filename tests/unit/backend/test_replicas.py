"""Which server of a group is the primary, which replicas are read, and what becomes of connections when that changes."""

from __future__ import annotations

from dataclasses import replace

from dbmesh.backend.connection import Connection, Flavour
from dbmesh.backend.pool import Pool
from dbmesh.backend.replica_health import Observation
from dbmesh.backend.replicas import Replicas
from dbmesh.rules.replica_groups import ReplicaGroup
from dbmesh.rules.ruleset import DataSourceConfig

GONE = Observation("connection refused")


class Group:
    """A primary p and replicas r1 and r2 with the ids 1 to 3; what was seen of each, which a test changes."""

    def __init__(self) -> None:
        configs = [
            DataSourceConfig(name, "mysql", f"host-{name}", 3306, "shop", "mesh")
            for name in ("p", "r1", "r2")
        ]
        self.pool = _pool(replace(configs[0], name="ds"))
        self.replicas = Replicas(
            ReplicaGroup("ds", configs[0], tuple(configs[1:])), (self.pool,), _pool, lambda: 0.5
        )
        self.seen = {
            "p": Observation(stalled="it is nobody's replica", server_id=1),
            "r1": Observation(follows=True, lag=0.0, server_id=2, sources=frozenset({1})),
            "r2": Observation(follows=True, lag=0.0, server_id=3, sources=frozenset({1})),
        }

    def look(self, **seen: Observation) -> tuple[str, list[str]]:
        """The primary, and the replicas that are read, when this has been seen."""
        self.seen.update(seen)
        self.replicas.observe(self.seen, 1.0)
        return self.replicas.primary.name, [server.name for server in self.replicas.readable]


def _pool(config: DataSourceConfig) -> Pool:
    async def open_connection(flavour: Flavour) -> Connection:
        raise AssertionError("nobody connects")

    return Pool(config, open_connection)


async def test_a_server_that_is_nobodys_replica_follows_as_primary() -> None:
    group = Group()
    assert group.look() == ("p", ["r1", "r2"])
    assert group.look(p=GONE) == ("p", ["r1", "r2"])
    assert not group.replicas.has_primary
    assert (
        group.look(r1=replace(group.seen["p"], problem="", stalled="it is nobody's replica", server_id=2))[0]
        == "r1"
    )
    assert (group.replicas.has_primary, group.pool.config.host) == (True, "host-r1")


async def test_a_replica_of_a_former_primary_is_not_read() -> None:
    group = Group()
    group.look()
    demoted = replace(group.seen["p"], read_only=True)
    promoted = replace(group.seen["p"], server_id=2)
    for former in (demoted, GONE):
        assert group.look(p=former, r1=promoted) == ("r1", [])
        assert group.replicas.servers["r2"].health.reason == "it follows a server that is not the primary"


async def test_a_replica_of_a_former_primary_is_not_read_before_it_is_looked_at() -> None:
    group = Group()
    group.look()
    group.replicas.observe({"p": GONE}, 1.0)
    group.replicas.observe({"r1": replace(group.seen["p"], server_id=2)}, 1.0)
    assert group.replicas.primary.name == "r1"
    assert not group.replicas.readable
    assert group.replicas.servers["r2"].health.reason == "it follows a server that is not the primary"
    following = replace(group.seen["r2"], sources=frozenset({2}))
    for _ in range(3):
        group.replicas.observe({**group.seen, "r2": following}, 100.0)
    assert [server.name for server in group.replicas.readable] == ["r2"]


async def test_a_replica_of_a_replica_is_read() -> None:
    group = Group()
    assert group.look(r2=replace(group.seen["r2"], sources=frozenset({2}))) == ("p", ["r1", "r2"])


async def test_a_replica_that_is_switched_off_is_not_read() -> None:
    group = Group()
    group.look()
    group.replicas.switch_off(frozenset({"r1"}))
    assert [server.name for server in group.replicas.readable] == ["r2"]
    assert group.look() == ("p", ["r2"])
    group.replicas.switch_off(frozenset())
    assert [server.name for server in group.replicas.readable] == ["r1", "r2"]
