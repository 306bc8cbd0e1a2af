"""What changes from one configuration to another, by table, data source and user, in words.

Decides what a difference is called, and which of them make rows be looked for where they may not be. Shows no secrets: of a
password it says that it is another.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from enum import StrEnum
from typing import TypeVar

from dbmesh.rules.accounts import User
from dbmesh.rules.masks.rule import MaskedTable
from dbmesh.rules.ruleset import (
    AnyTable,
    BroadcastTable,
    Configuration,
    DataSourceConfig,
    RuleSet,
    ShardedTable,
    SingleTable,
    Strategy,
    TableRule,
)
from dbmesh.rules.shadow.rule import ShadowRule

T = TypeVar("T")


class Change(StrEnum):
    """What becomes of a thing."""

    ADDED = "added"
    REMOVED = "removed"
    CHANGED = "changed"


@dataclass(frozen=True, slots=True)
class Difference:
    """One thing that changes. `database` is '' for users. `details` say how, `moves` that rows which are there may be looked for
    on other data nodes."""

    database: str
    kind: str
    name: str
    change: Change
    details: tuple[str, ...] = ()
    moves: bool = False


def differences(before: Configuration, after: Configuration) -> tuple[Difference, ...]:
    """Everything that changes in rules, data sources and users, in the order of databases and names."""
    found: list[Difference] = []
    for name in _union(before.databases, after.databases):
        old, new = before.databases.get(name), after.databases.get(name)
        shown = (new or old or _NOBODY).database
        if old is None or new is None:
            change = Change.ADDED if old is None else Change.REMOVED
            found.append(Difference(shown, "database", shown, change))
        if new is not None:
            found += _of_database(shown, old, new)
    found += _users(before.users, after.users)
    found += [
        Difference("", "setting", name.replace("_", " "), Change.CHANGED)
        for name in _others(Configuration, _TOLD)
        if getattr(before, name) != getattr(after, name)
    ]
    return tuple(found)


_TOLD = frozenset({"databases", "users"}) | {
    "properties",
    "repository",
    "transaction_type",
    "record_locks",
    "fingerprint",
    "protection",
    "admin",
    "tracing",
    "files",
}
"""What is told of in detail, and what is each sidecar's own."""

_TOLD_OF_RULES = frozenset(
    {
        "database",
        "revision",
        "data_sources",
        "tables",
        "binding_groups",
        "single_tables",
        "default_single_source",
        "key_generators",
        "exact_text_keys",
        "merge_node",
        "auto_shards",
        "masks",
        "shadow",
        "groups",
        "algorithms",
        "hidden",
        "doubled",
    }
)


def _others(kind: type, told: frozenset[str]) -> list[str]:
    """Fields that nothing more is known of than whether they differ."""
    return [field.name for field in fields(kind) if field.name not in told]


_NOBODY = RuleSet("", 0, {}, {})


def _of_database(database: str, old: RuleSet | None, new: RuleSet) -> Iterator[Difference]:
    before = _NOBODY if old is None else old
    yield from _compared(
        database, "data source", before.data_sources, new.data_sources, _source_details, is_elsewhere
    )
    yield from _compared(database, "replica group", before.groups, new.groups, _group_details)
    yield from _compared(
        database, "table", _by_name(before.tables), _by_name(new.tables), table_details, is_placed_otherwise
    )
    yield from _compared(database, "masked table", before.masks, new.masks, _mask_details)
    yield from _shadow(database, before.shadow, new.shadow)
    yield from _compared(
        database,
        "key generator",
        before.key_generators,
        new.key_generators,
        lambda old, new: (f"{old} → {new}",),
    )
    for name in _others(RuleSet, _TOLD_OF_RULES):
        if old is not None and getattr(old, name) != getattr(new, name):
            yield Difference(database, "setting", name.replace("_", " "), Change.CHANGED)
    for kind, of in _SETTINGS:
        if old is not None and of(before) != of(new):
            details = (f"{of(before)} → {of(new)}",)
            moves = of is _single_tables and _is_found_elsewhere(before, new)
            yield Difference(database, "setting", kind, Change.CHANGED, details, moves)


def _single_tables(rules: RuleSet) -> str:
    return ", ".join(rules.single_tables) or "none"


def _is_found_elsewhere(old: RuleSet, new: RuleSet) -> bool:
    """Whether a single table that is named is named on another data source."""
    was, becomes = (
        {
            table: source
            for source, _, table in (one.rpartition(".") for one in rules.single_tables)
            if table != "*"
        }
        for rules in (old, new)
    )
    return any(becomes.get(table, source) != source for table, source in was.items())


_SETTINGS: Sequence[tuple[str, Callable[[RuleSet], str]]] = (
    ("binding tables", lambda rules: "; ".join(",".join(group) for group in rules.binding_groups) or "none"),
    ("single tables", _single_tables),
    ("default data source of single tables", lambda rules: rules.default_single_source or "none"),
    ("autoShard", lambda rules: f"{rules.auto_shards} shards" if rules.auto_shards else "off"),
    ("text-sharding-keys", lambda rules: "exact" if rules.exact_text_keys else "by-collation"),
    ("federation-merge-node", lambda rules: rules.merge_node or "the one with most rows"),
)


def _compared(
    database: str,
    kind: str,
    before: Mapping[str, T],
    after: Mapping[str, T],
    details: Callable[[T, T], tuple[str, ...]],
    moves: Callable[[T, T], bool] = lambda old, new: False,
) -> Iterator[Difference]:
    for name in _union(before, after):
        if name not in before:
            yield Difference(database, kind, name, Change.ADDED)
        elif name not in after:
            yield Difference(database, kind, name, Change.REMOVED)
        elif before[name] != after[name]:
            old, new = before[name], after[name]
            yield Difference(database, kind, name, Change.CHANGED, details(old, new), moves(old, new))


def _union(before: Mapping[str, object], after: Mapping[str, object]) -> list[str]:
    return list(dict.fromkeys((*before, *after)))


def _by_name(tables: Mapping[str, TableRule]) -> dict[str, TableRule]:
    return {rule.name: rule for rule in tables.values()}


# ---------------------------------------------------------------------------------------------- data sources


def _source_details(old: DataSourceConfig, new: DataSourceConfig) -> tuple[str, ...]:
    found = []
    for field in fields(DataSourceConfig):
        was, becomes = getattr(old, field.name), getattr(new, field.name)
        if was == becomes:
            continue
        word = field.name.replace("_", " ")
        found.append(
            "another password" if word == "password" else f"{word} {_shown(was)} → {_shown(becomes)}"
        )
    return tuple(found)


def _shown(value: object) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{name}={one}" for name, one in sorted(value.items())) or "none"
    return f"{value:g}" if isinstance(value, float) else str(value)


def is_elsewhere(old: DataSourceConfig, new: DataSourceConfig) -> bool:
    """Whether a data source of this name is another schema, or on another server."""
    return _place(old) != _place(new)


def _place(config: DataSourceConfig) -> object:
    inner = config.properties.get("currentSchema") if config.kind == "postgresql" else None
    return config.kind, config.host, config.port, config.database, inner


def _group_details(old: object, new: object) -> tuple[str, ...]:
    found = []
    for field in fields(old):  # type: ignore[arg-type]
        was, becomes = getattr(old, field.name), getattr(new, field.name)
        if was != becomes:
            found.append(f"{field.name.replace('_', ' ')} {_server(was)} → {_server(becomes)}")
    return tuple(found)


def _server(value: object) -> str:
    if isinstance(value, DataSourceConfig):
        return value.name
    if isinstance(value, tuple):
        return ", ".join(_server(one) for one in value)
    return _shown(value)


# ---------------------------------------------------------------------------------------------- tables


def table_details(old: AnyTable, new: AnyTable) -> tuple[str, ...]:
    """How the rules of a table differ."""
    found = []
    if type(old) is not type(new):
        found.append(f"{_kind(old)} → {_kind(new)}")
    if old.nodes != new.nodes:
        found.append(f"data nodes {_nodes(old)} → {_nodes(new)}")
    if isinstance(new, ShardedTable) and not isinstance(old, ShardedTable):
        found.append(f"database strategy {_strategy(new.database_strategy)}")
        found.append(f"table strategy {_strategy(new.table_strategy)}")
    if isinstance(old, ShardedTable) and isinstance(new, ShardedTable):
        found += _strategy_details("database strategy", old.database_strategy, new.database_strategy)
        found += _strategy_details("table strategy", old.table_strategy, new.table_strategy)
        if (old.key_column, old.key_generator) != (new.key_column, new.key_generator):
            found.append(f"generated key {_key(old)} → {_key(new)}")
        if (old.auditors, old.allow_hint_disable) != (new.auditors, new.allow_hint_disable):
            found.append(
                f"auditors {', '.join(old.auditors) or 'none'} → {', '.join(new.auditors) or 'none'}"
            )
    return tuple(found)


def _kind(rule: AnyTable) -> str:
    if isinstance(rule, SingleTable):
        return "single"
    return "broadcast" if isinstance(rule, BroadcastTable) else "sharded"


def _nodes(rule: AnyTable, shown: int = 4) -> str:
    names = [str(node) for node in rule.nodes]
    if len(names) > shown:
        names = [*names[: shown - 1], f"… {names[-1]}"]
    return f"{len(rule.nodes)} ({', '.join(names)})"


def _key(rule: ShardedTable) -> str:
    return "none" if rule.key_column is None else f"{rule.key_column} by {rule.key_generator}"


def _strategy_details(what: str, old: Strategy, new: Strategy) -> list[str]:
    if _strategy(old) != _strategy(new):
        return [f"{what} {_strategy(old)} → {_strategy(new)}"]
    return (
        [f"{what}: properties of algorithm '{new.algorithm_name}'"] if old.algorithm != new.algorithm else []
    )


def _strategy(strategy: Strategy) -> str:
    if strategy.algorithm is None:
        return "none"
    by = f" of {', '.join(strategy.columns)}" if strategy.columns else ""
    return f"{strategy.kind}{by} by {strategy.algorithm_name or type(strategy.algorithm).__name__}"


def is_placed_otherwise(old: AnyTable, new: AnyTable) -> bool:
    """Whether rows that old rules have placed may be looked for elsewhere."""
    if type(old) is not type(new) or set(old.nodes) - set(new.nodes):
        return True
    if isinstance(old, ShardedTable) and isinstance(new, ShardedTable):
        decides = [
            (
                rule.database_strategy.columns,
                rule.database_strategy.algorithm,
                rule.table_strategy.columns,
                rule.table_strategy.algorithm,
                rule.nodes,
            )
            for rule in (old, new)
        ]
        return decides[0] != decides[1]
    # A broadcast table has the same rows on each data source, so a new one must get them first.
    return old.nodes != new.nodes


_NO_SHADOW = ShadowRule({}, {}, {})


def _shadow(database: str, old: ShadowRule | None, new: ShadowRule | None) -> Iterator[Difference]:
    before, now = old or _NO_SHADOW, new or _NO_SHADOW
    yield from _compared(database, "shadow", before.data_sources, now.data_sources, _source_details)
    yield from _compared(
        database,
        "shadowed table",
        before.tables,
        now.tables,
        lambda old, new: ("other algorithms or data sources",),
    )
    if old is not None and new is not None and (old.by_hint, old.shadow_of) != (new.by_hint, new.shadow_of):
        yield Difference(database, "setting", "shadow", Change.CHANGED)


def _mask_details(old: MaskedTable, new: MaskedTable) -> tuple[str, ...]:
    was, becomes = ({column.name: column for column in table.columns} for table in (old, new))
    found = []
    for name in _union(was, becomes):
        if name not in becomes:
            found.append(f"column {name} is no longer masked")
        elif name not in was:
            found.append(f"column {name} is masked by {becomes[name].written}")
        elif was[name].written != becomes[name].written:
            found.append(f"column {name} {was[name].written} → {becomes[name].written}")
        elif was[name] != becomes[name]:
            found.append(f"column {name}: other readers")
    if old.real_predicates != new.real_predicates:
        found.append(f"predicates compare {'real' if new.real_predicates else 'masked'} values")
    return tuple(found)


# ---------------------------------------------------------------------------------------------- users


def _users(before: Sequence[User], after: Sequence[User]) -> Iterator[Difference]:
    old, new = ({f"{user.name}@{user.host}": user for user in users} for users in (before, after))
    yield from _compared("", "user", old, new, _user_details)


def _user_details(old: User, new: User) -> tuple[str, ...]:
    found = []
    for field in fields(User):
        was, becomes = getattr(old, field.name), getattr(new, field.name)
        if was == becomes:
            continue
        if field.name == "password":
            found.append("another password")
        elif field.name == "grants":
            found.append("other grants")
        else:
            found.append(f"{field.name.replace('_', ' ')} {_may(was)} → {_may(becomes)}")
    return tuple(found)


def _may(value: object) -> str:
    if isinstance(value, tuple | frozenset):
        return ", ".join(sorted(map(str, value))) or "none"
    return "any" if value is None else str(value)
