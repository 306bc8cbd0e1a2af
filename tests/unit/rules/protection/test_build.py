"""The section `protection` of global.yaml: what it means, and what is a mistake in it."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from dbmesh.rules.loader import load_configuration
from dbmesh.rules.mistakes import ConfigurationError
from dbmesh.rules.protection.firewall import FirewallMode
from dbmesh.rules.protection.selection import ALL, Selection
from dbmesh.rules.protection.values import (
    NOTHING,
    Audit,
    AuditRule,
    BreakerPolicy,
    ConnectionLimit,
    Fault,
    Limit,
    Per,
    Protection,
    Timeout,
)

DATABASE = "databaseName: shop\ndataSources: {ds_0: {url: 'mysql://h/s', username: u}}\n"


def load(section: str) -> Protection:
    """The protection of a configuration whose global.yaml has this section, written in YAML's flow style."""
    text = f"authority: {{users: [{{user: root, password: root}}]}}\nprotection: {section}\n"
    files = {"global.yaml": text, "database-shop.yaml": DATABASE}
    texts = {"f.txt": "00ff app shop SELECT 1\n\n00FE app shop SELECT 2\n", "empty": ""}
    return load_configuration(files, lambda kind, name: texts.get(name)).protection


def mistakes(section: str) -> list[str]:
    with pytest.raises(ConfigurationError) as raised:
        load(section)
    return [f"{one.key_path}: {one.message}" for one in raised.value.mistakes]


def test_nothing_is_protected_unless_asked_for() -> None:
    assert load("") == NOTHING
    assert load("{breakers: {}}") == NOTHING


def test_breakers() -> None:
    found = load(
        "{breakers: {a: {per: dataSource, databases: Shop, dataSources: 'DS_0, ds_1', enforced: false}, "
        "b: {per: fingerprint, users: 'app*', addresses: 10.0.0.0/8, windowCalls: 50, minimumCalls: 10, failurePercent: 12.5,"
        " slowCallMilliseconds: 250, slowCallPercent: 80, openMilliseconds: 1000, longestOpenMilliseconds: 9000,"
        " jitterPercent: 50, probes: 7}}}"
    )
    [of_source] = found.data_source_breakers
    assert of_source.policy == BreakerPolicy(enforced=False)
    assert of_source.names("SHOP", "ds_1")
    assert not of_source.names("other", "ds_1")
    assert not of_source.names("shop", "ds_2")
    [of_fingerprint] = found.fingerprint_breakers
    assert of_fingerprint.policy == BreakerPolicy(50, 10.0, 10, 12.5, 0.25, 80.0, 1.0, 9.0, 0.5, 7)
    assert of_fingerprint.selection.users == ("app*",)


def test_limits_timeouts_and_connections() -> None:
    found = load(
        "{limits: {a: {per: user, users: app, rate: 2.5, waiting: 3, waitMilliseconds: 20},"
        " b: {concurrency: 4, adaptive: true, leastConcurrency: 2}, c: {per: dataSource, databases: Shop, dataSources: DS_0, rate: 1, burst: 9}},"
        " timeouts: {t: {statementMilliseconds: 1500, transactionMilliseconds: 20, idleInTransactionMilliseconds: 30,"
        " mostRows: 4, mostBytes: 5}}, connections: {x: {users: 'A*', perUser: 3}}}"
    )
    app = Selection(users=("app",))
    first, second, third = found.limits
    assert first == Limit("a", Per.USER, app, rate=2.5, burst=3, waiting=3, wait_seconds=0.02)
    assert (second.per, second.concurrency, second.rate) == (Per.ALL, 4, 0)
    assert (second.adaptive, second.least) == (True, 2)
    assert third.burst == 9
    assert third.names_source("shop", "ds_0")
    assert not third.names_source("shop", "ds_1")
    assert found.timeouts == (Timeout("t", ALL, 1.5, 0.02, 0.03, 4, 5),)
    assert found.connections == (ConnectionLimit("x", ("a*",), 3),)


def test_the_firewall_faults_and_the_audit_log() -> None:
    found = load(
        "{firewall: {mode: learning, default: deny, learned: l.txt, rules: {a: {action: allow, pattern: 'x Y'},"
        " b: {withoutWhere: true, message: m}, c: {fingerprintsFile: f.txt, fingerprints: AA}, d: {fingerprintsFile: empty}}},"
        " faults: {f: {percent: 2.5, delayMilliseconds: 7, error: 1205, until: '1970-01-01T01:00:00+01:00', users: app},"
        " g: {dataSources: DS_0, disconnect: true, until: '1970-01-01T00:00:10Z'}},"
        " audit: {file: a.log, fileBytes: 2000, olderFiles: 0, waiting: 7, rules: {r: {outcomes: 'error, lost', literals: true}}}}"
    )
    firewall = found.firewall
    assert (firewall.mode, firewall.allows_by_default, firewall.learned) == (
        FirewallMode.LEARNING,
        False,
        "l.txt",
    )
    first, second, third, fourth = firewall.rules
    assert first.allows
    assert first.pattern is not None
    assert first.pattern.search("an X y")
    assert (second.allows, second.without_where, second.message) == (False, True, "m")
    assert third.selection.fingerprints == {"aa", "00ff", "00fe"}
    assert not fourth.selection.names(Statement())
    fault, of_source = found.faults
    assert fault == Fault("f", 0.0, Selection(users=("app",)), (), 2.5, 0.007, 1205)
    assert of_source.until == 10
    assert of_source.names_source("shop", "ds_0")
    rule = AuditRule("r", ALL, frozenset(("error", "lost")), literals=True)
    assert found.audit == Audit("a.log", (rule,), 2000, 0, 7)


@pytest.mark.parametrize(
    ("section", "expected"),
    [
        ("{limits: {a: {per: user}}}", "protection.limits.a: it limits nothing"),
        ("{limits: {a: {adaptive: true, concurrency: 2}}}", "protection.limits.a.concurrency: it is lower"),
        ("{limits: {a: {shared: true, rate: 1}}}", "protection.limits.a: statements of a shared limit wait"),
        (
            "{limits: {a: {shared: true, rate: 1, concurrency: 1, waiting: 1}}}",
            "protection.limits.a: only a rate can be shared",
        ),
        (
            "{limits: {a: {shared: true, rate: 1, waiting: 1, per: fingerprint}}}",
            "protection.limits.a.per: there are too many",
        ),
        ("{limits: {a: {per: dataSource, rate: 1, users: b}}}", "protection.limits.a.users: a limit per data source"),
        ("{limits: {a: {per: dataSource, concurrency: 1}}}", "protection.limits.a.concurrency: a data source's is"),
        ("{limits: {a: {per: user, rate: 1, dataSources: b}}}", "protection.limits.a.dataSources: a limit per user"),
        ("{firewall: {mode: learning}}", "protection.firewall.learned: 'learned' is missing"),
        ("{firewall: {rules: {a: {pattern: '(a+)+'}}}}", "protection.firewall.rules.a.pattern: its time could"),
        ("{firewall: {rules: {a: {fingerprintsFile: gone}}}}", "protection.firewall.rules.a.fingerprintsFile: file 'gone'"),
        ("{faults: {a: {error: 1, until: tomorrow}}}", "protection.faults.a.until: 'tomorrow' is no moment"),
        ("{faults: {a: {error: 1, until: '2030-01-01T00:00:00'}}}", "protection.faults.a.until: '2030-01-01T00:00:00' is no"),
        ("{faults: {a: {until: '2030-01-01T00:00:00Z'}}}", "protection.faults.a: it does nothing"),
        ("{audit: {file: a, rules: {a: {outcomes: good}}}}", "protection.audit.rules.a.outcomes: unknown outcome 'good'"),
        ("{breaker: {}}", "protection.breaker: unknown key 'breaker'"),
        ("{breakers: {a: {per: statement}}}", "protection.breakers.a.per: input should be"),
        ("{breakers: {a: {per: dataSource, users: app}}}", "protection.breakers.a.users: a breaker per data source"),
        ("{breakers: {a: {per: fingerprint, dataSources: ds_0}}}", "protection.breakers.a.dataSources: a breaker per"),
        (
            "{breakers: {a: {per: fingerprint, openMilliseconds: 10, longestOpenMilliseconds: 9}}}",
            "protection.breakers.a.longestOpenMilliseconds: it is shorter",
        ),
        (
            "{breakers: {a: {per: fingerprint, windowCalls: 10}}}",
            "protection.breakers.a.minimumCalls: 20 calls are never in a window of 10",
        ),
        (
            "{breakers: {a: {per: fingerprint, addresses: 10.0.0.0/40}}}",
            "protection.breakers.a.addresses: '10.0.0.0/40' is neither",
        ),
    ],
)  # fmt: skip
def test_mistakes(section: str, expected: str) -> None:
    [found] = mistakes(section)
    assert found.startswith(expected)


@dataclass(frozen=True)
class Statement:
    """What a selection looks at."""

    user: str = "app_1"
    host: str = "10.1.2.3"
    database_name: str = "Shop"
    fingerprint: str = "00ff"
    verbs: frozenset[str] = frozenset(("SELECT", "WITH"))
    tables: tuple[str, ...] = field(default=("t_user", "T_Order"))


@pytest.mark.parametrize(
    ("section", "named"),
    [
        ("", True),
        ("users: 'other, APP*'", True),
        ("users: app", False),
        ("databases: shop", True),
        ("databases: sh", False),
        ("tables: t_order", True),
        ("tables: t_item", False),
        ("verbs: 'with'", True),
        ("verbs: update", False),
        ("fingerprints: 00FF", True),
        ("fingerprints: 00fe", False),
        ("addresses: '192.168.0.0/16, 10.0.0.0/8'", True),
        ("addresses: 10.1.2.4", False),
        ("addresses: '::1'", False),
        ("users: app_1, tables: t_item", False),
        ("users: app_1, verbs: SELECT, addresses: 10.1.2.3", True),
    ],
)  # fmt: skip
def test_a_statement_is_named_by_every_key_that_is_given(section: str, named: bool) -> None:
    [one] = load(f"{{breakers: {{a: {{per: fingerprint, {section}}}}}}}").fingerprint_breakers
    assert one.selection.names(Statement()) is named


def test_a_client_without_an_address_is_in_no_network() -> None:
    assert not Selection().networks
    [one] = load("{breakers: {a: {per: fingerprint, addresses: 127.0.0.0/8}}}").fingerprint_breakers
    assert one.selection.names(Statement(host="localhost"))
    assert not one.selection.names(Statement(host=""))
