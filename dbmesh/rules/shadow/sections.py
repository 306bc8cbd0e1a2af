"""The item `!SHADOW` as it is written."""

from __future__ import annotations

from pydantic import Field

from dbmesh.rules.models import Names, Section, TypeAndProperties


class ShadowPairSection(Section):
    """A data source and the one that stands in for it."""

    production_data_source_name: str = Field(description="The data source, or group, that other rules name.")
    shadow_data_source_name: str = Field(description="Where statements go that belong to the shadow.")


class ShadowedTableSection(Section):
    """A table that may be asked in the shadow."""

    data_source_names: Names = Field(
        default_factory=list, description="Keys of dataSources; all of them when missing."
    )
    shadow_algorithm_names: Names = Field(
        default_factory=list,
        description="Keys of shadowAlgorithms: any of them sends a statement to the shadow.",
    )


class ShadowSection(Section):
    """The item `!SHADOW`."""

    data_sources: dict[str, ShadowPairSection] = Field(min_length=1)
    tables: dict[str, ShadowedTableSection] = Field(default_factory=dict)
    default_shadow_algorithm_name: str | None = Field(
        default=None,
        description="A SQL_HINT that decides about tables without algorithms, and those not named.",
    )
    shadow_algorithms: dict[str, TypeAndProperties] = Field(
        default_factory=dict, description="Of type VALUE_MATCH, REGEX_MATCH or SQL_HINT."
    )
