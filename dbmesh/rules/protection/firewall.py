"""The firewall's policy as a value: its rules in their order, and what holds where none is about a statement."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum

from dbmesh.rules.protection.selection import ALL, Selection


class FirewallMode(Enum):
    """What the firewall does with what it would stop."""

    OFF = "off"
    DETECTING = "detecting"
    PROTECTING = "protecting"
    LEARNING = "learning"


@dataclass(frozen=True, slots=True)
class FirewallRule:
    """Which statements a rule is about: those of `selection` in whose text without values `pattern` is found, and with
    `without_where` only an UPDATE or DELETE that has no WHERE. `message` is told to those it stops."""

    name: str
    allows: bool
    selection: Selection = ALL
    pattern: re.Pattern[str] | None = None
    without_where: bool = False
    message: str = ""


@dataclass(frozen=True, slots=True)
class FirewallPolicy:
    """The whole of it. `learned` is the file for what is learned, '' for none."""

    mode: FirewallMode = FirewallMode.OFF
    allows_by_default: bool = True
    rules: tuple[FirewallRule, ...] = ()
    learned: str = ""


NO_FIREWALL = FirewallPolicy()
"""Everything may run."""
