"""The database servers that a job moves rows between: two of a product, and what runs over them.

Decides how each product's servers are started so that what they have said to be written outlasts SIGKILL, and ends them.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path

from tests.chaos.reshard.postgres_stage import open_postgres_stage
from tests.chaos.reshard.stage import ReshardStage, open_reshard_stage
from tests.plugins.database_server import DatabaseServer, start_all
from tests.plugins.mariadb import MariaDb, make_template
from tests.plugins.postgres import Postgres

_MARIADB = (
    "--innodb-lock-wait-timeout=5",
    "--innodb-flush-log-at-trx-commit=1",
    "--log-bin=binlog",
    "--binlog-format=ROW",
)
# What is written need not be on the disk, for the kernel lives on; but it has to be with the kernel, and whole.
_POSTGRES = ("max_prepared_transactions=64", "synchronous_commit=on", "full_page_writes=on")


@contextmanager
def _mariadb(directory: Path, rows: int, lease: int) -> Iterator[ReshardStage]:
    template = make_template(directory)
    servers: list[DatabaseServer] = [
        MariaDb(f"server{number}", directory, template, (*_MARIADB, f"--server-id={number + 1}"))
        for number in range(2)
    ]
    with ExitStack() as ending:
        for server in servers:
            ending.callback(server.stop)
        start_all(servers)
        yield ending.enter_context(open_reshard_stage(servers, directory, rows=rows, lease=lease))


@contextmanager
def _postgres(directory: Path, rows: int, lease: int) -> Iterator[ReshardStage]:
    servers = [Postgres(directory / f"server{number}", _POSTGRES) for number in range(2)]
    with ExitStack() as ending:
        for server in servers:
            ending.callback(server.stop)
            server.start()
        yield ending.enter_context(open_postgres_stage(servers, directory, rows=rows, lease=lease))


ENGINES: Mapping[str, Callable[[Path, int, int], AbstractContextManager[ReshardStage]]] = {
    "mariadb": _mariadb,
    "postgres": _postgres,
}
"""How a stage is opened in a directory, with so many rows and with registrations of so many seconds."""


@contextmanager
def open_stage(engine: str, directory: Path, *, rows: int, lease: int) -> Iterator[ReshardStage]:
    """A stage in a directory that is made for it, and removed with it."""
    directory.mkdir()
    try:
        with ENGINES[engine](directory, rows, lease) as stage:
            yield stage
    finally:
        shutil.rmtree(directory, ignore_errors=True)
