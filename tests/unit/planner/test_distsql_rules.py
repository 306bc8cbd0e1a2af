"""Rules are shown under ShardingSphere's names of columns, and no password is."""

from __future__ import annotations

import json

import pytest

from dbmesh.model import Catalog, DataNode, TableSchema
from dbmesh.planner.distsql_rules import LISTINGS, Shown, listed
from dbmesh.planner.session_plan import ShowRules
from dbmesh.rules.loader import load_configuration

GLOBAL = "authority: {users: [{user: root@%, password: root}]}\n"
SHOP = """
databaseName: shop
dataSources:
  ds_0: {url: 'jdbc:mysql://db0:3306/a?useSSL=false', username: root, password: geheim}
  ds_1: {url: 'jdbc:mysql://db1:3306/b', username: root, password: geheim, maxPoolSize: 7}
  ds_2: {url: 'jdbc:mysql://db2:3306/b', username: root, password: geheim}
  ds_3: {url: 'sqlite:c.db'}
  ds_9: {url: 'jdbc:mysql://db9:3306/a', username: root, password: geheim}
rules:
- !READWRITE_SPLITTING
  dataSourceGroups:
    g: {writeDataSourceName: ds_1, readDataSourceNames: ds_2, loadBalancerName: heavy}
  loadBalancers:
    heavy: {type: WEIGHT, props: {ds_2: 3}}
- !SHARDING
  tables:
    T_Order: &order
      actualDataNodes: ds_0.t_order_${0..1},g.t_order_${2..3}
      databaseStrategy: {standard: {shardingColumn: user_id, shardingAlgorithmName: by_user}}
      tableStrategy: {standard: {shardingColumn: order_id, shardingAlgorithmName: by_order}}
      keyGenerateStrategy: {column: order_id, keyGeneratorName: snow}
      auditStrategy: {auditorNames: [needed], allowHintDisable: true}
    t_item:
      actualDataNodes: ds_0.t_item_${0..1},g.t_item_${2..3}
      databaseStrategy: {standard: {shardingColumn: user_id, shardingAlgorithmName: by_user}}
      tableStrategy: {standard: {shardingColumn: order_id, shardingAlgorithmName: by_item}}
  bindingTables: ['t_order,t_item']
  shardingAlgorithms:
    by_user: {type: INLINE, props: {algorithm-expression: '${user_id % 2 == 0 ? "ds_0" : "g"}'}}
    by_order: {type: INLINE, props: {algorithm-expression: 't_order_${order_id % 4}'}}
    by_item: {type: INLINE, props: {algorithm-expression: 't_item_${order_id % 4}'}}
  keyGenerators:
    snow: {type: SNOWFLAKE, props: {worker-id: 3}}
  auditors:
    needed: {type: DML_SHARDING_CONDITIONS}
- !BROADCAST {tables: [t_country]}
- !SINGLE {tables: ['ds_0.*'], defaultDataSource: ds_0}
- !MASK
  tables:
    t_user:
      columns:
        phone: {maskAlgorithm: middle}
        name: {maskAlgorithm: hashed}
  maskAlgorithms:
    middle: {type: MASK_FROM_X_TO_Y, props: {from-x: 1, to-y: 2, replace-char: '*'}}
    hashed: {type: MD5}
- !ENCRYPT
  tables:
    t_card:
      columns:
        number: {cipher: {name: number_cipher, encryptorName: aes}, assistedQuery: {name: number_query, encryptorName: md5}}
  encryptors:
    aes: {type: AES, props: {aes-key-value: secret, digest-algorithm-name: SHA-1}}
    md5: {type: MD5}
- !SHADOW
  dataSources: {pair: {productionDataSourceName: ds_0, shadowDataSourceName: ds_9}}
  tables: {t_card: {dataSourceNames: [pair], shadowAlgorithmNames: [hint]}}
  shadowAlgorithms: {hint: {type: SQL_HINT}}
"""
RULES = load_configuration(
    {"global.yaml": GLOBAL, "database-shop.yaml": SHOP.replace("&order", "")}, lambda kind, name: None
).databases["shop"]
CATALOG = Catalog(
    {name: TableSchema(name, ()) for name in ("t_order", "t_country", "t_user", "v_user")},
    {"t_user": DataNode("ds_0", "T_User"), "v_user": DataNode("ds_0", "v_user")},
    {},
    {"v_user": "SELECT 1"},
)
SHOWN = Shown(RULES, CATALOG, frozenset({"ds_2"}))


def rows(form: str, **what: object) -> list[dict[str, str | None]]:
    columns, found = listed(ShowRules(form, **what), SHOWN)  # type: ignore[arg-type]
    return [dict(zip(columns, row, strict=True)) for row in found]


def test_storage_units() -> None:
    found = rows("STORAGE UNITS")
    assert [row["name"] for row in found] == ["ds_0", "ds_1", "ds_2", "ds_3", "ds_9"]
    assert found[1] == {
        "name": "ds_1",
        "type": "MySQL",
        "host": "db1",
        "port": "3306",
        "db": "b",
        "connection_timeout_milliseconds": "30000",
        "idle_timeout_milliseconds": "60000",
        "max_lifetime_milliseconds": "1800000",
        "max_pool_size": "7",
        "min_pool_size": "1",
        "read_only": "false",
        "other_attributes": '{"dataSourceProperties": {}}',
    }
    assert json.loads(found[0]["other_attributes"] or "")["dataSourceProperties"] == {"useSSL": "false"}
    assert found[3]["type"] == "SQLite"
    # Sharding, broadcast and single; the group, sharding and broadcast; broadcast alone.
    assert [row["name"] for row in rows("STORAGE UNITS", usage=3)] == ["ds_0", "ds_1", "ds_2"]
    assert [row["name"] for row in rows("STORAGE UNITS", usage=1)] == ["ds_3"]


def test_no_password_is_shown() -> None:
    for form in LISTINGS:
        assert "geheim" not in json.dumps(rows(form)), form


def test_sharded_tables() -> None:
    order, item = rows("SHARDING TABLE RULES")
    assert order == {
        "table": "T_Order",
        "actual_data_nodes": "ds_0.t_order_0,ds_0.t_order_1,g.t_order_2,g.t_order_3",
        "actual_data_sources": "",
        "database_strategy_type": "STANDARD",
        "database_sharding_column": "user_id",
        "database_sharding_algorithm_type": "INLINE",
        "database_sharding_algorithm_props": 'algorithm-expression=${user_id % 2 == 0 ? "ds_0" : "g"}',
        "table_strategy_type": "STANDARD",
        "table_sharding_column": "order_id",
        "table_sharding_algorithm_type": "INLINE",
        "table_sharding_algorithm_props": "algorithm-expression=t_order_${order_id % 4}",
        "key_generate_column": "order_id",
        "key_generator_type": "SNOWFLAKE",
        "key_generator_props": "worker-id=3",
        "auditor_types": "DML_SHARDING_CONDITIONS",
        "allow_hint_disable": "true",
    }
    assert (item["key_generate_column"], item["auditor_types"]) == ("", "")
    assert rows("SHARDING TABLE RULE", name="t_order") == [order]
    assert rows("SHARDING TABLE RULE", name="nothing") == []
    [nodes] = rows("SHARDING TABLE NODES", name="t_item")
    assert nodes == {"name": "t_item", "nodes": "ds_0.t_item_0, ds_0.t_item_1, g.t_item_2, g.t_item_3"}
    assert rows("SHARDING TABLE REFERENCE RULES") == [
        {"name": "reference_0", "sharding_table_reference": "T_Order,t_item"}
    ]


@pytest.mark.parametrize(
    ("form", "expected"),
    [
        ("SHARDING KEY GENERATORS", [("snow", "SNOWFLAKE", "worker-id=3")]),
        ("BROADCAST TABLE RULES", [("t_country",)]),
        ("SINGLE TABLES", [("T_User", "ds_0"), ("v_user", "ds_0")]),
        ("DEFAULT SINGLE TABLE STORAGE UNIT", [("ds_0",)]),
        ("READWRITE_SPLITTING RULES", [("g", "ds_1", "ds_2", "PRIMARY", "WEIGHT", "ds_2=3.0")]),
        ("STATUS FROM READWRITE_SPLITTING RULES", [("ds_1", "enabled"), ("ds_2", "disabled")]),
        (
            "MASK RULES",
            [
                ("t_user", "phone", "MASK_FROM_X_TO_Y", "from-x=1,replace-char=*,to-y=2"),
                ("t_user", "name", "MD5", ""),
            ],
        ),
        (
            "ENCRYPT RULES",
            [("t_card", "number", "number_cipher", "number_query", "", "AES", "MD5", "")],
        ),
        ("SHADOW RULES", [("ds_0", "ds_9", "t_card")]),
        ("LOGICAL TABLES", [("t_country",), ("t_item",), ("T_Order",), ("T_User",), ("v_user",)]),
        ("COUNT SHARDING RULE", [("sharding_table", "shop", "2"), ("sharding_table_reference", "shop", "1")]),
        ("COUNT SINGLE RULE", [("single", "shop", "2")]),
        ("COUNT MASK RULE", [("mask", "shop", "1")]),
        ("COUNT ENCRYPT RULE", [("encrypt", "shop", "1")]),
        ("COUNT SHADOW RULE", [("shadow", "shop", "1")]),
        ("COUNT READWRITE_SPLITTING RULE", [("readwrite_splitting", "shop", "1")]),
        ("COUNT BROADCAST RULE", [("broadcast_table", "shop", "1")]),
    ],
)
def test_a_list(form: str, expected: list[tuple[str, ...]]) -> None:
    assert listed(ShowRules(form), SHOWN)[1] == expected


def test_names_and_patterns() -> None:
    assert rows("STATUS FROM READWRITE_SPLITTING RULE", name="other") == []
    assert [row["table_name"] for row in rows("SINGLE TABLES", pattern="v%")] == ["v_user"]
    assert [row["name"] for row in rows("SHARDING ALGORITHMS", pattern="%order")] == ["by_order"]
    assert {row["table_type"] for row in rows("FULL LOGICAL TABLES", name="v_user")} == {"VIEW"}
