"""Which statements a protection is for.

Decides how names, addresses and fingerprints are compared: without case, `*` for any letters, networks in CIDR notation.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from ipaddress import IPv4Network, IPv6Network, ip_address
from typing import Protocol


class Subject(Protocol):
    """What is known about a statement before it runs: `user` is the account's name, `host` the client's address, `tables`
    the logic tables it names, `verbs` its first word and what it is, in capitals, `fingerprint` the digest of its shape."""

    @property
    def user(self) -> str: ...
    @property
    def host(self) -> str: ...
    @property
    def database_name(self) -> str: ...
    @property
    def fingerprint(self) -> str: ...
    @property
    def verbs(self) -> frozenset[str]: ...
    @property
    def tables(self) -> Sequence[str]: ...


@dataclass(frozen=True, slots=True)
class Selection:
    """Statements that every given part names; an empty part names all. Names are in lower case, verbs in upper case."""

    users: tuple[str, ...] = ()
    databases: tuple[str, ...] = ()
    tables: tuple[str, ...] = ()
    verbs: frozenset[str] = frozenset()
    fingerprints: frozenset[str] = frozenset()
    networks: tuple[IPv4Network | IPv6Network, ...] = ()

    def names(self, subject: Subject) -> bool:
        """Whether a statement is among them: of its tables one is enough. O(patterns)."""
        if self.fingerprints and subject.fingerprint not in self.fingerprints:
            return False
        if self.verbs and self.verbs.isdisjoint(subject.verbs):
            return False
        if self.users and not is_named(subject.user, self.users):
            return False
        if self.databases and not is_named(subject.database_name, self.databases):
            return False
        if self.tables and not any(is_named(table, self.tables) for table in subject.tables):
            return False
        return not self.networks or _is_within(subject.host, self.networks)


ALL = Selection()
"""Every statement."""


def is_named(name: str, patterns: Sequence[str]) -> bool:
    """Whether one of the patterns (in lower case) names it."""
    lowered = name.lower()
    return any(fnmatchcase(lowered, pattern) for pattern in patterns)


def _is_within(host: str, networks: tuple[IPv4Network | IPv6Network, ...]) -> bool:
    try:
        address = ip_address("127.0.0.1" if host == "localhost" else host)
    except ValueError:
        # A client on a Unix socket has no address.
        return False
    return any(address in network for network in networks)
