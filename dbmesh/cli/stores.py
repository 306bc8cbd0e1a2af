"""The store of a configuration directory, for verbs that look into it beside a running mesh.

Decides how its absence and its errors are said.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from dbmesh.cli.configuration import resolve_secret
from dbmesh.cli.loading import secret_or_name
from dbmesh.cli.output import Failure
from dbmesh.errors import StartError
from dbmesh.governance.opening import open_store
from dbmesh.governance.revisions import read_files, read_known
from dbmesh.governance.rule_follower import stored_configuration
from dbmesh.governance.store import Store, StoreError
from dbmesh.rules.loader import load_configuration
from dbmesh.rules.mistakes import ConfigurationError
from dbmesh.rules.ruleset import Configuration


@asynccontextmanager
async def opened_store(configuration: Configuration, directory: Path) -> AsyncIterator[Store | None]:
    """The store, None when the configuration needs none. Raises Failure."""
    try:
        store = await open_store(configuration, directory)
    except StoreError as error:
        raise Failure(str(error)) from error
    try:
        yield store
    except (StoreError, StartError) as error:
        raise Failure(str(error)) from error
    finally:
        if store is not None:
            await store.close()


async def in_force(configuration: Configuration, store: Store | None) -> Configuration:
    """A configuration with the rules that hold: the store's where it has any. Raises StoreError and Failure."""
    if store is None:
        return configuration
    try:
        return (await stored_configuration(store, configuration, resolve_secret))[0]
    except ConfigurationError as error:
        notes = tuple(map(str, error.mistakes))
        raise Failure("the rules in the store cannot be used here", notes) from error


async def active_rules(configuration: Configuration, store: Store) -> Configuration:
    """As `in_force`, where secrets that are not known here do not matter: names stand in for them."""
    number = (await read_known(store)).active
    return load_configuration(await read_files(store, number), secret_or_name) if number else configuration
