"""The authority section to users: names, host patterns, password forms, permitted databases.

Decides who exists and where they may go. Checking a password is the session's business.
"""

from __future__ import annotations

import re
from typing import Final

from dbmesh.rules.data_sources import Secrets, resolve_secrets
from dbmesh.rules.models import AuthoritySection
from dbmesh.rules.ruleset import User
from dbmesh.rules.sections import suggestion
from dbmesh.rules.source import Path, SourceFile

_NATIVE_HASH = re.compile(r"\*[0-9A-Fa-f]{40}")
_PLUGINS: Final = {
    "mysql_native_password": "mysql_native_password",
    "mysql_native": "mysql_native_password",
    "native": "mysql_native_password",
    "caching_sha2_password": "caching_sha2_password",
    "mysql_caching_sha2_password": "caching_sha2_password",
}
_PRIVILEGES: Final = ("ALL_PERMITTED", "DATABASE_PERMITTED")


def build_users(source: SourceFile, section: AuthoritySection, secrets: Secrets) -> tuple[User, ...]:
    """Every user; mistakes are reported."""
    path: Path = ("authority",)
    if not section.users:
        source.report(
            (*path, "users"), "no user can log in", "add a user, e.g. {user: root@%, password: root}"
        )
    mappings = _database_mappings(source, section)
    users: list[User] = []
    for index, entry in enumerate(section.users):
        entry_path: Path = (*path, "users", index)
        name, _, host = entry.user.rpartition("@") if "@" in entry.user else (entry.user, "", "%")
        host = host or "%"
        if any((user.name, user.host) == (name, host) for user in users):
            source.report((*entry_path, "user"), f"user '{name}@{host}' is written twice", "remove one")
        password = resolve_secrets(source, (*entry_path, "password"), entry.password, secrets)
        if password.startswith("*") and len(password) == 41 and not _NATIVE_HASH.fullmatch(password):
            source.report(
                (*entry_path, "password"), "it is not a native password hash", "write * and 40 hex digits"
            )
        plugin = _plugin(
            source, (*entry_path, "authenticationMethodName"), entry.authentication_method_name, section
        )
        databases = None if mappings is None or entry.admin else mappings.get((name, host), ())
        if databases and "*" in databases:
            databases = None
        users.append(User(name, host, password, plugin, databases, entry.admin))
    if mappings is not None:
        known = {(user.name, user.host) for user in users}
        for name, host in mappings:
            if (name, host) not in known:
                source.report(
                    (*path, "privilege", "props", "user-database-mappings"),
                    f"user '{name}@{host}' is not among the users",
                    suggestion(f"{name}@{host}", [f"{user}@{at}" for user, at in known]),
                )
    return tuple(users)


def _plugin(source: SourceFile, path: Path, name: str | None, section: AuthoritySection) -> str | None:
    """The MySQL plugin of an authentication method, which may be the name of an authenticator."""
    name = name or section.default_authenticator
    if not name:
        return None
    if name in section.authenticators:
        name = section.authenticators[name].type
    plugin = _PLUGINS.get(name.lower())
    if plugin is None:
        source.report(path, f"unknown authentication method '{name}'", suggestion(name, _PLUGINS))
    return plugin


def _database_mappings(
    source: SourceFile, section: AuthoritySection
) -> dict[tuple[str, str], tuple[str, ...]] | None:
    """(user, host) → databases; None where every user may use every database."""
    path: Path = ("authority", "privilege")
    kind = section.privilege.type.upper()
    if kind not in _PRIVILEGES:
        source.report((*path, "type"), f"unknown privilege type '{kind}'", suggestion(kind, _PRIVILEGES))
        return None
    if kind == "ALL_PERMITTED":
        return None
    key = "user-database-mappings"
    for name in section.privilege.props:
        if name != key:
            source.report((*path, "props", name), f"unknown property '{name}'", suggestion(name, [key]))
    raw = section.privilege.props.get(key, "")
    if not raw.strip():
        source.report((*path, "props", key), f"'{key}' is missing", "write it like root@%=*, app@%=shop")
    result: dict[tuple[str, str], tuple[str, ...]] = {}
    for part in filter(None, (piece.strip() for piece in raw.split(","))):
        account, equals, database = part.partition("=")
        if not equals or not database.strip():
            source.report((*path, "props", key), f"'{part}' has no '='", "write user@host=database")
            continue
        name, _, host = account.strip().rpartition("@") if "@" in account else (account.strip(), "", "%")
        result[name, host] = (*result.get((name, host), ()), database.strip())
    return result
