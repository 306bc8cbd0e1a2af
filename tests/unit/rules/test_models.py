"""The shape of the files: keys, defaults, and the spellings that mean the same."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from dbmesh.rules.models import (
    AuditStrategy,
    BroadcastSection,
    DatabaseFile,
    DataSourceSection,
    GlobalFile,
    Section,
    ShardingSection,
    SingleSection,
    StrategySection,
    TypeAndProperties,
)


@pytest.mark.parametrize("value", ["a,b", " a , b ,", ["a", "b"]])
def test_a_list_of_names_has_two_spellings(value: object) -> None:
    assert BroadcastSection.model_validate({"tables": value}).tables == ["a", "b"]


@pytest.mark.parametrize("props", [None, {}])
def test_properties_may_be_empty(props: object) -> None:
    assert TypeAndProperties.model_validate({"type": "MOD", "props": props}).props == {}


def test_keys_are_camel_case_only() -> None:
    section = ShardingSection.model_validate({"defaultShardingColumn": "id"})
    assert section.default_sharding_column == "id"
    with pytest.raises(ValidationError):
        ShardingSection.model_validate({"default_sharding_column": "id"})


@pytest.mark.parametrize(
    "model", [ShardingSection, SingleSection, DatabaseFile, GlobalFile, StrategySection, DataSourceSection]
)
def test_unknown_keys_are_refused(model: type[Section]) -> None:
    with pytest.raises(ValidationError, match="Extra inputs are not permitted"):
        model.model_validate({"databaseName": "a", "dataSources": {"a": {"url": "u"}}, "url": "u", "odd": 1})


def test_a_strategy_none_is_present_without_a_value() -> None:
    assert StrategySection.model_validate({"none": None}).model_fields_set == {"none"}
    assert StrategySection.model_validate({}).model_fields_set == set()


def test_defaults() -> None:
    source = DataSourceSection.model_validate({"url": "u"})
    assert (source.connection_timeout_milliseconds, source.idle_timeout_milliseconds) == (30_000, 60_000)
    assert (source.max_lifetime_milliseconds, source.max_pool_size, source.min_pool_size) == (
        1_800_000,
        50,
        1,
    )
    assert AuditStrategy.model_validate({"auditorNames": "a"}).allow_hint_disable is True
    assert GlobalFile.model_validate({}).authority.privilege.type == "ALL_PERMITTED"


@pytest.mark.parametrize(
    "value", [{"maxPoolSize": 0}, {"connectionTimeoutMilliseconds": 0}, {"minPoolSize": -1}]
)
def test_bounds(value: dict[str, int]) -> None:
    with pytest.raises(ValidationError):
        DataSourceSection.model_validate({"url": "u", **value})


def test_sections_of_shardingsphere_without_meaning_are_accepted() -> None:
    for key in ("mode", "sqlParser", "sqlFederation", "sqlTranslator", "logging"):
        GlobalFile.model_validate({key: {"type": "anything", "props": [1]}})
