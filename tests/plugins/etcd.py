"""etcd for tests: one member or a cluster of several, each on free loopback ports, gone afterwards.

Decides a member's settings and life. Knows nothing of the mesh nor of what is stored.
"""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from pathlib import Path

from tests.plugins.mariadb import find_program
from tests.plugins.processes import accepts, end, free_port, wait_until


class EtcdMember:
    """One etcd process. A start after `stop` or `kill` keeps ports and data."""

    def __init__(self, name: str, directory: Path, options: Sequence[str] = ()) -> None:
        self.name = name
        self.port = free_port()
        self.peer_port = free_port()
        self.directory = directory / name
        self.directory.mkdir(parents=True)
        self._options = tuple(options)
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def address(self) -> str:
        """host:port for clients."""
        return f"127.0.0.1:{self.port}"

    @property
    def pid(self) -> int:
        """The process id of the running member."""
        assert self._process is not None
        return self._process.pid

    def start(self, cluster: Sequence[EtcdMember], scheme: str = "http") -> None:
        """Start as a member of `cluster`; returns at once."""
        peers = ",".join(f"{member.name}=http://127.0.0.1:{member.peer_port}" for member in cluster)
        command = [
            find_program("etcd"),
            f"--name={self.name}",
            f"--data-dir={self.directory / 'data'}",
            f"--listen-client-urls={scheme}://{self.address}",
            f"--advertise-client-urls={scheme}://{self.address}",
            f"--listen-peer-urls=http://127.0.0.1:{self.peer_port}",
            f"--initial-advertise-peer-urls=http://127.0.0.1:{self.peer_port}",
            f"--initial-cluster={peers}",
            "--heartbeat-interval=50",
            "--election-timeout=500",
            "--logger=zap",
            "--log-level=warn",
            *self._options,
        ]
        with (self.directory / "etcd.log").open("ab") as log:
            self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    def wait_ready(self, seconds: float = 30.0) -> None:
        """Wait until clients are served. Raises RuntimeError with the log when the process ends instead."""

        def answers() -> bool:
            assert self._process is not None
            if self._process.poll() is not None:
                raise RuntimeError(f"etcd ended:\n{(self.directory / 'etcd.log').read_text()[-4000:]}")
            return accepts(self.port)

        wait_until(answers, seconds, f"etcd {self.name}")

    def kill(self) -> None:
        """SIGKILL, as a machine that loses power."""
        assert self._process is not None
        self._process.kill()
        self._process.wait(10)

    def stop(self) -> None:
        """End it; safe to call twice."""
        if self._process is not None:
            end(self._process)
