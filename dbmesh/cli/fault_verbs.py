"""The verbs of `dbmesh fault`: their options and their help.

Decides how words on a command line become one call each.
"""

from __future__ import annotations

from typing import Annotated

import typer

from dbmesh.cli.options import Config, Json

fault_app = typer.Typer(
    no_args_is_help=True, help="Make faults on purpose while the mesh runs, to rehearse what happens then."
)

Name = Annotated[str, typer.Argument(metavar="NAME", help="What the fault is called.")]
Several = list[str] | None


@fault_app.command("list")
def list_(config: Config, as_json: Json = False) -> None:
    """List the faults that were added and are not over.

    \b
    dbmesh fault list --config DIR
    """
    from dbmesh.cli.fault import list_faults

    list_faults(config, as_json=as_json)


@fault_app.command()
def add(
    name: Name,
    config: Config,
    seconds: Annotated[float, typer.Option("--for", min=1, metavar="SECONDS", help="When it ends.")] = 60,
    percent: Annotated[float, typer.Option(min=0.001, max=100, help="How many it hits.")] = 100,
    delay: Annotated[int, typer.Option(min=0, metavar="MS", help="How long they wait.")] = 0,
    error: Annotated[int, typer.Option(min=0, max=65535, help="The error they end in.")] = 0,
    disconnect: Annotated[
        bool, typer.Option("--disconnect", metavar="", help="They lose their connection.")
    ] = False,
    data_source: Annotated[
        Several, typer.Option(help="Hits this data source's connections, instead of statements.")
    ] = None,
    user: Annotated[Several, typer.Option(help="Hits this account's statements.")] = None,
    database: Annotated[Several, typer.Option(help="Hits statements of this logic database.")] = None,
    table: Annotated[Several, typer.Option(help="Hits statements that name this table.")] = None,
    verb: Annotated[Several, typer.Option(help="Hits statements that begin with this word.")] = None,
    fingerprint: Annotated[Several, typer.Option(help="Hits statements of this digest.")] = None,
) -> None:
    """Make a fault on every sidecar. It ends by itself.

    What is hit can be given several times; without it every statement is.

    \b
    dbmesh fault add late --delay 200 --percent 10 --for 300 --config DIR
    dbmesh fault add gone --disconnect --data-source ds_1 --config DIR
    """
    from dbmesh.cli.fault import add

    hits = {
        "dataSources": data_source,
        "users": user,
        "databases": database,
        "tables": table,
        "verbs": verb,
        "fingerprints": fingerprint,
    }
    section: dict[str, object] = {key: names for key, names in hits.items() if names}
    section |= {"percent": percent, "delayMilliseconds": delay, "error": error, "disconnect": disconnect}
    add(config, name, section, seconds)


@fault_app.command()
def remove(name: Name, config: Config) -> None:
    """End a fault before its time.

    \b
    dbmesh fault remove late --config DIR
    """
    from dbmesh.cli.fault import remove

    remove(config, name)
