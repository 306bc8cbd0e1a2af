"""From a configuration directory to a `Configuration`, with every mistake turned into lines a user can act on.

Decides how a mistake of the rules reads on a terminal. What a mistake is, the rules decide.
"""

from __future__ import annotations

from pathlib import Path

from dbmesh.cli.configuration import read_directory, resolve_secret
from dbmesh.cli.output import Failure
from dbmesh.rules.data_sources import Secrets
from dbmesh.rules.loader import load_configuration
from dbmesh.rules.mistakes import ConfigurationError, Mistake
from dbmesh.rules.ruleset import Configuration

_LONG_ENOUGH = 16


def load_directory(directory: Path, secrets: Secrets = resolve_secret) -> Configuration:
    """Reads and checks every file of `directory`. Raises Failure that names every mistake at once."""
    try:
        return load_configuration(read_directory(directory), secrets)
    except OSError as error:
        raise Failure(f"{directory} cannot be read: {error.strerror or error}") from error
    except ConfigurationError as error:
        notes = tuple(describe(directory, mistake) for mistake in error.mistakes)
        files = len({mistake.file for mistake in error.mistakes})
        raise Failure(
            f"{counted(len(notes), 'mistake')} in {counted(files, 'file')} of {directory}", notes
        ) from error


def secret_or_name(kind: str, name: str) -> str | None:
    """Secrets are the sidecars'; where this machine has none, their names stand for them. No key command is run."""
    found = None if kind == "command" else resolve_secret(kind, name)
    # As long as a token or a key must be.
    return found or f"{kind}:{name}".ljust(_LONG_ENOUGH, ".")


def describe(directory: Path, mistake: Mistake) -> str:
    """`file:line: key: what is wrong` and, indented below it, the fix. No line where the whole file is meant."""
    place = f"{directory / mistake.file}:{mistake.line}" if mistake.line else f"{directory / mistake.file}"
    key = f"{mistake.key_path}: " if mistake.key_path else ""
    return f"{place}: {key}{mistake.message}\n    fix: {mistake.fix}"


def counted(number: int, noun: str, several: str = "") -> str:
    """`1 file`, `2 files`; `several` where the plural is another."""
    return f"{number} {noun}" if number == 1 else f"{number} {several or noun + 's'}"
