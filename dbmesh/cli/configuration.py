"""The configuration directory and its secrets: the only reading of files and environment that loading rules needs.

Decides which files of a directory are read and where `${env:NAME}` and `${file:path}` come from. What they mean, the
rules decide.
"""

from __future__ import annotations

import os
from pathlib import Path


def read_directory(directory: Path) -> dict[str, str]:
    """File name → text of every `*.yaml` file. Raises OSError; a file that is not UTF-8 keeps replacement characters,
    which the loader reports as what they are."""
    return {
        path.name: path.read_text(encoding="utf-8", errors="replace")
        for path in sorted(directory.iterdir())
        if path.suffix == ".yaml" and path.is_file()
    }


def resolve_secret(kind: str, name: str) -> str | None:
    """The value of `${env:NAME}`, or the text of `${file:path}` without its last line end; None when there is none."""
    if kind == "env":
        return os.environ.get(name)
    try:
        return Path(name).read_text(encoding="utf-8").removesuffix("\n").removesuffix("\r")
    except (OSError, UnicodeDecodeError):
        return None
