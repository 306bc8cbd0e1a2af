"""What operators are told of circuit breakers and limits."""

from __future__ import annotations

from dbmesh.admin.metrics import Metrics
from dbmesh.admin.table import Operated
from dbmesh.admin.tables import TABLES
from dbmesh.cli.admin_verbs import Shown
from dbmesh.governance.protection.protector import Protector
from dbmesh.governance.statistics import Statistics
from dbmesh.rules.protection.values import BreakerPolicy, DataSourceBreakers, Limit, Per, Protection
from tests.plugins.protected_world import ProtectedWorld

POINT = b"\x03UPDATE t_order SET status = 'x' WHERE user_id = 5"


def rows(world: ProtectedWorld, protector: Protector | None, name: str) -> list[dict[str, object]]:
    [table] = [one for one in TABLES if one.name == name]
    clock = world.session.now
    operated = Operated(world.mesh, Statistics(clock, clock), "1", clock, lambda: True, protector)
    names = [column for column, _ in table.columns]
    return [dict(zip(names, row, strict=True)) for row in table.rows(operated)]


async def test_breakers_and_limits_are_listed() -> None:
    policy = BreakerPolicy(window_calls=9, minimum_calls=2, open_seconds=5.0, jitter=0.0)
    world = ProtectedWorld(
        Protection(
            data_source_breakers=(DataSourceBreakers("all", policy, data_sources=("ds_0",)),),
            limits=(
                Limit("few", Per.USER, rate=0.5, burst=3),
                Limit("calm", Per.DATA_SOURCE, data_sources=("ds_0",), rate=9, burst=9),
            ),
        )
    )
    world.session.user_name = "app"
    assert await world.numbers(POINT, 2, fails=1053) == [1053, 1053]
    assert await world.numbers(POINT, 2) == [3168, 1226]
    [breaker] = rows(world, world.protector, "breakers")
    left = breaker.pop("closes_in_ms")
    assert isinstance(left, int)
    assert 4000 < left <= 5000
    assert breaker == {
        "breaker": "shop.ds_0",
        "state": "open",
        "calls": 2,
        "failed": 2,
        "slow": 0,
        "refused": 1,
        "opened": 1,
    }
    few, calm = rows(world, world.protector, "limits")
    assert few == {
        "limit_name": "few",
        "limited": "app",
        "running": 0,
        "waiting": 0,
        "concurrency": 0,
        "rate": 0.5,
        "refused": 1,
    }
    assert (calm["limit_name"], calm["limited"]) == ("calm", "shop.ds_0")
    clock = world.session.now
    operated = Operated(world.mesh, Statistics(clock, clock), "1", clock, lambda: True, world.protector)
    page = Metrics(operated).page().decode()
    for line in (
        'dbmesh_breaker_closed{breaker="shop.ds_0"} 0.0',
        'dbmesh_breaker_refused_total{breaker="shop.ds_0"} 1.0',
        'dbmesh_limit_refused_total{limit="few",limited="app"} 1.0',
        'dbmesh_limit_waiting{limit="few",limited="app"} 0.0',
    ):
        assert line in page
    assert rows(world, None, "breakers") == rows(world, None, "limits") == []
    await world.end()


def test_the_command_line_shows_every_table() -> None:
    assert {table.name for table in TABLES} == {one.value for one in Shown}
