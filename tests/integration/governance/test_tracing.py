"""A running sidecar sends spans to a collector, and goes on without one."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import mysql.connector
import pytest

from tests.plugins.collector import Collector
from tests.plugins.mesh import Mesh
from tests.plugins.processes import wait_until

pytestmark = pytest.mark.integration

GLOBAL = """
authority: {{users: [{{user: root@%, password: root}}]}}
tracing:
  endpoint: http://127.0.0.1:{port}/v1/traces
  sampleRatio: 0
  headers: {{authorization: Bearer secret}}
props: {{log-format: json, slow-statement-milliseconds: 1}}
"""
SHOP = """
databaseName: shop
dataSources:
  ds_0: {url: 'sqlite:FOLDER/a.db'}
  ds_1: {url: 'sqlite:FOLDER/b.db'}
rules:
- !SHARDING
  tables:
    t:
      actualDataNodes: ds_${0..1}.t
      databaseStrategy: {standard: {shardingColumn: id, shardingAlgorithmName: by_id}}
  shardingAlgorithms:
    by_id: {type: INLINE, props: {algorithm-expression: 'ds_${id % 2}'}}
"""
PARENT = "00-5bd66ef5095369c7b0d1f8f4bd33716a-c532cb4098ac3dd2-01"


@pytest.fixture
def collector() -> Iterator[Collector]:
    made = Collector()
    yield made
    made.close()


def test_spans_reach_the_collector_and_nobody_waits_for_it(collector: Collector, tmp_path: Path) -> None:
    (tmp_path / "global.yaml").write_text(GLOBAL.format(port=collector.port))
    (tmp_path / "database-shop.yaml").write_text(SHOP.replace("FOLDER", str(tmp_path)))
    mesh = Mesh(tmp_path, tmp_path / "log").start()
    with mesh.connect() as client:
        cursor = client.cursor()
        cursor.execute("CREATE TABLE t (id INT PRIMARY KEY, v INT)")
        cursor.execute("INSERT INTO t VALUES (1, 77001), (2, 77002)")
        cursor.execute(f"SELECT v FROM t ORDER BY v DESC LIMIT 1 /*traceparent='{PARENT}'*/")
        assert cursor.fetchall() == ((77002,),)
    options: dict[str, Any] = {"user": "root", "password": "root", "database": "shop", "use_pure": True}
    other = mysql.connector.connect(host="127.0.0.1", port=mesh.port, **options)
    with other.cursor() as cursor:
        cursor.add_attribute("traceparent", PARENT)
        cursor.execute("SELECT v FROM t WHERE id = 1")
        assert cursor.fetchall() == [(77001,)]
    wait_until(lambda: len(collector.spans) >= 6, 20, "the spans")
    by_name = {span.name: span for span in collector.spans}
    assert set(by_name) == {"SELECT ds_0", "SELECT ds_1", "SELECT t", "exchange RowMerge", "exchange Relay"}
    assert {span.trace_id.hex() for span in collector.spans} == {PARENT[3:35]}
    statements = [span for span in collector.spans if span.name == "SELECT t"]
    assert {span.parent_span_id.hex() for span in statements} == {PARENT[36:52]}
    children = {span.parent_span_id for span in collector.spans} - {statements[0].parent_span_id}
    assert children == {span.span_id for span in statements}
    assert collector.authorizations == {"Bearer secret"}
    # Without a collector statements are answered all the same, and the mesh stops in time.
    collector.server.socket.close()
    with other.cursor() as cursor:
        for number in range(50):
            cursor.execute(f"SELECT v FROM t WHERE id = {number} /*traceparent='{PARENT}'*/")
            cursor.fetchall()
    other.close()
    mesh.stop_cleanly()
    assert "spans were dropped" in mesh.output()
    assert "secret" not in mesh.output()
