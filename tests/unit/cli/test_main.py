"""Help, version and exit codes of the command line."""

from __future__ import annotations

import pytest

from dbmesh import __version__
from dbmesh.cli.main import run


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--version"]) == 0
    assert capsys.readouterr().out == f"dbmesh {__version__}\n"


@pytest.mark.parametrize("command", ["serve", "demo", "explain", "rules"])
def test_help_names_every_command(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--help"]) == 0
    assert command in capsys.readouterr().out
    assert run([command, "--help"]) == 0
    assert f"dbmesh {command}" in capsys.readouterr().out


@pytest.mark.parametrize(
    "arguments",
    [
        ["serve"],
        ["nonsense"],
        ["demo", "--engine", "oracle"],
        ["demo", "--port", "70000"],
        ["demo", "--reshard", "--engine", "sqlite"],
        ["rules", "validate"],
    ],
)
def test_a_mistake_on_the_command_line_ends_with_2(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(arguments) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "Usage: dbmesh" in captured.err
