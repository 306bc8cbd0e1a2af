"""Runs MariaDB's tests of its C library, `mariadb-client-test`, on the server that the environment names.

Each test is a process of its own: one that fails ends its process. Knows nothing of whether that server is MariaDB or
dbmesh.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pymysql
from recording import SECONDS_PER_TEST, recorded, write

_PROGRAM = ("mariadb-client-test", "--no-defaults")
_DATABASE = "client_test_db"


def every() -> list[str]:
    """The names of its tests, in its order."""
    done = subprocess.run([*_PROGRAM, "--show-tests"], capture_output=True, text=True, check=False)
    listed = done.stdout.partition("All possible test names:")[2]
    return listed.split()


def run(test: str, folder: Path) -> None:
    """Runs one test and records how it ended. What an earlier one has left is taken away: they share a database."""
    with pymysql.connect(
        host="127.0.0.1",
        port=int(os.environ["COMPATIBILITY_PORT"]),
        user="root",
        password=os.environ["COMPATIBILITY_PASSWORD"],
    ) as connection:
        connection.cursor().execute(f"DROP DATABASE IF EXISTS {_DATABASE}")
    command = [
        *_PROGRAM,
        "--host=127.0.0.1",
        f"--port={os.environ['COMPATIBILITY_PORT']}",
        "--user=root",
        f"--password={os.environ['COMPATIBILITY_PASSWORD']}",
        f"--vardir={folder}",
        test,
    ]
    try:
        done = subprocess.run(command, capture_output=True, cwd=folder, timeout=SECONDS_PER_TEST, check=False)
    except subprocess.TimeoutExpired:
        write(test, "failed", f"the test took longer than {SECONDS_PER_TEST} s")
        return
    said = (done.stdout + done.stderr).decode(errors="replace")
    write(test, "passed" if done.returncode == 0 else "failed", said)


if __name__ == "__main__":
    seen = recorded()
    for name in sys.argv[2:] or every():
        if name not in seen:
            run(name, Path(sys.argv[1]))
