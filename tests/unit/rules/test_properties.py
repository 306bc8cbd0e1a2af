"""Properties of global.yaml."""

import pytest

from dbmesh.rules.properties import PROPERTIES, build_properties
from dbmesh.rules.source import SourceFile


def test_defaults_and_values() -> None:
    source = SourceFile("global.yaml")
    values = build_properties(source, {"sql-show": "TRUE", "proxy-default-port": "4000", "sql-simple": "x"})
    assert not source.mistakes
    assert values["sql-show"] is True
    assert values["proxy-default-port"] == 4000
    assert set(values) == set(PROPERTIES)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("sql-show", "yes", "neither true nor false"),
        ("plan-cache-size", "0", "below 1"),
        ("plan-cache-size", "1.5", "not an integer"),
        ("sqlshow", "true", "unknown property"),
    ],
)
def test_mistakes(name: str, value: str, message: str) -> None:
    source = SourceFile("global.yaml")
    build_properties(source, {name: value})
    assert message in source.mistakes[0].message
