"""Looks at the data sources of a reshard job: servers, tables, what the account may do.

Decides what is asked. What the answers mean for a job, `obstacles` decides.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

from dbmesh.backend.connection import Connection, Flavour, OwnDialect
from dbmesh.backend.opening import open_data_source
from dbmesh.engine.catalog_loading import read_tables
from dbmesh.engine.collect import collect
from dbmesh.errors import MeshError, ShardError
from dbmesh.planner.lexemes import split_lexemes
from dbmesh.reshard.binlogs.followable import SETTINGS, binlog_facts
from dbmesh.reshard.binlogs.listening import binlog_status
from dbmesh.reshard.jobs.scope import seen_by
from dbmesh.reshard.planning.facts import ServerFacts, Survey, TableFacts, granted
from dbmesh.reshard.planning.postgres_survey import look as look_at_postgres
from dbmesh.rules.ruleset import DataSourceConfig

_SETTINGS = f"SHOW VARIABLES WHERE Variable_name IN {('version', 'max_connections', *SETTINGS)}".encode()
_TABLES = b"""SELECT TABLE_NAME, ENGINE, TABLE_ROWS, DATA_LENGTH + INDEX_LENGTH FROM information_schema.TABLES
 WHERE TABLE_SCHEMA = DATABASE() AND TABLE_TYPE = 'BASE TABLE'"""
_TRIGGERS = b"""SELECT EVENT_OBJECT_TABLE, TRIGGER_NAME FROM information_schema.TRIGGERS
 WHERE EVENT_OBJECT_SCHEMA = DATABASE() ORDER BY TRIGGER_NAME"""
_REFERENCES = b"""SELECT IF(CONSTRAINT_SCHEMA = DATABASE(), TABLE_NAME, NULL),
 IF(UNIQUE_CONSTRAINT_SCHEMA = DATABASE(), REFERENCED_TABLE_NAME, NULL), CONSTRAINT_NAME
 FROM information_schema.REFERENTIAL_CONSTRAINTS WHERE DATABASE() IN (CONSTRAINT_SCHEMA, UNIQUE_CONSTRAINT_SCHEMA)
 ORDER BY CONSTRAINT_NAME"""
_PROGRAMS = b"""SELECT LOWER(ROUTINE_TYPE), ROUTINE_NAME, ROUTINE_DEFINITION FROM information_schema.ROUTINES
 WHERE ROUTINE_SCHEMA = DATABASE()
 UNION ALL SELECT 'trigger', TRIGGER_NAME, ACTION_STATEMENT FROM information_schema.TRIGGERS WHERE TRIGGER_SCHEMA = DATABASE()
 UNION ALL SELECT 'event', EVENT_NAME, EVENT_DEFINITION FROM information_schema.EVENTS WHERE EVENT_SCHEMA = DATABASE()
 ORDER BY 1, 2"""
_OLDEST = b"SELECT TIMESTAMPDIFF(SECOND, MIN(trx_started), NOW()) FROM information_schema.INNODB_TRX"


async def survey(data_sources: Iterable[DataSourceConfig]) -> Survey:
    """What there is on these data sources; each is looked at once by each of its accounts."""
    configs = {seen_by(config): config for config in data_sources}
    found = await asyncio.gather(*map(_look, configs.values()))
    return dict(zip(configs, found, strict=True))


async def _look(config: DataSourceConfig) -> ServerFacts:
    try:
        connection = await open_data_source(config, Flavour())
    except (MeshError, ShardError) as error:
        return ServerFacts(unreachable=str(error))
    try:
        return await _facts(connection, config)
    except (MeshError, ShardError) as error:
        return ServerFacts(unreachable=str(error))
    finally:
        await connection.close()


async def _facts(connection: Connection, config: DataSourceConfig) -> ServerFacts:
    schemas = await read_tables(connection)
    if isinstance(connection, OwnDialect):
        return await look_at_postgres(connection, schemas)
    tables = {name.lower(): TableFacts(schema) for name, schema in schemas.items()}
    if not connection.relays:
        return ServerFacts(tables=tables)
    settings = {row[0].lower(): row[1] for row in await _texts(connection, _SETTINGS)}
    triggers: dict[str, list[str]] = defaultdict(list)
    for table, name in await _texts(connection, _TRIGGERS):
        triggers[table].append(name)
    references: dict[str, list[str]] = defaultdict(list)
    for child, parent, name in await _texts(connection, _REFERENCES):
        for one in {child, parent} - {""}:
            references[one].append(name)
    programs = await _programs(connection, schemas)
    tables |= {
        name.lower(): TableFacts(
            schemas[name],
            engine,
            int(rows or 0),
            int(size or 0),
            tuple(triggers[name]),
            tuple(references[name]),
            programs=tuple(programs[name]),
        )
        for name, engine, rows, size in await _texts(connection, _TABLES)
        if name in schemas
    }
    return ServerFacts(
        settings.get("version", ""),
        most_connections=int(settings.get("max_connections", 0)),
        binlog=binlog_facts(settings, *await _filters(connection)),
        granted=granted(config.database, [row[0] for row in await _texts(connection, b"SHOW GRANTS")]),
        oldest=await _oldest(connection),
        tables=tables,
    )


async def _programs(connection: Connection, tables: Iterable[str]) -> Mapping[str, Sequence[str]]:
    """The stored programs that name each table. O(their texts + programs * tables)."""
    found: dict[str, list[str]] = {table: [] for table in tables}
    for kind, name, text in await _texts(connection, _PROGRAMS):
        words = {lexeme.value.lower() for lexeme in split_lexemes(text)}
        for table, programs in found.items():
            if table.lower() in words:
                programs.append(f"{kind} {name}")
    return found


async def _filters(connection: Connection) -> tuple[str, str]:
    """Which schemas are logged alone, and which are not."""
    try:
        found = await binlog_status(connection)
    except ShardError:
        # It takes the privilege REPLICATION CLIENT.
        return "", ""
    return (found[2], found[3]) if found else ("", "")


async def _oldest(connection: Connection) -> int | None:
    try:
        ((age,),) = await _texts(connection, _OLDEST)
    except ShardError:
        # It takes the privilege PROCESS.
        return None
    return int(age or 0)


async def _texts(connection: Connection, sql: bytes) -> list[list[str]]:
    rows = (await collect(connection, sql)).rows
    return [
        ["" if value is None else value.decode("utf-8", "surrogateescape") for value in row] for row in rows
    ]
