"""Reading an algorithm's properties, with every mistake worded for the operator.

Decides the wording. Which properties an algorithm has is its own file's business.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


class PropertyMistake(Exception):
    """One mistake in an algorithm's properties: the key, what is wrong, what to do."""

    def __init__(self, key: str, message: str, fix: str) -> None:
        super().__init__(message)
        self.key = key
        self.message = message
        self.fix = fix


@dataclass(frozen=True, slots=True)
class PropertyReader:
    """Typed access to string properties. Every method raises `PropertyMistake`."""

    properties: Mapping[str, str]

    def text(self, key: str, default: str | None = None) -> str:
        """A text that is not empty."""
        value = self.properties.get(key, default)
        if value is None or not value.strip():
            raise PropertyMistake(key, f"property '{key}' is missing", f"add '{key}' under props")
        return value.strip()

    def integer(
        self, key: str, default: int | None = None, least: int | None = None, most: int | None = None
    ) -> int:
        """An integer within bounds."""
        raw = self.text(key, None if default is None else str(default))
        try:
            value = int(raw)
        except ValueError:
            raise PropertyMistake(key, f"'{raw}' is not an integer", "write digits only") from None
        if least is not None and value < least:
            raise PropertyMistake(key, f"{value} is below {least}", f"use {least} or more")
        if most is not None and value > most:
            raise PropertyMistake(key, f"{value} is above {most}", f"use {most} or less")
        return value

    def boolean(self, key: str, default: bool) -> bool:
        """true or false."""
        raw = self.text(key, "true" if default else "false").lower()
        if raw not in ("true", "false"):
            raise PropertyMistake(key, f"'{raw}' is neither true nor false", "write true or false")
        return raw == "true"
