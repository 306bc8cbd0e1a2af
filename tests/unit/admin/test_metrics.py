"""The page of metrics: what Prometheus reads from a mesh with sessions and counts."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from dbmesh.admin.metrics import Metrics
from dbmesh.admin.tables import TABLES, Operated
from dbmesh.governance.statistics import Statistics
from dbmesh.planner.plan import PinReason
from tests.plugins import canned
from tests.plugins.session_world import SessionWorld


async def _world() -> tuple[SessionWorld, Operated]:
    """A mesh whose statements took 0.9 ms and 1.8 ms."""
    world = SessionWorld()
    moments = iter(range(1, 1000))
    statistics = Statistics(lambda: next(moments) * 0.0009 + world.session.arrived, lambda: 5.0)
    world.mesh.observe([statistics])
    world.reply = lambda name, payload: canned.ok(affected=2)
    await world.command(b"\x03DELETE FROM t_order WHERE user_id = 5")
    await world.command(b"\x03DELETE FROM t_order WHERE user_id = 6")
    return world, Operated(world.mesh, statistics, "1.2", world.session.now, lambda: True)


def _samples(page: bytes) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(page.decode())
        for sample in family.samples
    }


async def test_what_statements_took_and_what_sessions_hold() -> None:
    world, operated = await _world()
    connection = await world.pools["ds_0"].acquire(world.session.flavour)
    world.session.pins["shop.ds_0"] = (connection, PinReason.CURSOR)
    found = _samples(Metrics(operated).page())
    labels = (("answer", "Relay"), ("database", "shop"), ("shots", "1"), ("verb", "delete"))
    name = "dbmesh_statement_duration_seconds"
    assert found[name + "_count", labels] == 2
    assert found[name + "_sum", labels] == pytest.approx(0.0027)
    assert found[name + "_bucket", tuple(sorted((*labels, ("le", "0.001"))))] == 1
    assert found[name + "_bucket", tuple(sorted((*labels, ("le", "0.0025"))))] == 2
    assert found["dbmesh_client_connections", ()] == 1
    assert found["dbmesh_pinned_connections", (("reason", "cursor"),)] == 1
    pool = (("data_source", "ds_0"), ("database", "shop"))
    assert found["dbmesh_pool_connections", (*pool, ("state", "used"))] == 1
    assert found["dbmesh_plan_lookups_total", (("database", "shop"), ("result", "hit"))] == 1
    assert found["dbmesh_info", (("version", "1.2"),)] == 1
    await world.end()


async def test_the_dashboard_and_the_page_for_operators_name_metrics_that_there_are() -> None:
    world, operated = await _world()
    page = Metrics(operated).page().decode()
    families = [
        (family.name, family.type, {label for one in family.samples for label in one.labels})
        for family in text_string_to_metric_families(page)
    ]
    suffixes = {"counter": ("_total",), "histogram": ("_bucket", "_count", "_sum")}
    known = {name + suffix for name, kind, _ in families for suffix in suffixes.get(kind, ("",))}
    docs = Path(__file__).parents[3] / "docs"
    shown = set(re.findall(r"\b(?:dbmesh|process)_[a-z_]+", (docs / "grafana" / "dbmesh.json").read_text()))
    assert shown <= known
    text = (docs / "OPERATIONS.md").read_text()
    own = {name + ("_total" if kind == "counter" else "") for name, kind, _ in families if "dbmesh" in name}
    assert {name for name in own if f"`{name}`" not in text} == set()
    await world.end()


async def test_every_table_has_a_value_for_every_column() -> None:
    world, operated = await _world()
    assert len({table.name for table in TABLES}) == len({table.sql_name for table in TABLES}) == len(TABLES)
    for table in TABLES:
        for row in table.rows(operated):
            assert len(row) == len(table.columns)
            for value, (_, kind) in zip(row, table.columns, strict=True):
                assert isinstance(value, str if kind == "TEXT" else int) or value is None
    await world.end()
