"""What a statement over information_schema reads, and what it becomes."""

from __future__ import annotations

from dataclasses import replace

import pytest

from dbmesh.errors import DATABASE_DENIED, PRIVILEGE_NEEDED, TABLE_DENIED, MeshError
from dbmesh.planner.information_schema import SystemPlan, plan_information_schema, same_name
from dbmesh.planner.metadata import plan_metadata
from dbmesh.planner.needs.need import Denied, check
from dbmesh.planner.needs.statements import statement_needs
from dbmesh.planner.plan import ShardPlan, Shot
from dbmesh.planner.scans import SystemFederation, SystemScan
from dbmesh.planner.text_plan import TextPlan
from dbmesh.rules.privileges import ADMINISTRATOR, PERMITTED, Privileges
from dbmesh.rules.ruleset import RuleSet
from tests.plugins.planner_world import RULES, SOURCES, call_of, context_of


def _scans(sql: str, *parameters: str | int) -> list[tuple[str | None, str | None]]:
    bound = plan_information_schema(context_of(sql)).bind(call_of(sql, parameters))
    assert isinstance(bound.answer, SystemFederation)
    return [(scan.schema, scan.name) for scan in bound.answer.scans]


_TABLES = "SELECT 1 FROM information_schema.tables"


@pytest.mark.parametrize(
    ("where", "expected"),
    [
        ("", (None, None)),
        ("WHERE table_schema = DATABASE()", ("shop", None)),
        ("t WHERE t.TABLE_NAME = 'a' AND TABLE_SCHEMA = 'b' AND 1", ("b", "a")),
        ("WHERE table_schema = 'a' OR 1", (None, None)),
        ("WHERE NOT table_schema = 'a'", (None, None)),
        ("WHERE table_schema = 0", (None, None)),
        ("WHERE other.table_schema = 'a'", (None, None)),
        ("WHERE table_schema <> 'a'", (None, None)),
    ],
)
def test_conditions_restrict_what_is_read(where: str, expected: tuple[str | None, str | None]) -> None:
    assert _scans(f"{_TABLES} {where}") == [expected]


def test_an_unqualified_condition_over_two_tables_restricts_neither() -> None:
    sql = f"{_TABLES} a, information_schema.columns b WHERE table_schema = 'a' AND b.table_name = 'c'"
    assert _scans(sql) == [(None, None), (None, "c")]


def test_parameters_are_values_of_the_call() -> None:
    assert _scans(f"{_TABLES} WHERE table_schema = ? AND table_name = ?", "shop", 5) == [("shop", None)]


def test_every_place_has_its_own_temporary_table() -> None:
    sql = "SELECT a.table_name FROM information_schema.tables a JOIN information_schema.TABLES USING (table_name)"
    plan = plan_information_schema(context_of(sql))
    answer = plan.bind(call_of(sql)).answer
    assert isinstance(answer, SystemFederation)
    assert answer.scans == (SystemScan("dbmesh_s1", "TABLES"), SystemScan("dbmesh_s2", "TABLES"))
    assert answer.final == (
        b"SELECT a.table_name /*!80000 AS `TABLE_NAME` */ FROM dbmesh_s1 a JOIN dbmesh_s2 AS TABLES USING (table_name)"
    )
    assert plan.prototype(()) == Shot("ds_0", sql.encode())


_SERVERS_OWN = (
    "SELECT * FROM mysql.user",
    "SELECT 1 FROM information_schema.tables, sys.version",
    "SELECT 1 FROM performance_schema.threads",
    "SHOW MASTER STATUS",
    "SHOW ENGINE INNODB STATUS",
    "SHOW FULL TABLES FROM mysql LIKE 'u%'",
    "SHOW COLUMNS FROM user IN mysql",
    "SHOW INDEX FROM mysql.user",
    "DESCRIBE mysql.user",
)


def _plan(sql: str, rules: RuleSet) -> ShardPlan:
    context = context_of(sql, rules=rules, databases={"shop": rules})
    plan = plan_information_schema(context) if sql.startswith("SELECT") else plan_metadata(context)
    assert isinstance(plan, TextPlan | SystemPlan)
    return plan


@pytest.mark.parametrize("sql", _SERVERS_OWN)
def test_the_only_server_tells_administrators_of_itself(sql: str) -> None:
    plan = _plan(sql, RULES)
    literals = call_of(sql).literals
    assert plan.prototype(literals).sql == sql.encode()
    check(statement_needs(context_of(sql, rules=RULES), plan), Privileges(ADMINISTRATOR))
    with pytest.raises(Denied) as denied:
        check(statement_needs(context_of(sql, rules=RULES), plan), Privileges(PERMITTED))
    assert denied.value.kind in (DATABASE_DENIED, PRIVILEGE_NEEDED, TABLE_DENIED)


@pytest.mark.parametrize("sql", _SERVERS_OWN)
def test_what_tells_of_one_of_several_servers_is_refused(sql: str) -> None:
    sources = {**SOURCES, "ds_1": replace(SOURCES["ds_1"], port=3307)}
    with pytest.raises(MeshError, match="not supported"):
        _plan(sql, replace(RULES, data_sources=sources))


def test_tables_beside_those_of_the_system_are_refused() -> None:
    with pytest.raises(MeshError, match="not supported"):
        plan_information_schema(context_of("SELECT 1 FROM information_schema.tables, t_order"))


def test_names_are_compared_as_a_server_may_compare_them() -> None:
    assert same_name("T_User", "t_user ")
    assert not same_name("t_user", "t_use")
    assert same_name("tablé", "table")
    assert same_name("table", None)
