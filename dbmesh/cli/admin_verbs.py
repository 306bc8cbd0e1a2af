"""`dbmesh admin`: its verbs, their options and help.

Decides words only; `admin` does the work.
"""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

admin_app = typer.Typer(no_args_is_help=True, help="See what a running sidecar does, and stop clients.")

Config = Annotated[
    Path,
    typer.Option(
        "--config", metavar="DIR", help="Directory with global.yaml, whose admin section says where."
    ),
]
Url = Annotated[
    str | None,
    typer.Option(
        metavar="URL",
        help="Another sidecar with the same token, e.g. http://127.0.0.1:9308.",
        show_default=False,
    ),
]
Json = Annotated[bool, typer.Option("--json", metavar="", help="Print JSON.")]


class Shown(StrEnum):
    """The tables there are."""

    STATEMENTS = "statements"
    SESSIONS = "sessions"
    CONNECTIONS = "connections"
    ERRORS = "errors"
    PLANS = "plans"
    REPLICAS = "replicas"
    BREAKERS = "breakers"
    LIMITS = "limits"
    MIRRORS = "mirrors"
    MIRRORED_STATEMENTS = "mirrored_statements"
    MIRROR_EXAMPLES = "mirror_examples"


@admin_app.command()
def show(
    table: Annotated[Shown, typer.Argument(help="What to show.")],
    config: Config,
    url: Url = None,
    most: Annotated[int, typer.Option(metavar="N", min=1, help="Rows shown; JSON has them all.")] = 40,
    as_json: Json = False,
) -> None:
    """Show a table of a running sidecar: statements by what they cost, sessions, connections, errors, plans or replicas.

    \b
    dbmesh admin show statements --config DIR
    """
    from dbmesh.cli.admin import show_table

    show_table(config, url, table.value, most, as_json=as_json)


@admin_app.command()
def kill(
    session: Annotated[
        int, typer.Argument(metavar="ID", help="The SessionID that `admin show sessions` shows.")
    ],
    config: Config,
    url: Url = None,
    query: Annotated[
        bool, typer.Option("--query", metavar="", help="Only what it runs; the client stays.")
    ] = False,
    as_json: Json = False,
) -> None:
    """End a client's connection, or only what it runs.

    \b
    dbmesh admin kill --config DIR 17
    """
    from dbmesh.cli.admin import kill_session

    kill_session(config, url, session, query=query, as_json=as_json)


@admin_app.command("forget-statements")
def forget_statements(config: Config, url: Url = None, as_json: Json = False) -> None:
    """Begin to count statements anew. Metrics go on.

    \b
    dbmesh admin forget-statements --config DIR
    """
    from dbmesh.cli.admin import forget

    forget(config, url, as_json=as_json)
