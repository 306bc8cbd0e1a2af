"""Mistakes go to stderr as they are: no markup, no wrapping, no traceback."""

from __future__ import annotations

import pytest
from rich.table import Table

from dbmesh.cli.output import Failure, answers, report


def test_a_failure_is_one_sentence_on_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    report(Failure("the port is taken"))
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err == "error: the port is taken\n"


def test_notes_stand_before_the_sentence_unwrapped_and_without_markup(
    capsys: pytest.CaptureFixture[str],
) -> None:
    note = "rules/database-shop.yaml:3: rules[0].tables: " + "word " * 60 + "end"
    report(Failure("1 mistake", (note,)))
    assert capsys.readouterr().err == f"{note}\nerror: 1 mistake\n"


def test_a_pipe_gets_rows_whole(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    table = Table("name", "state")
    table.add_row("a" * 90, "b" * 90)
    monkeypatch.delenv("COLUMNS", raising=False)
    answers().print(table)
    assert f"{'a' * 90} │ {'b' * 90}" in capsys.readouterr().out
    monkeypatch.setenv("COLUMNS", "80")
    answers().print(table)
    assert max(map(len, capsys.readouterr().out.splitlines())) <= 80


def test_answers_go_to_stdout(capsys: pytest.CaptureFixture[str]) -> None:
    answers().print("done")
    captured = capsys.readouterr()
    assert (captured.out, captured.err) == ("done\n", "")
