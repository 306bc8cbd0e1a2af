"""The summary of a valid directory, and how mistakes read."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from dbmesh.cli.main import run
from dbmesh.cli.rules import nodes
from dbmesh.model import DataNode
from dbmesh.rules.ruleset import BroadcastTable

GLOBAL = """\
authority:
  users:
    - user: root@%
      password: root
"""
SHOP = """\
databaseName: shop
dataSources:
  ds_0:
    url: jdbc:mysql://127.0.0.1:3306/shop_0
    username: root
    password: secret
rules:
- !SHARDING
  tables:
    t_order:
      actualDataNodes: ds_0.t_order_${0..1}
      tableStrategy:
        standard:
          shardingColumn: order_id
          shardingAlgorithmName: by_order
  shardingAlgorithms:
    by_order:
      type: MOD
      props:
        sharding-count: 2
- !BROADCAST
  tables:
  - t_country
"""


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """A valid configuration directory."""
    (tmp_path / "global.yaml").write_text(GLOBAL)
    (tmp_path / "database-shop.yaml").write_text(SHOP)
    return tmp_path


def test_a_valid_directory_is_summed_up(directory: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["rules", "validate", str(directory)]) == 0
    captured = capsys.readouterr()
    assert "database shop" in captured.out
    assert "2: ds_0.t_order_0, ds_0.t_order_1" in captured.out
    assert "t_country" in captured.out
    assert "OK: 1 database, 1 data source, 2 table rules, 3 data nodes, 1 user" in captured.out
    assert captured.err == ""


def test_every_mistake_is_reported_with_its_line_and_fix(
    directory: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = directory / "database-shop.yaml"
    wrong = SHOP.replace("shardingAlgorithmName: by_order", "shardingAlgorithmName: by_odrer")
    file.write_text(wrong.replace("sharding-count: 2", "sharding-count: two"))
    assert run(["rules", "validate", str(directory)]) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    lines = captured.err.splitlines()
    assert any(line.startswith(f"{file}:15: ") and "by_odrer" in line for line in lines)
    assert any(line.startswith(f"{file}:20: ") and "two" in line for line in lines)
    assert sum(line.startswith("    fix: ") for line in lines) == 2
    assert lines[-1] == f"error: 2 mistakes in 1 file of {directory}"


def test_a_missing_secret_is_a_mistake_with_its_place(
    directory: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("DBMESH_TEST_SECRET", raising=False)
    (directory / "database-shop.yaml").write_text(SHOP.replace("secret", "${env:DBMESH_TEST_SECRET}"))
    assert run(["rules", "validate", str(directory)]) == 1
    assert "DBMESH_TEST_SECRET" in capsys.readouterr().err


def test_a_directory_that_is_not_there_is_one_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["rules", "validate", str(tmp_path / "nowhere")]) == 1
    error = capsys.readouterr().err
    assert "nowhere" in error
    assert "Traceback" not in error


def test_the_schema_is_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["rules", "schema"]) == 0
    assert "$defs" in json.loads(capsys.readouterr().out)


def test_many_nodes_are_shortened() -> None:
    rule = BroadcastTable("t", tuple(DataNode(f"ds_{number}", "t") for number in range(6)))
    assert nodes(rule) == "6: ds_0.t, ds_1.t, ds_2.t, … ds_5.t"
