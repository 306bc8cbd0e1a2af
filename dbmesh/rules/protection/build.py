"""The section `protection` to values; what cannot be meant is reported.

Decides how entries are read. Statements, clients and data sources are matched by `selection`.
"""

from __future__ import annotations

import math
from ipaddress import IPv4Network, IPv6Network, ip_network

from dbmesh.rules.protection.sections import (
    BreakerSection,
    LimitSection,
    ProtectionSection,
    SelectionSection,
    TimeoutSection,
)
from dbmesh.rules.protection.selection import Selection
from dbmesh.rules.protection.values import (
    BreakerPolicy,
    ConnectionLimit,
    DataSourceBreakers,
    FingerprintBreakers,
    Limit,
    Per,
    Protection,
    Timeout,
)
from dbmesh.rules.source import Path, SourceFile

_PATH: Path = ("protection",)
_OF_STATEMENTS = ("users", "tables", "verbs", "fingerprints", "addresses")


def build_protection(source: SourceFile, section: ProtectionSection) -> Protection:
    """What the section says; mistakes are reported."""
    of_sources: list[DataSourceBreakers] = []
    of_fingerprints: list[FingerprintBreakers] = []
    for name, entry in section.breakers.items():
        path: Path = (*_PATH, "breakers", name)
        policy = _policy(source, path, entry)
        selection = build_selection(source, path, entry)
        if entry.per == "fingerprint":
            if entry.data_sources:
                source.report(
                    (*path, "dataSources"), "a breaker per fingerprint names no data sources", "remove it"
                )
            of_fingerprints.append(FingerprintBreakers(name, policy, selection))
            continue
        _check_of_source(source, path, entry, "breaker")
        of_sources.append(DataSourceBreakers(name, policy, selection.databases, _lowered(entry.data_sources)))
    return Protection(
        tuple(of_sources),
        tuple(of_fingerprints),
        tuple(_limit(source, name, entry) for name, entry in section.limits.items()),
        tuple(_timeout(source, name, entry) for name, entry in section.timeouts.items()),
        tuple(
            ConnectionLimit(name, _lowered(entry.users), entry.per_user)
            for name, entry in section.connections.items()
        ),
    )


def _limit(source: SourceFile, name: str, entry: LimitSection) -> Limit:
    path: Path = (*_PATH, "limits", name)
    per = Per(entry.per)
    if per is Per.DATA_SOURCE:
        _check_of_source(source, path, entry, "limit")
        if entry.concurrency:
            source.report(
                (*path, "concurrency"), "a data source's is that of its pool", "set its maxPoolSize instead"
            )
    elif entry.data_sources:
        source.report(
            (*path, "dataSources"),
            f"a limit per {entry.per} names no data sources",
            "remove it, or write per: dataSource",
        )
    if not entry.rate and not entry.concurrency:
        source.report(path, "it limits nothing", "give rate or concurrency")
    return Limit(
        name=name,
        per=per,
        selection=build_selection(source, path, entry),
        data_sources=_lowered(entry.data_sources),
        rate=entry.rate,
        burst=entry.burst or max(1, math.ceil(entry.rate)),
        concurrency=entry.concurrency,
        waiting=entry.waiting,
        wait_seconds=entry.wait_milliseconds / 1000,
    )


def _timeout(source: SourceFile, name: str, entry: TimeoutSection) -> Timeout:
    path: Path = (*_PATH, "timeouts", name)
    return Timeout(
        name=name,
        selection=build_selection(source, path, entry),
        statement=entry.statement_milliseconds / 1000,
        transaction=entry.transaction_milliseconds / 1000,
        idle_in_transaction=entry.idle_in_transaction_milliseconds / 1000,
        most_rows=entry.most_rows,
        most_bytes=entry.most_bytes,
    )


def _check_of_source(source: SourceFile, path: Path, entry: SelectionSection, what: str) -> None:
    for key in _OF_STATEMENTS:
        if getattr(entry, key):
            source.report((*path, key), f"a {what} per data source names no {key}", "remove it")


def build_selection(source: SourceFile, path: Path, section: SelectionSection) -> Selection:
    """Which statements an entry is for; wrong addresses are reported."""
    return Selection(
        _lowered(section.users),
        _lowered(section.databases),
        _lowered(section.tables),
        frozenset(verb.upper() for verb in section.verbs),
        frozenset(_lowered(section.fingerprints)),
        _networks(source, (*path, "addresses"), section.addresses),
    )


def _policy(source: SourceFile, path: Path, entry: BreakerSection) -> BreakerPolicy:
    if entry.longest_open_milliseconds < entry.open_milliseconds:
        source.report(
            (*path, "longestOpenMilliseconds"),
            "it is shorter than openMilliseconds",
            "raise it, or lower that",
        )
    if 0 < entry.window_calls < entry.minimum_calls:
        source.report(
            (*path, "minimumCalls"),
            f"{entry.minimum_calls} calls are never in a window of {entry.window_calls}",
            "lower it, or raise windowCalls",
        )
    return BreakerPolicy(
        window_calls=entry.window_calls,
        window_seconds=entry.window_seconds,
        minimum_calls=entry.minimum_calls,
        failure_percent=entry.failure_percent,
        slow_seconds=entry.slow_call_milliseconds / 1000,
        slow_percent=entry.slow_call_percent,
        open_seconds=entry.open_milliseconds / 1000,
        longest_open_seconds=entry.longest_open_milliseconds / 1000,
        jitter=entry.jitter_percent / 100,
        probes=entry.probes,
        enforced=entry.enforced,
    )


def _lowered(names: list[str]) -> tuple[str, ...]:
    return tuple(name.lower() for name in names)


def _networks(source: SourceFile, path: Path, texts: list[str]) -> tuple[IPv4Network | IPv6Network, ...]:
    found: list[IPv4Network | IPv6Network] = []
    for text in texts:
        try:
            found.append(ip_network(text, strict=False))
        except ValueError:
            source.report(
                path, f"'{text}' is neither an address nor a network", "write 10.1.2.3 or 10.0.0.0/8"
            )
    return tuple(found)
