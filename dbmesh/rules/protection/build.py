"""The section `protection` to values; what cannot be meant is reported.

Decides how entries are read. Statements, clients and data sources are matched by `selection`.
"""

from __future__ import annotations

import math
import re
from dataclasses import replace
from datetime import datetime
from ipaddress import IPv4Network, IPv6Network, ip_network

from dbmesh.rules.data_sources import Secrets
from dbmesh.rules.mistakes import ConfigurationError
from dbmesh.rules.protection.firewall import NO_FIREWALL, FirewallMode, FirewallPolicy, FirewallRule
from dbmesh.rules.protection.patterns import why_unsafe
from dbmesh.rules.protection.sections import (
    AuditSection,
    BreakerSection,
    FaultSection,
    FirewallRuleSection,
    FirewallSection,
    LimitSection,
    ProtectionSection,
    SelectionSection,
    TimeoutSection,
)
from dbmesh.rules.protection.selection import Selection
from dbmesh.rules.protection.values import (
    Audit,
    AuditRule,
    BreakerPolicy,
    ConnectionLimit,
    DataSourceBreakers,
    Fault,
    FingerprintBreakers,
    Limit,
    Per,
    Protection,
    Timeout,
)
from dbmesh.rules.sections import suggestion, validate
from dbmesh.rules.source import Path, SourceFile

_PATH: Path = ("protection",)
_OUTCOMES = ("ok", "error", "lost")
_OF_STATEMENTS = ("users", "tables", "verbs", "fingerprints", "addresses")


def build_protection(source: SourceFile, section: ProtectionSection, secrets: Secrets) -> Protection:
    """What the section says; mistakes are reported. Files of fingerprints are read by `secrets`."""
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
        _firewall(source, section.firewall, secrets),
        tuple(_fault(source, name, entry) for name, entry in section.faults.items()),
        None if section.audit is None else _audit(source, section.audit),
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
    if entry.adaptive and entry.concurrency < entry.least_concurrency:
        source.report(
            (*path, "concurrency"),
            "it is lower than leastConcurrency",
            "give the most that may run at one time",
        )
    if entry.shared:
        _check_shared(source, path, entry)
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
        shared=entry.shared,
        adaptive=entry.adaptive,
        least=entry.least_concurrency if entry.adaptive else 1,
    )


def _check_shared(source: SourceFile, path: Path, entry: LimitSection) -> None:
    if not entry.rate or entry.concurrency:
        source.report(path, "only a rate can be shared", "give rate, and concurrency in an entry of its own")
    if entry.per == "fingerprint":
        source.report((*path, "per"), "there are too many fingerprints for the store", "share another limit")
    if not entry.waiting:
        source.report(
            path, "statements of a shared limit wait for the store's answer", "give waiting, 100 for instance"
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


def _firewall(source: SourceFile, section: FirewallSection | None, secrets: Secrets) -> FirewallPolicy:
    if section is None:
        return NO_FIREWALL
    if section.mode == "learning" and not section.learned:
        source.report(
            (*_PATH, "firewall", "learned"), "'learned' is missing", "name the file for what is learned"
        )
    return FirewallPolicy(
        FirewallMode(section.mode),
        section.default == "allow",
        tuple(_firewall_rule(source, name, entry, secrets) for name, entry in section.rules.items()),
        section.learned,
    )


def _firewall_rule(
    source: SourceFile, name: str, entry: FirewallRuleSection, secrets: Secrets
) -> FirewallRule:
    path: Path = (*_PATH, "firewall", "rules", name)
    selection = build_selection(source, path, entry)
    if entry.fingerprints_file:
        text = secrets("file", entry.fingerprints_file)
        if text is None:
            source.report(
                (*path, "fingerprintsFile"),
                f"file '{entry.fingerprints_file}' cannot be read",
                "create it or correct the path",
            )
        listed = {line.split()[0].lower() for line in (text or "").splitlines() if line.strip()}
        # Nothing is named by a file without lines.
        selection = replace(selection, fingerprints=selection.fingerprints | listed or frozenset(("-",)))
    problem = why_unsafe(entry.pattern)
    if problem:
        source.report((*path, "pattern"), problem, "write it without, or with possessive repetitions (a++)")
    return FirewallRule(
        name=name,
        allows=entry.action == "allow",
        selection=selection,
        pattern=re.compile(entry.pattern, re.IGNORECASE) if entry.pattern and not problem else None,
        without_where=entry.without_where,
        message=entry.message,
    )


def build_fault(name: str, value: object) -> Fault:
    """A fault from an entry of `faults`. Raises ConfigurationError."""
    source = SourceFile("fault", value)
    section = validate(source, (), value, FaultSection)
    fault = None if section is None else _fault(source, name, section)
    if fault is None or source.mistakes:
        raise ConfigurationError(tuple(source.mistakes))
    return fault


def _fault(source: SourceFile, name: str, entry: FaultSection) -> Fault:
    path: Path = (*_PATH, "faults", name)
    if entry.data_sources:
        _check_of_source(source, path, entry, "fault")
    if not (entry.delay_milliseconds or entry.error or entry.disconnect):
        source.report(path, "it does nothing", "give delayMilliseconds, error or disconnect")
    return Fault(
        name=name,
        until=_moment(source, (*path, "until"), entry.until),
        selection=build_selection(source, path, entry),
        data_sources=_lowered(entry.data_sources),
        percent=entry.percent,
        delay=entry.delay_milliseconds / 1000,
        number=entry.error,
        sqlstate=entry.sqlstate,
        message=entry.message,
        disconnects=entry.disconnect,
    )


def _moment(source: SourceFile, path: Path, text: str) -> float:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:
        source.report(path, f"'{text}' is no moment with a time zone", "write it like 2030-01-31T18:00:00Z")
        return 0.0
    return moment.timestamp()


def _audit(source: SourceFile, section: AuditSection) -> Audit:
    rules: list[AuditRule] = []
    for name, entry in section.rules.items():
        path: Path = (*_PATH, "audit", "rules", name)
        for outcome in entry.outcomes:
            if outcome not in _OUTCOMES:
                source.report(
                    (*path, "outcomes"), f"unknown outcome '{outcome}'", suggestion(outcome, _OUTCOMES)
                )
        outcomes = frozenset(entry.outcomes or _OUTCOMES)
        rules.append(AuditRule(name, build_selection(source, path, entry), outcomes, entry.literals))
    return Audit(section.file, tuple(rules), section.file_bytes, section.older_files, section.waiting)


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
