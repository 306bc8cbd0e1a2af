"""`dbmesh serve`: run the mesh with a configuration directory, in the foreground.

Decides what is said when the mesh is ready. Listening, signals and shutdown are `dbmesh.app`'s.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path

from dbmesh import __version__, app
from dbmesh.cli.configuration import resolve_secret
from dbmesh.cli.loading import load_directory
from dbmesh.cli.logs import log_to_stderr
from dbmesh.cli.output import Failure, answers
from dbmesh.errors import StartError
from dbmesh.rules.ruleset import Configuration


def serve_directory(directory: Path, host: str, port: int | None, log_format: str | None = None) -> int:
    """Serves a configuration directory until a signal ends it and returns the exit code; `log_format` stands for the one of its
    properties. Raises Failure."""
    configuration = load_directory(directory)
    properties = configuration.properties
    log_to_stderr(log_format or str(properties["log-format"]), str(properties["system-log-level"]))

    def ready(bound_host: str, bound_port: int) -> None:
        names = ", ".join(rule_set.database for rule_set in configuration.databases.values())
        answers().print(
            f"dbmesh {__version__} is ready on {bound_host}:{bound_port} with {names}; Ctrl-C stops it"
        )

    if port is None:
        port = int(configuration.properties["proxy-default-port"])
    return run_mesh(configuration, host, port, ready, directory)


def run_mesh(
    configuration: Configuration,
    host: str,
    port: int,
    on_ready: Callable[[str, int], Awaitable[None] | None],
    directory: Path,
) -> int:
    """Runs the mesh until a signal ends it and returns its exit code. Raises Failure when it cannot start."""
    try:
        return app.run(configuration, host, port, on_ready, directory, resolve_secret)
    except StartError as error:
        raise Failure(str(error)) from error
