"""Accounts as values of the store: one for each account, passwords only in their stored form.

Decides how such a value reads. What cannot be read is no account, so that nobody gets in by it.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable
from typing import Any

from dbmesh.governance import layout
from dbmesh.governance.store import Entry
from dbmesh.rules.accounts import AccountName, TlsNeed, User
from dbmesh.rules.privileges import Grants, Privilege, Target

_log = logging.getLogger(__name__)


def to_value(user: User) -> bytes:
    """What the store keeps of an account."""
    value: dict[str, Any] = {
        "name": user.name,
        "host": user.host,
        "role": user.role,
        "password": user.password,
        "plugin": user.plugin,
        "locked": user.locked,
        "grants": [
            [*target, sorted(privileges)] for target, privileges in sorted(_by_target(user.grants), key=str)
        ],
        "roles": sorted(user.roles),
        "administered": sorted(user.administered),
        "default_roles": sorted(user.default_roles or ()),
    }
    if user.tls.required:
        value["tls"] = [user.tls.certificate, user.tls.subject, user.tls.issuer]
    return json.dumps(value).encode()


def _by_target(grants: Grants) -> Iterable[tuple[Target, set[str]]]:
    found: dict[Target, set[str]] = {}
    for target, privilege in grants:
        found.setdefault(target, set()).add(privilege.value)
    return found.items()


def from_value(value: bytes) -> User:
    """The account. Raises ValueError, KeyError or TypeError for what is none."""
    read = json.loads(value)
    tls = read.get("tls")
    return User(
        str(read["name"]),
        str(read["host"]),
        str(read["password"]),
        read["plugin"],
        frozenset(
            (Target(database, table, column), Privilege(name))
            for database, table, column, names in read["grants"]
            for name in names
        ),
        roles=_names(read["roles"]),
        administered=_names(read["administered"]),
        default_roles=_names(read["default_roles"]),
        locked=bool(read["locked"]),
        role=bool(read["role"]),
        tls=TlsNeed() if tls is None else TlsNeed(True, bool(tls[0]), str(tls[1]), str(tls[2])),
        stored=True,
    )


def _names(pairs: Iterable[tuple[str, str]]) -> frozenset[AccountName]:
    return frozenset(AccountName(str(name), str(host)) for name, host in pairs)


def read_accounts(entries: Iterable[Entry]) -> dict[AccountName, User]:
    """Every account among the entries of a snapshot."""
    found: dict[AccountName, User] = {}
    for entry in entries:
        if not entry.key.startswith(layout.accounts_prefix()):
            continue
        try:
            user = from_value(entry.value)
        except (ValueError, KeyError, TypeError):
            _log.error("%s in the store is no account; nobody can log in to it", entry.key)
            continue
        found[user.account] = user
    return found
