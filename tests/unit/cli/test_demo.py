"""The demo as a user meets it: ready, queried, stopped, and nothing left behind."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pymysql
import pytest

from dbmesh.cli import demo_data
from dbmesh.cli.demo_welcome import connections

COMMAND = (sys.executable, "-c", "from dbmesh.cli.main import main; main()", "demo", "--port", "0")
READY = re.compile(r"demo is ready on 127\.0\.0\.1:(\d+)")

needs_mariadb = pytest.mark.skipif(shutil.which("mariadbd") is None, reason="mariadb-server is not installed")


@contextmanager
def running(*options: str, temporary: Path) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """A demo that has said it is ready, with its port. Killed at the end if the test has not stopped it."""
    process = subprocess.Popen(
        (*COMMAND, *options),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, "TMPDIR": str(temporary)},
    )
    try:
        yield process, port_of(process)
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate()


def port_of(process: subprocess.Popen[str]) -> int:
    """Reads what the demo says until it is ready."""
    assert process.stdout is not None
    said = []
    for line in process.stdout:
        said.append(line)
        if found := READY.search(line):
            return int(found[1])
    raise AssertionError("the demo ended: " + "".join(said))


def one_value(port: int, sql: str) -> object:
    """First value of the first row of a query against the demo."""
    connection = pymysql.connect(host="127.0.0.1", port=port, user="root", password="root", database="shop")
    with connection, connection.cursor() as cursor:
        cursor.execute(sql)
        row = cursor.fetchone()
        assert row is not None
        return row[0]


@pytest.mark.integration
@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGTERM])
def test_the_demo_serves_its_shop_and_leaves_nothing_behind(tmp_path: Path, ending: signal.Signals) -> None:
    with running(temporary=tmp_path) as (process, port):
        assert one_value(port, "SELECT COUNT(*) FROM t_order") == 2000
        for query, _ in demo_data.QUERIES:
            assert one_value(port, query) is not None
        assert len(list(tmp_path.iterdir())) == 1
        process.send_signal(ending)
        assert process.wait(30) == 0
    assert list(tmp_path.iterdir()) == []


@pytest.mark.integration
@pytest.mark.parametrize("engine", ["sqlite", pytest.param("mariadb", marks=needs_mariadb)])
def test_who_is_impatient_leaves_nothing_behind_either(tmp_path: Path, engine: str) -> None:
    with running("--engine", engine, temporary=tmp_path) as (process, _):
        pids = [int(path.read_text()) for path in tmp_path.rglob("mariadb.pid")]
        while process.poll() is None:
            process.send_signal(signal.SIGINT)
            with suppress(subprocess.TimeoutExpired):
                process.wait(0.005)
        # The last signal may meet an interpreter that is shutting down.
        assert process.returncode in {0, -signal.SIGINT}
    for pid in pids:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.integration
def test_a_data_directory_is_kept_used_again_and_not_shared(tmp_path: Path) -> None:
    data = tmp_path / "data"
    with running("--data-dir", str(data), temporary=tmp_path) as (process, port):
        connection = pymysql.connect(
            host="127.0.0.1", port=port, user="root", password="root", database="shop"
        )
        with connection, connection.cursor() as cursor:
            cursor.execute("DELETE FROM t_user WHERE user_id = 7")
            connection.commit()
        second = subprocess.run(
            (*COMMAND, "--data-dir", str(data)), capture_output=True, text=True, timeout=60, check=False
        )
        assert second.returncode == 1
        assert second.stderr.startswith("error: --data-dir ")
        assert "in use by another demo" in second.stderr
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 0
    with running("--data-dir", str(data), temporary=tmp_path) as (process, port):
        assert one_value(port, "SELECT COUNT(*) FROM t_user") == 199


@pytest.mark.integration
@needs_mariadb
def test_the_demo_on_real_servers_stops_them(tmp_path: Path) -> None:
    with running("--engine", "mariadb", temporary=tmp_path) as (process, port):
        assert one_value(port, "SELECT COUNT(*) FROM t_order") == 2000
        for query, _ in demo_data.QUERIES:
            assert one_value(port, query) is not None
        pids = [int(path.read_text()) for path in tmp_path.rglob("mariadb.pid")]
        assert len(pids) == 2
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 0
    for pid in pids:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)
    assert list(tmp_path.iterdir()) == []


def test_every_client_line_names_host_and_port() -> None:
    for client, line in connections("127.0.0.1", 4000):
        assert "127.0.0.1" in line, client
        assert "4000" in line, client
