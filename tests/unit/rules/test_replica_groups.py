"""Load balancers choose as often as they promise."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import dataclass

import pytest

from dbmesh.rules.replica_groups import LoadBalancerConfig, make_load_balancer


@dataclass(frozen=True)
class Replica:
    name: str
    latency: float = 0.0


def chosen(config: LoadBalancerConfig, replicas: list[Replica], times: int = 3000) -> Counter[str]:
    balancer = make_load_balancer(config, random.Random(7).random)
    return Counter(replicas[balancer.choose(replicas)].name for _ in range(times))


THREE = [Replica("a"), Replica("b"), Replica("c")]


def test_round_robin_gives_each_its_turn_also_when_one_leaves() -> None:
    assert chosen(LoadBalancerConfig(), THREE) == {"a": 1000, "b": 1000, "c": 1000}
    balancer = make_load_balancer(LoadBalancerConfig(), random.random)
    names = [THREE[balancer.choose(THREE)].name for _ in range(3)]
    assert sorted(names) == ["a", "b", "c"]
    assert {balancer.choose(THREE[:2]) for _ in range(2)} == {0, 1}


def test_random_treats_all_alike() -> None:
    found = chosen(LoadBalancerConfig("RANDOM"), THREE)
    assert all(900 < found[name] < 1100 for name in "abc")


def test_weights_are_shares_and_nothing_is_read_at_weight_zero() -> None:
    config = LoadBalancerConfig("WEIGHT", {"a": 3.0, "b": 1.0, "c": 0.0})
    found = chosen(config, THREE)
    assert found["c"] == 0
    assert found["a"] / found["b"] == pytest.approx(3, rel=0.2)
    assert chosen(config, [THREE[2]]) == {"c": 3000}, "the only one that is left"


def test_least_latency_prefers_the_faster_of_two_and_leaves_nobody_out_but_the_slowest() -> None:
    replicas = [Replica("a", 0.001), Replica("b", 0.002), Replica("c", 0.009)]
    found = chosen(LoadBalancerConfig("LEAST_LATENCY"), replicas)
    assert found["a"] > found["b"] > 0
    assert found["c"] == 0
    assert chosen(LoadBalancerConfig("LEAST_LATENCY"), replicas[:1]) == {"a": 3000}
