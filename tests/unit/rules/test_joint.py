"""Several logic databases as one: places that are shared, tables that keep their own rule."""

from __future__ import annotations

from dataclasses import replace

from dbmesh.model import Catalog, DataNode, QualifiedTable
from dbmesh.planner.catalog import join_catalogs
from dbmesh.planner.template import quote_name
from dbmesh.rules.joint import MovedTable, join, places, schemas_of
from dbmesh.rules.ruleset import BroadcastTable, Hints, RuleSet, ShardedTable, Values
from tests.plugins.planner_world import RULES

_HERE = replace(
    RULES,
    data_sources={
        name: replace(config, host=f"server-{name}", database=f"here_{name}")
        for name, config in RULES.data_sources.items()
    },
)


def _there(**changes: str) -> RuleSet:
    """The same rules in another database; changes are of its second data source."""
    sources = {
        name: replace(config, database=config.database.replace("here", "there"))
        for name, config in _HERE.data_sources.items()
    }
    return replace(
        _HERE, database="Other", data_sources=sources | {"ds_1": replace(sources["ds_1"], **changes)}
    )


def test_data_sources_of_one_server_and_account_are_one_place() -> None:
    first = places(_HERE.data_sources)
    assert first == places(_there().data_sources)
    assert first["ds_1"] != places(_there(username="somebody").data_sources)["ds_1"]
    assert first["ds_1"] != places(_there(host="elsewhere").data_sources)["ds_1"]


def test_data_sources_of_one_database_on_one_server_are_told_apart() -> None:
    found = places(RULES.data_sources)
    assert found["ds_0"]._replace(number=1) == found["ds_1"]


def test_embedded_data_sources_share_no_connection() -> None:
    files = {name: replace(c, kind="sqlite", database=f"{name}.db") for name, c in RULES.data_sources.items()}
    assert places(files)["ds_0"] != places({"ds_0": replace(files["ds_0"], database="other.db")})["ds_0"]


def test_a_table_of_another_database_keeps_its_rule_and_has_its_schema() -> None:
    joint = join([_HERE, _there()])
    assert tuple(joint.rule_set.data_sources) == joint.rule_set.own_sources == ("ds_0", "ds_1")
    own, other = joint.rule_set.table("T_ORDER"), joint.rule_set.table(joint.rule_set.key("OTHER", "T_ORDER"))
    assert isinstance(own, MovedTable)
    assert isinstance(other, MovedTable)
    assert [quote_name(node.table) for node in other.nodes[1:3]] == [
        "`there_ds_0`.t_order_1",
        "`there_ds_1`.t_order_2",
    ]
    assert own.key_generator == "snow"
    assert other.key_generator is None
    rule = RULES.tables["t_order"]
    assert isinstance(rule, ShardedTable)
    for key in range(9):
        condition = {"user_id": Values((key,))}
        number = rule.nodes.index(rule.place({"user_id": key}, Hints()))
        assert other.route(condition, Hints()) == (other.nodes[number],)
        assert other.place({"user_id": key}, Hints()) is other.nodes[number]
        router = other.point_router()
        assert router is not None
        assert router(key) is other.nodes[number]
    pair = joint.rule_set.table(joint.rule_set.key("Other", "t_pair"))
    assert isinstance(pair, MovedTable)
    found = pair.pair_router()
    assert found is not None
    assert found[:2] == ("a", "b")
    assert found[2](1, 0) is pair.nodes[2]


def test_a_data_source_on_another_server_is_one_more() -> None:
    joint = join([_HERE, _there(host="elsewhere")])
    assert tuple(joint.rule_set.data_sources) == ("ds_0", "ds_1", "Other.ds_1")
    assert joint.rule_set.own_sources == ("ds_0", "ds_1")
    assert joint.origins == {"Other.ds_1": ("Other", "ds_1")}
    other = joint.rule_set.table(joint.rule_set.key("Other", "t_country"))
    assert isinstance(other, BroadcastTable)
    assert [node.data_source for node in other.nodes] == ["ds_0", "Other.ds_1"]


def test_binding_groups_stay_within_their_database() -> None:
    rule_set = join([_HERE, _there()]).rule_set
    key = rule_set.key("Other", "t_order")
    assert rule_set.binding_group("t_order") == ("t_order", "t_order_item")
    assert rule_set.binding_group(key) == (key, rule_set.key("Other", "t_order_item"))


def test_catalogs_are_joined_by_key() -> None:
    joint = join([_HERE, _there()])
    parts = [(one, Catalog({}, {"t": DataNode("ds_1", "t")})) for one in (_HERE, _there())]
    nodes = join_catalogs(joint, parts).single_nodes
    assert [(key, quote_name(node.table)) for key, node in nodes.items()] == [
        ("t", "`here_ds_1`.t"),
        (joint.rule_set.key("other", "t"), "`there_ds_1`.t"),
    ]


def test_a_schema_tells_its_database() -> None:
    assert schemas_of([_HERE, _there()]) == {
        "here_ds_0": "shop",
        "here_ds_1": "shop",
        "there_ds_0": "Other",
        "there_ds_1": "Other",
    }


def test_a_qualified_name_equals_the_bare_one() -> None:
    assert QualifiedTable("s", "t") == "t"
    assert quote_name(QualifiedTable("a`b", "select it"), quoted=True) == "`a``b`.`select it`"
