"""The verbs of `dbmesh transactions`: their options and their help.

Decides how words on a command line become one call each.
"""

from __future__ import annotations

from typing import Annotated

import typer

from dbmesh.cli.options import Config, Json

transactions_app = typer.Typer(
    no_args_is_help=True, help="See and end branches of transactions that were left prepared."
)


@transactions_app.command("list")
def list_branches(config: Config, as_json: Json = False) -> None:
    """List the branches of this mesh's transactions that are prepared on a data source right now, and BASE transactions whose
    process is gone or whose writes cannot be undone.

    Branches of commits under way are among them, for milliseconds.

    \b
    dbmesh transactions list --config DIR
    """
    from dbmesh.cli.transactions import list_transactions

    list_transactions(config, as_json=as_json)


@transactions_app.command()
def resolve(
    config: Config,
    older_than: Annotated[
        float, typer.Option(metavar="SECONDS", min=0, help="End what stays prepared for so long.")
    ] = 2.0,
    retry: Annotated[
        bool,
        typer.Option("--retry", metavar="", help="Try again to undo writes whose rows others had changed."),
    ] = False,
    keep_current: Annotated[
        bool,
        typer.Option("--keep-current", metavar="", help="Leave rows that others have changed as they are."),
    ] = False,
    as_json: Json = False,
) -> None:
    """Commit or roll back the branches that a dead process left prepared, and undo its BASE writes, as their decider says.

    Running sidecars do the same by themselves every few seconds. Branches of
    other transaction managers are never touched.

    \b
    dbmesh transactions resolve --config DIR
    """
    from dbmesh.cli.transactions import Dirty, resolve_transactions

    dirty = Dirty.KEEP_CURRENT if keep_current else Dirty.RETRY if retry else Dirty.LEAVE
    resolve_transactions(config, older_than, dirty, as_json=as_json)
