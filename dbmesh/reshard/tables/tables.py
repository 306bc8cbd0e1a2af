"""The actual tables of a job: making the new ones, giving them their names, and dropping what nobody needs.

Decides which, and in what order; how is said by `actual_tables`. Each may be run again after any part of it: what has been done is seen and left alone.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from contextlib import asynccontextmanager

from dbmesh.backend.connection import Connection, Flavour
from dbmesh.backend.opening import open_data_source
from dbmesh.reshard.blame import errors_of
from dbmesh.reshard.jobs.scope import Schema, Scope, Target, schema_of
from dbmesh.reshard.tables.actual_tables import tables_of
from dbmesh.rules.moving import former_name
from dbmesh.rules.ruleset import DataSourceConfig, RuleSet

_LOCK = 1
"""Seconds to wait for another process that renames."""


class Occupied(Exception):
    """Another process gives the tables their names."""


async def make_targets(scope: Scope) -> None:
    """Make every target that is not there, like the first source of its table. Raises MeshError and ShardError."""
    for move in scope.moves:
        source = move.sources[0]
        async with connected(scope.before, source.data_source) as connection:
            like = await tables_of(connection).like(source.table)
        for target in move.targets:
            async with connected(scope.after, target.node.data_source) as connection:
                await tables_of(connection).make(target.built_as, like)


async def drop_targets(scope: Scope, alive: Callable[[], None]) -> None:
    """Drop the tables that were being filled. `alive` raises when this process may not do it any more."""
    for move in scope.moves:
        for target in move.targets:
            await _drop(scope.after, target.node.data_source, target.built_as, alive)


async def drop_sources(scope: Scope, job: int, alive: Callable[[], None]) -> None:
    """Drop the former tables, once the new ones have their names."""
    final = {_place(scope.after, one.node.data_source, one.node.table) for one in _targets(scope)}
    for move in scope.moves:
        for node in move.before.nodes:
            taken = _place(scope.before, node.data_source, node.table) in final
            name = former_name(node.table, job) if taken else node.table
            await _drop(scope.before, node.data_source, name, alive)


async def give_names(
    scope: Scope,
    job: int,
    still: Callable[[], Awaitable[bool]],
    tell: Callable[[str], Awaitable[None]],
) -> None:
    """The targets get their final names, all tables of a schema at once, if that is `still` to be done; `tell` says that they have ('') or
    why not, when all have the names they had. Of several processes one does so at a time, telling included: else one could do what
    another has just told that it is undone. Raises Occupied, MeshError and ShardError: it is to be looked at again."""
    wanted: dict[Schema, tuple[DataSourceConfig, dict[str, str]]] = {}
    for target in _targets(scope):
        if target.built_as != target.node.table:
            config = scope.after.data_sources[target.node.data_source]
            _, names = wanted.setdefault(schema_of(config), (config, {}))
            names[target.built_as] = target.node.table
    if not wanted:
        await tell("")
        return
    first = wanted[min(wanted)][0]
    async with _connection(first) as connection:
        if not await tables_of(connection).take_turn(f"dbmesh reshard {job}", _LOCK):
            raise Occupied(f"another process gives the tables of job {job} their names")
        if await still():
            await tell(await _all_renamed(list(wanted.values()), job))


async def _all_renamed(wanted: Sequence[tuple[DataSourceConfig, dict[str, str]]], job: int) -> str:
    """Why it could not be done, '' when it is."""
    results = await asyncio.gather(
        *(_renamed(config, names, job) for config, names in wanted), return_exceptions=True
    )
    failures = [one for one in results if isinstance(one, BaseException)]
    if not failures:
        return ""
    for config, names in wanted:
        await _renamed_back(config, names, job)
    return str(failures[0]) or type(failures[0]).__name__


async def _renamed(config: DataSourceConfig, names: dict[str, str], job: int) -> None:
    async with _connection(config) as connection:
        tables = tables_of(connection)
        there = await tables.names()
        steps: list[tuple[str, str]] = []
        for built_as, name in names.items():
            if built_as in there:
                if name in there:
                    steps.append((name, former_name(name, job)))
                steps.append((built_as, name))
        await tables.rename(steps)


async def _renamed_back(config: DataSourceConfig, names: dict[str, str], job: int) -> None:
    async with _connection(config) as connection:
        tables = tables_of(connection)
        there = await tables.names()
        steps: list[tuple[str, str]] = []
        for built_as, name in names.items():
            if built_as not in there:
                steps.append((name, built_as))
                if former_name(name, job) in there:
                    steps.append((former_name(name, job), name))
        await tables.rename(steps)


async def _drop(rules: RuleSet, source: str, table: str, alive: Callable[[], None]) -> None:
    async with connected(rules, source) as connection:
        await tables_of(connection).drop(table, alive)


@asynccontextmanager
async def connected(rules: RuleSet, source: str) -> AsyncIterator[Connection]:
    """A connection of its own to a data source: to a group's configured primary."""
    group = rules.groups.get(source)
    async with _connection(rules.data_sources[source] if group is None else group.primary) as connection:
        yield connection


@asynccontextmanager
async def _connection(config: DataSourceConfig) -> AsyncIterator[Connection]:
    connection = await open_data_source(config, Flavour())
    try:
        with errors_of(config.name):
            yield connection
    finally:
        await connection.close()


def _targets(scope: Scope) -> Iterable[Target]:
    return (target for move in scope.moves for target in move.targets)


def _place(rules: RuleSet, source: str, table: str) -> tuple[Schema, str]:
    return schema_of(rules.data_sources[source]), table.lower()
