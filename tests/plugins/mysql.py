"""MySQL 9 for tests (`make test DB=mysql`): what only it shows, caching_sha2_password and GTIDs before all.

Decides the server's settings and where its files lie: mysqld runs in a chroot made by tests/tools/mysql_tree.sh, so
everything it opens lies inside. Knows nothing of pytest, of dbmesh or of the tables put into it.
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import mkdtemp

from tests.plugins.database_server import ROOT_PASSWORD, DatabaseServer

_TOOL = Path(__file__).resolve().parents[1] / "tools" / "mysql_tree.sh"

_SMALL = (
    "--innodb-buffer-pool-size=64M",
    "--innodb-redo-log-capacity=16M",
    "--innodb-flush-log-at-trx-commit=2",
    "--skip-innodb-doublewrite",
    "--sync-binlog=0",
    "--key-buffer-size=1M",
    "--performance-schema=OFF",
)


def find_tree() -> Path:
    """The chroot with mysqld in it, unpacked if it is not there yet. Raises CalledProcessError when it cannot be."""
    done = subprocess.run([str(_TOOL)], stdout=subprocess.PIPE, text=True, check=True)
    return Path(done.stdout.strip())


@contextmanager
def directory_inside(tree: Path) -> Iterator[Path]:
    """A directory that mysqld can see, gone when the block is left."""
    (tree / "srv").mkdir(exist_ok=True)
    made = Path(mkdtemp(dir=tree / "srv"))
    try:
        yield made
    finally:
        shutil.rmtree(made)


def make_template(tree: Path, directory: Path) -> Path:
    """A freshly initialised data directory; servers start from copies of it."""
    data = directory / "template"
    command = [*_mysqld(tree), "--initialize-insecure", f"--datadir=/{data.relative_to(tree)}", *_SMALL]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    if done.returncode != 0:
        raise RuntimeError(f"mysqld --initialize-insecure failed:\n{done.stdout}\n{done.stderr}")
    # Every server has an id of its own, which it writes here at its first start.
    (data / "auto.cnf").unlink()
    return data


def _mysqld(tree: Path) -> list[str]:
    return ["chroot", str(tree), "/usr/sbin/mysqld", "--no-defaults", "--user=root", "--secure-file-priv="]


class MySql(DatabaseServer):
    """One mysqld over a copy of a template's data. `directory` lies inside `tree`."""

    product = "MySQL"

    def __init__(
        self, name: str, directory: Path, tree: Path, template: Path, options: Sequence[str] = ()
    ) -> None:
        super().__init__(name, directory, options)
        self._tree = tree
        shutil.copytree(template, self.directory / "data")
        (self.directory / "init.sql").write_text(
            f"ALTER USER root@localhost IDENTIFIED BY '{ROOT_PASSWORD}';\n"
            f"CREATE USER IF NOT EXISTS root@'%' IDENTIFIED BY '{ROOT_PASSWORD}';\n"
            "GRANT ALL ON *.* TO root@'%' WITH GRANT OPTION;\n"
        )

    def command(self) -> list[str]:
        """The command line that runs it."""
        return [
            *_mysqld(self._tree),
            f"--datadir={self._seen('data')}",
            f"--port={self.port}",
            f"--socket={self._seen('s')}",
            f"--tmpdir={self._seen('tmp')}",
            f"--pid-file={self._seen('pid')}",
            f"--init-file={self._seen('init.sql')}",
            "--mysqlx=OFF",
            "--bind-address=127.0.0.1",
            "--skip-name-resolve",
            "--max-connections=500",
            "--max-allowed-packet=64M",
            "--gtid-mode=ON",
            "--enforce-gtid-consistency=ON",
            "--local-infile=ON",
            *_SMALL,
            *(self._inside(option) for option in self._options),
        ]

    def _seen(self, name: str) -> str:
        return f"/{(self.directory / name).relative_to(self._tree)}"

    def _inside(self, option: str) -> str:
        """An option; the file it names, if it names one, is copied to where the server can see it."""
        name, _, value = option.partition("=")
        if not value.startswith("/"):
            return option
        shutil.copy(value, self.directory)
        return f"{name}={self._seen(Path(value).name)}"
