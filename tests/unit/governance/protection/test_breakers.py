"""Circuit breakers of data sources and fingerprints: what they refuse, what counts, and what somebody has decided."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import pytest

from dbmesh.backend.tasks import TaskOwner
from dbmesh.errors import (
    BREAKER_OPEN,
    DATA_SOURCE_LOST,
    DATA_SOURCE_UNREACHABLE,
    NO_DATABASE,
    POOL_EXHAUSTED,
    MeshError,
    ShardError,
    is_unhealthy,
)
from dbmesh.governance.embedded import EmbeddedStore
from dbmesh.governance.protection.breaker import State
from dbmesh.governance.protection.decisions import decide, follow_decisions, read_decisions
from dbmesh.rules.protection.selection import Selection
from dbmesh.rules.protection.values import (
    BreakerPolicy,
    DataSourceBreakers,
    FingerprintBreakers,
    Protection,
)
from dbmesh.wire.packets import parse_err
from tests.plugins.protected_world import ProtectedWorld

POLICY = BreakerPolicy(window_calls=10, minimum_calls=3, open_seconds=5.0, jitter=0.0, probes=1)
OF_SOURCES = Protection(data_source_breakers=(DataSourceBreakers("all", POLICY),))
OF_FINGERPRINTS = Protection(
    fingerprint_breakers=(FingerprintBreakers("all", POLICY, Selection(tables=("t_order*",))),)
)
OVERLOADED, DEADLOCK, DUPLICATE = 1053, 1213, 1062
POINT = b"\x03UPDATE t_order SET status = 'x' WHERE user_id = 5"
OTHER_SHAPE = b"\x03DELETE FROM t_order WHERE user_id = 5"
ALL = b"\x03UPDATE t_order SET status = 'x'"


@pytest.mark.parametrize("payload", [POINT, ALL], ids=["one shard", "several"])
@pytest.mark.parametrize("protection", [OF_SOURCES, OF_FINGERPRINTS], ids=["source", "fingerprint"])
async def test_it_opens_refuses_and_closes_again(protection: Protection, payload: bytes) -> None:
    world = ProtectedWorld(protection)
    assert await world.numbers(payload, 3, fails=OVERLOADED) == [OVERLOADED] * 3
    sent = len(world.sent)
    assert await world.numbers(payload) == [BREAKER_OPEN.number]
    assert len(world.sent) == sent
    [(_, packet)] = await world.command(payload)
    text = parse_err(packet).message.decode()
    name = "data source 'shop.ds_" if protection is OF_SOURCES else "statements like this one ("
    assert f"the circuit breaker of {name}" in text
    assert "is open" in text
    assert "it may close in 5.0 s" in text
    world.passed += 5.0
    assert await world.numbers(payload, 2) == [0, 0]
    assert {one.state for one in world.protector.breakers.statuses()} == {State.CLOSED}
    await world.end()


@pytest.mark.parametrize("number", [DEADLOCK, DUPLICATE, 1290, 1064, 1142, 1317])
@pytest.mark.parametrize("protection", [OF_SOURCES, OF_FINGERPRINTS], ids=["source", "fingerprint"])
async def test_what_is_no_matter_of_health_opens_nothing(protection: Protection, number: int) -> None:
    world = ProtectedWorld(protection)
    assert await world.numbers(POINT, 9, fails=number) == [number] * 9
    assert await world.numbers(POINT) == [0]
    await world.end()


async def test_other_statements_go_on_and_other_data_sources_too() -> None:
    world = ProtectedWorld(OF_FINGERPRINTS)
    await world.numbers(POINT, 3, fails=OVERLOADED)
    assert await world.numbers(OTHER_SHAPE) == [0]
    assert await world.numbers(b"\x03UPDATE t_order SET status = 'y' WHERE user_id = 6") == [
        BREAKER_OPEN.number
    ], "only its values differ"
    assert await world.numbers(b"\x03COMMIT") == [0]
    await world.end()
    world = ProtectedWorld(OF_SOURCES)
    await world.numbers(POINT, 3, fails=OVERLOADED)
    assert await world.numbers(POINT.replace(b"5", b"7")) == [0]
    await world.end()


async def test_a_transaction_under_way_goes_on_and_commits() -> None:
    world = ProtectedWorld(OF_SOURCES)
    await world.numbers(b"\x03BEGIN")
    await world.numbers(POINT)
    assert await world.numbers(POINT, 4, fails=OVERLOADED) == [OVERLOADED] * 4
    [open_one] = [one for one in world.protector.breakers.statuses() if one.state is State.OPEN]
    assert open_one.name == "shop.ds_0"
    assert await world.numbers(POINT) == [0]
    assert await world.numbers(b"\x03COMMIT") == [0]
    assert any(payload == b"\x03COMMIT" for _, payload in world.sent)
    assert await world.numbers(POINT) == [BREAKER_OPEN.number]
    await world.end()


async def test_a_server_that_cannot_be_reached_opens_it() -> None:
    world = ProtectedWorld(OF_SOURCES)
    pool = world.pools["ds_0"]

    async def refused(flavour: object) -> None:
        del flavour
        raise MeshError(DATA_SOURCE_UNREACHABLE, data_source="ds_0", reason="refused")

    pool._open = refused  # type: ignore[assignment]
    assert await world.numbers(POINT, 4) == [1105, 1105, 1105, BREAKER_OPEN.number]
    await pool.close()
    await world.end()


async def test_somebody_decides_and_the_breaker_begins_anew_when_the_decision_is_gone() -> None:
    world = ProtectedWorld(Protection())
    assert world.mesh.filters == ()
    assert await world.numbers(POINT) == [0]
    world.protector.decide({"shop.ds_0": State.FORCED_OPEN})
    assert await world.numbers(POINT) == [BREAKER_OPEN.number]
    [(_, packet)] = await world.command(POINT)
    assert b"is forced-open" in parse_err(packet).message
    assert b"until it is reset" in parse_err(packet).message
    seen = ProtectedWorld(OF_FINGERPRINTS)
    await seen.numbers(POINT)
    [status] = seen.protector.breakers.statuses()
    await seen.end()
    world.protector.decide({status.name: State.FORCED_OPEN})
    assert await world.numbers(POINT) == [BREAKER_OPEN.number]
    assert await world.numbers(OTHER_SHAPE) == [0]
    world.protector.decide({})
    assert await world.numbers(POINT) == [0]
    assert world.mesh.filters == ()
    await world.end()


async def test_decisions_are_kept_in_the_store_and_followed(tmp_path: Path) -> None:
    store = await EmbeddedStore.open(tmp_path / "store.db", time.time)
    await decide(store, "Shop.ds_0", State.FORCED_OPEN)
    assert await read_decisions(store) == {"shop.ds_0": State.FORCED_OPEN}
    told: asyncio.Queue[dict[str, State]] = asyncio.Queue()
    failures: list[BaseException] = []
    tasks = TaskOwner(failures.append)
    tasks.start(follow_decisions(store, lambda found: told.put_nowait(dict(found))), "following")
    assert await asyncio.wait_for(told.get(), 10) == {"shop.ds_0": State.FORCED_OPEN}
    await decide(store, "00aa", State.METRICS_ONLY)
    assert await asyncio.wait_for(told.get(), 10) == {
        "shop.ds_0": State.FORCED_OPEN,
        "00aa": State.METRICS_ONLY,
    }
    await decide(store, "shop.ds_0", None)
    assert await asyncio.wait_for(told.get(), 10) == {"00aa": State.METRICS_ONLY}
    with pytest.raises(ValueError, match="half-open"):
        await decide(store, "shop.ds_0", State.HALF_OPEN)
    await tasks.close()
    await store.close()
    assert not failures


def test_which_errors_tell_of_a_data_sources_health() -> None:
    for kind in (DATA_SOURCE_UNREACHABLE, DATA_SOURCE_LOST, POOL_EXHAUSTED):
        assert is_unhealthy(MeshError(kind, data_source="d", reason="r", seconds=1, size=1))
    assert not is_unhealthy(MeshError(NO_DATABASE))
    assert not is_unhealthy(MeshError(BREAKER_OPEN, name="", state="", when=""))
    assert not is_unhealthy(None)
    for number in (1040, 1205, 2013, 3024):
        assert is_unhealthy(ShardError(number, "HY000", ""))
    for number in (1213, 1290, 1836, 1064, 1062, 1451, 1044, 1142, 1146, 1317):
        assert not is_unhealthy(ShardError(number, "HY000", ""))
