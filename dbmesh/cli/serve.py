"""`dbmesh serve`: run the mesh with a configuration directory, in the foreground.

Decides what is said when the mesh is ready. Listening, signals and shutdown are `dbmesh.app`'s.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Annotated

import typer

from dbmesh import __version__
from dbmesh.cli.loading import load_directory
from dbmesh.cli.output import Failure, answers, log_to_stderr
from dbmesh.rules.ruleset import Configuration

Host = Annotated[
    str, typer.Option(metavar="ADDRESS", help="Address to listen on; 0.0.0.0 for every interface.")
]


def serve(
    config: Annotated[
        Path, typer.Option("--config", metavar="DIR", help="Directory with global.yaml and database-*.yaml.")
    ],
    host: Host = "127.0.0.1",
    port: Annotated[
        int | None,
        typer.Option(
            min=0,
            max=65535,
            metavar="PORT",
            help="Port to listen on; 0 takes any free one. Without it, proxy-default-port of global.yaml (3307).",
        ),
    ] = None,
) -> None:
    """Serve the databases of a configuration directory until SIGINT or SIGTERM.

    Starts when every file is valid and the port is free. A data source that
    does not answer is named, and asked again when a statement needs it.
    Statements under way are given time to end when it stops.

    \b
    dbmesh serve --config sharding_rules
    dbmesh serve --config /etc/dbmesh --host 0.0.0.0 --port 3306
    """
    configuration = load_directory(config)
    log_to_stderr()

    def ready(bound_host: str, bound_port: int) -> None:
        names = ", ".join(rule_set.database for rule_set in configuration.databases.values())
        answers().print(
            f"dbmesh {__version__} is ready on {bound_host}:{bound_port} with {names}; Ctrl-C stops it"
        )

    if port is None:
        port = int(configuration.properties["proxy-default-port"])
    raise typer.Exit(run_mesh(configuration, host, port, ready))


def run_mesh(
    configuration: Configuration, host: str, port: int, on_ready: Callable[[str, int], Awaitable[None] | None]
) -> int:
    """Runs the mesh until a signal ends it and returns its exit code. Raises Failure when it cannot start."""
    from dbmesh import app

    try:
        return app.run(configuration, host, port, on_ready)
    except app.StartError as error:
        raise Failure(str(error)) from error
