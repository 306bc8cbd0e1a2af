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


class LimitSection(SelectionSection):
    """How many statements of a kind may run: each user, database, fingerprint or data source by itself, or all together."""

    per: Literal["user", "database", "fingerprint", "dataSource", "all"] = Field(
        default="all", description="What has a limit of its own."
    )
    data_sources: Names = Field(
        default_factory=list, description="Data sources, of limits per data source; all when missing."
    )
    rate: float = Field(default=0, ge=0, description="Statements per second; 0: any number.")
    burst: int = Field(
        default=0, ge=0, description="Statements at once after a pause; 0: those of one second."
    )
    concurrency: int = Field(default=0, ge=0, description="Statements that run at one time; 0: any number.")
    waiting: int = Field(
        default=0,
        ge=0,
        description="Statements that may wait for their turn; 0: none, they are refused at once.",
    )
    wait_milliseconds: int = Field(default=1000, ge=1, description="How long one waits; then it is refused.")
    adaptive: bool = Field(
        default=False,
        description="Fewer than concurrency may run when statements become slower the more of them run.",
    )
    least_concurrency: int = Field(default=4, ge=1, description="The least that may run, if adaptive.")
    shared: bool = Field(default=False, description="The rate is that of all sidecars together.")


class TimeoutSection(SelectionSection):
    """How long statements and transactions may take, and how much an answer may be; 0 is no limit."""

    statement_milliseconds: int = Field(
        default=0, ge=0, description="Time of one statement; then it is killed on its data sources."
    )
    transaction_milliseconds: int = Field(
        default=0, ge=0, description="Time of one transaction; then its client is disconnected."
    )
    idle_in_transaction_milliseconds: int = Field(
        default=0,
        ge=0,
        description="Time between two statements of a transaction; then its client is disconnected.",
    )
    most_rows: int = Field(default=0, ge=0, description="Rows of one answer.")
    most_bytes: int = Field(default=0, ge=0, description="Bytes of the rows of one answer.")


class ConnectionLimitSection(Section):
    """How many connections each account may have."""

    users: Names = Field(default_factory=list, description="Accounts' names; * stands for any letters.")
    per_user: int = Field(ge=0, description="Most connections of one account; 0: none may log in.")


class FirewallRuleSection(SelectionSection):
    """Statements that are stopped, or let through."""

    action: Literal["deny", "allow"] = Field(default="deny", description="What the firewall does with them.")
    pattern: str = Field(
        default="",
        description="A regular expression that is found in the statement without its values, upper or lower case.",
    )
    fingerprints_file: str = Field(
        default="",
        description="A file whose lines begin with fingerprints, as the firewall writes when it learns.",
    )
    without_where: bool = Field(
        default=False, description="Only UPDATE and DELETE without a WHERE of their own."
    )
    message: str = Field(default="", description="What those are told that are stopped.")


class FirewallSection(Section):
    """The firewall: the first rule that is about a statement decides."""

    mode: Literal["off", "detecting", "protecting", "learning"] = Field(
        default="protecting",
        description="protecting: statements are stopped. detecting: only the log says so. learning: nothing is stopped, and who runs what is noted.",
    )
    default: Literal["allow", "deny"] = Field(
        default="allow", description="What holds for statements that no rule is about."
    )
    learned: str = Field(default="", description="The file for what is learned.")
    rules: dict[str, FirewallRuleSection] = Field(default_factory=dict, description="Rules by name.")


class FaultSection(SelectionSection):
    """A fault that is made on purpose."""

    data_sources: Names = Field(
        default_factory=list,
        description="Hits these when a connection to them is lent, instead of statements.",
    )
    percent: float = Field(default=100, gt=0, le=100, description="How many of them it hits.")
    delay_milliseconds: int = Field(default=0, ge=0, description="How long they wait.")
    error: int = Field(default=0, ge=0, le=65535, description="The error they end in; 0: none.")
    sqlstate: str = Field(default="HY000", pattern="^[0-9A-Z]{5}$", description="Its SQLSTATE.")
    message: str = Field(default="injected fault", description="Its text.")
    disconnect: bool = Field(
        default=False, description="Closes the client's connection, or finds the data source unreachable."
    )
    until: str = Field(description="When it ends, e.g. 2030-01-31T18:00:00Z.")


class AuditRuleSection(SelectionSection):
    """Statements that are written to the audit log."""

    outcomes: Names = Field(default_factory=list, description="ok, error, lost; all when missing.")
    literals: bool = Field(default=False, description="Writes statements with their values.")


class AuditSection(Section):
    """The audit log: JSON objects, one a line."""

    file: str = Field(
        min_length=1, description="Where it is; not whole paths are from the configuration's directory."
    )
    file_bytes: int = Field(
        default=104857600, ge=1024, description="A file as large as this is renamed, and another begun."
    )
    older_files: int = Field(default=10, ge=0, description="Renamed files that are kept.")
    waiting: int = Field(
        default=10_000, ge=1, description="Lines that may wait for the disk; more are dropped and counted."
    )
    rules: dict[str, AuditRuleSection] = Field(
        min_length=1, description="Rules by name; the first that names a statement holds."
    )


class ProtectionSection(Section):
    """The section `protection`."""

    breakers: dict[str, BreakerSection] = Field(default_factory=dict, description="Circuit breakers by name.")
    limits: dict[str, LimitSection] = Field(default_factory=dict, description="Limits by name.")
    timeouts: dict[str, TimeoutSection] = Field(
        default_factory=dict, description="Limits of time and of answers by name."
    )
    connections: dict[str, ConnectionLimitSection] = Field(
        default_factory=dict, description="Limits of connections by name."
    )
    firewall: FirewallSection | None = Field(default=None, description="Which statements may run.")
    faults: dict[str, FaultSection] = Field(
        default_factory=dict, description="Faults made on purpose, by name."
    )
    audit: AuditSection | None = Field(default=None, description="The audit log.")
