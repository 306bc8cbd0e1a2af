"""A line of the log is one JSON object with stable names, whatever is in it."""

from __future__ import annotations

import json
import logging
import re
import sys
from pathlib import Path
from typing import Any

import pytest

from dbmesh.cli.logs import LEVELS, JsonFormatter
from dbmesh.rules.properties import PROPERTIES

DOCS = Path(__file__).parents[3] / "docs"


def _line(message: str, *arguments: object, **fields: object) -> dict[str, Any]:
    record = logging.getLogger("dbmesh.session.session").makeRecord(
        "dbmesh.session.session",
        logging.WARNING,
        "a.py",
        1,
        message,
        arguments,
        sys.exc_info() if sys.exc_info()[0] else None,
        extra=fields,
    )
    line = JsonFormatter().format(record)
    assert "\n" not in line
    line.encode()
    found: dict[str, Any] = json.loads(line)
    return found


def test_an_event_has_its_time_its_place_and_its_fields() -> None:
    found = _line("session %d: it is %s", 7, "late", session=7, milliseconds=1.5)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}\+00:00", found.pop("time"))
    assert found == {
        "level": "warning",
        "logger": "session.session",
        "message": "session 7: it is late",
        "session": 7,
        "milliseconds": 1.5,
    }


def test_a_traceback_is_a_field() -> None:
    try:
        raise ValueError("not\nthis")
    except ValueError:
        found = _line("unexpected")
    assert found["error"].endswith("ValueError: not\nthis")


@pytest.mark.parametrize("text", ["a\nb", "Ä 漢", "a\udcffb", '"quoted"'])
def test_any_text_is_one_line(text: str) -> None:
    assert _line("%s", text)["message"] == text


def test_levels_are_those_of_the_property() -> None:
    assert tuple(LEVELS) == PROPERTIES["system-log-level"].choices


def test_every_field_that_is_logged_is_documented() -> None:
    source = Path(__file__).parents[3] / "dbmesh"
    calls = [
        found
        for file in source.rglob("*.py")
        for found in re.findall(r"fields_of\(\s*[a-z.]*session,([^)]*)\)", file.read_text())
    ]
    names = {name for call in calls for name in re.findall(r"(\w+)=", call)}
    documented = (DOCS / "OPERATIONS.md").read_text()
    assert {"digest", "rule", "timeout"} <= names
    assert {name for name in names if f"`{name}`" not in documented} == set()
