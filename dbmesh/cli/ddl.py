"""`dbmesh ddl`: DDL statements that stopped half-way, and finishing them.

Decides what is shown. What is left to do, `governance.ddl_resume` decides.
"""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from pathlib import Path

from rich import box
from rich.table import Table

from dbmesh.backend.connection import Flavour
from dbmesh.backend.opening import open_data_source
from dbmesh.cli.loading import counted, load_directory
from dbmesh.cli.output import Failure, answers
from dbmesh.cli.stores import in_force, opened_store
from dbmesh.engine.collect import collect
from dbmesh.errors import MeshError, ShardError
from dbmesh.governance import ddl_journal
from dbmesh.governance.ddl_journal import DdlRecord
from dbmesh.governance.ddl_resume import resume
from dbmesh.governance.store import Conflict
from dbmesh.planner.lexemes import split_lexemes
from dbmesh.rules.moving import Moving
from dbmesh.rules.ruleset import Configuration, RuleSet


def show_status(directory: Path) -> None:
    """Prints every statement that has begun and not ended, node by node. Raises Failure."""
    records = asyncio.run(_records(directory))
    if not records:
        answers().print("no DDL statement is half done")
    for record in records:
        answers().print(described(record))


def resume_statement(directory: Path, id_: str) -> None:
    """Finishes one statement. Raises Failure."""
    asked = asyncio.run(_resume(directory, id_))
    answers().print(f"done: {counted(asked, 'node')} of statement {id_}")


def described(record: DdlRecord) -> Table:
    """One statement as a table of its nodes."""
    begun = datetime.fromtimestamp(record.begun, UTC).isoformat(sep=" ", timespec="seconds")
    table = Table(
        title=f"{record.id}  {record.database}  {begun}\n{record.text}",
        title_justify="left",
        box=box.SIMPLE_HEAD,
        pad_edge=False,
    )
    for heading in ("data source", "state", "statement"):
        table.add_column(heading, overflow="fold")
    for node in record.nodes:
        table.add_row(node.data_source, "done" if node.done else "not known to be done", node.sql)
    return table


async def _records(directory: Path) -> tuple[DdlRecord, ...]:
    configuration = load_directory(directory)
    async with opened_store(configuration, directory) as store:
        return () if store is None else await ddl_journal.read_all(store)


async def _resume(directory: Path, id_: str) -> int:
    configuration = load_directory(directory)
    async with opened_store(configuration, directory) as store:
        records = {} if store is None else {record.id: record for record in await ddl_journal.read_all(store)}
        record = records.get(id_)
        if store is None or record is None:
            raise Failure(f"there is no half-done statement '{id_}'; dbmesh ddl status lists them")
        present = await in_force(configuration, store)
        _refuse_moving(present.moving, record)
        rule_set = _rule_set(present, record)

        async def run_on(data_source: str, sql: str) -> None:
            await run_directly(rule_set, data_source, sql)

        try:
            return await resume(store, record, run_on)
        except Conflict as error:
            raise Failure(
                f"somebody else finishes statement {id_}, or has done so; dbmesh ddl status tells"
            ) from error
        except (MeshError, ShardError) as error:
            raise Failure(f"statement {id_} is still half done: {error}") from error


def _rule_set(configuration: Configuration, record: DdlRecord) -> RuleSet:
    rule_set = configuration.databases.get(record.database.lower())
    if rule_set is None:
        raise Failure(f"the configuration has no database '{record.database}'")
    return rule_set


def _refuse_moving(moving: Moving | None, record: DdlRecord) -> None:
    """Raises Failure for a statement that names a table whose rows are being moved: it would change one side."""
    if moving is None or moving.database.lower() != record.database.lower():
        return
    words = {lexeme.value.lower() for lexeme in split_lexemes(record.text)}
    found = next((table.name for table in moving.tables if table.name.lower() in words), None)
    if found is not None:
        raise Failure(
            f"statement {record.id} names '{found}', whose rows are being moved by reshard job {moving.job}; end that first"
        )


async def run_directly(rule_set: RuleSet, data_source: str, sql: str) -> None:
    """One statement on a data source. Raises MeshError or ShardError."""
    connection = await open_data_source(rule_set.data_sources[data_source], Flavour())
    try:
        await collect(connection, sql.encode("utf-8", "surrogateescape"))
    finally:
        await connection.close()
