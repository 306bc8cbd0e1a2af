"""`dbmesh encrypt`: fills the columns that keep encrypted values from plain ones, and encrypts values with the newest key.

Decides which actual tables are worked through and what is shown. How, `engine.encrypting` decides.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from pathlib import Path

from dbmesh.backend.connection import Flavour
from dbmesh.backend.opening import open_data_source
from dbmesh.cli.loading import counted, load_directory
from dbmesh.cli.output import Failure, answers
from dbmesh.cli.stores import in_force, opened_store
from dbmesh.engine.collect import collect
from dbmesh.engine.encrypting import CannotEncrypt, Pace, Progress, TableEncryption
from dbmesh.errors import MeshError, ShardError
from dbmesh.governance.encryption_progress import read_progress, remember_progress
from dbmesh.governance.store import Store
from dbmesh.model import DataNode
from dbmesh.rules.encryption.rule import EncryptedColumn, EncryptedTable
from dbmesh.rules.ruleset import Configuration, RuleSet
from dbmesh.sql.literals import literal_text


def backfill(directory: Path, table: str, database: str | None, pace: Pace, *, as_json: bool) -> None:
    """Fills the other columns of each column with `plain: true`. Raises Failure."""
    _run(directory, "backfill", table, database, pace, as_json=as_json)


def rotate(directory: Path, table: str, database: str | None, pace: Pace, *, as_json: bool) -> None:
    """Encrypts each value that another key than the newest was used for. Raises Failure."""
    _run(directory, "rotate", table, database, pace, as_json=as_json)


def _run(directory: Path, verb: str, table: str, database: str | None, pace: Pace, *, as_json: bool) -> None:
    try:
        found = asyncio.run(_work(directory, verb, table, database, pace, quiet=as_json))
    except CannotEncrypt as error:
        raise Failure(str(error)) from error
    except (MeshError, ShardError) as error:
        raise Failure(f"{verb} of {table} has stopped; run it again to go on: {error}") from error
    if as_json:
        rows = [{"node": str(node), "rows": one.rows, "changed": one.changed} for node, one in found.items()]
        answers().print_json(json.dumps(rows))
        return
    changed = sum(one.changed for one in found.values())
    answers().print(f"{table}: {counted(sum(one.rows for one in found.values()), 'row')}, {changed} changed")


async def _work(
    directory: Path, verb: str, table: str, database: str | None, pace: Pace, *, quiet: bool
) -> dict[DataNode, Progress]:
    configuration = load_directory(directory)
    async with opened_store(configuration, directory) as store:
        rule_set = _rule_set(await in_force(configuration, store), database, table)
        encrypted = rule_set.encrypted[table.lower()]
        columns = [column for column in encrypted.columns if verb == "rotate" or column.plain]
        if not columns:
            raise CannotEncrypt(
                f"no column of {table} has plain: true, from which the others could be filled"
            )
        found: dict[DataNode, Progress] = {}
        for node in await _nodes(rule_set, encrypted):
            found[node] = await _table(rule_set, store, verb, node, columns, pace)
            if not quiet:
                answers().print(f"{node}: {counted(found[node].rows, 'row')}, {found[node].changed} changed")
        return found


def _rule_set(configuration: Configuration, database: str | None, table: str) -> RuleSet:
    """The rules of the one logic database with such a table. Raises Failure."""
    found = [
        rule_set
        for name, rule_set in configuration.databases.items()
        if table.lower() in rule_set.encrypted and (database is None or name == database.lower())
    ]
    if len(found) != 1:
        known = sorted(
            f"{rule_set.database}.{one.name}"
            for rule_set in configuration.databases.values()
            for one in rule_set.encrypted.values()
        )
        raise Failure(
            f"no table '{table}' has encrypted columns; there are: {', '.join(known) or 'none'}"
            if not found
            else f"several databases have a table '{table}' with encrypted columns; name one with --database"
        )
    return found[0]


async def _nodes(rule_set: RuleSet, table: EncryptedTable) -> list[DataNode]:
    """The actual tables; of a table without a rule that which is found."""
    rule = rule_set.table(table.name)
    if rule is not None:
        return list(rule.nodes)
    found: list[DataNode] = []
    for source in rule_set.data_sources:
        connection = await open_data_source(rule_set.data_sources[source], Flavour())
        try:
            asked = (
                "SELECT TABLE_NAME FROM information_schema.TABLES WHERE TABLE_SCHEMA = DATABASE() AND "
                f"TABLE_NAME = {literal_text(table.name)}"
            )
            rows = (await collect(connection, asked.encode())).rows
            found += [DataNode(source, (name or b"").decode()) for (name,) in rows]
        finally:
            await connection.close()
    if not found:
        raise CannotEncrypt(f"no data source has a table '{table.name}'")
    return found


async def _table(
    rule_set: RuleSet,
    store: Store | None,
    verb: str,
    node: DataNode,
    columns: Sequence[EncryptedColumn],
    pace: Pace,
) -> Progress:
    """One actual table, from where it was left."""

    async def remember(progress: Progress) -> None:
        if store is not None:
            await remember_progress(store, rule_set.database, verb, str(node), progress)

    begun = Progress()
    if store is not None:
        begun = await read_progress(store, rule_set.database, verb, str(node))
    config = rule_set.data_sources[node.data_source]
    if config.kind != "mysql":
        raise CannotEncrypt(f"{node} is no table of a MySQL server")
    connection = await open_data_source(config, Flavour())
    try:
        return await TableEncryption(connection, str(node.table), columns, pace).run(begun, remember)
    finally:
        await connection.close()
