"""A real MariaDB server for tests and bench: own directory, own port, ready in a second or two, gone afterwards.

Decides the server's settings and its life. Knows nothing of pytest, of dbmesh or of the tables put into it.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pymysql

from tests.plugins.processes import end, free_port, wait_until

ROOT_PASSWORD = "shard-secret"

_SMALL = (
    "--innodb-buffer-pool-size=64M",
    "--innodb-log-file-size=16M",
    "--innodb-flush-log-at-trx-commit=2",
    "--innodb-doublewrite=0",
    "--sync-binlog=0",
    "--key-buffer-size=1M",
    "--performance-schema=0",
)


def find_program(*names: str) -> str:
    """The full path of the first of these programs that exists. Raises FileNotFoundError with what to install."""
    places = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/usr/local/sbin", "/usr/libexec"])
    for name in names:
        found = shutil.which(name, path=places)
        if found:
            return found
    raise FileNotFoundError(
        f"{' or '.join(names)} is not installed: run tests/tools/install_system_packages.sh"
    )


def _as_user() -> list[str]:
    # mariadbd refuses to run as root unless it is named.
    return ["--user=root"] if os.geteuid() == 0 else []


def make_template(directory: Path) -> Path:
    """A freshly initialised data directory with the root password set; servers start from copies of it."""
    data = directory / "template"
    # A starting server deletes temporary tables it finds in its temporary directory, those of others too.
    temporary = directory / "template-tmp"
    temporary.mkdir()
    command = [
        find_program("mariadb-install-db", "mysql_install_db"),
        "--no-defaults",
        f"--datadir={data}",
        "--auth-root-authentication-method=normal",
        "--skip-test-db",
        "--skip-name-resolve",
        "--innodb-log-file-size=16M",
        *_as_user(),
    ]
    environment = {**os.environ, "TMPDIR": str(temporary)}
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, env=environment)
    if done.returncode != 0:
        raise RuntimeError(f"mariadb-install-db failed:\n{done.stdout}\n{done.stderr}")
    return data


class MariaDb:
    """One mariadbd on a free loopback port. `start` returns at once; `wait_ready` waits for the first login."""

    def __init__(self, name: str, directory: Path, template: Path, options: Sequence[str] = ()) -> None:
        self.name = name
        self.host = "127.0.0.1"
        self.user = "root"
        self.password = ROOT_PASSWORD
        self.port = free_port()
        self.directory = directory / name
        self.socket = str(self.directory / "s")
        self._options = tuple(options)
        self._process: subprocess.Popen[bytes] | None = None
        self.directory.mkdir(parents=True)
        (self.directory / "tmp").mkdir()
        shutil.copytree(template, self.directory / "data")
        init = self.directory / "init.sql"
        init.write_text(
            "DROP USER IF EXISTS root@'127.0.0.1', root@'::1';\n"
            f"ALTER USER root@localhost IDENTIFIED BY '{ROOT_PASSWORD}';\n"
            f"CREATE OR REPLACE USER root@'%' IDENTIFIED BY '{ROOT_PASSWORD}';\n"
            "GRANT ALL ON *.* TO root@'%' WITH GRANT OPTION;\n"
        )

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
                [
                    find_program("mariadbd", "mysqld"),
                    "--no-defaults",
                    *_as_user(),
                    f"--datadir={self.directory / 'data'}",
                    f"--port={self.port}",
                    f"--socket={self.socket}",
                    f"--tmpdir={self.directory / 'tmp'}",
                    f"--pid-file={self.directory / 'pid'}",
                    f"--init-file={self.directory / 'init.sql'}",
                    "--bind-address=127.0.0.1",
                    "--skip-name-resolve",
                    "--max-connections=500",
                    "--max-allowed-packet=64M",
                    "--character-set-server=utf8mb4",
                    "--collation-server=utf8mb4_general_ci",
                    *_SMALL,
                    *self._options,
                ],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )

    def wait_ready(self, seconds: float = 60.0) -> None:
        """Waits for the first login. Raises RuntimeError with the server's log when it ends instead."""

        def answers() -> bool:
            assert self._process is not None
            if self._process.poll() is not None:
                raise RuntimeError(
                    f"mariadbd {self.name} ended:\n{(self.directory / 'error.log').read_text()[-4000:]}"
                )
            try:
                self.connect().close()
            except pymysql.err.OperationalError as error:
                if error.args[0] not in (2003, 2013):  # anything but "not listening yet" stays as it is
                    raise
                return False
            return True

        wait_until(answers, seconds, f"mariadbd {self.name}")

    def connect(self, database: str | None = None, **options: Any) -> pymysql.Connection[Any]:
        """A PyMySQL connection as root, autocommit on unless told otherwise."""
        settings: dict[str, Any] = {
            "autocommit": True,
            "charset": "utf8mb4",
            "connect_timeout": 10,
            **options,
        }
        return pymysql.connect(
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


def start_all(servers: Mapping[str, MariaDb] | Sequence[MariaDb]) -> None:
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
