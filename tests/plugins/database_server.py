"""A real database server for tests and bench: own directory, own port, ready in a second or two, gone afterwards.

Decides the life of a server process and how tests talk to it. Which program it is, and with which settings it runs,
is said by the subclasses. Knows nothing of pytest, of dbmesh or of the tables put into it.
"""

from __future__ import annotations

import os
import resource
import signal
import subprocess
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import pymysql

from tests.plugins import plain_client
from tests.plugins.processes import end, free_port, wait_until

ROOT_PASSWORD = "shard-secret"

RENEWED = 0.15
"""Seconds between two looks at INNODB_TRX, which a server renews when nobody has looked for 0.1 s."""


def chosen_product() -> str:
    """Which product the tests run against, MariaDB unless `DBMESH_TEST_DB=mysql` says MySQL. Raises ValueError."""
    chosen = os.environ.get("DBMESH_TEST_DB", "mariadb")
    products = {"mariadb": "MariaDB", "mysql": "MySQL"}
    if chosen not in products:
        raise ValueError(f"DBMESH_TEST_DB is {' or '.join(products)}, not {chosen}")
    return products[chosen]


class DatabaseServer(ABC):
    """One server on a free loopback port. `start` returns at once; `wait_ready` waits for the first login."""

    product: ClassVar[str]
    """What its vendor calls it: tests name it where servers differ."""

    def __init__(self, name: str, directory: Path, options: Sequence[str] = ()) -> None:
        self.name = name
        self.host = "127.0.0.1"
        self.user = "root"
        self.password = ROOT_PASSWORD
        self.port = free_port()
        self.directory = directory / name
        self._options = tuple(options)
        self._process: subprocess.Popen[bytes] | None = None
        self.directory.mkdir(parents=True)
        (self.directory / "tmp").mkdir()

    @abstractmethod
    def command(self) -> list[str]:
        """The command line that runs it."""

    @property
    def pid(self) -> int:
        """The process id of the running server."""
        assert self._process is not None
        return self._process.pid

    def start(self) -> None:
        """Starts the process without waiting for it; a second start after `stop` or `kill` keeps port and data."""
        log = (self.directory / "error.log").open("ab")
        with log:
            self._process = subprocess.Popen(
                self.command(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                # A file that may not grow is an error to it, and not its end: Python ignores SIGXFSZ, which is inherited.
                restore_signals=False,
            )

    def wait_ready(self, seconds: float = 60.0) -> None:
        """Waits for the first login. Raises RuntimeError with the server's log when it ends instead."""

        def answers() -> bool:
            assert self._process is not None
            if self._process.poll() is not None:
                raise RuntimeError(
                    f"{self.product} {self.name} ended:\n{(self.directory / 'error.log').read_text()[-4000:]}"
                )
            try:
                self.connect().close()
            except pymysql.err.OperationalError as error:
                if error.args[0] not in (2003, 2013):  # anything but "not listening yet" stays as it is
                    raise
                return False
            return True

        wait_until(answers, seconds, f"{self.product} {self.name}")

    def connect(self, database: str | None = None, **options: Any) -> pymysql.Connection[Any]:
        """A PyMySQL connection as root, autocommit on unless told otherwise."""
        settings: dict[str, Any] = {
            "autocommit": True,
            "charset": "utf8mb4",
            "connect_timeout": 10,
            **options,
        }
        return plain_client.connect(
            host=self.host,
            port=self.port,
            user=self.user,
            password=self.password,
            database=database,
            **settings,
        )

    def execute(self, *statements: str, database: str | None = None) -> list[tuple[Any, ...]]:
        """Runs statements on a connection of its own and returns the rows of the last."""
        connection = self.connect(database)
        try:
            with connection.cursor() as cursor:
                for statement in statements:
                    cursor.execute(statement)
                return list(cursor.fetchall())
        finally:
            connection.close()

    def status(self, variable: str) -> int:
        """A counter of SHOW GLOBAL STATUS."""
        return int(self.execute(f"SHOW GLOBAL STATUS LIKE '{variable}'")[0][1])

    def kill(self) -> None:
        """Ends the server at once, as a crash would."""
        assert self._process is not None
        self._process.kill()
        self._process.wait(10)

    def limit_files(self, size: int = resource.RLIM_INFINITY) -> None:
        """No file of the server grows beyond so many bytes from here on, as on a disk that is full."""
        resource.prlimit(self.pid, resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))

    def pause(self) -> None:
        """Freezes the server: connections are accepted by the kernel and never answered."""
        os.kill(self.pid, signal.SIGSTOP)

    def resume(self) -> None:
        """Ends `pause`."""
        os.kill(self.pid, signal.SIGCONT)

    def stop(self) -> None:
        """Ends the server; safe to call twice and on a frozen or dead one."""
        if self._process is not None and self._process.poll() is None:
            self.resume()
            end(self._process)


def start_all(servers: Mapping[str, DatabaseServer] | Sequence[DatabaseServer]) -> None:
    """Starts several servers side by side and waits for each. Ends all of them when one fails."""
    chosen = list(servers.values()) if isinstance(servers, Mapping) else list(servers)
    try:
        for server in chosen:
            server.start()
        for server in chosen:
            server.wait_ready()
    except BaseException:
        for server in chosen:
            server.stop()
        raise
