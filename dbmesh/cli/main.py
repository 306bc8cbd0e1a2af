"""The `dbmesh` command: its verbs, its help and its exit codes.

Decides how words on a command line become one call each. Knows nothing of protocols, rules or shards.
Exit codes: 0 done, 1 a mistake in the configuration or the surroundings, 2 a mistake on the command line itself,
130 interrupted. `serve` and `demo` are meant to be interrupted: they end with 0.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Annotated

import typer

from dbmesh import __version__
from dbmesh.cli import demo, explain, rules, serve
from dbmesh.cli.output import EXIT_MISTAKE, EXIT_OK, Failure, answers, report

app = typer.Typer(
    name="dbmesh",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _print_version(wanted: bool) -> None:
    if wanted:
        answers().print(f"dbmesh {__version__}")
        raise typer.Exit(EXIT_OK)


@app.callback()
def dbmesh(
    version: Annotated[
        bool,
        typer.Option(
            "--version",
            callback=_print_version,
            is_eager=True,
            metavar="",
            help="Print the version and exit.",
        ),
    ] = False,
) -> None:
    """One MySQL port in front of many databases.

    dbmesh runs beside your application, speaks the MySQL protocol and spreads
    each statement over the shards your rules name.

    \b
    Try it              dbmesh demo
    Check your rules    dbmesh rules validate DIR
    See where SQL goes  dbmesh explain --config DIR --database shop "SELECT 1"
    Run it              dbmesh serve --config DIR
    """


app.command("serve")(serve.serve)
app.command("demo")(demo.demo)
app.command("explain")(explain.explain)
app.add_typer(rules.app, name="rules")


def run(arguments: Sequence[str] | None = None) -> int:
    """Runs one command line (sys.argv without it) and returns its exit code. Never raises."""
    try:
        app(args=None if arguments is None else list(arguments), prog_name="dbmesh")
    except Failure as failure:
        report(failure)
        return EXIT_MISTAKE
    except SystemExit as ending:
        return ending.code if isinstance(ending.code, int) else EXIT_OK
    return EXIT_OK


def main() -> None:
    """The entry point of the installed script."""
    sys.exit(run())
