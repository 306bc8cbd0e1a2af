"""`dbmesh rules diff|apply|history|rollback` without a sidecar: the store alone."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from dbmesh.cli.configuration import read_directory
from dbmesh.cli.loading import secret_or_name
from dbmesh.cli.main import run
from dbmesh.rules.loader import load_configuration

_HASH = "'*81F5E21E35407D884A6CD4A731AEBFB6AF209E1B'"


def _write(
    directory: Path, tables: str = "ds_0.t", password: str = _HASH, props: str = "{path: store.db}"
) -> Path:
    directory.mkdir(exist_ok=True)
    (directory / "global.yaml").write_text(
        f"mode: {{type: Standalone, repository: {{type: SQLite, props: {props}}}}}\n"
        f"authority: {{users: [{{user: root, password: {password}}}]}}\n"
    )
    (directory / "database-shop.yaml").write_text(
        "databaseName: shop\ndataSources:\n  ds_0: {url: 'mysql://h/s', password: '${env:NOT_SET_HERE}'}\n"
        f"rules:\n- !SINGLE\n  tables: [{tables}]\n"
    )
    return directory


def test_the_life_of_rules(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    rules = _write(tmp_path / "rules")
    (rules / "notes.yaml").write_text("of no matter: 1\n")
    assert run(["rules", "diff", str(rules), "--json"]) == 3
    assert [one["kind"] for one in json.loads(capsys.readouterr().out)] == ["database", "data source", "user"]
    assert run(["rules", "history", "--config", str(rules)]) == 0
    assert "no rules yet" in capsys.readouterr().out
    assert run(["rules", "apply", str(rules), "--dry-run"]) == 0
    assert "nothing has been applied" in capsys.readouterr().out
    assert run(["rules", "apply", str(rules), "--comment", "begin"]) == 0
    assert "revision 1 is active" in capsys.readouterr().out
    assert run(["rules", "apply", str(rules)]) == 0
    assert "nothing changes" in capsys.readouterr().out
    assert run(["rules", "diff", str(rules)]) == 0
    capsys.readouterr()

    _write(rules, "'*.*'")
    assert run(["rules", "apply", str(rules), "--json"]) == 0
    applied = json.loads(capsys.readouterr().out)
    assert applied["revision"] == 2
    assert applied["changes"][0]["details"] == ["ds_0.t → *.*"]
    assert run(["rules", "rollback", "--config", str(rules), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["revision"] == 3
    assert run(["rules", "rollback", "--config", str(rules), "1"]) == 1
    assert "nothing has changed" in capsys.readouterr().err
    assert run(["rules", "rollback", "--config", str(rules), "9"]) == 1
    assert "there is no revision 9" in capsys.readouterr().err
    assert run(["rules", "history", "--config", str(rules), "--json"]) == 0
    history = json.loads(capsys.readouterr().out)
    assert [(one["number"], one["active"], one["comment"]) for one in history] == [
        (3, True, "back to revision 1"),
        (2, False, ""),
        (1, False, "begin"),
    ]
    assert run(["rules", "history", "--config", str(rules)]) == 0
    assert "back to revision 1" in capsys.readouterr().out
    monkeypatch.setenv("NOT_SET_HERE", "geheim")
    assert run(["rules", "show", "--config", str(rules)]) == 0
    assert "ds_0.t" in capsys.readouterr().out, "what holds, not what the files say"
    own = load_configuration(read_directory(rules), secret_or_name)
    assert history[1]["fingerprint"] == own.fingerprint, "of the files that are read"
    (rules / "notes.yaml").write_text("others\n")
    assert load_configuration(read_directory(rules), secret_or_name).fingerprint == own.fingerprint
    store = (rules / "store.db").read_bytes()
    assert b"geheim" not in store
    assert b"NOT_SET_HERE" in store


def test_rows_that_would_not_be_found(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rules = _write(tmp_path / "rules")
    assert run(["rules", "apply", str(rules)]) == 0
    shop = rules / "database-shop.yaml"
    shop.write_text(shop.read_text().replace("//h/", "//other/"))
    capsys.readouterr()
    assert run(["rules", "apply", str(rules)]) == 1
    said = capsys.readouterr().err
    assert "rows would be looked for where they may not be: data source 'ds_0' of database 'shop'" in said
    assert run(["rules", "apply", str(rules), "--rows-are-moved"]) == 0


def test_secrets_stay_where_they_are(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rules = _write(tmp_path / "rules", password="geheim")
    assert run(["rules", "apply", str(rules)]) == 1
    said = capsys.readouterr().err
    assert "global.yaml:2: authority.users[0].password: a password in clear text would be kept" in said
    assert "1 secret in clear text; nothing has changed" in said
    assert run(["rules", "history", "--config", str(rules)]) == 0


def test_without_a_store(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rules = _write(tmp_path / "rules")
    (rules / "global.yaml").write_text(f"authority: {{users: [{{user: root, password: {_HASH}}}]}}\n")
    assert run(["rules", "apply", str(rules)]) == 1
    assert "no store to keep rules in" in capsys.readouterr().err
