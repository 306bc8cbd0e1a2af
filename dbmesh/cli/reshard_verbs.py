"""The verbs of `dbmesh reshard`: their options and their help.

Decides what `main` decides for the others: how words on a command line become one call each.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from dbmesh.cli.options import Config, Json

reshard_app = typer.Typer(no_args_is_help=True, help="Move tables to other data nodes while clients go on.")


@reshard_app.callback()
def reshard() -> None:
    """Move tables to other data nodes while clients go on."""


ModeOption = Annotated[
    Literal["double-write", "cdc"],
    typer.Option(
        help="How writes reach the new tables while rows are copied: double-write sends each to both sides; cdc takes "
        "them from the binlogs, which costs writes nothing and needs binlogs of rows.",
    ),
]


@reshard_app.command()
def plan(
    to: Annotated[
        Path, typer.Argument(metavar="DIR", help="Directory with the new global.yaml and database-*.yaml.")
    ],
    config: Config,
    database: Annotated[
        str | None, typer.Option(metavar="DB", help="Logic database; needed where there are several.")
    ] = None,
    mode: ModeOption = "double-write",
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
    from dbmesh.reshard.jobs.job import Mode

    raise typer.Exit(show_plan(config, to, database, Mode(mode), as_json=as_json))


Number = Annotated[
    int | None, typer.Argument(metavar="JOB", help="Its number; the one under way without it.")
]
Wait = Annotated[bool, typer.Option("--wait/--no-wait", help="Wait until it is done.")]


@reshard_app.command()
def start(
    to: Annotated[
        Path, typer.Argument(metavar="DIR", help="Directory with the new global.yaml and database-*.yaml.")
    ],
    config: Config,
    database: Annotated[
        str | None, typer.Option(metavar="DB", help="Logic database; needed where there are several.")
    ] = None,
    mode: ModeOption = "double-write",
    comment: Annotated[str, typer.Option(metavar="TEXT", help="Why, for the list of jobs.")] = "",
    dry_run: Annotated[
        bool, typer.Option("--dry-run", metavar="", help="Print the plan; begin nothing.")
    ] = False,
    automatic: Annotated[
        bool, typer.Option("--cutover", metavar="", help="Cut over by itself once both sides are verified.")
    ] = False,
    hold: Annotated[
        float,
        typer.Option(min=0.05, max=4, metavar="SECONDS", help="How long a switch may hold statements back."),
    ] = 1.0,
    rate: Annotated[
        int, typer.Option(min=0, metavar="ROWS", help="Rows copied a second at most; 0: any number.")
    ] = 0,
    as_json: Json = False,
) -> None:
    """Begin to move tables to where new rules look for them, while clients go on.

    Sidecars carry the job out: they make the new tables, write to both sides,
    copy and verify. Then the job waits for `cutover`. With --mode cdc they copy
    first and follow the sources' binlogs, and write to both sides when little is
    left: for tables that are written much. Of the new files only that of the
    database counts. Exit code 3: obstacles, nothing has begun.

    \b
    dbmesh reshard start /etc/dbmesh.new --config /etc/dbmesh
    """
    from dbmesh.cli.reshard import show_plan
    from dbmesh.cli.reshard_start import start_job
    from dbmesh.reshard.jobs.job import Mode

    wanted = Mode(mode)
    if dry_run:
        raise typer.Exit(show_plan(config, to, database, wanted, as_json=as_json))
    code = start_job(
        config, to, database, comment, wanted, automatic=automatic, hold=hold, rate=rate, as_json=as_json
    )
    raise typer.Exit(code)


@reshard_app.command()
def status(config: Config, job: Number = None, as_json: Json = False) -> None:
    """Say how far a job is: the one under way, or the last one.

    Exit code 3: it does not go on by itself, and says why.

    \b
    dbmesh reshard status --config DIR
    """
    from dbmesh.cli.reshard_jobs import show_status

    raise typer.Exit(show_status(config, job, as_json=as_json))


@reshard_app.command()
def watch(config: Config, job: Number = None, as_json: Json = False) -> None:
    """Show a job while it works, until it waits for you, ends, or does not go on.

    Rows copied and verified, rows a second, what is left, how each binlog is
    followed. With --json a line for each change.

    \b
    dbmesh reshard watch --config DIR
    """
    from dbmesh.cli.reshard_jobs import watch_job

    raise typer.Exit(watch_job(config, job, as_json=as_json))


@reshard_app.command("list")
def list_of_jobs(config: Config, as_json: Json = False) -> None:
    """List all jobs there were.

    \b
    dbmesh reshard list --config DIR
    """
    from dbmesh.cli.reshard_jobs import list_jobs

    list_jobs(config, as_json=as_json)


@reshard_app.command()
def pause(config: Config, job: Number = None, as_json: Json = False) -> None:
    """Let copying and verifying stand still; writes go on to both sides.

    \b
    dbmesh reshard pause --config DIR
    """
    from dbmesh.cli.reshard_jobs import pause_job

    raise typer.Exit(pause_job(config, job, as_json=as_json))


@reshard_app.command()
def resume(config: Config, job: Number = None, as_json: Json = False) -> None:
    """Let a job go on that was paused, or did not go on by itself.

    \b
    dbmesh reshard resume --config DIR
    """
    from dbmesh.cli.reshard_jobs import resume_job

    raise typer.Exit(resume_job(config, job, as_json=as_json))


@reshard_app.command()
def throttle(
    rate: Annotated[int, typer.Argument(min=0, metavar="ROWS", help="Rows a second at most; 0: any number.")],
    config: Config,
    job: Annotated[int | None, typer.Option(metavar="JOB", help="Its number.")] = None,
    as_json: Json = False,
) -> None:
    """Say how fast rows may be copied, from now on.

    \b
    dbmesh reshard throttle 5000 --config DIR
    """
    from dbmesh.cli.reshard_jobs import throttle_job

    raise typer.Exit(throttle_job(config, job, rate, as_json=as_json))


def _asks(config: Path, job: int | None, wish: str, *, wait: bool, as_json: bool) -> None:
    from dbmesh.cli.reshard_jobs import ask
    from dbmesh.reshard.jobs.job import Wish

    raise typer.Exit(ask(config, job, Wish(wish), wait=wait, as_json=as_json))


@reshard_app.command()
def verify(config: Config, job: Number = None, wait: Wait = True, as_json: Json = False) -> None:
    """Compare both sides once more, under live load, and repair what differs.

    \b
    dbmesh reshard verify --config DIR
    """
    _asks(config, job, "verify", wait=wait, as_json=as_json)


@reshard_app.command()
def cutover(config: Config, job: Number = None, wait: Wait = True, as_json: Json = False) -> None:
    """Read the new tables from here on; the former ones still get every write.

    New statements wait until those under way have ended, for the time given at
    the start at most. When that is too short nothing changes, and it says who
    was in the way (exit code 3).

    \b
    dbmesh reshard cutover --config DIR
    """
    _asks(config, job, "cutover", wait=wait, as_json=as_json)


@reshard_app.command()
def rollback(config: Config, job: Number = None, wait: Wait = True, as_json: Json = False) -> None:
    """Read the former tables again, with everything written since the cutover.

    \b
    dbmesh reshard rollback --config DIR
    """
    _asks(config, job, "rollback", wait=wait, as_json=as_json)


@reshard_app.command()
def finish(config: Config, job: Number = None, wait: Wait = True, as_json: Json = False) -> None:
    """Drop the former tables, in small steps; after that there is no way back.

    \b
    dbmesh reshard finish --config DIR
    """
    _asks(config, job, "finish", wait=wait, as_json=as_json)


@reshard_app.command()
def cancel(config: Config, job: Number = None, wait: Wait = True, as_json: Json = False) -> None:
    """Give a job up before its cutover: the new tables are dropped.

    \b
    dbmesh reshard cancel --config DIR
    """
    _asks(config, job, "cancel", wait=wait, as_json=as_json)
