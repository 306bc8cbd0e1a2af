"""The composition root: a configuration becomes a running mesh, and a signal ends it.

Decides what is built in which order, and how it is taken down. Everything it wires together is tested where it lives.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import random
import signal
import socket
import ssl
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import uvloop

from dbmesh import __version__
from dbmesh.assembly import Assembly, assemble
from dbmesh.backend.mysql import MySQLConnection
from dbmesh.backend.pool import Pool
from dbmesh.backend.tasks import TaskOwner
from dbmesh.errors import StartError
from dbmesh.governance import layout
from dbmesh.governance.accounts import StoredAccounts
from dbmesh.governance.follower import follow
from dbmesh.governance.instances import Registration, State, prepared
from dbmesh.governance.keeper import Keeper
from dbmesh.governance.lease_clock import lease_clock
from dbmesh.governance.opening import open_store
from dbmesh.governance.peers import StorePeers
from dbmesh.governance.protection.decisions import follow_decisions
from dbmesh.governance.protection.rehearsals import follow_faults
from dbmesh.governance.rule_follower import RuleFollower, refuse_rollouts, stored_configuration
from dbmesh.governance.slow_statements import SlowStatements
from dbmesh.governance.statistics import Statistics
from dbmesh.governance.store import Store, StoreError
from dbmesh.governance.switches import Switches, follow_switches
from dbmesh.rules.administration import AdminSettings
from dbmesh.rules.data_sources import Secrets
from dbmesh.rules.keygen.snowflake import Worker
from dbmesh.rules.mistakes import ConfigurationError
from dbmesh.rules.ruleset import Configuration
from dbmesh.rules.tracing import TracingSettings
from dbmesh.server.accounts import Accounts
from dbmesh.server.listener import SERVER_VERSION, Listener
from dbmesh.session.filtering import StatementObserver
from dbmesh.session.mesh import Mesh
from dbmesh.switching import Switching
from dbmesh.transaction.recovery import Recovery

if TYPE_CHECKING:
    from dbmesh.admin.serving import AdminPorts
    from dbmesh.admin.span_sender import SpanSender

_log = logging.getLogger(__name__)

THREADS_TURN = 0.0005
"""Seconds a thread beside the event loop may work on while the loop waits for its turn. With the interpreter's 5 ms, each step of each
statement could wait so long while new rules are read."""

COLLECT_AFTER = (20_000, 20, 20)
"""Objects made and not freed until the youngest are looked at, and how often so until older ones are (`gc.set_threshold`)."""

HOUSEKEEPING_INTERVAL = 1.0
"""Seconds between two looks at idle connections."""


BUSY = "it is in the middle of changing tables; try again when it has ended"
"""Why a process that follows no revisions refuses them."""

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
    sys.setswitchinterval(THREADS_TURN)
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
    store's rules are served where it has any, and followed; without, none are rolled out meanwhile. Raises StartError."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    tasks = TaskOwner(_task_failed)
    pools: list[Pool] = []
    try:
        # What is built last is taken down first.
        async with AsyncExitStack() as down:
            for number in (signal.SIGINT, signal.SIGTERM):
                loop.add_signal_handler(number, stop.set)
                down.callback(loop.remove_signal_handler, number)
            store = await open_store(configuration, directory or Path(), remembering=True)
            if store is not None:
                down.push_async_callback(store.close)
            down.push_async_callback(_close_all, pools)
            worker = Worker() if store is None else Worker(clock=lease_clock)
            own = configuration
            configuration, revision, since = await _rules(store, own, secrets)
            assembly = await assemble(configuration, pools, store, worker, directory or Path())
            down.push_async_callback(asyncio.to_thread, assembly.protector.close)
            mesh = assembly.mesh
            down.push_async_callback(mesh.compensator.close)
            down.push_async_callback(mesh.compensator.coordinator.forget)
            keeper: Keeper | None = None
            registration: Registration | None = None
            if store is not None:
                keeper = mesh.keeper = Keeper(store, assembly, time.time, os.urandom)
                down.push_async_callback(keeper.close)
                serves = secrets is not None
                registration = await prepared(
                    store, configuration, mesh.instance, lease_clock, worker, revision, serves=serves
                )
                down.push_async_callback(registration.withdraw)
                await _take_accounts(store, mesh, tasks)
            _watch_statements(configuration, mesh, tasks, down)
            accounts = Accounts(mesh.authority)
            version = _announced_version(pools)
            listener = Listener(mesh, accounts, tasks, _tls(configuration), version, worker)
            down.push_async_callback(tasks.close)
            with _listening(host, port):
                bound = await listener.bind(host, port)
            rsa_key = listener.make_rsa_key()
            assembly.watch(tasks)
            if store is not None and keeper is not None and registration is not None:
                await registration.begin(*bound)
                tasks.start(registration.serve(), "registration")
                _follow_others(store, keeper, assembly, listener, registration, tasks, since)
                await _follow_rules(store, registration, assembly, listener, own, secrets, revision, tasks)
            if rsa_key is not None:
                # Who comes first may need it.
                await rsa_key
            with _listening(host, port):
                await listener.open()
            tasks.start(_keep_house(listener, pools), "housekeeping")
            if configuration.admin is not None:
                ports = await _open_admin(configuration.admin, assembly, stop, directory or Path())
                down.push_async_callback(ports.close)
                tasks.start(ports.serve(), "admin API")
            tasks.start(Recovery(mesh.compensator).serve(), "recovery of transactions")
            _collect_seldom()
            failure = await _serve_until(stop, tasks, None if on_ready is None else on_ready(*bound))
            _log.info("stopping: no new clients; waiting for running statements")
            if registration is not None:
                await registration.drain()
            await listener.drain(float(configuration.properties["drain-timeout-seconds"]))
            if failure is not None:
                raise failure
    except StoreError as error:
        raise StartError(str(error)) from error
    return 0


async def _follow_rules(
    store: Store,
    registration: Registration,
    assembly: Assembly,
    listener: Listener,
    own: Configuration,
    secrets: Secrets | None,
    revision: int,
    tasks: TaskOwner,
) -> None:
    """From now on follow revisions of the rules, and carry reshard jobs out; returns when this process runs the rules that hold. Without
    `secrets` it refuses revisions."""
    if secrets is None:
        tasks.start(refuse_rollouts(store, registration, BUSY), "revisions of the rules")
        return
    switching = Switching(assembly, listener, float(own.properties["rules-drain-timeout-seconds"]))
    follower = RuleFollower(store, switching, registration, own, secrets, revision, lease_clock)
    await follower.begin()
    tasks.start(follower.serve(), "revisions of the rules")
    tasks.start(_run_jobs(store, registration, assembly.mesh, tasks), "reshard jobs")


async def _run_jobs(store: Store, registration: Registration, mesh: Mesh, tasks: TaskOwner) -> None:
    """Jobs are carried out by whichever sidecar takes them first."""
    # Imported where it is used: a mesh without a store starts faster and is smaller.
    from dbmesh.reshard.phases import Phases
    from dbmesh.reshard.runner import Runner

    work = Phases(store, registration, mesh, tasks, lease_clock, time.time)
    await Runner(store, registration, work, tasks, time.time).serve()


async def _take_accounts(store: Store, mesh: Mesh, tasks: TaskOwner) -> None:
    """The accounts that SQL has made are there before the first client is. Raises StoreError."""
    stored = mesh.accounts = StoredAccounts(store, mesh)
    await stored.read()
    tasks.start(stored.follow(), "accounts in the store")


def _follow_others(
    store: Store,
    keeper: Keeper,
    assembly: Assembly,
    listener: Listener,
    registration: Registration,
    tasks: TaskOwner,
    since: int,
) -> None:
    """From now on obey what others write into the store, and have written after its revision `since`."""
    tasks.start(follow(store, keeper, since), "rules of other processes")
    tasks.start(follow_decisions(store, assembly.protector.decide), "decisions about breakers")
    tasks.start(follow_faults(store, assembly.protector.rehearse), "faults made on purpose")
    tasks.start(assembly.protector.budgets.serve(store), "limits of the whole mesh")
    tasks.start(_follow_switches(store, assembly, listener, registration), "what is out of service")
    peers = StorePeers(store, assembly.mesh, registration.id, os.urandom)
    assembly.mesh.peers = peers
    tasks.start(peers.serve(), "requests of other sidecars")


async def _follow_switches(
    store: Store, assembly: Assembly, listener: Listener, registration: Registration
) -> None:
    """Obey what somebody takes out of service, and puts back."""

    async def take_over(switches: Switches) -> None:
        assembly.switch_off(switches.data_sources)
        off = registration.id in switches.instances
        listener.refuse("operator", "it is disabled" if off else "")
        state = State.DISABLED if off else State.SERVING
        await registration.tell(lambda one: replace(one, state=state))

    await follow_switches(store, take_over)


async def _rules(
    store: Store | None, own: Configuration, secrets: Secrets | None
) -> tuple[Configuration, int, int]:
    """The configuration with the store's rules where it has any, the number of their revision, and the store's own before that: tables
    are read next, and of what becomes of them after it this process hears. Raises StartError and StoreError."""
    since = 0 if store is None else (await store.range(layout.ddl_prefix())).revision
    if store is None or secrets is None:
        return own, 0, since
    try:
        return *await stored_configuration(store, own, secrets), since
    except ConfigurationError as error:
        reason = "; ".join(map(str, error.mistakes))
        raise StartError(f"the rules in the store cannot be run here: {reason}") from error


async def _close_all(pools: list[Pool]) -> None:
    for pool in pools:
        await pool.close()


def _watch_statements(
    configuration: Configuration, mesh: Mesh, tasks: TaskOwner, down: AsyncExitStack
) -> None:
    """What only looks at statements. Raises StartError."""
    watching: list[StatementObserver] = []
    if configuration.admin is not None:
        watching.append(Statistics(time.perf_counter, time.time))
    slow = float(configuration.properties["slow-statement-milliseconds"]) / 1000
    if slow:
        watching.append(SlowStatements(slow, time.perf_counter))
    mesh.observe((*watching, *mesh.observers))
    if configuration.tracing is not None:
        sender = _trace_statements(configuration.tracing, mesh)
        down.push_async_callback(asyncio.to_thread, sender.close)
    if configuration.mirrors:
        _mirror_statements(configuration, mesh, tasks)


def _mirror_statements(configuration: Configuration, mesh: Mesh, tasks: TaskOwner) -> None:
    # Imported where it is used: a mesh without it starts faster and is smaller.
    from dbmesh.governance.mirroring.mirroring import begin_mirroring

    begin_mirroring(mesh, configuration.mirrors, tasks, random.random, time.time)


def _trace_statements(settings: TracingSettings, mesh: Mesh) -> SpanSender:
    """Statements are traced from now on. Raises StartError."""
    # Imported where it is used: others need not have these packages.
    try:
        from dbmesh.admin.span_sender import SpanSender, post_to
        from dbmesh.admin.spans import SpanEncoder
        from dbmesh.admin.tracing import Tracer
    except ImportError as error:
        raise StartError(f"tracing needs more packages: pip install 'dbmesh[tracing]' ({error})") from error
    encoder = SpanEncoder(
        (
            ("service.name", settings.service_name),
            ("service.version", __version__),
            ("host.name", socket.gethostname()),
        ),
        "dbmesh",
    )
    sender = SpanSender(encoder, post_to(settings.endpoint, settings.headers), settings.queue_size)
    # The first: what others refuse is traced too.
    mesh.filters = (Tracer(settings, sender.put), *mesh.filters)
    return sender


async def _open_admin(
    settings: AdminSettings, assembly: Assembly, stop: asyncio.Event, directory: Path
) -> AdminPorts:
    """The operators' ports, listening. Raises StartError."""
    # Imported where it is used: a mesh without them starts faster and is smaller.
    from dbmesh.admin.serving import AdminPorts
    from dbmesh.admin.table import Operated

    mesh = assembly.mesh
    [statistics] = [one for one in mesh.observers if isinstance(one, Statistics)]
    clock = asyncio.get_running_loop().time
    operated = Operated(mesh, statistics, __version__, clock, lambda: not stop.is_set(), assembly.protector)
    ports = AdminPorts(settings, operated, directory)
    try:
        await ports.start()
    except OSError as error:
        await ports.close()
        reason = f"{error.filename}: {error.strerror}" if error.filename else error.strerror or error
        raise StartError(f"cannot open the admin ports on {settings.host}: {reason}") from error
    sql = "" if ports.sql_port is None else f", MySQL clients on port {ports.sql_port}"
    _log.info("admin API on %s:%d%s", settings.host, ports.port, sql)
    return ports


@contextmanager
def _listening(host: str, port: int) -> Iterator[None]:
    """Raises StartError where the system does not let the mesh listen."""
    try:
        yield
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
            str(properties["proxy-frontend-ssl-cert"]),
            str(properties["proxy-frontend-ssl-key"]),
            str(properties["proxy-frontend-ssl-ca"]),
        )
    except OSError as error:
        raise StartError(f"TLS cannot be set up with proxy-frontend-ssl-cert and -ca: {error}") from error


async def _keep_house(listener: Listener, pools: list[Pool]) -> None:
    loop = asyncio.get_running_loop()
    while True:
        await asyncio.sleep(HOUSEKEEPING_INTERVAL)
        now = loop.time()
        for pool in tuple(pools):
            await pool.close_idle(now)
        listener.close_quiet(now)


def _collect_seldom() -> None:
    """What was made by now lives until the end: the collector need never look at it again. What statements make has cycles where they are
    planned, seldom else: looking for these as often as CPython does by itself took a thirteenth of the time where tables move."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*COLLECT_AFTER)


async def _serve_until(
    stop: asyncio.Event, tasks: TaskOwner, ready: Awaitable[None] | None
) -> Exception | None:
    """Wait for `stop`, with what the caller does once the mesh serves. When that fails the mesh stops, and its error is
    returned."""
    if ready is None:
        await stop.wait()
        return None
    failures: list[Exception] = []
    work = tasks.start(_ready(ready, stop, failures), "on ready")
    await stop.wait()
    await _settle(work)
    return failures[0] if failures else None


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
