"""Options that several verbs of the command line have.

Decides their names and their help.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Config = Annotated[
    Path, typer.Option("--config", metavar="DIR", help="Directory with global.yaml and database-*.yaml.")
]
Json = Annotated[bool, typer.Option("--json", metavar="", help="Print JSON.")]
