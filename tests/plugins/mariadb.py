"""MariaDB for tests and bench: the server they run against unless told otherwise.

Decides the server's settings. Knows nothing of pytest, of dbmesh or of the tables put into it.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from tests.plugins.database_server import ROOT_PASSWORD, DatabaseServer

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


class MariaDb(DatabaseServer):
    """One mariadbd over a copy of a template's data."""

    product = "MariaDB"

    def __init__(self, name: str, directory: Path, template: Path, options: Sequence[str] = ()) -> None:
        super().__init__(name, directory, options)
        self.socket = str(self.directory / "s")
        shutil.copytree(template, self.directory / "data")
        init = self.directory / "init.sql"
        init.write_text(
            "DROP USER IF EXISTS root@'127.0.0.1', root@'::1';\n"
            f"ALTER USER root@localhost IDENTIFIED BY '{ROOT_PASSWORD}';\n"
            f"CREATE OR REPLACE USER root@'%' IDENTIFIED BY '{ROOT_PASSWORD}';\n"
            "GRANT ALL ON *.* TO root@'%' WITH GRANT OPTION;\n"
        )

    def command(self) -> list[str]:
        """The command line that runs it."""
        return [
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
        ]
