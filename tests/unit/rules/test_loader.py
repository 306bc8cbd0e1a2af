"""Configuration files: the sample loads, and every mistake is named at once."""

import pathlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dbmesh.model import DataNode
from dbmesh.rules.loader import load_configuration
from dbmesh.rules.mistakes import ConfigurationError
from dbmesh.rules.ruleset import BroadcastTable, RuleSet, ShardedTable

ROOT = pathlib.Path(__file__).parents[3]
SAMPLE = {path.name: path.read_text() for path in (ROOT / "sharding_rules").glob("*.yaml")}
GLOBAL = "authority: {users: [{user: root@%, password: root}]}\n"
SOURCES = """
databaseName: Shop
dataSources:
  ds_0: {url: 'jdbc:mysql://127.0.0.1:3306/demo_0?useSSL=false', username: root, password: 0123, maxPoolSize: 7}
  ds_1: {url: 'mysql://app:p%40ss@db.example/demo_1', password: '${env:SECRET}'}
rules:
"""


def no_secrets(kind: str, name: str) -> str | None:
    return None


def load(rules: str, secrets: object = None) -> RuleSet:
    text = SOURCES + rules
    files = {"global.yaml": GLOBAL, "database-shop.yaml": text}
    return load_configuration(files, lambda kind, name: f"{kind}:{name}").databases["shop"]


def mistakes(rules: str, sources: str = SOURCES) -> list[str]:
    with pytest.raises(ConfigurationError) as caught:
        load_configuration(
            {"global.yaml": GLOBAL, "database-shop.yaml": sources + rules},
            lambda kind, name: f"{kind}:{name}",
        )
    return [f"{mistake.key_path}: {mistake.message}; {mistake.fix}" for mistake in caught.value.mistakes]


def test_the_sample_loads() -> None:
    configuration = load_configuration(SAMPLE, no_secrets)
    shop = configuration.databases["shop"]
    assert set(shop.tables) == {"t_user", "t_order", "t_order_item", "t_country"}
    assert shop.binding_groups == (("t_order", "t_order_item"),)
    assert shop.single_tables == ("ds_2.*",)
    assert shop.default_single_source == "ds_2"
    country = shop.table("T_COUNTRY")
    assert isinstance(country, BroadcastTable)
    assert len(country.nodes) == 3
    user = shop.table("t_user")
    assert isinstance(user, ShardedTable)
    assert user.key_generator == "snowflake"
    assert configuration.users[0].name == "root"
    assert configuration.properties["proxy-default-port"] == 3307


def test_data_sources() -> None:
    sources = load(" []").data_sources
    first, second = sources["ds_0"], sources["ds_1"]
    assert (first.host, first.port, first.database, first.password) == ("127.0.0.1", 3306, "demo_0", "0123")
    assert (first.max_pool_size, first.connection_timeout, dict(first.properties)) == (
        7,
        30.0,
        {"useSSL": "false"},
    )
    assert (second.host, second.username, second.password) == ("db.example", "app", "env:SECRET")
    assert "0123" not in repr(first)


def test_tables_strategies_and_defaults() -> None:
    rules = load(
        """
- !SHARDING
  tables:
    t_order:
      actualDataNodes: ds_${0..1}.t_order_${0..1}
      tableStrategy: {complex: {shardingColumns: 'order_id,User_Id', shardingAlgorithmName: both}}
    t_log:
      actualDataNodes: ds_0.t_log
      databaseStrategy: {none: }
      tableStrategy: {none: }
      keyGenerateStrategy: {column: log_id}
    t_new: {actualDataNodes: 'ds_${0..1}.t_new'}
  autoTables:
    t_auto:
      actualDataSources: ds_${1..0}
      shardingStrategy: {standard: {shardingColumn: id, shardingAlgorithmName: four}}
      auditStrategy: {auditorNames: [required], allowHintDisable: false}
  defaultShardingColumn: user_id
  defaultDatabaseStrategy: {standard: {shardingAlgorithmName: database}}
  defaultKeyGenerateStrategy: {column: id, keyGeneratorName: uuid}
  keyGenerateStrategies:
    any: {keyGenerateType: column, keyGeneratorName: uuid, logicTable: t_new, keyGenerateColumn: new_id}
  shardingAlgorithms:
    database: {type: inline, props: {algorithm-expression: 'ds_${user_id % 2}'}}
    both: {type: COMPLEX_INLINE, props: {algorithm-expression: 't_order_${(order_id + user_id) % 2}'}}
    four: {type: MOD, props: {sharding-count: 4}}
  keyGenerators:
    uuid: {type: UUID}
  auditors:
    required: {type: DML_SHARDING_CONDITIONS}
- !BROADCAST
  tables: t_country,t_town
- !SINGLE
  tables: ['*.*']
"""
    )
    order, log, auto, new = (rules.table(name) for name in ("t_order", "t_log", "t_auto", "t_new"))
    assert isinstance(order, ShardedTable)
    assert isinstance(log, ShardedTable)
    assert isinstance(auto, ShardedTable)
    assert isinstance(new, ShardedTable)
    assert order.sharding_columns == ("user_id", "order_id")
    assert order.table_strategy.kind == "complex"
    assert (order.key_column, order.key_generator) == ("id", "uuid")
    assert (log.key_column, log.key_generator) == ("log_id", "uuid")
    assert (new.key_column, new.key_generator) == ("new_id", "uuid")
    assert auto.nodes == tuple(DataNode(f"ds_{1 - number % 2}", f"t_auto_{number}") for number in range(4))
    assert (auto.auditors, auto.allow_hint_disable) == (("required",), False)
    assert set(rules.tables) == {"t_order", "t_log", "t_auto", "t_new", "t_country", "t_town"}


def test_single_tables() -> None:
    assert load(" []").single_tables == ("*.*",), "without the item every other table is single"
    rules = load("- !SINGLE {tables: [ds_0.a, ds_1.public.b, ds_1.*], defaultDataSource: RANDOM}\n")
    assert rules.single_tables == ("ds_0.a", "ds_1.b", "ds_1.*")
    assert rules.default_single_source is None
    assert load("- !SINGLE {defaultDataSource: ds_1}\n").default_single_source == "ds_1"


def test_broadcast_tables_are_on_every_data_source() -> None:
    table = load("- !BROADCAST {tables: [T]}\n").table("t")
    assert table == BroadcastTable("T", (DataNode("ds_0", "T"), DataNode("ds_1", "T")))


@pytest.mark.parametrize("name", ["mysql", "Information_Schema", "performance_schema", "sys"])
def test_a_database_of_mysqls_own_name_is_a_mistake(name: str) -> None:
    found = mistakes(" []", SOURCES.replace("Shop", name))
    assert found == [f"databaseName: '{name}' is MySQL's own; choose another name"]


def test_a_data_source_has_a_name_without_dots() -> None:
    assert "'a.b' is not a name" in mistakes(" []", SOURCES.replace("ds_0:", "a.b:"))[0]


BOTH = """
- !SHARDING
  tables:
    a: {actualDataNodes: 'ds_${0..1}.a', databaseStrategy: {standard: {shardingColumn: id, shardingAlgorithmName: one}}}
    b: {actualDataNodes: 'NODES', databaseStrategy: {standard: {shardingColumn: COLUMN, shardingAlgorithmName: ALGORITHM}}}
  bindingTables: ['a,b']
  shardingAlgorithms:
    one: {type: INLINE, props: {algorithm-expression: 'ds_${id % 2}'}}
    same: {type: INLINE, props: {algorithm-expression: 'ds_$->{ID % 2}'}}
    other: {type: INLINE, props: {algorithm-expression: 'ds_${(id + 1) % 2}'}}
    mod: {type: MOD, props: {sharding-count: 2}}
"""


def test_binding_needs_the_same_placement() -> None:
    def variant(nodes: str = "ds_${0..1}.b", column: str = "id", algorithm: str = "one") -> str:
        return BOTH.replace("NODES", nodes).replace("COLUMN", column).replace("ALGORITHM", algorithm)

    assert load(variant()).binding_groups == (("a", "b"),)
    assert load(variant(algorithm="same")).binding_groups == (("a", "b"),)
    assert "different database strategy" in mistakes(variant(algorithm="other"))[0]
    assert "different database strategy" in mistakes(variant(algorithm="mod"))[0]
    assert "different database strategy" in mistakes(variant(column="key", algorithm="mod"))[0]
    assert "has 2 data nodes, 'b' has 1" in mistakes(variant(nodes="ds_1.b"))[0]
    assert "lie on different data sources" in mistakes(variant(nodes="ds_${1..0}.b"))[0]


@pytest.mark.parametrize(
    ("rules", "expected"),
    [
        ("- !SHADING {}\n", "unknown rule !SHADING; did you mean '!SHARDING'?"),
        ("- {tables: {}}\n", "the rule has no tag; write '- !SHARDING'"),
        ("- !SHARDING {}\n- !SHARDING {}\n", "!SHARDING is written twice"),
        ("- !SINGLE {tables: [x]}\n", "'x' is not a pattern"),
        ("- !SINGLE {tables: [ds_9.x]}\n", "unknown data source 'ds_9'; use one of ds_0, ds_1"),
        ("- !SINGLE {defaultDataSource: other}\n", "unknown data source 'other'"),
        ("- !SINGLE {tables: ['*.t']}\n", "'*.t' names no data source"),
        ("- !SINGLE {tables: [ds_0.a]}\n- !BROADCAST {tables: [A]}\n", "table 'a' has a rule already"),
        ("- !BROADCAST {tables: [a, A]}\n", "table 'A' has a rule already"),
        ("- !SHARDING {tables: {t: {actualDataNodes: 'ds_0.t,ds_0.t'}}}\n", "data node 'ds_0.t' occurs twice"),
        ("- !SHARDING {tables: {t: {actualDataNodes: 'ds_0'}}}\n", "'ds_0' is not a data node"),
        ("- !SHARDING {tables: {t: {actualDataNodes: 'ds_${0..1}.t'}}}\n", "has 2 data sources but no database strategy"),
        ("- !SHARDING {tables: {t: {actualDataNodes: 'ds_0.t_${0..1}'}}}\n", "has 2 actual tables but no table strategy"),
        ("- !SHARDING {autoTables: {t: {}}}\n", "'shardingStrategy' is missing"),
        ("- !SHARDING {bindingTables: ['x,y']}\n", "unknown sharded table 'x'"),
        ("- !SHARDING {keyGenerators: {k: {type: NANOID}}}\n", "unknown key generator 'NANOID'"),
        ("- !SHARDING {keyGenerators: {k: {type: SNOWFLAKE, props: {worker-id: 1024}}}}\n", "not an integer of 0 to 1023"),
        ("- !SHARDING {auditors: {k: {type: OTHER}}}\n", "unknown auditor 'OTHER'; use DML_SHARDING_CONDITIONS"),
        ("- !SHARDING {shardingAlgorithms: {k: {type: MOD, props: {sharding-cont: 4}}}}\n", "did you mean 'sharding-count'?"),
    ],
)  # fmt: skip
def test_single_mistakes(rules: str, expected: str) -> None:
    assert any(expected in mistake for mistake in mistakes(rules)), mistakes(rules)


def test_many_mistakes_at_once() -> None:
    golden = ROOT / "tests" / "golden" / "rules"
    files = {path.name: path.read_text() for path in golden.glob("*.yaml")}
    with pytest.raises(ConfigurationError) as caught:
        load_configuration(files, no_secrets)
    assert str(caught.value) + "\n" == (golden / "mistakes.txt").read_text()


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({}, "global.yaml: there is no such file"),
        ({"global.yaml": GLOBAL}, "database-*.yaml: there is no such file"),
        ({"global.yaml": ""}, "global.yaml: the file is empty"),
        ({"global.yaml": "a: [", "database-a.yaml": "x"}, "global.yaml:1: not YAML"),
        ({"global.yaml": "\x00"}, "global.yaml: not YAML"),
        ({"global.yaml": "- 1\n", "database-a.yaml": "x"}, "global.yaml:1"),
        ({"global.yaml": GLOBAL + "---\na: 1\n"}, "a second document begins here"),
        (
            {"global.yaml": GLOBAL + "props: {sql-show: true, sql-show: false}"},
            "props.sql-show: the key is written twice",
        ),
        ({"global.yaml": "a: &a [*a]\n"}, "form a loop"),
    ],
)
def test_files_that_cannot_be_read(files: dict[str, str], expected: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        load_configuration(files, no_secrets)
    assert expected in str(caught.value)


def test_two_files_cannot_share_a_database() -> None:
    with pytest.raises(ConfigurationError, match=r"also the database of database-a\.yaml"):
        load_configuration(
            {"global.yaml": GLOBAL, "database-a.yaml": SOURCES + " []", "database-b.yaml": SOURCES + " []"},
            lambda kind, name: "x",
        )


def outcome(files: dict[str, str]) -> object:
    """The configuration or its mistakes; no other exception may come out."""
    try:
        return load_configuration(files, no_secrets)
    except ConfigurationError as error:
        return error.mistakes


@settings(deadline=None)
@given(st.text(max_size=60))
def test_any_text_gives_a_configuration_or_its_mistakes(text: str) -> None:
    assert outcome({"global.yaml": text, "database-a.yaml": text})


LINES = (SAMPLE["database-shop.yaml"] + SOURCES).splitlines()


@settings(deadline=None, max_examples=50)
@given(st.data())
def test_a_damaged_file_never_breaks_the_loader(data: st.DataObject) -> None:
    lines = SAMPLE["database-shop.yaml"].splitlines()
    for _ in range(data.draw(st.integers(1, 3))):
        index = data.draw(st.integers(0, len(lines) - 1))
        change = data.draw(st.sampled_from(["drop", "repeat", "shift", "null", "swap"]))
        if change == "drop":
            lines[index] = ""
        elif change == "repeat":
            lines.insert(index, lines[index])
        elif change == "shift":
            lines[index] = "  " + lines[index]
        elif change == "null":
            lines[index] = lines[index].partition(":")[0] + ":"
        else:
            lines[index] = data.draw(st.sampled_from(LINES))
    assert outcome({"global.yaml": GLOBAL, "database-shop.yaml": "\n".join(lines)})


_SINGLE = "- !SINGLE\n  tables: ['*.*']\n"


@pytest.mark.parametrize(("name", "expected"), [("ds_1", "ds_1"), ("''", None)])
def test_a_merge_node_is_a_data_source(name: str, expected: str | None) -> None:
    files = {
        "global.yaml": f"{GLOBAL}props: {{federation-merge-node: {name}}}\n",
        "database-shop.yaml": SOURCES + _SINGLE,
    }
    assert load_configuration(files, lambda kind, name: "x").databases["shop"].merge_node == expected


def test_a_merge_node_nobody_has_is_a_mistake() -> None:
    files = {
        "global.yaml": GLOBAL + "props: {federation-merge-node: ds_7}\n",
        "database-shop.yaml": SOURCES + _SINGLE,
    }
    with pytest.raises(ConfigurationError, match="'ds_7'"):
        load_configuration(files, lambda kind, name: "x")


@pytest.mark.parametrize(
    ("section", "kind", "locks"),
    [
        ("{}", "XA", False),
        ("{defaultType: base}", "BASE", False),
        ("{defaultType: BASE, props: {isolation: record_locks, other: 1}}", "BASE", True),
    ],
)
def test_the_type_of_transactions_and_what_isolates_them(section: str, kind: str, locks: bool) -> None:
    files = {"global.yaml": f"{GLOBAL}transaction: {section}\n", "database-shop.yaml": SOURCES + _SINGLE}
    configuration = load_configuration(files, lambda kind, name: "x")
    assert (configuration.transaction_type.value, configuration.record_locks) == (kind, locks)


def test_an_isolation_there_is_not_is_a_mistake() -> None:
    files = {
        "global.yaml": GLOBAL + "transaction: {props: {isolation: RECORD_LOCK}}\n",
        "database-shop.yaml": SOURCES + _SINGLE,
    }
    with pytest.raises(ConfigurationError, match="did you mean 'RECORD_LOCKS'"):
        load_configuration(files, lambda kind, name: "x")
