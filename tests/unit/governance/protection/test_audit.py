"""The audit log: what is written of whom, and that nobody waits for the disk."""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dbmesh.governance.protection.line_writer import LineWriter
from dbmesh.rules.protection.firewall import FirewallMode, FirewallPolicy, FirewallRule
from dbmesh.rules.protection.selection import Selection
from dbmesh.rules.protection.values import Audit, AuditRule, Protection
from tests.plugins.protected_world import ProtectedWorld

POINT = b"\x03UPDATE t_order SET status = 'secret' WHERE user_id = 5"
READ = b"\x03SELECT 1"
ALL = frozenset(("ok", "error", "lost"))


def records(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_text().splitlines()]


async def test_who_ran_what_and_what_came_of_it(tmp_path: Path) -> None:
    audit = Audit("audit.log", (AuditRule("writes", Selection(tables=("t_order",)), ALL),))
    stop = FirewallRule("no", False, Selection(verbs=frozenset({"DELETE"})))
    policy = FirewallPolicy(FirewallMode.PROTECTING, True, (stop,))
    world = ProtectedWorld(Protection(audit=audit, firewall=policy), tmp_path)
    world.session.user_name, world.session.account = "app", "app@%"
    await world.numbers(POINT)
    await world.numbers(POINT, fails=1205)
    await world.numbers(b"\x03DELETE FROM t_order")
    await world.numbers(READ)
    await world.running(POINT)
    await world.end()
    world.protector.close()
    ok, failed, refused, lost = records(tmp_path / "audit.log")
    assert ok.pop("milliseconds") >= 0
    assert len(ok.pop("fingerprint")) == 16
    assert ok == {
        "time": "1970-01-01T00:16:40.000+00:00",
        "rule": "writes",
        "connection": 7,
        "user": "app",
        "account": "app@%",
        "host": "localhost",
        "database": "shop",
        "verb": "UPDATE",
        "tables": ["t_order"],
        "statement": "UPDATE t_order SET status = ? WHERE user_id = ?",
        "outcome": "ok",
        "shots": 1,
        "rows": 1,
    }
    assert (failed["outcome"], failed["error"], failed["sqlstate"]) == ("error", 1205, "42000")
    assert (refused["outcome"], refused["error"], refused["verb"]) == ("error", 1148, "DELETE")
    assert lost["outcome"] == "lost"


async def test_the_first_rule_holds_and_values_are_written_when_asked_for(tmp_path: Path) -> None:
    rules = (
        AuditRule("failures", Selection(), frozenset(("error",))),
        AuditRule("all", Selection(verbs=frozenset({"UPDATE"})), ALL, literals=True),
    )
    world = ProtectedWorld(Protection(audit=Audit("audit.log", rules)), tmp_path)
    await world.numbers(POINT)
    await world.numbers(POINT, fails=1205)
    await world.end()
    world.protector.close()
    first, second = records(tmp_path / "audit.log")
    assert (first["rule"], first["statement"]) == ("all", POINT[1:].decode())
    assert second["rule"] == "failures"
    assert "secret" not in second["statement"]


@given(
    lines=st.lists(st.integers(1, 60), max_size=40),
    most_bytes=st.integers(20, 200),
    files=st.integers(0, 3),
)
def test_what_is_kept_is_the_end_of_what_was_written(
    tmp_path_factory: pytest.TempPathFactory, lines: list[int], most_bytes: int, files: int
) -> None:
    directory = tmp_path_factory.mktemp("lines")
    file = directory / "log"
    written = [f"{number}:{'x' * length}" for number, length in enumerate(lines)]
    for line in written:
        # One at a time: what is written together is rotated together.
        writer = LineWriter(file, most_bytes, files, 100)
        writer.put(lambda line=line: line)  # type: ignore[misc]
        writer.close()
    names = [directory / f"log.{number}" for number in range(files, 0, -1)] + [file]
    kept = [line for name in names if name.exists() for line in name.read_text().splitlines()]
    assert kept == written[len(written) - len(kept) :]
    assert len(list(directory.iterdir())) <= files + 1
    if files:
        assert kept or not written


def test_nobody_waits_for_the_disk(tmp_path: Path) -> None:
    writer = LineWriter(tmp_path / "log", 10_000, 1, 2)
    gate, begun = threading.Event(), threading.Event()

    def slow() -> str:
        begun.set()
        gate.wait(10)
        return "first"

    writer.put(slow)
    assert begun.wait(10)
    for number in range(5):
        writer.put(lambda number=number: str(number))  # type: ignore[misc]
    assert writer.dropped == 3
    gate.set()
    writer.close()
    assert (tmp_path / "log").read_text().split() == ["first", "0", "1"]


def test_a_disk_that_cannot_be_written_is_told_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    writer = LineWriter(tmp_path / "nowhere" / "log", 100, 1, 10)
    for _ in range(3):
        writer.put(lambda: "x")
        writer.close()
    assert writer.dropped == 3
    assert sum("cannot be written" in text for text in caplog.messages) == 1
