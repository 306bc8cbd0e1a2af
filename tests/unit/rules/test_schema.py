"""The published JSON Schema is the models' schema; the pages for operators name every key."""

import json
import pathlib

import pytest

from dbmesh.rules.algorithms.registry import ALGORITHMS
from dbmesh.rules.keygen import KEY_GENERATORS
from dbmesh.rules.masks.registry import MASKS
from dbmesh.rules.properties import ACCEPTED, PROPERTIES
from dbmesh.rules.schema import json_schema

DOCS = pathlib.Path(__file__).parents[3] / "docs"


def test_the_published_schema_is_current() -> None:
    published = json.loads((DOCS / "schema" / "dbmesh.schema.json").read_text())
    assert published == json_schema(), "write it anew: dbmesh rules schema > docs/schema/dbmesh.schema.json"


def schema_keys() -> list[str]:
    keys: set[str] = set()
    for definition in json_schema()["$defs"].values():
        keys.update(definition.get("properties", {}))
    return sorted(keys)


@pytest.mark.parametrize("key", schema_keys())
def test_every_key_is_described(key: str) -> None:
    assert f"`{key}`" in (DOCS / "CONFIGURATION.md").read_text() + (DOCS / "RULES.md").read_text()


@pytest.mark.parametrize("name", sorted([*PROPERTIES, *ACCEPTED]))
def test_every_property_is_described(name: str) -> None:
    text = (DOCS / "CONFIGURATION.md").read_text()
    assert f"`{name}`" in text
    if name in PROPERTIES:
        default = PROPERTIES[name].default
        shown = "true" if default is True else "false" if default is False else str(default) or "empty"
        assert f"| `{name}` | {shown} |" in text


@pytest.mark.parametrize("kind", sorted([*ALGORITHMS, *KEY_GENERATORS, *MASKS]))
def test_every_algorithm_and_its_properties_are_described(kind: str) -> None:
    text = (DOCS / "RULES.md").read_text()
    assert f"`{kind}`" in text
    properties = KEY_GENERATORS[kind] if kind in KEY_GENERATORS else (ALGORITHMS | MASKS)[kind].properties
    for name in properties or ("strategy", "algorithmClassName"):
        assert f"`{name}`" in text
