"""Mistakes in a configuration: where, what, and what to do. All of them travel together.

Decides only their form.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, order=True)
class Mistake:
    """One mistake. `line` counts from 1; 0 when the whole file is meant. `key_path` is like `rules[0].tables.t_order`."""

    file: str
    line: int
    key_path: str
    message: str
    fix: str

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}" if self.line else self.file
        where = f" {self.key_path}:" if self.key_path else ""
        return f"{place}:{where} {self.message}; {self.fix}"


class ConfigurationError(Exception):
    """A configuration cannot be used. `mistakes` are all of them, in file and line order."""

    def __init__(self, mistakes: tuple[Mistake, ...]) -> None:
        # Each of several data nodes may have met the same one.
        self.mistakes = tuple(sorted(set(mistakes)))
        super().__init__("\n".join(map(str, self.mistakes)))
