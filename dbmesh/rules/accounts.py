"""Accounts and roles as one immutable value, and what an account may do with the roles that are active.

Decides the sum of an account's grants. Knows neither passwords' forms nor where accounts are written.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple
from weakref import WeakValueDictionary

from dbmesh.rules.privileges import Grants, Privileges


class AccountName(NamedTuple):
    """What an account or role is called."""

    name: str
    host: str

    def __str__(self) -> str:
        return f"{self.name}@{self.host}"


@dataclass(frozen=True, slots=True)
class TlsNeed:
    """What an account's connections must show: TLS, a certificate that the server's client CA has signed, its `subject` and `issuer`,
    each as `/C=DE/CN=app`, '' for any."""

    required: bool = False
    certificate: bool = False
    subject: str = ""
    issuer: str = ""


NO_TLS_NEED = TlsNeed()


@dataclass(frozen=True, slots=True)
class User:
    """A client account: `name`@`host` pattern ('%' and '_' as in MySQL). `password` is plain text, a native hash
    (`*` and 40 hex digits) or a caching_sha2 hash (`$A$005$…`). `roles` were granted to it, `administered` of them it may grant on;
    `default_roles` are active after a login, None for all. A login to a `locked` account is refused; to a `role` nobody can log in.
    `stored`: it was made by SQL and lies in the store."""

    name: str
    host: str
    password: str = field(default="", repr=False)
    plugin: str | None = None
    grants: Grants = field(default=frozenset(), repr=False)
    roles: frozenset[AccountName] = frozenset()
    administered: frozenset[AccountName] = frozenset()
    default_roles: frozenset[AccountName] | None = None
    locked: bool = False
    role: bool = False
    tls: TlsNeed = NO_TLS_NEED
    stored: bool = False

    @property
    def account(self) -> AccountName:
        """What grants call it."""
        return AccountName(self.name, self.host)


class Authority:
    """Every account by its name; a name that the configuration and the store have is the configuration's. Privileges that are equal are one object, also in the values made from this one, so that plans
    remembered for them stay."""

    def __init__(
        self, users: Iterable[User], made: WeakValueDictionary[Grants, Privileges] | None = None
    ) -> None:
        known = tuple(users)
        self._stored = {user.account: user for user in known if user.stored}
        self._written = {user.account: user for user in known if not user.stored}
        self.users: Mapping[AccountName, User] = self._stored | self._written
        self._made: WeakValueDictionary[Grants, Privileges] = WeakValueDictionary() if made is None else made

    def replaced(self, users: Iterable[User]) -> Authority:
        """Another set of accounts."""
        return Authority(users, self._made)

    def with_written(self, users: Iterable[User]) -> Authority:
        """Other accounts of the configuration; those of the store stay."""
        return self.replaced((*self._stored.values(), *users))

    def with_stored(self, users: Iterable[User]) -> Authority:
        """Other accounts of the store."""
        return self.replaced((*users, *self._written.values()))

    @property
    def hidden(self) -> frozenset[AccountName]:
        """Accounts of the store that are not used, since the configuration names them too."""
        return frozenset(self._stored.keys() & self._written.keys())

    def privileges(self, user: User, active: Iterable[AccountName]) -> Privileges:
        """What an account may do itself and by its active roles, and what was granted to these."""
        grants = self.grants(user, active)
        found = self._made.get(grants)
        if found is None:
            found = self._made[grants] = Privileges(grants)
        return found

    def grants(self, user: User, active: Iterable[AccountName]) -> Grants:
        """The grants of an account and of its active roles."""
        return frozenset().union(*(one.grants for one in self.reached(user, active)))

    def reached(self, user: User, active: Iterable[AccountName]) -> list[User]:
        """An account, its active roles, and the roles granted to these."""
        found = {user.account: user}
        waiting = [role for role in active if role in user.roles]
        while waiting:
            role = self.users.get(waiting.pop())
            if role is not None and role.account not in found:
                found[role.account] = role
                waiting += role.roles
        return list(found.values())

    def default_roles(self, user: User) -> frozenset[AccountName]:
        """The roles that are active after a login."""
        return user.roles if user.default_roles is None else user.default_roles & user.roles
