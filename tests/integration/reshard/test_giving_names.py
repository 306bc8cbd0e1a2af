"""New tables get their final names once, whoever of several processes comes to it."""

from __future__ import annotations

import asyncio

import pytest

from dbmesh.model import DataNode
from dbmesh.reshard.jobs.scope import Scope, TableMove, Target
from dbmesh.reshard.tables.tables import give_names
from dbmesh.rules.loader import load_configuration
from dbmesh.rules.ruleset import AnyTable, RuleSet
from tests.integration.reshard.conftest import fill, rules
from tests.plugins.database_server import DatabaseServer

pytestmark = pytest.mark.integration

JOB = 7


def _rule_set(servers: list[DatabaseServer], shards: int) -> RuleSet:
    files = {
        "global.yaml": "authority:\n  users:\n  - {user: root@%, password: root}\n",
        "database-shop.yaml": rules(servers, shards),
    }
    return load_configuration(files, lambda kind, name: None).databases["shop"]


def _table(rule_set: RuleSet) -> AnyTable:
    found = rule_set.table("t_order")
    assert found is not None
    return found


def _scope(servers: list[DatabaseServer]) -> Scope:
    """Of two actual tables on each server four are made."""
    before, after = _rule_set(servers, 2), _rule_set(servers, 4)
    built = {"t_order_0": f"t_order_0__s{JOB}", "t_order_1": f"t_order_1__s{JOB}"}
    nodes = [DataNode(f"ds_{number}", f"t_order_{table}") for number in range(2) for table in range(4)]
    targets = tuple(Target(node, built.get(node.table, node.table)) for node in nodes)
    return Scope(before, after, (TableMove("t_order", _table(before), _table(after), targets, ()),))


def test_of_two_processes_one_gives_them_and_the_other_finds_it_done(servers: list[DatabaseServer]) -> None:
    fill(servers, 10)
    told: list[str] = []

    async def tell(reason: str) -> None:
        told.append(reason)

    async def still() -> bool:
        return not told

    async def work() -> None:
        scope = _scope(servers)
        await asyncio.gather(*(give_names(scope, JOB, still, tell) for _ in range(2)))

    asyncio.run(work())
    assert told == [""]
    for number, server in enumerate(servers):
        names = {str(name) for (name,) in server.execute(f"SHOW TABLES FROM moving_{number}")}
        former = {f"t_order_{table}__d{JOB}" for table in range(2)}
        assert names == {f"t_order_{table}" for table in range(4)} | former
