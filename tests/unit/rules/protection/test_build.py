"""The section `protection` of global.yaml: what it means, and what is a mistake in it."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from dbmesh.rules.loader import load_configuration
from dbmesh.rules.mistakes import ConfigurationError
from dbmesh.rules.protection.selection import Selection
from dbmesh.rules.protection.values import NOTHING, BreakerPolicy, Protection

DATABASE = "databaseName: shop\ndataSources: {ds_0: {url: 'mysql://h/s', username: u}}\n"


def load(section: str) -> Protection:
    """The protection of a configuration whose global.yaml has this section, written in YAML's flow style."""
    text = f"authority: {{users: [{{user: root, password: root}}]}}\nprotection: {section}\n"
    files = {"global.yaml": text, "database-shop.yaml": DATABASE}
    return load_configuration(files, lambda kind, name: None).protection


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


@pytest.mark.parametrize(
    ("section", "expected"),
    [
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
