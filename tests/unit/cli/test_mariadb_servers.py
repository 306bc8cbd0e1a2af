"""Real servers for the demo: what happens without the programs, and a whole life where they are installed."""

from __future__ import annotations

import shutil
import socket
from collections.abc import Sequence
from pathlib import Path

import pytest

from dbmesh.cli.mariadb_servers import running_servers
from dbmesh.cli.output import Failure

installed = pytest.mark.skipif(
    shutil.which("mariadbd") is None or shutil.which("mariadb-install-db") is None,
    reason="mariadb-server is not installed",
)


def accepts(port: int) -> bool:
    """Whether somebody listens on that loopback port."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def start(directory: Path, schemas: Sequence[str]) -> None:
    """Starts servers and stops them again."""
    with running_servers(directory, schemas):
        pass


def test_missing_programs_are_named_with_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(Failure, match=r"mariadbd and mariadb-install-db on PATH; install mariadb-server"):
        start(tmp_path / "data", ["shop_0"])
    assert not (tmp_path / "data").exists()


@pytest.mark.integration
@installed
def test_servers_listen_and_are_gone_afterwards_even_after_an_error(tmp_path: Path) -> None:
    ports: list[int] = []

    def fail_while_they_run() -> None:
        with running_servers(tmp_path, ["shop_0", "shop_1"]) as servers:
            ports.extend(server.port for server in servers)
            assert [server.schema for server in servers] == ["shop_0", "shop_1"]
            assert all(accepts(port) for port in ports)
            assert not list(tmp_path.glob("*/dbmesh-init.sql"))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail_while_they_run()
    assert len(set(ports)) == 2
    assert not any(accepts(port) for port in ports)


@pytest.mark.integration
@installed
def test_a_server_that_cannot_start_says_why(tmp_path: Path) -> None:
    (tmp_path / "shop_0").mkdir()
    with pytest.raises(Failure, match=r"mariadbd ended at once with code \d+: .*error\.log"):
        start(tmp_path, ["shop_0"])
