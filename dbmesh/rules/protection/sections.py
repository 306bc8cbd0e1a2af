"""The shape of the section `protection` as pydantic models: keys, types, defaults.

Decides which keys exist. What they mean together is checked by `build`.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from dbmesh.rules.models import Names, Section


class SelectionSection(Section):
    """Which statements something is for: those that every given key names. Keys left out name all."""

    users: Names = Field(default_factory=list, description="Accounts' names; * stands for any letters.")
    databases: Names = Field(default_factory=list, description="Logic databases; * stands for any letters.")
    tables: Names = Field(
        default_factory=list, description="Logic tables a statement names; * stands for any letters."
    )
    verbs: Names = Field(default_factory=list, description="First words: SELECT, UPDATE, …")
    fingerprints: Names = Field(default_factory=list, description="Digests of statements' shapes.")
    addresses: Names = Field(
        default_factory=list, description="Clients' addresses or networks, e.g. 10.0.0.0/8."
    )


class BreakerSection(SelectionSection):
    """Circuit breakers of one kind: each data source, or each fingerprint, has its own."""

    per: Literal["dataSource", "fingerprint"] = Field(description="What has a breaker of its own.")
    data_sources: Names = Field(
        default_factory=list, description="Data sources, of breakers per data source; all when missing."
    )
    enforced: bool = Field(default=True, description="false: it counts and refuses nothing.")
    window_calls: int = Field(default=0, ge=0, description="Calls looked at; 0: those of windowSeconds.")
    window_seconds: float = Field(default=10, gt=0, description="Seconds looked at.")
    minimum_calls: int = Field(default=20, ge=1, description="Fewer calls in the window decide nothing.")
    failure_percent: float = Field(
        default=50, gt=0, le=100, description="Opens when so many of the calls failed."
    )
    slow_call_milliseconds: int = Field(
        default=0, ge=0, description="A call is slow from here on; 0: none is."
    )
    slow_call_percent: float = Field(
        default=100, gt=0, le=100, description="Opens when so many of the calls were slow."
    )
    open_milliseconds: int = Field(
        default=5000,
        ge=1,
        description="How long it stays open the first time; doubled each time it opens again.",
    )
    longest_open_milliseconds: int = Field(default=60_000, ge=1, description="It never stays open longer.")
    jitter_percent: float = Field(
        default=20,
        ge=0,
        le=100,
        description="The part of that time by which breakers that opened together differ.",
    )
    probes: int = Field(
        default=3, ge=1, description="Calls let through, when it is half open, before it closes."
    )


class ProtectionSection(Section):
    """The section `protection`."""

    breakers: dict[str, BreakerSection] = Field(default_factory=dict, description="Circuit breakers by name.")
