"""The verbs of `dbmesh encrypt`: their options and their help.

Decides what `main` decides for the others: how words on a command line become one call each.
"""

from __future__ import annotations

from typing import Annotated

import typer

from dbmesh.cli.options import Config, Json

Table = Annotated[str, typer.Argument(metavar="TABLE", help="The logic table.")]
Database = Annotated[
    str | None, typer.Option(metavar="DB", help="Logic database; may be left out when one has such a table.")
]
Chunk = Annotated[int, typer.Option(min=1, max=100_000, metavar="ROWS", help="Rows of one transaction.")]
Rate = Annotated[
    float, typer.Option(min=0, metavar="ROWS", help="Rows looked at in a second at most; 0: no limit.")
]

encrypt_app = typer.Typer(no_args_is_help=True, help="Encrypt rows that are there, while they are used.")


@encrypt_app.command()
def backfill(
    table: Table,
    config: Config,
    database: Database = None,
    chunk: Chunk = 500,
    rows_per_second: Rate = 0,
    as_json: Json = False,
) -> None:
    """Fill the columns that keep encrypted values from columns that are still plain.

    For columns with plain: true in the rules, which all sidecars must have. Rows
    are read along the primary key, each chunk under lock and in a transaction of
    its own. What was stopped goes on where the store remembers it; run again, it
    changes nothing.

    \b
    dbmesh encrypt backfill t_user --config DIR
    """
    from dbmesh.cli.encrypt import backfill as fill
    from dbmesh.engine.encrypting import Pace

    fill(config, table, database, Pace(chunk, rows_per_second), as_json=as_json)


@encrypt_app.command()
def rotate(
    table: Table,
    config: Config,
    database: Database = None,
    chunk: Chunk = 500,
    rows_per_second: Rate = 0,
    as_json: Json = False,
) -> None:
    """Encrypt every value anew that was made by another key than the newest.

    All sidecars must have the new key first. Afterwards the old ones can be taken
    out of the rules. Goes on and can be run again like backfill.

    \b
    dbmesh encrypt rotate t_user --config DIR
    """
    from dbmesh.cli.encrypt import rotate as renew
    from dbmesh.engine.encrypting import Pace

    renew(config, table, database, Pace(chunk, rows_per_second), as_json=as_json)
