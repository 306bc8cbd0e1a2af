"""The `dbmesh` command: its verbs, their options, their help and the exit codes.

Decides how words on a command line become one call each. Knows nothing of protocols, rules or shards.
Exit codes: 0 done, 1 a mistake in the configuration or the surroundings, 2 a mistake on the command line itself,
130 interrupted. `serve` and `demo` are meant to be interrupted: they end with 0.

What a verb does is imported when the verb is called, so that help and mistakes on the command line come at once.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from dbmesh import __version__
from dbmesh.cli.admin_verbs import admin_app
from dbmesh.cli.encrypt_verbs import encrypt_app
from dbmesh.cli.fault_verbs import fault_app
from dbmesh.cli.mirror_verbs import mirror_app
from dbmesh.cli.options import Config, Json
from dbmesh.cli.output import EXIT_MISTAKE, EXIT_OK, Failure, answers, report
from dbmesh.cli.reshard_verbs import reshard_app
from dbmesh.cli.rules_verbs import rules_app
from dbmesh.cli.transactions_verbs import transactions_app

MOST_ROWS = 1000
"""Circuit breakers that are listed."""


class Engine(StrEnum):
    """What holds the demo's rows."""

    SQLITE = "sqlite"
    MARIADB = "mariadb"


class LogFormat(StrEnum):
    """How the lines of the log read."""

    TEXT = "text"
    JSON = "json"


class BreakerAction(StrEnum):
    """What can be done to a circuit breaker."""

    LIST = "list"
    DECISIONS = "decisions"
    FORCE_OPEN = "force-open"
    FORCE_CLOSE = "force-close"
    DISABLE = "disable"
    RESET = "reset"


Host = Annotated[
    str, typer.Option(metavar="ADDRESS", help="Address to listen on; 0.0.0.0 for every interface.")
]


app = typer.Typer(
    name="dbmesh",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.add_typer(rules_app, name="rules")
ddl_app = typer.Typer(no_args_is_help=True, help="See and finish DDL that stopped half-way.")
app.add_typer(ddl_app, name="ddl")
app.add_typer(transactions_app, name="transactions")

mesh_app = typer.Typer(
    no_args_is_help=True, help="See the sidecars of the mesh and take them out of service."
)
app.add_typer(mesh_app, name="mesh")
app.add_typer(admin_app, name="admin")
sources_app = typer.Typer(no_args_is_help=True, help="See data sources and take them out of service.")
app.add_typer(sources_app, name="data-sources")
app.add_typer(fault_app, name="fault")
users_app = typer.Typer(no_args_is_help=True, help="See the accounts and roles of the mesh.")
app.add_typer(users_app, name="users")
app.add_typer(reshard_app, name="reshard")
app.add_typer(encrypt_app, name="encrypt")
app.add_typer(mirror_app, name="mirror")


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


@app.command()
def demo(
    engine: Annotated[
        Engine | None,
        typer.Option(
            help="sqlite (without the option) is embedded; mariadb starts two real servers (mariadbd has to be on PATH)."
        ),
    ] = None,
    host: Host = "127.0.0.1",
    port: Annotated[
        int, typer.Option(min=0, max=65535, metavar="PORT", help="Port to listen on; 0 takes any free one.")
    ] = 3307,
    data_dir: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Keep the data here and use it again next time. Without it the data goes with the demo.",
        ),
    ] = None,
    reshard: Annotated[
        bool,
        typer.Option(
            "--reshard",
            metavar="",
            help="The second act: tables move from 4 to 8 shards while clients write. Two MariaDB servers; ends by itself.",
        ),
    ] = False,
) -> None:
    """Start a sharded shop to try: two data sources, four shards, a few thousand rows.

    User root, password root, database shop. Stays in the foreground; Ctrl-C
    stops everything it started.

    \b
    dbmesh demo
    dbmesh demo --engine mariadb --port 3310 --data-dir ~/dbmesh-demo
    dbmesh demo --reshard
    """
    if reshard:
        from dbmesh.cli.demo_reshard import run_reshard_demo

        if engine is Engine.SQLITE:
            raise typer.BadParameter("SQLite's tables cannot be moved; leave '--engine sqlite' out")
        raise typer.Exit(run_reshard_demo(host, port, data_dir))
    from dbmesh.cli.demo import run_demo

    raise typer.Exit(run_demo((engine or Engine.SQLITE).value, host, port, data_dir))


@app.command()
def serve(
    config: Config,
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
    log_format: Annotated[
        LogFormat | None,
        typer.Option(
            help="Lines for people, or a JSON object per line. Without it, log-format of global.yaml (text)."
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
    from dbmesh.cli.serve import serve_directory

    raise typer.Exit(serve_directory(config, host, port, log_format.value if log_format else None))


@app.command()
def explain(
    statement: Annotated[str, typer.Argument(metavar="SQL", help="One statement, in quotes.")],
    config: Config,
    database: Annotated[str, typer.Option(metavar="DB", help="Logic database the statement is for.")],
    connect: Annotated[
        bool,
        typer.Option("--connect", metavar="", help="Read the tables from the data sources before planning."),
    ] = False,
) -> None:
    """Show the shots of a statement and how their answers become one, without executing it.

    Plans from the rules alone, unless --connect lets it read the tables from
    the data sources: then tables that no rule names are known too, and so are
    the columns' types.

    \b
    dbmesh explain --config DIR --database shop "SELECT * FROM t_order"
    """
    from dbmesh.cli.explain import explain_statement

    explain_statement(statement, config, database, connect=connect)


@ddl_app.command()
def status(config: Config) -> None:
    """List the DDL statements that have begun and not ended, with the state of each node.

    A mesh that is running a statement right now has it in this list too.

    \b
    dbmesh ddl status --config DIR
    """
    from dbmesh.cli.ddl import show_status

    show_status(config)


@ddl_app.command()
def resume(
    statement: Annotated[str, typer.Argument(metavar="ID", help="The id that ddl status shows.")],
    config: Config,
) -> None:
    """Finish a DDL statement that stopped half-way.

    Runs it on the nodes that have not done it. A node that turns out to have
    the change already is passed over.

    \b
    dbmesh ddl resume --config DIR 5f3a9c01
    """
    from dbmesh.cli.ddl import resume_statement

    resume_statement(config, statement)


@mesh_app.command("disable-instance")
def disable_instance(
    instance: Annotated[str, typer.Argument(metavar="ID", help="The id that mesh status shows.")],
    config: Config,
) -> None:
    """Take a sidecar out of service: it refuses new clients and closes those between two statements; it stays registered.

    \b
    dbmesh mesh disable-instance 5f3a9c01b2d4e6f8 --config DIR
    """
    from dbmesh.cli.mesh import switch_on_or_off

    switch_on_or_off(config, instance, on=False)


@mesh_app.command("enable-instance")
def enable_instance(
    instance: Annotated[str, typer.Argument(metavar="ID", help="The id that mesh status shows.")],
    config: Config,
) -> None:
    """Put a sidecar back into service.

    \b
    dbmesh mesh enable-instance 5f3a9c01b2d4e6f8 --config DIR
    """
    from dbmesh.cli.mesh import switch_on_or_off

    switch_on_or_off(config, instance, on=True)


@mesh_app.command()
def forget(
    place: Annotated[str, typer.Argument(metavar="ADDRESS", help="The address that mesh status shows.")],
    config: Config,
) -> None:
    """Say that a sidecar which is not heard of has ended, and will not start again without the store.

    A revision of the rules that moves rows waits for it until then.

    \b
    dbmesh mesh forget app-7:127.0.0.1:3307 --config DIR
    """
    from dbmesh.cli.mesh import forget_member

    forget_member(config, place)


DataSourceName = Annotated[str, typer.Argument(metavar="DB.NAME", help="A data source or a replica.")]


@sources_app.command("list")
def list_sources(config: Config, as_json: Json = False) -> None:
    """List data sources and the servers of replica groups, and whether they are in service.

    \b
    dbmesh data-sources list --config DIR
    """
    from dbmesh.cli.data_sources import list_data_sources

    list_data_sources(config, as_json=as_json)


@sources_app.command("disable")
def disable_source(name: DataSourceName, config: Config) -> None:
    """Take a data source out of service on every sidecar: statements that need it are refused. A replica is no longer read.

    \b
    dbmesh data-sources disable shop.ds_1 --config DIR
    """
    from dbmesh.cli.data_sources import switch

    switch(config, name, on=False)


@sources_app.command("enable")
def enable_source(name: DataSourceName, config: Config) -> None:
    """Put a data source or a replica back into service.

    \b
    dbmesh data-sources enable shop.ds_1 --config DIR
    """
    from dbmesh.cli.data_sources import switch

    switch(config, name, on=True)


@users_app.command("list")
def list_users(config: Config, as_json: Json = False) -> None:
    """List users and roles: those of the files, and those that SQL has made.

    \b
    dbmesh users list --config DIR
    """
    from dbmesh.cli.users import list_users

    list_users(config, as_json=as_json)


@users_app.command("show")
def show_user(
    name: Annotated[str, typer.Argument(metavar="NAME[@HOST]", help="A user or a role.")],
    config: Config,
    as_json: Json = False,
) -> None:
    """Show what a user or a role holds.

    \b
    dbmesh users show app --config DIR
    """
    from dbmesh.cli.users import show_user

    show_user(config, name, as_json=as_json)


@mesh_app.command("status")
def mesh_status(config: Config, as_json: Json = False) -> None:
    """List the sidecars that are alive: where, which version, and whether they run this configuration.

    Reads the store that the configuration names: a file for the sidecars of
    this node, etcd for those of several.

    \b
    dbmesh mesh status --config DIR
    """
    from dbmesh.cli.mesh import show_instances

    show_instances(config, as_json=as_json)


@app.command()
def breaker(
    action: Annotated[BreakerAction, typer.Argument(help="What to do.", show_default=False)],
    config: Config,
    name: Annotated[
        str | None, typer.Argument(metavar="NAME", help="database.data_source, or a fingerprint.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Decide about a circuit breaker, on every sidecar of the mesh.

    force-open refuses everything, force-close refuses nothing and counts,
    disable does not even count; reset takes the decision back. list shows the
    states of the sidecar whose admin API the configuration names.

    \b
    Examples
    dbmesh breaker force-open shop.ds_0 --config DIR
    dbmesh breaker decisions --config DIR
    """
    if action is BreakerAction.LIST:
        from dbmesh.cli.admin import show_table

        show_table(config, None, "breakers", MOST_ROWS, as_json=as_json)
        return
    from dbmesh.cli.breaker import run_action

    run_action(config, action.value, name, as_json=as_json)


@app.command()
def migrate(
    config: Config,
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="Directory with the *.sql files.")] = Path(
        "migrations"
    ),
    database: Annotated[
        str | None, typer.Option(metavar="DB", help="Logic database; may be left out when there is one.")
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", metavar="", help="Say what would be run; run nothing.")
    ] = False,
) -> None:
    """Run the files of a directory on every data node, in the order of their names, each once.

    What was run is remembered in the store. A file that failed goes on with
    the statement that failed; a file that was changed after it was run is
    refused.

    \b
    dbmesh migrate --config DIR --database shop migrations
    """
    from dbmesh.cli.migrate import migrate as migrate_files

    migrate_files(config, directory, database, dry_run=dry_run)


def run(arguments: Sequence[str] | None = None) -> int:
    """Runs one command line (sys.argv's when None) and returns its exit code. A Failure becomes a sentence on stderr."""
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
