"""The JSON Schema of the configuration files, for editors. Made from the models, so it cannot disagree with the loader."""

from __future__ import annotations

from typing import Any

from pydantic.json_schema import models_json_schema

from dbmesh.rules.mirroring import MirroringSection
from dbmesh.rules.models import (
    BroadcastSection,
    DatabaseFile,
    EncryptSection,
    GlobalFile,
    MaskSection,
    MeshSection,
    ReadwriteSplittingSection,
    ShardingSection,
    SingleSection,
)
from dbmesh.rules.properties import ACCEPTED, PROPERTIES
from dbmesh.rules.protection.sections import ProtectionSection
from dbmesh.rules.shadow.sections import ShadowSection

_RULES = (
    ShardingSection,
    BroadcastSection,
    SingleSection,
    ReadwriteSplittingSection,
    MaskSection,
    EncryptSection,
    ShadowSection,
    MeshSection,
)


def json_schema() -> dict[str, Any]:
    """One schema for `global.yaml` and `database-*.yaml`. Items of `rules` carry YAML tags, which JSON Schema cannot
    express: editors need `!SHARDING mapping` and the like among their custom tags."""
    models = (DatabaseFile, GlobalFile, ProtectionSection, MirroringSection, *_RULES)
    _, schema = models_json_schema(
        [(model, "validation") for model in models], ref_template="#/$defs/{model}"
    )
    definitions: dict[str, Any] = schema["$defs"]
    rules = definitions["DatabaseFile"]["properties"]["rules"]
    rules["items"] = {"anyOf": [{"$ref": f"#/$defs/{model.__name__}"} for model in _RULES]}
    definitions["GlobalFile"]["properties"]["props"] = _properties_schema()
    definitions["GlobalFile"]["properties"]["mirroring"] = {"$ref": "#/$defs/MirroringSection"}
    definitions["GlobalFile"]["properties"]["protection"] = {"$ref": "#/$defs/ProtectionSection"}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "dbmesh configuration",
        "anyOf": [{"$ref": "#/$defs/DatabaseFile"}, {"$ref": "#/$defs/GlobalFile"}],
        "$defs": definitions,
    }


def _properties_schema() -> dict[str, Any]:
    known: dict[str, Any] = {}
    for name, row in PROPERTIES.items():
        kind = {bool: "boolean", int: "integer"}.get(type(row.default), "string")
        known[name] = {"type": kind, "default": row.default, "description": row.meaning}
        if kind == "integer":
            known[name]["minimum"] = row.least
        if row.choices:
            known[name]["enum"] = list(row.choices)
    accepted = {name: {"description": "Accepted, without effect."} for name in sorted(ACCEPTED)}
    return {"type": "object", "properties": known | accepted, "additionalProperties": False}
