"""`dbmesh mirror`: its verbs, their options and help.

Decides words only; `mirror` does the work.
"""

from __future__ import annotations

import typer

from dbmesh.cli.admin_verbs import Url
from dbmesh.cli.options import Config, Json

mirror_app = typer.Typer(no_args_is_help=True, help="See how the answers of a mirror differ.")


@mirror_app.callback()
def mirror() -> None:
    """See how the answers of a mirror differ."""


@mirror_app.command("report")
def report_mirrors(config: Config, url: Url = None, as_json: Json = False) -> None:
    """Show what a running sidecar's mirrors have found: how many answers were the same, what differed by statement, and the last
    ones that did.

    \b
    dbmesh mirror report --config DIR
    """
    from dbmesh.cli.mirror import show_report

    show_report(config, url, as_json=as_json)
