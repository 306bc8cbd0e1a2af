"""The configuration directory and its secrets: the only reading of files and environment that loading rules needs.

Decides which files of a directory are read and where `${env:NAME}`, `${file:path}` and `${command:…}` come from. What they mean, the
rules decide.
"""

from __future__ import annotations

import os
import shlex
import subprocess  # a key command is the operator's own
from pathlib import Path
from typing import Final

_COMMAND_TIME: Final = 10.0
"""Seconds a key command may take."""


def read_directory(directory: Path) -> dict[str, str]:
    """File name → text of every `*.yaml` file. Raises OSError; a file that is not UTF-8 keeps replacement characters,
    which the loader reports as what they are."""
    return {
        path.name: path.read_text(encoding="utf-8", errors="replace")
        for path in sorted(directory.iterdir())
        if path.suffix == ".yaml" and path.is_file()
    }


def resolve_secret(kind: str, name: str) -> str | None:
    """The value of `${env:NAME}`, the text of `${file:path}`, or what the command line of `${command:…}` prints, without the last line
    end; None when there is none."""
    if kind == "env":
        return os.environ.get(name)
    try:
        text = _printed(name) if kind == "command" else Path(name).read_text(encoding="utf-8")
    except (OSError, ValueError, subprocess.SubprocessError):
        return None
    return text.removesuffix("\n").removesuffix("\r")


def _printed(command: str) -> str:
    """What a command prints. What it says besides is not shown: it might tell the key. Raises OSError, ValueError, SubprocessError."""
    done = subprocess.run(
        shlex.split(command), capture_output=True, check=True, timeout=_COMMAND_TIME, stdin=subprocess.DEVNULL
    )
    return done.stdout.decode("utf-8")
