"""A dbmesh process for tests and bench: started as a user starts it, with its log kept and its end examined.

Decides how one waits for readiness and what counts as a clean end. Knows nothing of the configuration's contents.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pymysql

from tests.plugins import plain_client
from tests.plugins.processes import end, wait_until

_READY = re.compile(r"ready on (\S+):(\d+)")
# What must never stand in the log of a process that served a test.
_TROUBLE = re.compile(
    r"Traceback|was never retrieved|was never awaited|ResourceWarning|dbmesh: internal error"
)


class Mesh:
    """`dbmesh serve` on a free loopback port. A context manager is not needed: `stop` is safe to call twice."""

    def __init__(
        self, configuration: Path, log: Path, *arguments: str, environment: Mapping[str, str] | None = None
    ) -> None:
        self.host = "127.0.0.1"
        self.port = 0
        self.started_in = 0.0
        self.configuration = configuration
        self.log = log
        self._arguments = arguments
        self._environment = environment or {}
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """The process id of the running mesh."""
        assert self._process is not None
        return self._process.pid

    @property
    def running(self) -> bool:
        """Whether the process is still there."""
        return self._process is not None and self._process.poll() is None

    def output(self) -> str:
        """Everything the process has written so far."""
        return self.log.read_text(errors="replace") if self.log.exists() else ""

    def start(self, seconds: float = 20.0) -> Mesh:
        """Starts and waits until the process says that it is ready. Raises RuntimeError with its output if it ends."""
        began = time.monotonic()
        written_before = len(self.output())
        command = [
            str(Path(sys.executable).with_name("dbmesh")),
            "serve",
            "--config",
            str(self.configuration),
        ]
        if not Path(command[0]).exists():
            command[:1] = [sys.executable, "-c", "from dbmesh.cli.main import main; main()"]
        # Users' Pythons keep compiled modules; without them every start would compile the whole program again.
        environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [*command, "--host", self.host, "--port", str(self.port), *self._arguments],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={**environment, "COLUMNS": "500", "PYTHONUNBUFFERED": "1", **self._environment},
            )

        def ready() -> re.Match[str] | None:
            assert self._process is not None
            if self._process.poll() is not None:
                raise RuntimeError(f"dbmesh ended with {self._process.returncode}:\n{self.output()[-6000:]}")
            return _READY.search(self.output(), written_before)

        try:
            found = wait_until(ready, seconds, "dbmesh serve", interval=0.01)
        except BaseException:
            end(self._process)
            raise
        assert found is not None
        self.started_in = time.monotonic() - began
        self.port = int(found.group(2))
        return self

    def connect(self, database: str | None = "shop", **options: Any) -> pymysql.Connection[Any]:
        """A PyMySQL connection as root, autocommit on unless told otherwise."""
        settings: dict[str, Any] = {
            "user": "root",
            "password": "root",
            "autocommit": True,
            "charset": "utf8mb4",
            "connect_timeout": 10,
            "read_timeout": 30,
            **options,
        }
        return plain_client.connect(host=self.host, port=self.port, database=database, **settings)

    def descriptors(self) -> int:
        """How many files and sockets the process holds open."""
        return len(os.listdir(f"/proc/{self.pid}/fd"))

    def kill(self) -> None:
        """SIGKILL: nothing is taken down in order."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()

    def stop(self) -> int:
        """SIGTERM, then the exit code. A process that does not end within 15 s is killed and answers -9."""
        assert self._process is not None
        return end(self._process, 15.0)

    def troubles(self) -> str:
        """The first places of the log that show a bug of the product (tracebacks, lost tasks, leaked sockets), each
        with the lines around it; empty when all is well."""
        lines = self.output().splitlines()
        places = [number for number, line in enumerate(lines) if _TROUBLE.search(line)][:3]
        return "\n…\n".join("\n".join(lines[max(0, place - 1) : place + 40]) for place in places)

    def stop_cleanly(self) -> None:
        """Stops and insists on exit code 0 and a log without trouble."""
        code = self.stop()
        assert code == 0, f"dbmesh ended with {code}:\n{self.output()[-4000:]}"
        assert not self.troubles(), f"dbmesh's log shows trouble:\n{self.troubles()}"
