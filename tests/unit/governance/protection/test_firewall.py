"""The firewall: which rule decides, what modes do, and what is learned."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from dbmesh.errors import FIREWALL_DENIED, MeshError
from dbmesh.governance.protection.firewall import Firewall
from dbmesh.planner.session_plan import CreateDatabase, CreateRoutine, DropDatabase, DropRoutine
from dbmesh.rules.protection.firewall import FirewallMode, FirewallPolicy, FirewallRule
from dbmesh.rules.protection.selection import Selection
from dbmesh.rules.protection.values import Protection
from dbmesh.session.filtering import RunningStatement
from dbmesh.wire.packets import parse_err
from tests.plugins.protected_world import ProtectedWorld

DENIED = FIREWALL_DENIED.number
UPDATE_ONE = b"\x03UPDATE t_order SET status = 'x' WHERE user_id = 5"
UPDATE_ALL = b"\x03UPDATE t_order SET status = 'x'"
READ = b"\x03SELECT user_id FROM t_order WHERE user_id = 5"
COMMIT = b"\x03COMMIT"


def world(
    *rules: FirewallRule, mode: FirewallMode = FirewallMode.PROTECTING, allows: bool = True
) -> ProtectedWorld:
    made = ProtectedWorld(Protection(firewall=FirewallPolicy(mode, allows, rules)))
    made.session.user_name = "app"
    return made


def firewall(of: ProtectedWorld) -> Firewall:
    [found] = [one for one in of.mesh.filters if isinstance(one, Firewall)]
    return found


@pytest.mark.parametrize(
    ("rule", "stopped"),
    [
        (FirewallRule("r", False, without_where=True), [UPDATE_ALL]),
        (FirewallRule("r", False, Selection(verbs=frozenset({"UPDATE"}))), [UPDATE_ALL, UPDATE_ONE]),
        (FirewallRule("r", False, Selection(verbs=frozenset({"COMMIT"}))), [COMMIT]),
        (FirewallRule("r", False, Selection(users=("other",))), []),
        (FirewallRule("r", False, Selection(tables=("t_order",))), [UPDATE_ALL, UPDATE_ONE, READ]),
        (FirewallRule("r", False, pattern=re.compile("user_id = \\?", re.IGNORECASE)), [UPDATE_ONE, READ]),
        (FirewallRule("r", False, Selection(users=("app",)), re.compile("set status"), True), []),
        (FirewallRule("r", False, Selection(users=("app",)), re.compile("SET status"), True), [UPDATE_ALL]),
    ],
)
async def test_a_rule_stops_what_it_is_about(rule: FirewallRule, stopped: list[bytes]) -> None:
    one = world(rule)
    for _ in range(2):
        for payload in (UPDATE_ALL, UPDATE_ONE, READ, COMMIT):
            expected = DENIED if payload in stopped else 0
            assert await one.numbers(payload) == [expected], payload
    await one.end()


async def test_the_refusal_says_which_rule_and_what_the_operator_wrote() -> None:
    one = world(FirewallRule("careful", False, without_where=True, message="add a WHERE"))
    [(_, packet)] = await one.command(UPDATE_ALL)
    assert re.search(rb"\([0-9a-f]{16}, rule 'careful'\): add a WHERE$", parse_err(packet).message)
    assert not one.sent
    await one.end()


async def test_the_first_rule_decides_and_the_default_where_none_does() -> None:
    allowed = FirewallRule("batch", True, Selection(users=("batch",)))
    one = world(allowed, FirewallRule("all", False, without_where=True), allows=True)
    assert await one.numbers(UPDATE_ALL) == [DENIED]
    one.session.user_name = "batch"
    assert await one.numbers(UPDATE_ALL) == [0]
    await one.end()
    only = world(FirewallRule("read", True, Selection(verbs=frozenset({"SELECT"}))), allows=False)
    assert [await only.numbers(payload) for payload in (READ, UPDATE_ONE, COMMIT)] == [[0], [DENIED], [0]]
    assert await only.numbers(b"\x03PREPARE p FROM 'UPDATE t_order SET status = 1 WHERE user_id = 5'") == [0]
    assert await only.numbers(b"\x03EXECUTE p") == [DENIED], "what EXECUTE runs is looked at"
    await only.end()


CHANGES = {
    "CREATE DATABASE other": CreateDatabase("other", "", False),
    "/* a */ drop schema if exists shop": DropDatabase("shop", True),
    "CREATE PROCEDURE p() SELECT 1": CreateRoutine("PROCEDURE", None, "p", "p() SELECT 1", "() SELECT 1"),
    "DROP FUNCTION f": DropRoutine("FUNCTION", None, "f", False),
}


@pytest.mark.parametrize("text", CHANGES)
@pytest.mark.parametrize("allows", [True, False])
async def test_what_changes_databases_and_routines_is_ddl_and_stopped_by_default(
    text: str, allows: bool
) -> None:
    rules = [FirewallRule("no-ddl", False, Selection(verbs=frozenset({"DDL"})))] if allows else []
    one = world(*rules, allows=allows)
    seen = one.mesh.databases["shop"], CHANGES[text], text
    found = firewall(one).find(one.session, seen)
    assert found is not None
    with pytest.raises(MeshError) as caught:
        firewall(one).begin(RunningStatement(one.session, *seen), found)
    assert caught.value.kind is FIREWALL_DENIED
    await one.end()


async def test_what_is_only_detected_is_counted_and_runs(caplog: pytest.LogCaptureFixture) -> None:
    one = world(FirewallRule("careful", False, without_where=True), mode=FirewallMode.DETECTING)
    assert await one.numbers(UPDATE_ALL, 3) == [0, 0, 0]
    assert firewall(one).stopped == {"careful": 3}
    assert sum("would stop" in text for text in caplog.messages) == 1
    await one.end()


async def test_while_it_learns_it_notes_who_runs_what_once(tmp_path: Path) -> None:
    policy = FirewallPolicy(
        FirewallMode.LEARNING, False, (FirewallRule("all", False),), learned="learned.txt"
    )
    one = ProtectedWorld(Protection(firewall=policy), tmp_path)
    one.session.user_name = "app"
    for payload in (READ, READ, READ.replace(b"5", b"6"), UPDATE_ONE, COMMIT):
        assert await one.numbers(payload) == [0]
    one.protector.close()
    lines = (tmp_path / "learned.txt").read_text().splitlines()
    assert [line.split(" ", 1)[1] for line in lines] == [
        "app shop SELECT user_id FROM t_order WHERE user_id = ?",
        "app shop UPDATE t_order SET status = ? WHERE user_id = ?",
    ]
    listed = frozenset(line.split()[0] for line in lines[:1])
    await one.end()
    strict = world(FirewallRule("learned", True, Selection(fingerprints=listed)), allows=False)
    assert [await strict.numbers(payload) for payload in (READ, UPDATE_ONE)] == [[0], [DENIED]]
    await strict.end()


@pytest.mark.parametrize(
    "making",
    [
        b"CREATE TABLE x SELECT * FROM t_order",
        b"CREATE TABLE x SELECT * FROM t_plain",
        b"CREATE VIEW x AS SELECT * FROM t_order",
        b"CREATE VIEW x AS SELECT * FROM t_plain",
    ],
)
async def test_what_is_made_of_a_table_names_it(making: bytes) -> None:
    one = world(FirewallRule("kept", False, Selection(tables=("t_order", "t_plain"))))
    assert await one.numbers(b"\x03" + making) == [DENIED]
    await one.end()
