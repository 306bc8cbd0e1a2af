"""The verbs of `dbmesh reshard`: their options and their help.

Decides what `main` decides for the others: how words on a command line become one call each.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from dbmesh.cli.options import Config, Json

reshard_app = typer.Typer(no_args_is_help=True, help="See what moving tables to other data nodes would take.")


@reshard_app.callback()
def reshard() -> None:
    """See what moving tables to other data nodes would take."""


@reshard_app.command()
def plan(
    to: Annotated[
        Path, typer.Argument(metavar="DIR", help="Directory with the new global.yaml and database-*.yaml.")
    ],
    config: Config,
    database: Annotated[
        str | None, typer.Option(metavar="DB", help="Logic database; needed where there are several.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Say which tables new rules look for elsewhere, and what stands in the way of moving them.

    Connects to the data sources of both sides and changes nothing. Shows actual
    tables with their estimated rows, what is missing (privileges, primary keys,
    room for names …) with its cure, and the steps of the move. Exit code 0: it
    could begin; 3: it could not.

    \b
    dbmesh reshard plan /etc/dbmesh.new --config /etc/dbmesh
    """
    from dbmesh.cli.reshard import show_plan

    raise typer.Exit(show_plan(config, to, database, as_json=as_json))
