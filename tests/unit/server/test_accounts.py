"""Which account a client is: the most specific host first."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dbmesh.rules.accounts import Authority, User
from dbmesh.server.accounts import Accounts
from dbmesh.wire.auth import Secret

USERS = (
    User("app", "%", "any"),
    User("app", "10.0.%", "net"),
    User("app", "10.0.0.7", "exact"),
    User("app", "localhost", "local"),
    User("ops", "db_.example.org", "pattern"),
)


@pytest.mark.parametrize(
    ("name", "host", "matched"),
    [
        ("app", "10.0.0.7", "10.0.0.7"),
        ("app", "10.0.0.70", "10.0.%"),
        ("app", "10.1.0.7", "%"),
        ("app", "127.0.0.1", "localhost"),
        ("app", "::1", "localhost"),
        ("ops", "db1.example.org", "db_.example.org"),
        ("ops", "db12.example.org", None),
        ("App", "10.0.0.7", None),
        ("", "10.0.0.7", None),
    ],
)
def test_the_most_specific_account_matches(name: str, host: str, matched: str | None) -> None:
    account = Accounts(Authority(USERS)).account(name, host)
    assert (None if account is None else account.host) == matched


@given(st.text("abc.*?[]%_10", max_size=12))
def test_a_host_without_wildcards_matches_itself_alone(host: str) -> None:
    plain = host.replace("%", "x").replace("_", "y") or "h"
    accounts = Accounts(Authority((User("u", plain, ""),)))
    assert accounts.account("u", plain) is not None
    assert accounts.account("u", plain + "z") is None


@given(st.text("ab*?[]!-", max_size=6), st.text("ab*?[]!-", max_size=6))
def test_only_percent_and_underscore_are_wildcards(prefix: str, other: str) -> None:
    accounts = Accounts(Authority((User("u", prefix + "%", ""),)))
    assert (accounts.account("u", other) is not None) == other.startswith(prefix)


def test_nobody_has_an_empty_secret_and_logins_are_remembered_per_account() -> None:
    accounts = Accounts(Authority(USERS))
    assert accounts.secret("nobody", "h") == Secret()
    accounts.remember("app", "10.0.0.7", b"\x01" * 32)
    assert accounts.secret("app", "10.0.0.7").cached_sha2 == b"\x01" * 32
    assert accounts.secret("app", "10.0.0.8").cached_sha2 != b"\x01" * 32
    accounts.remember("nobody", "h", b"\x02" * 32)
    assert accounts.secret("nobody", "h") == Secret()


def test_other_accounts_from_here_on() -> None:
    accounts = Accounts(Authority((User("app", "%", "one"), User("ops", "%", "two"))))
    accounts.remember("app", "h", b"seen")
    accounts.remember("ops", "h", b"seen")
    accounts.use(Authority((User("app", "%", "one"), User("ops", "%", "another"), User("new", "%", "three"))))
    assert accounts.secret("app", "h").cached_sha2 == b"seen"
    assert accounts.secret("ops", "h").cached_sha2 is None
    accounts.use(Authority(()))
    assert accounts.account("new", "h") is None


def test_a_locked_account_is_still_the_one_that_matches() -> None:
    accounts = Accounts(
        Authority(
            (User("ann", "10.%", "x", locked=True), User("ann", "%", "x"), User("clerk", "%", role=True))
        )
    )
    locked, other = accounts.account("ann", "10.0.0.1"), accounts.account("ann", "11.0.0.1")
    assert locked is not None
    assert locked.locked
    assert other is not None
    assert not other.locked
    assert accounts.account("clerk", "h") is None
