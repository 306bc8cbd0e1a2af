"""Configuration texts to a `Configuration`: ShardingSphere's `global.yaml` and `database-*.yaml`.

Decides the order of building and that every mistake of every file is reported at once. Reads no files and no environment:
texts and secrets are arguments.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from fnmatch import fnmatchcase
from hashlib import blake2b
from types import MappingProxyType
from typing import Final

from dbmesh.model import DataNode
from dbmesh.rules.administration import build_admin
from dbmesh.rules.authority import build_users, check_tls
from dbmesh.rules.data_sources import Secrets, build_data_source
from dbmesh.rules.encryption.building import build_encryption
from dbmesh.rules.encryption.rule import EncryptedTable
from dbmesh.rules.masks.building import build_masks
from dbmesh.rules.masks.rule import MaskedTable
from dbmesh.rules.mirroring import build_mirrors, unencrypted_targets, unknown_databases
from dbmesh.rules.mistakes import ConfigurationError, Mistake
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
from dbmesh.rules.moving import MOVING_FILE, Moving, decode_moving
from dbmesh.rules.properties import PropertyValue, build_properties
from dbmesh.rules.protection.build import build_protection
from dbmesh.rules.protection.sections import ProtectionSection
from dbmesh.rules.protection.values import NOTHING, Protection
from dbmesh.rules.readwrite_splitting import DataSources, build_groups
from dbmesh.rules.repositories import build_repository
from dbmesh.rules.ruleset import (
    BroadcastTable,
    Configuration,
    DataSourceConfig,
    RuleSet,
    TableRule,
    TransactionType,
)
from dbmesh.rules.sections import suggestion, validate
from dbmesh.rules.shadow.building import NO_PAIRS, Pairs, build_pairs, build_shadow
from dbmesh.rules.shadow.sections import ShadowSection
from dbmesh.rules.sharding import Sharding, build_sharding
from dbmesh.rules.source import Path, SourceFile, read_source
from dbmesh.rules.tracing import build_tracing

__all__ = ["ConfigurationError", "Mistake", "Secrets", "load_configuration"]

GLOBAL_FILE: Final = "global.yaml"
DATABASE_FILES: Final = "database-*.yaml"

_SUPPORTED: Final = (
    "!SHARDING",
    "!BROADCAST",
    "!SINGLE",
    "!READWRITE_SPLITTING",
    "!MASK",
    "!ENCRYPT",
    "!SHADOW",
    "!MESH",
)
RESERVED: Final = frozenset({"information_schema", "mysql", "performance_schema", "sys"})


def load_configuration(files: Mapping[str, str], secrets: Secrets) -> Configuration:
    """The configuration in these files (name → text). `secrets(kind, name)` gives the value of `${env:NAME}` and
    `${file:path}`, or None. Other file names are ignored. Raises ConfigurationError with every mistake."""
    mistakes: list[Mistake] = []
    settings = _load_global(files, secrets, mistakes)
    properties = settings.properties
    databases: dict[str, RuleSet] = {}
    named_in: dict[str, str] = {}
    names = sorted(name for name in files if fnmatchcase(name, DATABASE_FILES))
    if not names:
        mistakes.append(Mistake(DATABASE_FILES, 0, "", "there is no such file", "add one per logic database"))
    for name in names:
        source = read_source(name, files[name])
        rules = _load_database(source, secrets)
        if rules is not None:
            lowered = rules.database.lower()
            if lowered in databases:
                source.report(
                    ("databaseName",),
                    f"'{rules.database}' is also the database of {named_in[lowered]}",
                    "rename one",
                )
            databases[lowered] = rules
            named_in[lowered] = name
        mistakes.extend(source.mistakes)
    databases = {name: _with_properties(rules, properties) for name, rules in databases.items()}
    moving = _load_moving(files, databases, mistakes)
    other = None
    if moving is not None:
        source = read_source(MOVING_FILE, moving.other)
        rules = _load_database(source, secrets)
        mistakes.extend(source.mistakes)
        other = None if rules is None else _with_properties(rules, properties)
    wanted = properties["federation-merge-node"]
    if wanted and databases and not any(rules.merge_node for rules in databases.values()):
        path = "props.federation-merge-node"
        text = f"no logic database has a MySQL data source named '{wanted}'"
        mistakes.append(Mistake(GLOBAL_FILE, 0, path, text, "name one of a logic database's data sources"))
    for path, text, fix in (
        (*unknown_databases(settings.mirrors, databases), *unencrypted_targets(settings.mirrors, databases))
        if databases
        else ()
    ):
        mistakes.append(Mistake(GLOBAL_FILE, 0, path, text, fix))
    if mistakes:
        raise ConfigurationError(tuple(mistakes))
    read = {name: files[name] for name in (GLOBAL_FILE, *names, MOVING_FILE) if name in files}
    return replace(
        settings,
        databases=MappingProxyType(databases),
        fingerprint=fingerprint_of(read),
        files=MappingProxyType(read),
        moving=moving,
        other=other,
    )


def _with_properties(rules: RuleSet, properties: Mapping[str, PropertyValue]) -> RuleSet:
    exact = properties["text-sharding-keys"] == "exact"
    return replace(rules, exact_text_keys=exact, merge_node=_merge_node(rules, properties))


def _load_moving(
    files: Mapping[str, str], databases: Mapping[str, RuleSet], mistakes: list[Mistake]
) -> Moving | None:
    if MOVING_FILE not in files:
        return None
    try:
        moving = decode_moving(files[MOVING_FILE])
    except ValueError as error:
        mistakes.append(Mistake(MOVING_FILE, 0, "", str(error), "roll an earlier revision out again"))
        return None
    if moving.database.lower() not in databases:
        text = f"there is no logic database '{moving.database}'"
        mistakes.append(Mistake(MOVING_FILE, 0, "database", text, "add its file"))
    return moving


def fingerprint_of(files: Mapping[str, str]) -> str:
    """Twelve hexadecimal digits that stand for the files' texts; secrets are not in them."""
    digest = blake2b(digest_size=6)
    for part in (text for name in sorted(files) for text in (name, files[name])):
        encoded = part.encode("utf-8", "surrogateescape")
        digest.update(len(encoded).to_bytes(8, "big") + encoded)
    return digest.hexdigest()


def _merge_node(rules: RuleSet, properties: Mapping[str, PropertyValue]) -> str | None:
    name = str(properties["federation-merge-node"])
    source = rules.data_sources.get(name)
    return name if source is not None and source.kind == "mysql" else None


def _load_global(files: Mapping[str, str], secrets: Secrets, mistakes: list[Mistake]) -> Configuration:
    """What `global.yaml` says, without databases."""
    settings = Configuration({}, (), build_properties(None, {}))
    if GLOBAL_FILE not in files:
        mistakes.append(Mistake(GLOBAL_FILE, 0, "", "there is no such file", "add it with authority.users"))
        return settings
    source = read_source(GLOBAL_FILE, files[GLOBAL_FILE])
    if not source.mistakes or source.value is not None:
        section = validate(source, (), source.value, GlobalFile)
        if section is not None:
            properties = build_properties(source, section.props)
            check_tls(source, section.authority, properties)
            settings = Configuration(
                {},
                build_users(source, section.authority, secrets),
                properties,
                build_repository(source, section.mode, secrets),
                _transaction_type(source, section.transaction.default_type),
                _record_locks(source, section.transaction.props),
                protection=_protection(source, section.protection, secrets),
                admin=build_admin(source, section.admin, secrets),
                tracing=build_tracing(source, section.tracing, secrets),
                mirrors=build_mirrors(source, section.mirroring),
            )
    mistakes.extend(source.mistakes)
    return settings


def _protection(source: SourceFile, value: object, secrets: Secrets) -> Protection:
    section = validate(source, ("protection",), value, ProtectionSection)
    return NOTHING if section is None else build_protection(source, section, secrets)


def _transaction_type(source: SourceFile, name: str) -> TransactionType:
    try:
        return TransactionType(name.upper())
    except ValueError:
        path = ("transaction", "defaultType")
        source.report(path, f"unknown transaction type '{name}'", suggestion(name, list(TransactionType)))
        return TransactionType.XA


_ISOLATIONS = ("NONE", "RECORD_LOCKS")


def _record_locks(source: SourceFile, props: Mapping[str, str]) -> bool:
    name = props.get("isolation", "NONE")
    if name.upper() not in _ISOLATIONS:
        path = ("transaction", "props", "isolation")
        source.report(path, f"unknown isolation '{name}'", suggestion(name, _ISOLATIONS))
    return name.upper() == "RECORD_LOCKS"


def _load_database(source: SourceFile, secrets: Secrets) -> RuleSet | None:
    """The rule set of one file; None, or one never used, when mistakes were reported."""
    if source.value is None and source.mistakes:
        return None
    file = validate(source, (), source.value, DatabaseFile)
    items = _rule_items(source)
    if file is None and isinstance(source.value, dict):
        # Without its name the rest of the file can still be checked; the missing name is reported already.
        file = validate(SourceFile(source.name), (), {"databaseName": "?"} | source.value, DatabaseFile)
    if file is None:
        return None
    if file.database_name.lower() in RESERVED:
        source.report(("databaseName",), f"'{file.database_name}' is MySQL's own", "choose another name")
    data_sources: dict[str, DataSourceConfig] = {}
    for name, section in file.data_sources.items():
        if "." in name or not name:
            source.report(("dataSources", name), f"'{name}' is not a name", "write it without dots")
        config = build_data_source(source, ("dataSources", name), name, section, secrets)
        if config is not None:
            data_sources[name] = config
    everything = _grouped(source, items, data_sources)
    shadow = _shadow(source, items)
    pairs = NO_PAIRS
    if shadow is not None:
        pairs = build_pairs(source, items["!SHADOW"][0], shadow, everything.sources)
    grouped = pairs.without_shadows(everything)
    names = _names(source, everything, pairs)
    sharding = _sharding(source, items, names)
    tables: dict[str, TableRule] = dict(sharding.tables)
    _add_broadcast(source, items, names, tables)
    patterns, default_single = _single(source, items, names, tables)
    masks = _masks(source, items)
    return RuleSet(
        database=file.database_name,
        revision=1,
        data_sources=MappingProxyType(dict(grouped.sources)),
        tables=MappingProxyType(tables),
        binding_groups=sharding.binding_groups,
        single_tables=patterns,
        default_single_source=default_single,
        key_generators=MappingProxyType(dict(sharding.key_generators)),
        algorithms=MappingProxyType(dict(sharding.algorithms)),
        auto_shards=_auto_shards(source, items),
        groups=MappingProxyType(dict(grouped.groups)),
        masks=MappingProxyType(masks),
        encrypted=MappingProxyType(_encrypted(source, items, secrets, tables, masks)),
        shadow=None
        if shadow is None
        else build_shadow(source, items["!SHADOW"][0], shadow, pairs, everything, tables),
    )


def _grouped(
    source: SourceFile,
    items: Mapping[str, tuple[Path, object]],
    data_sources: Mapping[str, DataSourceConfig],
) -> DataSources:
    """Data sources as the other rules name them."""
    if "!READWRITE_SPLITTING" in items:
        path, value = items["!READWRITE_SPLITTING"]
        section = validate(source, path, value, ReadwriteSplittingSection)
        if section is not None:
            return build_groups(source, path, section, data_sources, tuple(source.value["dataSources"]))
    return DataSources(data_sources, {})


def _shadow(source: SourceFile, items: Mapping[str, tuple[Path, object]]) -> ShadowSection | None:
    if "!SHADOW" not in items:
        return None
    return validate(source, *items["!SHADOW"], ShadowSection)


def _names(source: SourceFile, grouped: DataSources, pairs: Pairs) -> tuple[str, ...]:
    """The names other rules may use: in the order of the file, those with mistakes too."""
    members = {
        member.name: name
        for name, group in grouped.groups.items()
        for member in (group.primary, *group.replicas)
    }
    names = dict.fromkeys(members.get(name, name) for name in source.value["dataSources"])
    return tuple(name for name in names if name not in pairs.shadow_of.values())


def _rule_items(source: SourceFile) -> dict[str, tuple[Path, object]]:
    """Tag → path and value of the rules this version knows; everything else is reported."""
    items: dict[str, tuple[Path, object]] = {}
    rules = source.value.get("rules") if isinstance(source.value, dict) else None
    for index, value in enumerate(rules if isinstance(rules, list) else ()):
        path: Path = ("rules", index)
        tag = source.tags.get(path)
        if tag is None:
            source.report(
                path, "the rule has no tag", f"write '- !SHARDING', or one of {', '.join(_SUPPORTED[1:])}"
            )
        elif tag not in _SUPPORTED:
            source.report(path, f"unknown rule {tag}", suggestion(tag, _SUPPORTED))
        elif tag in items:
            source.report(path, f"{tag} is written twice", "write each rule once")
        else:
            items[tag] = (path, value)
    return items


def _sharding(
    source: SourceFile, items: Mapping[str, tuple[Path, object]], data_sources: tuple[str, ...]
) -> Sharding:
    if "!SHARDING" in items:
        path, value = items["!SHARDING"]
        section = validate(source, path, value, ShardingSection)
        if section is not None:
            return build_sharding(source, path, section, data_sources)
    return Sharding({}, (), {}, {})


def _add_broadcast(
    source: SourceFile,
    items: Mapping[str, tuple[Path, object]],
    data_sources: tuple[str, ...],
    tables: dict[str, TableRule],
) -> None:
    if "!BROADCAST" not in items:
        return
    path, value = items["!BROADCAST"]
    section = validate(source, path, value, BroadcastSection)
    for index, name in enumerate(section.tables if section else ()):
        if name.lower() in tables:
            source.report((*path, "tables", index), f"table '{name}' has a rule already", "keep one of them")
            continue
        tables[name.lower()] = BroadcastTable(name, tuple(DataNode(each, name) for each in data_sources))


def _auto_shards(source: SourceFile, items: Mapping[str, tuple[Path, object]]) -> int:
    path, value = items.get("!MESH", ((), None))
    section = validate(source, path, value, MeshSection)
    return section.auto_shard.shards if section is not None and section.auto_shard is not None else 0


def _masks(source: SourceFile, items: Mapping[str, tuple[Path, object]]) -> dict[str, MaskedTable]:
    path, value = items.get("!MASK", ((), None))
    section = validate(source, path, value, MaskSection)
    return {} if section is None else build_masks(source, path, section)


def _encrypted(
    source: SourceFile,
    items: Mapping[str, tuple[Path, object]],
    secrets: Secrets,
    tables: Mapping[str, TableRule],
    masks: Mapping[str, MaskedTable],
) -> dict[str, EncryptedTable]:
    path, value = items.get("!ENCRYPT", ((), None))
    section = validate(source, path, value, EncryptSection)
    return {} if section is None else build_encryption(source, path, section, secrets, tables, masks)


def _single(
    source: SourceFile,
    items: Mapping[str, tuple[Path, object]],
    data_sources: tuple[str, ...],
    tables: Mapping[str, TableRule],
) -> tuple[tuple[str, ...], str | None]:
    """Patterns of single tables, and where new ones go. Without the item every other table is single, as in
    ShardingSphere before 5.4: what a data source holds and no rule names is found where it is."""
    if "!SINGLE" not in items:
        return ("*.*",), None
    path, value = items["!SINGLE"]
    section = validate(source, path, value, SingleSection)
    if section is None:
        return (), None
    for index, pattern in enumerate(section.tables):
        place: Path = (*path, "tables", index)
        parts = pattern.split(".")
        if len(parts) not in (2, 3) or not all(parts):
            source.report(
                place, f"'{pattern}' is not a pattern", "write *.*, dataSource.* or dataSource.table"
            )
            continue
        if parts[0] != "*" and parts[0] not in data_sources:
            source.report(place, f"unknown data source '{parts[0]}'", suggestion(parts[0], data_sources))
        if parts[0] == "*" and parts[-1] != "*":
            source.report(place, f"'{pattern}' names no data source", "write dataSource.table")
        if parts[-1].lower() in tables:
            source.report(place, f"table '{parts[-1]}' has a rule already", "keep one of them")
    default = section.default_data_source
    if default is not None and default.upper() == "RANDOM":
        default = None
    if default is not None and default not in data_sources:
        source.report(
            (*path, "defaultDataSource"),
            f"unknown data source '{default}'",
            suggestion(default, data_sources),
        )
    patterns = tuple(
        ".".join((parts[0], parts[-1])) for parts in (pattern.split(".") for pattern in section.tables)
    )
    return patterns, default
