"""The composition root: a configuration becomes a running mesh, and a signal ends it.

Decides what is built in which order, and how it is taken down. Everything it wires together is tested where it lives.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import signal
import ssl
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import uvloop

from dbmesh import __version__
from dbmesh.assembly import StartError, assemble
from dbmesh.backend.mysql import MySQLConnection
from dbmesh.backend.pool import Pool
from dbmesh.backend.tasks import TaskOwner
from dbmesh.governance.follower import follow
from dbmesh.governance.instances import Registration, prepared
from dbmesh.governance.keeper import Keeper
from dbmesh.governance.opening import open_store
from dbmesh.governance.protection.decisions import follow_decisions
from dbmesh.governance.rule_follower import RuleFollower, stored_configuration
from dbmesh.governance.store import Store, StoreError
from dbmesh.rules.data_sources import Secrets
from dbmesh.rules.keygen.snowflake import Worker
from dbmesh.rules.mistakes import ConfigurationError
from dbmesh.rules.ruleset import Configuration
from dbmesh.server.accounts import Accounts
from dbmesh.server.listener import SERVER_VERSION, Listener
from dbmesh.switching import Switching
from dbmesh.transaction.compensator import Compensator
from dbmesh.transaction.recovery import Recovery

_log = logging.getLogger(__name__)

HOUSEKEEPING_INTERVAL = 1.0
"""Seconds between two looks at idle connections."""


OnReady = Callable[[str, int], Awaitable[None] | None]


def run(
    configuration: Configuration,
    host: str,
    port: int,
    on_ready: OnReady | None = None,
    directory: Path | None = None,
    secrets: Secrets | None = None,
) -> int:
    """Serve until SIGINT or SIGTERM. Returns the exit code. Raises StartError."""
    return uvloop.run(serve(configuration, host, port, on_ready, directory, secrets))


async def serve(
    configuration: Configuration,
    host: str,
    port: int,
    on_ready: OnReady | None = None,
    directory: Path | None = None,
    secrets: Secrets | None = None,
) -> int:
    """Build the mesh, listen, tell `on_ready` the bound address, wait for a signal, drain. `directory` is where the
    store's file is when it is not named with its whole path. With `secrets`, which resolves those of its files, the
    store's rules are served where it has any, and followed. Raises StartError."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    tasks = TaskOwner(_task_failed)
    pools: list[Pool] = []
    store: Store | None = None
    keeper: Keeper | None = None
    registration: Registration | None = None
    compensator: Compensator | None = None
    try:
        store = await open_store(configuration, directory or Path(), remembering=True)
        worker = Worker() if store is None else Worker(clock=loop.time)
        own = configuration
        configuration, revision = await _rules(store, own, secrets)
        assembly = await assemble(configuration, pools, store, worker)
        mesh = assembly.mesh
        compensator = mesh.compensator
        if store is not None:
            keeper = mesh.keeper = Keeper(store, assembly, time.time, os.urandom)
            registration = await prepared(store, configuration, mesh.instance, loop.time, worker, revision)
        version = _announced_version(pools)
        accounts = Accounts(configuration.users)
        listener = Listener(mesh, accounts, tasks, _tls(configuration), version)
        bound = await _listen(listener, host, port)
        listener.make_rsa_key()
        tasks.start(_keep_house(listener, pools), "housekeeping")
        if store is not None and keeper is not None:
            tasks.start(follow(store, keeper), "rules of other processes")
            tasks.start(follow_decisions(store, assembly.protector.decide), "decisions about breakers")
        if registration is not None:
            await registration.begin(*bound)
            tasks.start(registration.serve(), "registration")
        assembly.watch(tasks)
        if store is not None and registration is not None and secrets is not None:
            switching = Switching(assembly, listener, float(own.properties["rules-drain-timeout-seconds"]))
            follower = RuleFollower(store, switching, registration, own, secrets, revision, loop.time)
            tasks.start(follower.serve(), "revisions of the rules")
        tasks.start(Recovery(mesh.compensator).serve(), "recovery of transactions")
        # What was made by now lives until the end: the collector need never look at it again.
        gc.collect()
        gc.freeze()
        failures = await _until_stopped(on_ready, bound, tasks, stop)
        _log.info("stopping: no new clients; waiting for running statements")
        if registration is not None:
            await registration.drain()
        await listener.drain(float(configuration.properties["drain-timeout-seconds"]))
        if failures:
            raise failures[0]
    except StoreError as error:
        raise StartError(str(error)) from error
    finally:
        await tasks.close()
        if registration is not None:
            await registration.withdraw()
        if compensator is not None:
            await compensator.coordinator.forget()
            await compensator.close()
        for pool in pools:
            await pool.close()
        if keeper is not None:
            await keeper.close()
        if store is not None:
            await store.close()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.remove_signal_handler(number)
    return 0


async def _until_stopped(
    on_ready: OnReady | None, bound: tuple[str, int], tasks: TaskOwner, stop: asyncio.Event
) -> list[Exception]:
    """Tell that the mesh serves, and wait for the signal; what failed of that the caller does then."""
    ready = None if on_ready is None else on_ready(*bound)
    failures: list[Exception] = []
    work = None if ready is None else tasks.start(_ready(ready, stop, failures), "on ready")
    await stop.wait()
    if work is not None:
        await _settle(work)
    return failures


async def _rules(
    store: Store | None, own: Configuration, secrets: Secrets | None
) -> tuple[Configuration, int]:
    """The configuration with the store's rules where it has any, and the number of their revision. Raises StartError and
    StoreError."""
    if store is None or secrets is None:
        return own, 0
    try:
        return await stored_configuration(store, own, secrets)
    except ConfigurationError as error:
        reason = "; ".join(map(str, error.mistakes))
        raise StartError(f"the rules in the store cannot be run here: {reason}") from error


async def _listen(listener: Listener, host: str, port: int) -> tuple[str, int]:
    """The bound address. Raises StartError."""
    try:
        return await listener.start(host, port)
    except OSError as error:
        # asyncio wraps the system's words in a sentence of its own, which says the address again.
        code = error.errno or 0
        reason = os.strerror(code) if code > 0 else error.strerror or str(error)
        raise StartError(f"cannot listen on {host}:{port}: {reason}") from error


def _announced_version(pools: list[Pool]) -> str:
    """The version clients are greeted with: that of the first data source that answered, since drivers choose their SQL
    by it; MySQL's where no server is behind the mesh."""
    for pool in pools:
        for connection in pool.idle_connections():
            if isinstance(connection, MySQLConnection) and connection.server_version:
                # MariaDB 10 puts 5.5.5- before its version for old replicas' sake, and drivers have come to rely on it.
                prefix = "5.5.5-" if connection.server_version.startswith("10.") else ""
                return f"{prefix}{connection.server_version}-dbmesh-{__version__}"
    return SERVER_VERSION


def _tls(configuration: Configuration) -> ssl.SSLContext | None:
    properties = configuration.properties
    if not properties["proxy-frontend-ssl-enabled"]:
        return None
    from dbmesh.server.tls_context import server_tls_context

    try:
        return server_tls_context(
            str(properties["proxy-frontend-ssl-cert"]), str(properties["proxy-frontend-ssl-key"])
        )
    except OSError as error:
        raise StartError(f"TLS cannot be set up with proxy-frontend-ssl-cert: {error}") from error


async def _keep_house(listener: Listener, pools: list[Pool]) -> None:
    loop = asyncio.get_running_loop()
    while True:
        await asyncio.sleep(HOUSEKEEPING_INTERVAL)
        now = loop.time()
        for pool in tuple(pools):
            await pool.close_idle(now)
        listener.close_quiet(now)


async def _ready(work: Awaitable[None], stop: asyncio.Event, failures: list[Exception]) -> None:
    """What the caller does once the mesh serves; when it fails, the mesh stops and `failures` tells the caller why."""
    try:
        await work
    except Exception as error:
        failures.append(error)
        stop.set()


async def _settle(work: asyncio.Task[None]) -> None:
    """End the caller's work when the mesh is asked to stop before it is done."""
    if not work.done():
        work.cancel()
    try:
        await work
    except asyncio.CancelledError:
        return


def _task_failed(error: BaseException) -> None:
    _log.error("a background task failed: %s", error, exc_info=error)
