"""The verbs of `dbmesh rules`: their options and their help.

Decides what `main` decides for the others: how words on a command line become one call each.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from dbmesh.cli.options import Config, Json

Directory = Annotated[
    Path, typer.Argument(metavar="DIR", help="Directory with global.yaml and database-*.yaml.")
]
Comment = Annotated[str, typer.Option(metavar="TEXT", help="Why, for the history.")]
Moved = Annotated[
    bool,
    typer.Option("--rows-are-moved", metavar="", help="Rows are where the new rules look for them."),
]
Limit = Annotated[
    float,
    typer.Option("--timeout", min=1, metavar="SECONDS", help="How long sidecars may take to make it ready."),
]

rules_app = typer.Typer(no_args_is_help=True, help="Check, show and change rules.")


@rules_app.command()
def validate(
    directory: Annotated[
        Path, typer.Argument(metavar="DIR", help="Directory with global.yaml and database-*.yaml.")
    ],
) -> None:
    """Check every file of a configuration directory and report every mistake at once.

    Connects to nothing. Each mistake names the file, the line, the key, what
    is wrong and how to fix it.

    \b
    dbmesh rules validate sharding_rules
    """
    from dbmesh.cli.rules import validate_directory

    validate_directory(directory)


@rules_app.command()
def schema() -> None:
    """Print the JSON Schema of the configuration files, for editors.

    \b
    dbmesh rules schema > dbmesh.schema.json
    """
    from dbmesh.cli.rules import print_schema

    print_schema()


@rules_app.command("diff")
def diff_rules(directory: Directory, as_json: Json = False) -> None:
    """Say what applying a directory would change in the rules of the mesh.

    By table, data source and user, in words. Exit code 0: nothing; 3: something.

    \b
    dbmesh rules diff /etc/dbmesh
    """
    from dbmesh.cli.revisions import show_differences

    raise typer.Exit(show_differences(directory, as_json=as_json))


@rules_app.command("apply")
def apply_rules(
    directory: Directory,
    comment: Comment = "",
    dry_run: Annotated[
        bool, typer.Option("--dry-run", metavar="", help="Say what would change; change nothing.")
    ] = False,
    moved: Moved = False,
    limit: Limit = 30.0,
    as_json: Json = False,
) -> None:
    """Roll the rules and users of a directory out to every sidecar of the mesh.

    Each sidecar makes them ready first; when all have, they become active
    everywhere at once. Where one cannot, nothing changes and it says why.

    \b
    dbmesh rules apply /etc/dbmesh --comment "t_invoice is sharded"
    """
    from dbmesh.cli.revisions import apply_directory

    apply_directory(directory, comment, dry_run=dry_run, moved=moved, limit=limit, as_json=as_json)


@rules_app.command("history")
def rules_history(config: Config, as_json: Json = False) -> None:
    """List the revisions of the rules: who applied them when and why, and what became of them.

    \b
    dbmesh rules history --config DIR
    """
    from dbmesh.cli.revisions import show_history

    show_history(config, as_json=as_json)


@rules_app.command("rollback")
def roll_back_rules(
    config: Config,
    revision: Annotated[
        int | None, typer.Argument(metavar="REVISION", help="Which one; the one before without it.")
    ] = None,
    comment: Comment = "",
    moved: Moved = False,
    limit: Limit = 30.0,
    as_json: Json = False,
) -> None:
    """Roll the rules of an earlier revision out again, as a new revision.

    \b
    dbmesh rules rollback --config DIR 4
    """
    from dbmesh.cli.revisions import roll_back

    roll_back(config, revision, comment, moved=moved, limit=limit, as_json=as_json)


@rules_app.command()
def show(
    config: Config,
    database: Annotated[str | None, typer.Option(metavar="DB", help="Only this logic database.")] = None,
) -> None:
    """Print the rules that hold, those of the files and those that CREATE TABLE made, as YAML.

    \b
    dbmesh rules show --config DIR --database shop
    """
    from dbmesh.cli.rules import show_rules

    show_rules(config, database)
