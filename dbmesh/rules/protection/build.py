"""The section `protection` to values; what cannot be meant is reported.

Decides how entries are read. Statements, clients and data sources are matched by `selection`.
"""

from __future__ import annotations

from ipaddress import IPv4Network, IPv6Network, ip_network

from dbmesh.rules.protection.sections import BreakerSection, ProtectionSection, SelectionSection
from dbmesh.rules.protection.selection import Selection
from dbmesh.rules.protection.values import (
    BreakerPolicy,
    DataSourceBreakers,
    FingerprintBreakers,
    Protection,
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
        for key in _OF_STATEMENTS:
            if getattr(entry, key):
                source.report((*path, key), f"a breaker per data source names no {key}", "remove it")
        of_sources.append(DataSourceBreakers(name, policy, selection.databases, _lowered(entry.data_sources)))
    return Protection(tuple(of_sources), tuple(of_fingerprints))


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
