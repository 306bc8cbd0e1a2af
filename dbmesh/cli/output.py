"""What the command line says and where: answers to stdout, mistakes to stderr, one clear sentence each.

Decides how a mistake looks and that it never is a traceback. Knows nothing of what the commands do.
"""

from __future__ import annotations

import os
import sys

from rich.console import Console
from rich.text import Text

EXIT_OK = 0
EXIT_MISTAKE = 1
EXIT_DIFFERENT = 3
EXIT_INTERRUPTED = 130


class Failure(Exception):
    """The command cannot do what was asked. `sentence` says what and what to do; `notes` are further lines, each a
    place with its own sentence. Ends the process with exit code 1."""

    def __init__(self, sentence: str, notes: tuple[str, ...] = ()) -> None:
        super().__init__(sentence)
        self.sentence = sentence
        self.notes = notes


_UNFOLDED = 10_000
"""Columns of what is no terminal: a table has as many as it needs there."""


def answers() -> Console:
    """The console of answers. Made per call: tests and pipes replace sys.stdout. Files and pipes get whole lines, unless COLUMNS says
    otherwise: what reads them looks for an address or an id, which no cell may break."""
    folds = sys.stdout.isatty() or "COLUMNS" in os.environ
    return Console(file=sys.stdout, highlight=False, width=None if folds else _UNFOLDED)


def complaints() -> Console:
    """The console of mistakes."""
    return Console(file=sys.stderr, highlight=False)


def report(failure: Failure) -> None:
    """Writes a failure to stderr. Lines are not wrapped, so that `file:line:` stays readable to editors."""
    console = complaints()
    for note in failure.notes:
        console.print(Text(note), soft_wrap=True)
    console.print(Text.assemble(("error: ", "bold red"), failure.sentence), soft_wrap=True)
