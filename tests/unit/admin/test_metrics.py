"""The page of metrics: what Prometheus reads from a mesh with sessions and counts."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from dbmesh.admin.metrics import Metrics
from dbmesh.admin.table import Operated
from dbmesh.admin.tables import TABLES
from dbmesh.engine.federation import FederationCounts
from dbmesh.governance.protection.breakers import Clock
from dbmesh.governance.protection.protector import Protector
from dbmesh.governance.statistics import Statistics
from dbmesh.planner.plan import PinReason
from dbmesh.rules.protection.values import NOTHING
from dbmesh.wire.constants import ColumnType
from tests.plugins import canned
from tests.plugins.scripted import column
from tests.plugins.session_world import SessionWorld


async def _world() -> tuple[SessionWorld, Operated]:
    """A mesh whose statements took 0.9 ms and 1.8 ms."""
    world = SessionWorld()
    moments = iter(range(1, 1000))

    def clock() -> float:
        return next(moments) * 0.0009 + world.session.arrived

    statistics = Statistics(clock, lambda: 5.0)
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


async def test_transactions_merges_and_their_limits() -> None:
    world, operated = await _world()
    world.mesh.coordinator.in_doubt = 2
    world.mesh.coordinator.recovered["committed"] += 3
    world.mesh.federated = FederationCounts(2, 30, 400, 1.5)
    write = b"\x03UPDATE t_order SET status = 'x' WHERE user_id = "
    # Without a word of BEGIN, on two data sources; then one on one, one rolled back, one whose COMMIT is refused.
    await world.command(b"\x03DELETE FROM t_order WHERE user_id IN (1, 2)")
    for sql in (b"\x03BEGIN", write + b"5", b"\x03COMMIT", b"\x03BEGIN", write + b"5", b"\x03ROLLBACK"):
        await world.command(sql)
    await world.command(b"\x03BEGIN")
    await world.command(write + b"5")
    world.reply = lambda name, payload: canned.failure(1180)
    await world.command(b"\x03COMMIT")
    await world.command(b"\x03ROLLBACK")
    number = column("user_id", ColumnType.LONGLONG, "t_order_1")
    world.reply = lambda name, payload: canned.result_set([number], [[b"5"], [b"6"]])
    await world.command(b"\x03SELECT user_id FROM t_order ORDER BY 1")
    operated.statistics.limit_hits["shop", "merge-max-rows"] += 1
    found = _samples(Metrics(operated).page())
    name = "dbmesh_transaction_duration_seconds_count"
    kinds = {labels: value for (sample, labels), value in found.items() if sample == name}
    assert kinds == {
        (("end", "committed"), ("kind", "one_by_one")): 1,
        (("end", "committed"), ("kind", "local")): 1,
        (("end", "rolled_back"), ("kind", "local")): 1,
        (("end", "failed"), ("kind", "local")): 1,
    }
    assert found["dbmesh_merged_rows_total", (("answer", "RowMerge"), ("database", "shop"))] == 8
    assert found["dbmesh_merge_limit_hits_total", (("database", "shop"), ("setting", "merge-max-rows"))] == 1
    assert found["dbmesh_transactions_in_doubt", ()] == 2
    assert found["dbmesh_branches_recovered_total", (("end", "committed"),)] == 3
    assert found["dbmesh_federation_duration_seconds_sum", ()] == 1.5
    assert found["dbmesh_federation_rows_total", ()] == 30
    assert found["dbmesh_federation_bytes_total", ()] == 400
    await world.end()


async def test_the_dashboard_and_the_page_for_operators_name_metrics_that_there_are() -> None:
    world, operated = await _world()
    operated = replace(
        operated, protector=Protector(NOTHING, Clock(world.session.now, lambda: 0.0, lambda: 0.0))
    )
    page = Metrics(operated).page().decode()
    families = [
        (family.name, family.type, {label for one in family.samples for label in one.labels})
        for family in text_string_to_metric_families(page)
    ]
    suffixes = {
        "counter": ("_total",),
        "histogram": ("_bucket", "_count", "_sum"),
        "summary": ("_count", "_sum"),
    }
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
