"""Which account a client is, its secret, and what it may do.

Decides the match of user and host as MySQL does (the most specific host first). Passwords stay in here.
"""

from __future__ import annotations

import re
from dataclasses import replace

from dbmesh.rules.accounts import AccountName, Authority, User
from dbmesh.wire.auth import Secret, parse_secret


class Accounts:
    """The accounts clients log in to. Remembers what full caching_sha2 logins have shown, one entry per account."""

    def __init__(self, authority: Authority) -> None:
        self._secrets: dict[AccountName, Secret] = {}
        self.authority = Authority(())
        self.use(authority)

    def use(self, authority: Authority) -> None:
        """These and no others from here on; what logins have shown of a password that is as it was stays known."""
        before, old = self._secrets, self.authority.users
        self.authority = authority
        users = [user for user in authority.users.values() if not user.role]
        # A host without wildcards is more specific than one with; of two patterns the longer.
        self._users = sorted(users, key=lambda user: (_is_pattern(user.host), -len(user.host)))
        self._secrets = {
            user.account: before[user.account]
            if user.account in before and old[user.account].password == user.password
            else parse_secret(user.password)
            for user in users
        }

    @property
    def need_full_login(self) -> bool:
        """Whether some password is known only as caching_sha2_password's hash: its first login shows the password."""
        return any(secret.sha2 is not None for secret in self._secrets.values())

    def account(self, name: str, host: str) -> User | None:
        """The account a client from `host` logs in to."""
        for user in self._users:
            if user.name == name and _host_matches(user.host, host):
                return user
        return None

    def secret(self, name: str, host: str) -> Secret:
        """What is known about its password; an empty Secret for nobody."""
        user = self.account(name, host)
        return Secret() if user is None else self._secrets[user.account]

    def remember(self, name: str, host: str, cache_entry: bytes) -> None:
        """A full caching_sha2 login succeeded: the next may take the fast path."""
        user = self.account(name, host)
        if user is not None:
            self._secrets[user.account] = replace(self._secrets[user.account], cached_sha2=cache_entry)


def _is_pattern(host: str) -> bool:
    return "%" in host or "_" in host or not host


def _host_matches(pattern: str, host: str) -> bool:
    if pattern in ("", "%") or pattern == host:
        return True
    if pattern == "localhost":
        return host in ("127.0.0.1", "::1", "localhost")
    wildcards = {"%": ".*", "_": "."}
    expression = "".join(wildcards.get(letter) or re.escape(letter) for letter in pattern)
    return re.fullmatch(expression, host, re.DOTALL) is not None
