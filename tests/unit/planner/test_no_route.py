"""Values that no data node is meant for: reads look everywhere, an INSERT is refused."""

from __future__ import annotations

import pytest

from dbmesh.errors import MeshError
from dbmesh.model import Catalog, ColumnFamily, ColumnSchema, TableSchema
from dbmesh.planner.plan import Call, SessionValues
from dbmesh.planner.planner import Planner
from dbmesh.planner.select import SelectPlan
from dbmesh.planner.write_plan import WritePlan
from dbmesh.rules.loader import load_configuration
from dbmesh.sql.fingerprint import fingerprint
from dbmesh.sql.lexer import DEFAULT


@pytest.mark.parametrize(
    ("condition", "shots"),
    [("id = 1", 1), ("id = 5", 2), ("id IN (0, 5)", 2), ("id IN (0, 0)", 1), ("id = 1 OR id = 5", 2)],
)
def test_a_value_without_a_node_is_looked_for_on_every_node(condition: str, shots: int) -> None:
    files = {
        "global.yaml": "authority: {users: [{user: root, password: a}]}",
        "database-shop.yaml": """
databaseName: shop
dataSources: {ds_0: {url: 'mysql://a:b@127.0.0.1/shop'}}
rules:
- !SHARDING
  tables:
    t_own:
      actualDataNodes: ds_0.t_own_${0..1}
      tableStrategy: {standard: {shardingColumn: id, shardingAlgorithmName: own}}
  shardingAlgorithms:
    own: {type: INLINE, props: {algorithm-expression: "t_own_${id}"}}
""",
    }
    rules = load_configuration(files, lambda kind, name: None).databases["shop"]
    schema = TableSchema("t_own", (ColumnSchema("id", "bigint(20)", ColumnFamily.INTEGER),), ("id",))
    planner = Planner(rules, Catalog({"t_own": schema}, {}))
    for verb in ("SELECT * FROM t_own", "DELETE FROM t_own"):
        read = fingerprint(f"{verb} WHERE {condition}")
        plan = planner.plan(read, DEFAULT, "shop").plan
        assert isinstance(plan, SelectPlan | WritePlan)
        assert len(plan.bind(Call(read.literals, SessionValues("shop"))).shots) == shots
    read = fingerprint("INSERT INTO t_own (id) VALUES (5)")
    plan = planner.plan(read, DEFAULT, "shop").plan
    with pytest.raises(MeshError, match="no data node for the value 5"):
        plan.bind(Call(read.literals, SessionValues("shop")))  # type: ignore[union-attr]
