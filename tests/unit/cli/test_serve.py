"""`serve` says in one sentence why it cannot start."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from dbmesh.cli import demo_data

COMMAND = (sys.executable, "-c", "from dbmesh.cli.main import main; main()", "serve")


def write_configuration(directory: Path, *urls: str) -> None:
    """The demo's rules with these data sources."""
    for name, text in demo_data.configuration_files(urls).items():
        (directory / name).write_text(text)


def serve(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Runs `dbmesh serve` that is expected to end by itself."""
    return subprocess.run((*COMMAND, *arguments), capture_output=True, text=True, timeout=60, check=False)


def complaint(process: subprocess.CompletedProcess[str]) -> str:
    """The one sentence on stderr."""
    assert process.returncode == 1
    assert process.stdout == ""
    assert process.stderr.count("\n") == 1
    assert process.stderr.startswith("error: ")
    return process.stderr


@pytest.mark.integration
def test_a_taken_port(tmp_path: Path) -> None:
    write_configuration(tmp_path, f"sqlite:{tmp_path}/0.db", f"sqlite:{tmp_path}/1.db")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        said = complaint(serve("--config", str(tmp_path), "--port", port))
        assert f"cannot listen on 127.0.0.1:{port}: Address already in use" in said
        assert said.count(port) == 1


@pytest.mark.integration
def test_without_a_port_it_takes_the_configured_one(tmp_path: Path) -> None:
    write_configuration(tmp_path, f"sqlite:{tmp_path}/0.db", f"sqlite:{tmp_path}/1.db")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        users = "authority: {users: [{user: root, password: root}]}"
        (tmp_path / "global.yaml").write_text(f"{users}\nprops: {{proxy-default-port: {port}}}\n")
        assert f"cannot listen on 127.0.0.1:{port}: " in complaint(serve("--config", str(tmp_path)))


def until_ready(process: subprocess.Popen[str]) -> list[str]:
    """The lines `serve` says until it is ready, that one included."""
    assert process.stdout is not None
    said = []
    for line in process.stdout:
        said.append(line)
        if " is ready on 127.0.0.1:" in line:
            return said
    raise AssertionError("it ended: " + "".join(said))


def started(directory: Path) -> subprocess.Popen[str]:
    """`dbmesh serve` on a free port, both its outputs in one."""
    return subprocess.Popen(
        (*COMMAND, "--config", str(directory), "--port", "0"),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def stop(process: subprocess.Popen[str], ending: signal.Signals) -> int:
    """Its exit code after that signal."""
    try:
        process.send_signal(ending)
        return process.wait(30)
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate()


@pytest.mark.integration
def test_a_data_source_that_nobody_answers_for_is_named_and_stops_nothing(tmp_path: Path) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
        write_configuration(tmp_path, f"mysql://u:p@127.0.0.1:{port}/a", f"sqlite:{tmp_path}/1.db")
        process = started(tmp_path)
        try:
            said = until_ready(process)
        finally:
            assert stop(process, signal.SIGINT) == 0
    assert any("WARNING" in line and "'ds_0' cannot be reached" in line for line in said)


@pytest.mark.integration
@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGTERM])
def test_it_says_where_it_listens_and_ends_with_0(tmp_path: Path, ending: signal.Signals) -> None:
    write_configuration(tmp_path, f"sqlite:{tmp_path}/0.db", f"sqlite:{tmp_path}/1.db")
    process = started(tmp_path)
    try:
        until_ready(process)
    finally:
        code = stop(process, ending)
    assert code == 0
