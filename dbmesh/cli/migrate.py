"""`dbmesh migrate`: run the files of a directory through a mesh of their own, each once.

Decides how the mesh is reached: on a loopback port, by an account that exists for this run only, as any client would.
What is left to run, `governance.migrations` decides.
"""

from __future__ import annotations

import logging
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import uvloop

from dbmesh import app
from dbmesh.backend.connection import Connection, Flavour
from dbmesh.backend.mysql_connect import open_mysql
from dbmesh.backend.tasks import TaskOwner
from dbmesh.cli.loading import counted, load_directory
from dbmesh.cli.output import Failure, answers
from dbmesh.cli.revisions import operator
from dbmesh.cli.stores import in_force, opened_store
from dbmesh.engine.collect import collect
from dbmesh.errors import MeshError, ShardError, StartError
from dbmesh.governance import migrations
from dbmesh.governance.migrations import MigrationError, Pending, Turn
from dbmesh.governance.store import Store
from dbmesh.rules.accounts import User
from dbmesh.rules.privileges import ADMINISTRATOR
from dbmesh.rules.repositories import SQLiteRepository
from dbmesh.rules.ruleset import Configuration, DataSourceConfig

_log = logging.getLogger(__name__)

_HOST = "127.0.0.1"


class _Finished(Exception):
    """Everything was run: the mesh may stop."""


def migrate(directory: Path, files: Path, database: str | None, *, dry_run: bool) -> None:
    """Applies what is left of `files`/*.sql. Raises Failure."""
    configuration = load_directory(directory)
    # What was applied is remembered in the store, whether or not anything else needs one.
    configuration = replace(configuration, repository=configuration.repository or SQLiteRepository())
    name = _database(configuration, database)
    try:
        texts = {path.name: path.read_text(encoding="utf-8") for path in files.glob("*.sql")}
    except (OSError, UnicodeDecodeError) as error:
        raise Failure(f"{files} cannot be read: {error}") from error
    if not texts:
        raise Failure(f"{files} has no *.sql file")
    uvloop.run(_migrate(configuration, directory, texts, name, dry_run=dry_run))


def _database(configuration: Configuration, wanted: str | None) -> str:
    if wanted is None and len(configuration.databases) == 1:
        return next(iter(configuration.databases.values())).database
    rule_set = configuration.databases.get((wanted or "").lower())
    if rule_set is None:
        known = ", ".join(one.database for one in configuration.databases.values())
        raise Failure(f"name one database with --database: {known}")
    return rule_set.database


async def _migrate(
    configuration: Configuration, directory: Path, texts: dict[str, str], database: str, *, dry_run: bool
) -> None:
    async with opened_store(configuration, directory) as store:
        assert store is not None
        try:
            if dry_run:
                for migration in await _pending(store, texts, database):
                    left = len(migration.statements) - migration.first
                    answers().print(f"{migration.name}: {counted(left, 'statement')} to run")
                return
            async with _turn(store, database) as turn:
                pending = await _pending(store, texts, database)
                if pending:
                    present = await in_force(configuration, store)
                    await _through_a_mesh(present, directory, database, store, pending, turn)
        except MigrationError as error:
            raise Failure(str(error)) from error


async def _pending(store: Store, texts: dict[str, str], database: str) -> list[Pending]:
    pending = migrations.left_to_apply(texts, await migrations.read_applied(store, database))
    if not pending:
        answers().print(f"database {database} is up to date")
    return pending


@asynccontextmanager
async def _turn(store: Store, database: str) -> AsyncIterator[Turn]:
    """Nobody else runs migrations of the database in the block."""
    turn = await migrations.take_turn(store, database, operator(), _waits_for)
    tasks = TaskOwner(_lost)
    tasks.start(migrations.keep_turn(store, turn), "turn of migrations")
    try:
        yield turn
    finally:
        await tasks.close()
        await store.revoke(turn.lease)


def _waits_for(who: str) -> None:
    answers().print(f"{who} runs migrations; waiting")


def _lost(error: BaseException) -> None:
    _log.error("the turn to run migrations is not kept any more", exc_info=error)


async def _through_a_mesh(
    configuration: Configuration,
    directory: Path,
    database: str,
    store: Store,
    pending: list[Pending],
    turn: Turn,
) -> None:
    account = User("dbmesh-migrate", _HOST, secrets.token_hex(16), grants=ADMINISTRATOR)

    async def ready(host: str, port: int) -> None:
        mesh = DataSourceConfig("mesh", "mysql", host, port, database, account.name, account.password)
        connection = await open_mysql(mesh, Flavour())
        try:
            for migration in pending:
                await _apply(connection, store, database, migration, turn)
        finally:
            await connection.close()
        raise _Finished

    own = replace(configuration, users=(*configuration.users, account))
    try:
        await app.serve(own, _HOST, 0, ready, directory)
    except _Finished:
        return
    except StartError as error:
        raise Failure(str(error)) from error


async def _apply(connection: Connection, store: Store, database: str, migration: Pending, turn: Turn) -> None:
    for number in range(migration.first, len(migration.statements)):
        statement = migration.statements[number]
        try:
            await collect(connection, statement.encode())
        except (MeshError, ShardError) as error:
            place = f"{migration.name}, statement {number + 1}"
            raise Failure(f"{place}: {error}", (statement,)) from error
        await migrations.remember(store, database, migration, number + 1, turn)
    if not migration.statements:
        await migrations.remember(store, database, migration, 0, turn)
    answers().print(f"{migration.name}: applied")
