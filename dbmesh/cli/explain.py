"""`dbmesh explain`: where a statement would go and how its answers would become one.

Decides what the catalog of such a plan is: empty, or read from the data sources. Planning is the planner's.
"""

from __future__ import annotations

import asyncio
import os
import time
from pathlib import Path

from rich.console import Console
from rich.text import Text

from dbmesh.backend.connection import Flavour
from dbmesh.backend.opening import open_data_source
from dbmesh.cli.loading import load_directory
from dbmesh.cli.output import Failure, answers
from dbmesh.engine.catalog_loading import read_tables
from dbmesh.errors import EMPTY_QUERY, MeshError, ShardError
from dbmesh.model import Catalog, TableSchema
from dbmesh.planner.cache import PlanCache
from dbmesh.planner.catalog import AmbiguousTable, build_catalog
from dbmesh.planner.explain import Row, explain
from dbmesh.planner.plan import Call
from dbmesh.planner.planner import Planner
from dbmesh.planner.session_plan import SessionStatement
from dbmesh.planner.session_view import SessionValues
from dbmesh.rules.keygen import make_key_generator
from dbmesh.rules.keygen.auto_increment import MOST_KEY, AutoIncrement
from dbmesh.rules.ruleset import Configuration, DataSourceConfig, RuleSet
from dbmesh.sql.fingerprint import fingerprint
from dbmesh.sql.shape import cut


def explain_statement(statement: str, directory: Path, database: str, *, connect: bool) -> None:
    """Prints the shots of a statement and how their answers become one. Raises Failure."""
    rule_set = rules_of(load_directory(directory), database)
    catalog = asyncio.run(read_catalog(rule_set)) if connect else Catalog({}, {})
    try:
        rows = plan_rows(rule_set, catalog, statement)
    except MeshError as error:
        raise Failure(f"{error.number} ({error.sqlstate}): {error}") from error
    print_rows(answers(), rows)


def rules_of(configuration: Configuration, database: str) -> RuleSet:
    """The rules of a logic database. Raises Failure that names those there are."""
    rule_set = configuration.databases.get(database.lower())
    if rule_set is None:
        known = ", ".join(found.database for found in configuration.databases.values())
        raise Failure(f"there is no logic database '{database}' in the configuration; it has {known}")
    return rule_set


def plan_rows(rule_set: RuleSet, catalog: Catalog, statement: str) -> tuple[Row, ...] | None:
    """Plans and binds one statement. None when no data source is asked. Raises MeshError, and
    Failure for a statement with parameters."""
    if not statement.strip():
        raise MeshError(EMPTY_QUERY)
    read = fingerprint(statement)
    if any(slot.parameter for slot in cut(read.shape).slots):
        raise Failure("the statement has parameters; write a value in place of each '?'")
    plan, literals = PlanCache(Planner(rule_set, catalog)).lookup(statement, rule_set.database)
    if isinstance(plan, SessionStatement):
        return None
    values = SessionValues(rule_set.database, "root@localhost", "root@%", 1)
    generators = {
        name: make_key_generator(config, lambda: time.time_ns() // 1_000_000, os.urandom)
        for name, config in rule_set.key_generators.items()
    }
    for generator in generators.values():
        if isinstance(generator, AutoIncrement):
            # Nothing is inserted: any numbers will do.
            generator.lease(1, MOST_KEY)
    return explain(plan.bind(Call(literals, values, key_generators=generators)))


async def read_catalog(rule_set: RuleSet) -> Catalog:
    """The tables of every data source. Raises Failure: a plan made without some of them would be another one."""
    try:
        findings = {name: await _read_tables(config) for name, config in rule_set.data_sources.items()}
        return build_catalog(rule_set, findings)
    except (MeshError, ShardError, AmbiguousTable) as error:
        raise Failure(str(error)) from error


async def _read_tables(config: DataSourceConfig) -> dict[str, TableSchema]:
    connection = await open_data_source(config, Flavour())
    try:
        return await read_tables(connection)
    finally:
        await connection.close()


def print_rows(console: Console, rows: tuple[Row, ...] | None) -> None:
    """One line per shot, then the merge. SQL is never wrapped, so that it can be copied."""
    if rows is None:
        console.print("dbmesh answers this by itself; no data source is asked")
        return
    if not rows:
        console.print("no data source is asked: no row can match")
        return
    width = max(len("answer"), *(len(data_source) for data_source, _, _ in rows))
    for data_source, sql, _ in rows:
        console.print(Text.assemble((f"{data_source:<{width}}  ", "bold"), sql), soft_wrap=True)
    console.print(Text.assemble((f"{'answer':<{width}}  ", "bold green"), rows[0][2]), soft_wrap=True)
