"""The item `!READWRITE_SPLITTING` to replica groups.

Decides which data sources are one group's members, and that the rest of the file sees the group in their place. Knows nothing of
files but where to report.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import Enum
from typing import TypeVar

from dbmesh.rules.models import ReadwriteSplittingSection, ReplicaGroupSection, TypeAndProperties
from dbmesh.rules.replica_groups import (
    LOAD_BALANCERS,
    CausalReads,
    LoadBalancerConfig,
    ReplicaGroup,
    TransactionalReads,
)
from dbmesh.rules.ruleset import DataSourceConfig
from dbmesh.rules.sections import suggestion
from dbmesh.rules.source import Path, SourceFile

_ChoiceT = TypeVar("_ChoiceT", bound=Enum)

_WITHOUT_REPLICA = ("PRIMARY", "FAIL")


@dataclass(frozen=True, slots=True)
class DataSources:
    """What statements know as data sources: groups by their names, in the place of their primaries, and what is in no group.
    A group's own data source is its primary."""

    sources: Mapping[str, DataSourceConfig]
    groups: Mapping[str, ReplicaGroup]


def build_groups(
    source: SourceFile,
    path: Path,
    section: ReadwriteSplittingSection,
    data_sources: Mapping[str, DataSourceConfig],
    names: tuple[str, ...],
) -> DataSources:
    """The groups of these data sources; mistakes are reported. `names` are all that are written, also those with mistakes."""
    balancers = {
        name: _load_balancer(source, (*path, "loadBalancers", name), one)
        for name, one in section.load_balancers.items()
    }
    groups: dict[str, ReplicaGroup] = {}
    member_of: dict[str, str] = {}
    for name, one in section.data_source_groups.items():
        place: Path = (*path, "dataSourceGroups", name)
        if name in names or "." in name or not name:
            fix = "give the group a name of its own, without dots"
            source.report(place, f"'{name}' cannot be a group's name", fix)
        members = (one.write_data_source_name, *one.read_data_source_names)
        keys: tuple[Path, ...] = (
            (*place, "writeDataSourceName"),
            *[(*place, "readDataSourceNames")] * len(one.read_data_source_names),
        )
        for member, key in zip(members, keys, strict=True):
            if member not in names:
                source.report(key, f"unknown data source '{member}'", suggestion(member, names))
            elif member in member_of:
                text = f"'{member}' is a member of group '{member_of[member]}' already"
                source.report(key, text, "name it once")
            member_of.setdefault(member, name)
        if not one.read_data_source_names:
            source.report(place, "the group has no replica", "name one in readDataSourceNames")
        configs = [data_sources[member] for member in members if member in data_sources]
        if len(configs) == len(members) and _fit(source, place, configs):
            groups[name] = _group(source, place, name, one, configs, balancers)
    replaced = {one.primary.name: name for name, one in groups.items()}
    sources: dict[str, DataSourceConfig] = {}
    for name, config in data_sources.items():
        if name in replaced:
            sources[replaced[name]] = replace(config, name=replaced[name])
        elif name not in member_of:
            sources[name] = config
    return DataSources(sources, groups)


def _fit(source: SourceFile, path: Path, configs: list[DataSourceConfig]) -> bool:
    """Whether these can replicate to each other."""
    for config in configs:
        if config.kind != "mysql":
            source.report(
                path, f"'{config.name}' is no MySQL data source", "replicas are MySQL or MariaDB servers"
            )
            return False
        if config.database != configs[0].database:
            text = (
                f"the schema of '{config.name}' is '{config.database}', the primary's '{configs[0].database}'"
            )
            source.report(path, text, "replicas have the primary's schema")
            return False
    return True


def _group(
    source: SourceFile,
    path: Path,
    name: str,
    section: ReplicaGroupSection,
    configs: list[DataSourceConfig],
    balancers: Mapping[str, LoadBalancerConfig],
) -> ReplicaGroup:
    wanted = section.load_balancer_name
    if wanted is not None and wanted not in balancers:
        key = (*path, "loadBalancerName")
        source.report(key, f"unknown load balancer '{wanted}'", suggestion(wanted, balancers))
    balancer = balancers.get(wanted or "", LoadBalancerConfig())
    if balancer.type == "WEIGHT":
        missing = [config.name for config in configs[1:] if config.name not in balancer.weights]
        if missing:
            text = f"load balancer '{wanted}' has no weight of '{missing[0]}'"
            source.report((*path, "loadBalancerName"), text, "add it to its props")
            balancer = LoadBalancerConfig()
    return ReplicaGroup(
        name,
        configs[0],
        tuple(configs[1:]),
        balancer,
        _choice(
            source,
            (*path, "transactionalReadQueryStrategy"),
            section.transactional_read_query_strategy.upper(),
            TransactionalReads,
        ),
        _choice(source, (*path, "causalReads"), section.causal_reads.lower(), CausalReads),
        section.causal_reads_timeout_milliseconds / 1000,
        section.max_replica_lag_seconds,
        _falls_back(source, (*path, "withoutReplica"), section.without_replica),
        section.check_interval_milliseconds / 1000,
        section.failover_wait_milliseconds / 1000,
        section.failover_waiting_statements,
        section.retry_percent / 100,
        section.min_retries_per_second,
    )


def _choice(source: SourceFile, path: Path, written: str, kind: type[_ChoiceT]) -> _ChoiceT:
    try:
        return kind(written)
    except ValueError:
        values = [str(one.value) for one in kind]
        source.report(path, f"'{written}' is not one of {', '.join(values)}", suggestion(written, values))
        return next(iter(kind))


def _falls_back(source: SourceFile, path: Path, written: str) -> bool:
    if written.upper() not in _WITHOUT_REPLICA:
        source.report(path, f"'{written}' is neither PRIMARY nor FAIL", suggestion(written, _WITHOUT_REPLICA))
    return written.upper() != "FAIL"


def _load_balancer(source: SourceFile, path: Path, section: TypeAndProperties) -> LoadBalancerConfig:
    kind = section.type.upper()
    if kind not in LOAD_BALANCERS:
        source.report(
            (*path, "type"), f"unknown load balancer '{section.type}'", suggestion(kind, LOAD_BALANCERS)
        )
        return LoadBalancerConfig()
    weights: dict[str, float] = {}
    for name, text in section.props.items() if kind == "WEIGHT" else ():
        try:
            weights[name] = float(text)
        except ValueError:
            weights[name] = -1.0
        if not 0 <= weights[name] < float("inf"):
            source.report((*path, "props", name), f"'{text}' is no weight", "write a number from 0 on")
            weights[name] = 0.0
    return LoadBalancerConfig(kind, weights)
