"""Reading configuration directories and secrets."""

from pathlib import Path

import pytest

from dbmesh.cli.configuration import read_directory, resolve_secret


def test_only_yaml_files_are_read(tmp_path: Path) -> None:
    (tmp_path / "global.yaml").write_text("é: 1")
    (tmp_path / "notes.txt").write_text("x")
    (tmp_path / "database-a.yaml").write_bytes(b"\xff")
    (tmp_path / "database-b.yaml").mkdir()
    assert read_directory(tmp_path) == {"global.yaml": "é: 1", "database-a.yaml": "\ufffd"}
    with pytest.raises(OSError):
        read_directory(tmp_path / "none")


def test_secrets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DBMESH_TEST_SECRET", "s")
    monkeypatch.delenv("DBMESH_TEST_NOTHING", raising=False)
    (tmp_path / "pw").write_text("p w\n")
    assert resolve_secret("env", "DBMESH_TEST_SECRET") == "s"
    assert resolve_secret("env", "DBMESH_TEST_NOTHING") is None
    assert resolve_secret("file", str(tmp_path / "pw")) == "p w"
    assert resolve_secret("file", str(tmp_path / "none")) is None


def test_a_key_command_prints_the_key() -> None:
    assert resolve_secret("command", "printf 'a key\\n'") == "a key"
    assert resolve_secret("command", "false") is None
    assert resolve_secret("command", "no-such-program") is None
    assert resolve_secret("command", "an 'unclosed quote") is None
