"""How a mistake reads, and that mistakes travel in the files' order."""

from __future__ import annotations

from dbmesh.rules.mistakes import ConfigurationError, Mistake

KEY = Mistake("database-a.yaml", 7, "rules[0].tables.t", "unknown key 'x'", "remove it")
FILE = Mistake("global.yaml", 0, "", "there is no such file", "add it")


def test_a_mistake_is_one_line_with_its_place() -> None:
    assert str(KEY) == "database-a.yaml:7: rules[0].tables.t: unknown key 'x'; remove it"
    assert str(FILE) == "global.yaml: there is no such file; add it"


def test_all_of_them_in_file_and_line_order() -> None:
    later = Mistake("database-a.yaml", 12, "", "a", "b")
    error = ConfigurationError((FILE, later, KEY))
    assert error.mistakes == (KEY, later, FILE)
    assert str(error).splitlines() == [str(KEY), str(later), str(FILE)]


def test_one_that_was_met_twice_is_told_once() -> None:
    assert ConfigurationError((KEY, FILE, KEY)).mistakes == (KEY, FILE)
