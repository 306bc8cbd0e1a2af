"""`explain` shows shots and merge, and refuses in the mesh's own words."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from dbmesh.backend.connection import Flavour
from dbmesh.backend.sqlite.connection import SQLiteConnection
from dbmesh.cli import demo_data
from dbmesh.cli.main import run
from dbmesh.engine.collect import collect


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """The demo's rules over two SQLite files that do not exist yet."""
    urls = [f"sqlite:{tmp_path}/{number}.db" for number in range(2)]
    for name, text in demo_data.configuration_files(urls).items():
        (tmp_path / name).write_text(text)
    return tmp_path


def explain(directory: Path, sql: str, *options: str) -> int:
    """Runs `dbmesh explain` for the shop."""
    return run(["explain", "--config", str(directory), "--database", "shop", *options, sql])


async def create_table(file: Path) -> None:
    """A table that no rule names, made as a running mesh would."""
    connection = await SQLiteConnection.open(str(file), data_source="ds_1", flavour=Flavour())
    try:
        await collect(connection, b"CREATE TABLE t_single (id INT PRIMARY KEY)")
    finally:
        await connection.close()


def test_one_shard(directory: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert explain(directory, "SELECT * FROM t_order WHERE user_id = 7 AND order_id = 12") == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2
    assert lines[0].startswith("ds_1    SELECT * FROM t_order_0 ")
    assert lines[1] == "answer  relay"


def test_every_shard_and_its_merge(directory: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert explain(directory, "SELECT * FROM t_order ORDER BY amount LIMIT 3") == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == ["ds_0", "ds_0", "ds_1", "ds_1", "answer"]
    assert "limit 3" in lines[-1]


def test_nothing_is_contacted_without_connect(directory: Path) -> None:
    assert explain(directory, "SELECT * FROM t_order") == 0
    assert list(directory.glob("*.db")) == []


def test_what_the_mesh_answers_itself(directory: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert explain(directory, "SET NAMES utf8mb4") == 0
    assert capsys.readouterr().out == "dbmesh answers this by itself; no data source is asked\n"


@pytest.mark.parametrize(
    ("sql", "said"),
    [
        ("SELECT ROW_NUMBER() OVER () FROM t_order", "error: 1235 (42000): dbmesh: not supported: "),
        ("SELECT * FROM t_order WHERE user_id = ?", "error: the statement has parameters; "),
        ("SELECT * FROM t_nowhere", "error: 1146 (42S02): "),
        ("", "error: 1065 (42000): Query was empty"),
        (" ", "error: 1065 (42000): Query was empty"),
    ],
)
def test_a_refusal_is_one_sentence(
    directory: Path, capsys: pytest.CaptureFixture[str], sql: str, said: str
) -> None:
    assert explain(directory, sql) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith(said)
    assert captured.err.count("\n") == 1


def test_an_unknown_database_names_those_there_are(
    directory: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["explain", "--config", str(directory), "--database", "shpo", "SELECT 1"]) == 1
    assert capsys.readouterr().err == (
        "error: there is no logic database 'shpo' in the configuration; it has shop\n"
    )


def test_connect_reads_the_tables_that_no_rule_names(
    directory: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    asyncio.run(create_table(directory / "1.db"))
    assert explain(directory, "SELECT * FROM t_single", "--connect") == 0
    assert capsys.readouterr().out.startswith("ds_1 ")
