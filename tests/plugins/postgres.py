"""A real PostgreSQL server for tests: own directory, own port, run by a user who is not root.

Decides the server's settings and its life. Knows nothing of pytest, of dbmesh or of the tables put into it.
"""

from __future__ import annotations

import os
import pwd
import signal
import subprocess
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from tests.plugins.mariadb import find_program
from tests.plugins.processes import accepts, children, end, free_port, runs, wait_until

_FAST = ("fsync=off", "synchronous_commit=off", "full_page_writes=off", "shared_buffers=32MB")


def _program(name: str) -> str:
    # Debian keeps each version in a directory of its own.
    versions = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"), key=lambda path: path.parts[-3])
    return str(versions[-1]) if versions else find_program(name)


class Postgres:
    """One server on a free loopback port, with a database and an owner of it. The programs refuse to run as root: a
    root starts them as the user of Debian's package, who has to be able to reach `directory`. `settings` are `name=value`."""

    def __init__(self, directory: Path, settings: Sequence[str] = ()) -> None:
        self.host = "127.0.0.1"
        self.port = free_port()
        self.user = "mesh"
        self.password = "elephant-secret"
        self.directory = directory
        self._settings = (*_FAST, *settings)
        self._user = "postgres" if os.geteuid() == 0 else None
        self._process: subprocess.Popen[bytes] | None = None
        self._make()

    def _make(self) -> None:
        self.directory.mkdir(parents=True)
        secret = self.directory / "password"
        secret.write_text(self.password)
        if self._user is not None:
            account = pwd.getpwnam(self._user)
            for path in (self.directory, secret):
                os.chown(path, account.pw_uid, account.pw_gid)
        done = subprocess.run(
            [
                _program("initdb"),
                f"--pgdata={self.directory / 'data'}",
                f"--username={self.user}",
                f"--pwfile={secret}",
                "--auth=scram-sha-256",
                "--encoding=UTF8",
                "--locale=C",
                "--no-sync",
            ],
            capture_output=True,
            text=True,
            timeout=120,
            user=self._user,
            cwd="/",
        )
        if done.returncode != 0:
            raise RuntimeError(f"initdb failed:\n{done.stdout}\n{done.stderr}")

    def start(self) -> Postgres:
        """Starts and waits until connections are accepted."""
        settings = [part for setting in self._settings for part in ("-c", setting)]
        with (self.directory / "server.log").open("ab") as log:
            self._process = subprocess.Popen(
                [
                    _program("postgres"),
                    "-D",
                    str(self.directory / "data"),
                    "-p",
                    str(self.port),
                    *("-c", f"listen_addresses={self.host}", "-c", "unix_socket_directories="),
                    *settings,
                ],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                user=self._user,
                cwd="/",
            )
        wait_until(lambda: accepts(self.port), 30, "postgres")
        wait_until(self._ready, 30, "postgres", interval=0.1)
        return self

    def _ready(self) -> bool:
        assert self._process is not None
        if self._process.poll() is not None:
            raise RuntimeError(f"postgres ended:\n{(self.directory / 'server.log').read_text()[-4000:]}")
        return self._psql("postgres", "SELECT 1").returncode == 0

    def _psql(self, database: str, sql: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [
                *(find_program("psql"), "-X", "-A", "-t", "-q", "-v", "ON_ERROR_STOP=1"),
                *("-h", self.host, "-p", str(self.port), "-U", self.user, "-d", database, "-c", sql),
            ],
            env={**os.environ, "PGPASSWORD": self.password},
            capture_output=True,
            text=True,
            timeout=60,
        )

    def execute(self, sql: str, database: str = "postgres") -> list[str]:
        """Runs SQL of PostgreSQL's own and returns its rows as lines, columns separated by `|`."""
        done = self._psql(database, sql)
        if done.returncode != 0:
            raise RuntimeError(done.stderr)
        return done.stdout.splitlines()

    def kill(self) -> None:
        """Ends the server at once, as a crash would: the first process, and those that it has started for connections and work of its own."""
        assert self._process is not None
        # It starts nobody more meanwhile.
        self._process.send_signal(signal.SIGSTOP)
        others = children(self._process.pid)
        self._process.kill()
        self._process.wait(10)
        for pid in others:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        # As long as one of them has its memory, it cannot be started again.
        wait_until(lambda: not any(map(runs, others)), 10, "the end of postgres")

    def stop(self) -> None:
        """Ends the server at once; safe to call twice."""
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(signal.SIGINT)  # "fast": sessions are ended
            end(self._process)


def source_yaml(number: int, server: Postgres, database: str, scheme: str = "postgresql") -> str:
    """One entry of `dataSources`."""
    return (
        f"  ds_{number}:\n    url: {scheme}://{server.host}:{server.port}/{database}\n"
        f"    username: {server.user}\n    password: {server.password}\n"
    )
