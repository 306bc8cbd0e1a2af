"""What the section `protection` says, as values."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

from dbmesh.rules.protection.firewall import NO_FIREWALL, FirewallPolicy
from dbmesh.rules.protection.selection import ALL, Selection, is_named


@dataclass(frozen=True, slots=True)
class BreakerPolicy:
    """When a circuit breaker opens and closes. The window is the last `window_calls` calls, or those of the last
    `window_seconds` where that is 0; percentages are of the calls in it, which are at least `minimum_calls`. A call is slow from
    `slow_seconds` on (0: none is). It stays open for `open_seconds`, twice that each time it opens again, at most
    `longest_open_seconds`, and up to the part `jitter` (0 to 1) of it less. Then `probes` calls decide."""

    window_calls: int = 0
    window_seconds: float = 10.0
    minimum_calls: int = 20
    failure_percent: float = 50.0
    slow_seconds: float = 0.0
    slow_percent: float = 100.0
    open_seconds: float = 5.0
    longest_open_seconds: float = 60.0
    jitter: float = 0.2
    probes: int = 3
    enforced: bool = True


@dataclass(frozen=True, slots=True)
class DataSourceBreakers:
    """Breakers of data sources that these patterns name; no pattern names all."""

    name: str
    policy: BreakerPolicy
    databases: tuple[str, ...] = ()
    data_sources: tuple[str, ...] = ()

    def names(self, database: str, data_source: str) -> bool:
        """Whether a data source is among them."""
        return (not self.databases or is_named(database, self.databases)) and (
            not self.data_sources or is_named(data_source, self.data_sources)
        )


@dataclass(frozen=True, slots=True)
class FingerprintBreakers:
    """A breaker for each fingerprint of these statements."""

    name: str
    policy: BreakerPolicy
    selection: Selection = ALL


class Per(Enum):
    """What has a limit of its own."""

    USER = "user"
    DATABASE = "database"
    FINGERPRINT = "fingerprint"
    DATA_SOURCE = "dataSource"
    ALL = "all"


@dataclass(frozen=True, slots=True)
class Limit:
    """How many statements of a kind may run. 0 is no limit: `rate` in statements per second, of which `burst` may come at once;
    `concurrency` at one time. Up to `waiting` wait for their turn, each `wait_seconds` at most. A `shared` rate is that of the whole mesh. With `adaptive` the concurrency is between `least` and `concurrency`. Of limits per data source
    `data_sources` says which (of `selection.databases`)."""

    name: str
    per: Per = Per.ALL
    selection: Selection = ALL
    data_sources: tuple[str, ...] = ()
    rate: float = 0.0
    burst: int = 0
    concurrency: int = 0
    waiting: int = 0
    wait_seconds: float = 1.0
    shared: bool = False
    adaptive: bool = False
    least: int = 1

    def names_source(self, database: str, data_source: str) -> bool:
        """Whether a data source is among those of a limit per data source."""
        databases = self.selection.databases
        return (not databases or is_named(database, databases)) and (
            not self.data_sources or is_named(data_source, self.data_sources)
        )


@dataclass(frozen=True, slots=True)
class Timeout:
    """How long statements and transactions may take, in seconds, and how much an answer may be; 0 is no limit."""

    name: str
    selection: Selection = ALL
    statement: float = 0.0
    transaction: float = 0.0
    idle_in_transaction: float = 0.0
    most_rows: int = 0
    most_bytes: int = 0


@dataclass(frozen=True, slots=True)
class ConnectionLimit:
    """How many connections each of these accounts may have."""

    name: str
    users: tuple[str, ...]
    per_user: int


@dataclass(frozen=True, slots=True)
class Fault:
    """A fault that is made on purpose until a moment, in seconds since 1970. It hits `percent` of the statements of `selection`, or
    of the connections lent to `data_sources` (of `selection.databases`): they wait `delay` seconds, then end in error `number`
    (0: none) or lose their connection."""

    name: str
    until: float
    selection: Selection = ALL
    data_sources: tuple[str, ...] = ()
    percent: float = 100.0
    delay: float = 0.0
    number: int = 0
    sqlstate: str = "HY000"
    message: str = "injected fault"
    disconnects: bool = False

    def names_source(self, database: str, data_source: str) -> bool:
        """Whether it hits a data source."""
        databases = self.selection.databases
        return is_named(data_source, self.data_sources) and (not databases or is_named(database, databases))


@dataclass(frozen=True, slots=True)
class AuditRule:
    """Statements that are written to the audit log when they ended so; with `literals`, with their values."""

    name: str
    selection: Selection
    outcomes: frozenset[str]
    literals: bool = False


@dataclass(frozen=True, slots=True)
class Audit:
    """The audit log: its file, how large it may grow and how many older ones are kept, how many lines may wait."""

    file: str
    rules: tuple[AuditRule, ...]
    file_bytes: int = 104857600
    older_files: int = 10
    waiting: int = 10_000


@dataclass(frozen=True, slots=True)
class Protection:
    """The whole section. Of several entries that name the same statement or data source the first one holds; of limits all do."""

    data_source_breakers: Sequence[DataSourceBreakers] = ()
    fingerprint_breakers: Sequence[FingerprintBreakers] = ()
    limits: Sequence[Limit] = ()
    timeouts: Sequence[Timeout] = ()
    connections: Sequence[ConnectionLimit] = ()
    firewall: FirewallPolicy = NO_FIREWALL
    faults: Sequence[Fault] = ()
    audit: Audit | None = None


NOTHING = Protection()
"""Nothing is protected."""
