"""Real MariaDB servers for the demo: created in a directory, started on free loopback ports, stopped by process id.

Decides how such a server is set up. Knows nothing of the mesh or of what is stored.
"""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from dbmesh.cli.output import Failure

USER = "dbmesh"
_HOST = "127.0.0.1"
_PROGRAMS = ("mariadbd", "mariadb-install-db")
_START_SECONDS = 30.0
_STOP_SECONDS = 20.0
_POLL_SECONDS = 0.05


@dataclass(frozen=True, slots=True)
class MariaDbServer:
    """One running server: where it listens, its one schema, and the account that owns the schema."""

    host: str
    port: int
    schema: str
    user: str
    password: str = field(repr=False)


def missing_programs() -> list[str]:
    """The programs a server needs that are not on PATH."""
    return [program for program in _PROGRAMS if shutil.which(program) is None]


@contextmanager
def running_servers(
    directory: Path, schemas: Sequence[str], *, binlog: bool = False
) -> Iterator[tuple[MariaDbServer, ...]]:
    """One server per schema, each in `directory/<schema>`; data found there is used again. With `binlog` they log changed rows, and the
    account may follow them. All are stopped on the way out, whatever happened. Raises Failure when the programs are missing or a server
    does not start."""
    missing = missing_programs()
    if missing:
        raise Failure(
            f"--engine mariadb needs {' and '.join(missing)} on PATH; install mariadb-server, or leave --engine out "
            "to use the embedded SQLite engine"
        )
    _create([directory / schema for schema in schemas])
    with ExitStack() as running:
        started = [
            running.enter_context(_started(directory / schema, schema, number if binlog else None))
            for number, schema in enumerate(schemas, 1)
        ]
        for server, process in started:
            _wait_until_ready(server, process, directory / server.schema)
            _init_file(directory / server.schema).unlink()
        yield tuple(server for server, _ in started)


def _create(directories: Sequence[Path]) -> None:
    """Creates the system tables of every directory that has none yet, all at the same time. A directory is
    created under another name first: one that exists is complete."""
    with ExitStack() as running:
        creating = [
            (directory, *running.enter_context(_creating(directory)))
            for directory in directories
            if not directory.exists()
        ]
        for directory, unfinished, process in creating:
            said, _ = process.communicate()
            if process.returncode != 0:
                raise Failure(f"mariadb-install-db failed in {unfinished}: {_last_line(said)}")
            unfinished.rename(directory)


@contextmanager
def _creating(directory: Path) -> Iterator[tuple[Path, subprocess.Popen[str]]]:
    """Begins to create a directory's system tables under another name. Ends what still runs on the way out."""
    unfinished = directory.with_name(f"{directory.name}.new")
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir(parents=True)
    command = [
        "mariadb-install-db",
        "--no-defaults",
        f"--datadir={unfinished}",
        "--skip-test-db",
        "--auth-root-authentication-method=socket",
        *_as_root(),
    ]
    # The program is a script that starts mariadbd: a session of its own makes them one group to end.
    process = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
        env=_environment(directory),
    )
    try:
        yield unfinished, process
    finally:
        if process.returncode is None:
            os.killpg(process.pid, signal.SIGKILL)
            # Its output ends when the last process of the group has: then nothing writes into the directory.
            process.communicate()


@contextmanager
def _started(
    directory: Path, schema: str, logs_as: int | None
) -> Iterator[tuple[MariaDbServer, subprocess.Popen[bytes]]]:
    """Starts one server without waiting for it; `logs_as` is its number where it keeps a binlog. The password is new at every start and
    lives in no file for longer than the server needs to read it."""
    server = MariaDbServer(_HOST, _free_port(), schema, USER, secrets.token_hex(16))
    account = f"'{USER}'@'{_HOST}'"
    init_file = _init_file(directory)
    init_file.touch(mode=0o600)
    init_file.write_text(
        f"CREATE DATABASE IF NOT EXISTS `{schema}` CHARACTER SET utf8mb4;\n"
        f"CREATE OR REPLACE USER {account} IDENTIFIED BY '{server.password}';\n"
        f"GRANT ALL ON `{schema}`.* TO {account};\n"
        + (f"GRANT REPLICATION SLAVE, REPLICATION CLIENT ON *.* TO {account};\n" if logs_as else "")
    )
    command = [
        "mariadbd",
        "--no-defaults",
        f"--datadir={directory}",
        f"--port={server.port}",
        f"--bind-address={_HOST}",
        # Relative to the data directory: a socket's path may not exceed 107 bytes.
        "--socket=mariadb.sock",
        "--pid-file=mariadb.pid",
        f"--log-error={directory / 'error.log'}",
        f"--init-file={init_file}",
        "--skip-name-resolve",
        *_logging(logs_as),
        "--character-set-server=utf8mb4",
        "--innodb-buffer-pool-size=64M",
        *_as_root(),
    ]
    # A session of its own: Ctrl-C in the terminal reaches dbmesh alone, which then stops the server in order.
    process = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
        env=_environment(directory),
    )
    try:
        yield server, process
    finally:
        _stop(process)
        init_file.unlink(missing_ok=True)


def _logging(number: int | None) -> list[str]:
    if number is None:
        return ["--skip-log-bin"]
    return ["--log-bin=binlog", "--binlog-format=ROW", f"--server-id={number}"]


def _wait_until_ready(server: MariaDbServer, process: subprocess.Popen[bytes], directory: Path) -> None:
    """Waits for the greeting: the port is open long before the init file has been read."""
    deadline = time.monotonic() + _START_SECONDS
    log = directory / "error.log"
    while True:
        if process.poll() is not None:
            raise Failure(
                f"mariadbd ended at once with code {process.returncode}: {_last_line(_text(log))}; see {log}"
            )
        if _greets(server):
            return
        if time.monotonic() > deadline:
            raise Failure(f"mariadbd was not ready within {_START_SECONDS:.0f} s; see {log}")
        time.sleep(_POLL_SECONDS)


def _greets(server: MariaDbServer) -> bool:
    try:
        with socket.create_connection((server.host, server.port), timeout=1) as connection:
            return bool(connection.recv(1))
    except OSError:
        return False


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(_STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _init_file(directory: Path) -> Path:
    return directory / "dbmesh-init.sql"


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((_HOST, 0))
        port: int = probe.getsockname()[1]
    return port


def _environment(directory: Path) -> dict[str, str]:
    """A temporary directory for each server: one that starts deletes the temporary tables it finds in its own, even
    those of another running server."""
    temporary = directory.with_name(f"{directory.name}.tmp")
    temporary.mkdir(exist_ok=True)
    return {**os.environ, "TMPDIR": str(temporary)}


def _as_root() -> list[str]:
    """mariadbd refuses to run as root unless it is told so."""
    return ["--user=root"] if os.geteuid() == 0 else []


def _text(path: Path) -> str:
    return path.read_text(errors="replace") if path.exists() else ""


def _last_line(said: str) -> str:
    lines = [line for line in said.splitlines() if line.strip()]
    return lines[-1].strip() if lines else "it said nothing"
