"""How mistakes of a configuration read on a terminal."""

from __future__ import annotations

from pathlib import Path

import pytest

from dbmesh.cli.loading import counted, describe, secret_or_name
from dbmesh.rules.mistakes import Mistake


def test_a_mistake_begins_as_editors_expect_it() -> None:
    mistake = Mistake("database-shop.yaml", 7, "rules[0].tables", "it is empty", "name a table")
    assert describe(Path("rules"), mistake) == (
        "rules/database-shop.yaml:7: rules[0].tables: it is empty\n    fix: name a table"
    )


def test_a_mistake_of_a_whole_file_has_no_line() -> None:
    mistake = Mistake("global.yaml", 0, "", "the file is empty", "write the users into it")
    assert describe(Path("rules"), mistake) == (
        "rules/global.yaml: the file is empty\n    fix: write the users into it"
    )


@pytest.mark.parametrize(("number", "text"), [(0, "0 files"), (1, "1 file"), (2, "2 files")])
def test_counted(number: int, text: str) -> None:
    assert counted(number, "file") == text


def test_names_stand_for_secrets_that_are_not_here() -> None:
    assert secret_or_name("env", "DBMESH_TEST_NOTHING") == "env:DBMESH_TEST_NOTHING"
    assert len(secret_or_name("env", "NO") or "") == 16
    assert secret_or_name("command", "printf key") == "command:printf key"
