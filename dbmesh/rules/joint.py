"""Several logic databases as one rule set, for statements that name tables of more than one.

Decides which of their data sources are one place, where a table of the others is found, and that a table keeps the rule
of its own database. Knows no statements.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import NamedTuple

from dbmesh.model import DataNode, QualifiedTable
from dbmesh.rules.ruleset import (
    BroadcastTable,
    Condition,
    DataSourceConfig,
    Hints,
    PairRouter,
    PointRouter,
    RuleSet,
    ShardedTable,
    TableRule,
)
from dbmesh.rules.values import Key


class Place(NamedTuple):
    """A server as one account sees it. `number` tells data sources of one logic database there apart: they have
    connections of their own. `schema` is '' where a statement may name any schema."""

    kind: str
    host: str
    port: int
    username: str
    password: str
    schema: str
    number: int


def places(data_sources: Mapping[str, DataSourceConfig]) -> Mapping[str, Place]:
    """The place of each data source of one logic database. Data sources of two logic databases at one place can share
    a connection."""
    found: dict[str, Place] = {}
    for name, config in data_sources.items():
        schema = "" if config.kind == "mysql" else config.database
        server = (config.kind, config.host.lower(), config.port, config.username, config.password, schema)
        number = sum(place[:-1] == server for place in found.values())
        found[name] = Place(*server, number)
    return found


def schemas_of(databases: Iterable[RuleSet]) -> Mapping[str, str]:
    """The data sources' schemas → logic database; of databases that share one, the first."""
    found: dict[str, str] = {}
    for database in databases:
        for config in database.data_sources.values():
            if config.kind == "mysql":
                found.setdefault(config.database, database.database)
    return MappingProxyType(found)


@dataclass(frozen=True, slots=True)
class MovedTable(ShardedTable):
    """A sharded table of another logic database: its own rule places its rows, `nodes` say what each node is called
    here. In the same order as the rule's."""

    rule: ShardedTable | None = None
    _here_by_node: Mapping[DataNode, DataNode] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Takes over what the rule has computed."""
        here = dict(zip(self._rule.nodes, self.nodes, strict=True))
        object.__setattr__(self, "_here_by_node", MappingProxyType(here))
        for name in ("_columns", "_sources", "_tables"):
            object.__setattr__(self, name, getattr(self._rule, name))
        object.__setattr__(self, "_point", None)
        point = self._rule.point_router()
        if point is not None:
            object.__setattr__(self, "_point", lambda key: self._here(point(key)))

    def route(self, conditions: Mapping[str, Condition], hints: Hints) -> tuple[DataNode, ...]:
        """See `ShardedTable`."""
        return tuple(map(self._here, self._rule.route(conditions, hints)))

    def place(self, values: Mapping[str, Key], hints: Hints) -> DataNode:
        """See `ShardedTable`."""
        return self._here(self._rule.place(values, hints))

    def point_router(self) -> PointRouter | None:
        """See `ShardedTable`."""
        return self._point

    def pair_router(self) -> tuple[str, str, PairRouter] | None:
        """See `ShardedTable`."""
        found = self._rule.pair_router()
        if found is None:
            return None
        source_column, table_column, route = found
        return source_column, table_column, lambda source, table: self._here(route(source, table))

    @property
    def _rule(self) -> ShardedTable:
        assert self.rule is not None
        return self.rule

    def _here(self, node: DataNode) -> DataNode:
        return self._here_by_node[node]


@dataclass(frozen=True, slots=True)
class Joint:
    """A rule set over several logic databases. `origins`: a data source that is not the first database's own → the
    database and data source it is. `moved`: database in lower case → its data source → the name it has here."""

    rule_set: RuleSet
    origins: Mapping[str, tuple[str, str]]
    moved: Mapping[str, Mapping[str, str]]

    def node(self, database: RuleSet, node: DataNode) -> DataNode:
        """What a data node of one of the databases is called here."""
        source = self.moved[database.database.lower()][node.data_source]
        config = database.data_sources[node.data_source]
        if config.kind != "mysql":
            return DataNode(source, node.table)
        return DataNode(source, QualifiedTable(config.database, node.table))


def join(databases: Sequence[RuleSet]) -> Joint:
    """One rule set that knows the tables of all of these: those of the first by their names, those of the others by
    `RuleSet.key`. Only the first can have key generators: rows are inserted into its tables."""
    main = databases[0]
    sources = dict(main.data_sources)
    taken = {place: name for name, place in places(main.data_sources).items()}
    origins: dict[str, tuple[str, str]] = {}
    moved: dict[str, Mapping[str, str]] = {main.database.lower(): {name: name for name in sources}}
    for other in databases[1:]:
        names: dict[str, str] = {}
        for name, place in places(other.data_sources).items():
            if place not in taken:
                taken[place] = f"{other.database}.{name}"
                sources[taken[place]] = replace(other.data_sources[name], name=taken[place])
                origins[taken[place]] = (other.database, name)
            names[name] = taken[place]
        moved[other.database.lower()] = names
    others = {
        other.database: tuple(name for name, (owner, _) in origins.items() if owner == other.database)
        for other in databases[1:]
    }
    named = replace(
        main,
        data_sources=MappingProxyType(sources),
        joined=MappingProxyType(others),
        schemas=schemas_of(databases),
    )
    joint = Joint(named, origins, moved)
    tables = {
        named.key(database.database, rule.name): _moved(joint, database, rule)
        for database in databases
        for rule in database.tables.values()
    }
    masks = {
        named.key(database.database, table): masked
        for database in databases
        for table, masked in database.masks.items()
    }
    encrypted = {
        named.key(database.database, table): columns
        for database in databases
        for table, columns in database.encrypted.items()
    }
    shadows = {
        named.key(database.database, table): shadowed
        for database in databases
        if database.shadow is not None
        for table, shadowed in database.shadow.tables.items()
    }
    shadow = next((one.shadow for one in databases if one.shadow is not None), None)
    rule_set = replace(
        named,
        shadow=None if shadow is None else replace(shadow, tables=MappingProxyType(shadows), joint=True),
        tables=MappingProxyType(tables),
        binding_groups=tuple(_groups(named, databases)),
        masks=MappingProxyType(masks),
        encrypted=MappingProxyType(encrypted),
    )
    return replace(joint, rule_set=rule_set)


def _moved(joint: Joint, database: RuleSet, rule: TableRule) -> TableRule:
    nodes = tuple(joint.node(database, node) for node in rule.nodes)
    if isinstance(rule, BroadcastTable):
        return BroadcastTable(rule.name, nodes)
    own = database.database == joint.rule_set.database
    return MovedTable(
        rule.name,
        nodes,
        rule.database_strategy,
        rule.table_strategy,
        rule.key_column if own else None,
        rule.key_generator if own else None,
        rule.auditors,
        rule.allow_hint_disable,
        rule=rule,
    )


def _groups(named: RuleSet, databases: Sequence[RuleSet]) -> Iterator[tuple[str, ...]]:
    for database in databases:
        for group in database.binding_groups:
            yield tuple(named.key(database.database, table) for table in group)
