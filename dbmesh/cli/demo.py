"""`dbmesh demo`: a sharded shop to try, on databases the demo starts itself.

Decides where the demo's data lives, what is told when it is ready, and that everything started is stopped again.
The shop itself (rules, tables, rows, queries) is `demo_data`'s.
"""

from __future__ import annotations

import fcntl
import shutil
import signal
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import FrameType

from dbmesh.cli import demo_data
from dbmesh.cli.demo_seed import seed
from dbmesh.cli.demo_welcome import welcome
from dbmesh.cli.mariadb_servers import running_servers
from dbmesh.cli.output import EXIT_OK, Failure, answers
from dbmesh.cli.serve import run_mesh
from dbmesh.rules.loader import load_configuration

SCHEMAS = ("shop_0", "shop_1")


def run_demo(engine: str, host: str, port: int, data_dir: Path | None) -> int:
    """Runs the demo until a signal ends it and returns the exit code. `engine` is sqlite or mariadb. Raises Failure."""
    try:
        with interrupted_once() as started:
            directory = started.enter_context(data_directory(data_dir, engine))
            return _run(engine, directory, host, port, started)
    except KeyboardInterrupt:
        return EXIT_OK


def _run(engine: str, directory: Path, host: str, port: int, started: ExitStack) -> int:
    """Runs the mesh over the demo's databases, with its rows in place, until a signal ends it."""
    seeded = directory / "seeded"
    is_new = not seeded.exists()
    storage = directory / "data"
    if is_new:
        shutil.rmtree(storage, ignore_errors=True)
        storage.mkdir()
    files = demo_data.configuration_files(_urls(engine, storage, started))
    configuration = load_configuration(files, lambda kind, name: None)

    async def ready(bound_host: str, bound_port: int) -> None:
        console = answers()
        if is_new:
            await seed(console, bound_host, bound_port)
            seeded.touch()
        welcome(console, engine, bound_host, bound_port)

    return run_mesh(configuration, host, port, ready, storage)


def _urls(engine: str, storage: Path, started: ExitStack) -> tuple[str, ...]:
    """Where the two data sources are; starts the servers of an engine that has some."""
    if engine == "sqlite":
        return tuple(f"sqlite:{storage / schema}.db" for schema in SCHEMAS)
    servers = started.enter_context(running_servers(storage, SCHEMAS))
    return tuple(
        f"mysql://{server.user}:{server.password}@{server.host}:{server.port}/{server.schema}"
        for server in servers
    )


@contextmanager
def data_directory(chosen: Path | None, kind: str) -> Iterator[Path]:
    """The directory of one kind of demo's data, locked against a second demo. Raises Failure when it cannot be used."""
    with ExitStack() as held:
        if chosen is None:
            parent = Path(held.enter_context(tempfile.TemporaryDirectory(prefix="dbmesh-demo-")))
        else:
            parent = chosen.expanduser().absolute()
        directory = parent / f"dbmesh-demo-{kind}"
        try:
            directory.mkdir(parents=True, exist_ok=True)
            lock = held.enter_context((directory / "lock").open("w"))
        except OSError as error:
            raise Failure(f"--data-dir {parent} cannot be used: {error.strerror}") from error
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Failure(
                f"--data-dir {parent} is in use by another demo; stop it or choose another one"
            ) from None
        yield directory


@contextmanager
def interrupted_once() -> Iterator[ExitStack]:
    """A stack for what a demo starts. The first SIGINT or SIGTERM ends the demo; then everything on the stack is stopped in order, however
    often they come: a second Ctrl-C would leave servers and directories behind."""

    def ignore() -> None:
        for number in _ENDINGS:
            signal.signal(number, lambda number, frame: None)

    def interrupt(number: int, frame: FrameType | None) -> None:
        ignore()
        raise KeyboardInterrupt

    before = {number: signal.signal(number, interrupt) for number in _ENDINGS}
    try:
        with ExitStack() as started:
            try:
                yield started
            finally:
                # The mesh's loop has taken the signals, and left them as they are by default.
                ignore()
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


_ENDINGS = (signal.SIGINT, signal.SIGTERM)
