"""`!READWRITE_SPLITTING`: what it means, and every mistake it can have."""

from __future__ import annotations

import pytest

from dbmesh.rules.loader import load_configuration
from dbmesh.rules.mistakes import ConfigurationError
from dbmesh.rules.replica_groups import CausalReads, LoadBalancerConfig, TransactionalReads
from dbmesh.rules.ruleset import RuleSet

GLOBAL = "authority:\n  users:\n  - {user: root@%, password: root}\n"
SOURCES = "".join(
    f"  {name}: {{url: 'jdbc:mysql://{name}:3306/{schema}', username: root}}\n"
    for name, schema in (("p", "s"), ("r0", "s"), ("r1", "s"), ("other", "o"))
)


def load(groups: str, more: str = "") -> RuleSet:
    text = f"databaseName: shop\ndataSources:\n{SOURCES}rules:\n- !READWRITE_SPLITTING\n  dataSourceGroups:\n{groups}{more}"
    found = load_configuration({"global.yaml": GLOBAL, "database-shop.yaml": text}, lambda kind, name: None)
    return found.databases["shop"]


GROUP = "    ds: {writeDataSourceName: p, readDataSourceNames: [r0, r1]}\n"


def test_a_group_stands_in_the_place_of_its_members() -> None:
    rules = load(
        GROUP,
        "- !SHARDING\n  tables:\n    t: {actualDataNodes: ds.t}\n"
        "  defaultDatabaseStrategy: {none: }\n  defaultTableStrategy: {none: }\n"
        "- !BROADCAST\n  tables: [b]\n",
    )
    assert tuple(rules.data_sources) == ("ds", "other")
    assert (rules.data_sources["ds"].name, rules.data_sources["ds"].host) == ("ds", "p")
    assert [node.data_source for node in rules.tables["b"].nodes] == ["ds", "other"]
    group = rules.groups["ds"]
    assert (group.primary.name, [one.name for one in group.replicas]) == ("p", ["r0", "r1"])
    assert group.load_balancer == LoadBalancerConfig()
    assert (group.transactional_reads, group.causal_reads) == (
        TransactionalReads.PRIMARY,
        CausalReads.SESSION,
    )


def test_every_key_of_a_group_is_read() -> None:
    rules = load(
        "    ds:\n      writeDataSourceName: p\n      readDataSourceNames: r0,r1\n"
        "      transactionalReadQueryStrategy: FIXED\n      loadBalancerName: heavy\n      causalReads: global\n"
        "      causalReadsTimeoutMilliseconds: 250\n      maxReplicaLagSeconds: 2.5\n      withoutReplica: FAIL\n"
        "      checkIntervalMilliseconds: 500\n      failoverWaitMilliseconds: 3000\n      failoverWaitingStatements: 7\n",
        "  loadBalancers:\n    heavy: {type: weight, props: {r0: 3, r1: 1}}\n",
    )
    group = rules.groups["ds"]
    assert group.load_balancer == LoadBalancerConfig("WEIGHT", {"r0": 3.0, "r1": 1.0})
    assert (group.transactional_reads, group.causal_reads) == (TransactionalReads.FIXED, CausalReads.GLOBAL)
    assert (group.causal_timeout, group.most_lag, group.falls_back) == (0.25, 2.5, False)
    assert (group.check_interval, group.failover_wait, group.failover_waiters) == (0.5, 3.0, 7)


@pytest.mark.parametrize(
    ("groups", "more", "message"),
    [
        ("    ds: {writeDataSourceName: q, readDataSourceNames: [r0]}\n", "", "unknown data source 'q'"),
        ("    ds: {writeDataSourceName: p, readDataSourceNames: [r9]}\n", "", "unknown data source 'r9'"),
        ("    ds: {writeDataSourceName: p, readDataSourceNames: []}\n", "", "the group has no replica"),
        (
            "    ds: {writeDataSourceName: p, readDataSourceNames: [p]}\n",
            "",
            "'p' is a member of group 'ds' already",
        ),
        (
            f"{GROUP}    d2: {{writeDataSourceName: other, readDataSourceNames: [r0]}}\n",
            "",
            "'r0' is a member of group 'ds'",
        ),
        ("    p: {writeDataSourceName: p, readDataSourceNames: [r0]}\n", "", "'p' cannot be a group's name"),
        (
            "    ds: {writeDataSourceName: p, readDataSourceNames: [other]}\n",
            "",
            "the schema of 'other' is 'o'",
        ),
        (
            "    ds: {writeDataSourceName: p, readDataSourceNames: [r0], loadBalancerName: x}\n",
            "",
            "unknown load balancer 'x'",
        ),
        (GROUP, "  loadBalancers: {x: {type: FASTEST}}\n", "unknown load balancer 'FASTEST'"),
        (
            "    ds: {writeDataSourceName: p, readDataSourceNames: [r0], loadBalancerName: w}\n",
            "  loadBalancers: {w: {type: WEIGHT, props: {r1: 1}}}\n",
            "load balancer 'w' has no weight of 'r0'",
        ),
        (
            "    ds: {writeDataSourceName: p, readDataSourceNames: [r0], loadBalancerName: w}\n",
            "  loadBalancers: {w: {type: WEIGHT, props: {r0: -1}}}\n",
            "'-1' is no weight",
        ),
        (
            "    ds: {writeDataSourceName: p, readDataSourceNames: [r0], causalReads: always}\n",
            "",
            "'always' is not one of none, session, global",
        ),
        (
            "    ds: {writeDataSourceName: p, readDataSourceNames: [r0], transactionalReadQueryStrategy: ANY}\n",
            "",
            "'ANY' is not one of PRIMARY, FIXED, DYNAMIC",
        ),
        (
            "    ds: {writeDataSourceName: p, readDataSourceNames: [r0], withoutReplica: WAIT}\n",
            "",
            "'WAIT' is neither PRIMARY nor FAIL",
        ),
    ],
)
def test_mistakes(groups: str, more: str, message: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        load(groups, more)
    assert any(message in str(mistake) for mistake in caught.value.mistakes), str(caught.value)


def test_replicas_are_servers_of_mysqls_kind() -> None:
    text = (
        "databaseName: shop\ndataSources:\n  p: {url: 'sqlite:a.db'}\n  r: {url: 'sqlite:b.db'}\nrules:\n"
        "- !READWRITE_SPLITTING\n  dataSourceGroups:\n    ds: {writeDataSourceName: p, readDataSourceNames: [r]}\n"
    )
    with pytest.raises(ConfigurationError, match="'p' is no MySQL data source"):
        load_configuration({"global.yaml": GLOBAL, "database-shop.yaml": text}, lambda kind, name: None)
