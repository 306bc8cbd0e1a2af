"""The authority section to users and roles: names, host patterns, password forms, grants.

Decides who exists and what they may do. Checking a password is the session's business.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Final

from dbmesh.rules.accounts import AccountName, TlsNeed, User
from dbmesh.rules.data_sources import Secrets, resolve_secrets
from dbmesh.rules.grant_text import GrantMistake, read_grant
from dbmesh.rules.models import AuthoritySection, GrantSection, RoleSection, UserSection
from dbmesh.rules.privileges import ADMINISTRATOR, OF_DATABASE, PERMITTED, Grants, Target, grant
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
    """Every user and role; mistakes are reported."""
    path: Path = ("authority",)
    if not section.users:
        source.report(
            (*path, "users"), "no user can log in", "add a user, e.g. {user: root@%, password: root}"
        )
    mappings = _database_mappings(source, section)
    found: dict[AccountName, User] = {}
    for index, role in enumerate(section.roles):
        _add(source, (*path, "roles", index, "role"), found, _role(source, (*path, "roles", index), role))
    for index, entry in enumerate(section.users):
        user = _user(source, (*path, "users", index), entry, section, secrets, mappings)
        _add(source, (*path, "users", index, "user"), found, user)
    _check_roles(source, section, found)
    if mappings is not None:
        known = [name for name, user in found.items() if not user.role]
        for account in mappings:
            if account not in known:
                source.report(
                    (*path, "privilege", "props", "user-database-mappings"),
                    f"user '{account}' is not among the users",
                    suggestion(str(account), map(str, known)),
                )
    return tuple(found.values())


def check_tls(source: SourceFile, section: AuthoritySection, properties: Mapping[str, object]) -> None:
    """Report accounts that nobody can log in to, because they ask for more of TLS than is served."""
    for index, entry in enumerate(section.users):
        key = "requireTls" if entry.certificate is None else "certificate"
        if not entry.require_tls and entry.certificate is None:
            continue
        if not properties["proxy-frontend-ssl-enabled"]:
            source.report(
                ("authority", "users", index, key),
                f"nobody can log in to '{entry.user}': it requires TLS, which is not served",
                "set proxy-frontend-ssl-enabled: true under props",
            )
        elif entry.certificate is not None and not properties["proxy-frontend-ssl-ca"]:
            source.report(
                ("authority", "users", index, key),
                f"nobody can log in to '{entry.user}': no client certificate is asked for",
                "name the authority that signs them in proxy-frontend-ssl-ca under props",
            )


def read_account(text: str) -> AccountName:
    """`name` or `name@host`."""
    name, _, host = text.rpartition("@") if "@" in text else (text, "", "%")
    return AccountName(name, host or "%")


def _add(source: SourceFile, path: Path, found: dict[AccountName, User], user: User) -> None:
    if user.account in found:
        source.report(path, f"user '{user.account}' is written twice", "remove one")
    found[user.account] = user


def _user(
    source: SourceFile,
    path: Path,
    entry: UserSection,
    section: AuthoritySection,
    secrets: Secrets,
    mappings: dict[AccountName, tuple[str, ...]] | None,
) -> User:
    account = read_account(entry.user)
    password = resolve_secrets(source, (*path, "password"), entry.password, secrets)
    if password.startswith("*") and len(password) == 41 and not _NATIVE_HASH.fullmatch(password):
        source.report((*path, "password"), "it is not a native password hash", "write * and 40 hex digits")
    plugin = _plugin(source, (*path, "authenticationMethodName"), entry.authentication_method_name, section)
    if entry.grants is not None or entry.roles is not None:
        grants = _grants(source, (*path, "grants"), entry.grants or ())
    elif mappings is None:
        grants = PERMITTED
    else:
        grants = frozenset().union(*map(_whole_database, mappings.get(account, ())))
    if entry.admin:
        grants |= ADMINISTRATOR
    certificate = entry.certificate
    return User(
        *account,
        password,
        plugin,
        grants,
        roles=frozenset(map(read_account, entry.roles or ())),
        default_roles=None
        if entry.default_roles is None
        else frozenset(map(read_account, entry.default_roles)),
        tls=TlsNeed(
            entry.require_tls or certificate is not None,
            certificate is not None,
            *(("", "") if certificate is None else (certificate.subject, certificate.issuer)),
        ),
    )


def _role(source: SourceFile, path: Path, entry: RoleSection) -> User:
    grants = _grants(source, (*path, "grants"), entry.grants)
    roles = frozenset(map(read_account, entry.roles))
    return User(*read_account(entry.role), grants=grants, roles=roles, role=True)


def _whole_database(name: str) -> Grants:
    if name == "*":
        return PERMITTED
    # ShardingSphere's names are no patterns.
    return grant(Target(re.sub(r"([%_\\])", r"\\\1", name.lower())), OF_DATABASE)


def _grants(source: SourceFile, path: Path, entries: Sequence[GrantSection]) -> Grants:
    found: Grants = frozenset()
    for index, entry in enumerate(entries):
        try:
            found |= read_grant(entry.privileges, entry.on_)
        except GrantMistake as mistake:
            source.report((*path, index), str(mistake), "write it like {privileges: SELECT, on: shop.*}")
    return found


def _check_roles(source: SourceFile, section: AuthoritySection, found: Mapping[AccountName, User]) -> None:
    written = [(("roles", index), entry.roles) for index, entry in enumerate(section.roles)]
    written += [(("users", index), entry.roles or []) for index, entry in enumerate(section.users)]
    for place, roles in written:
        for number, role in enumerate(roles):
            if read_account(role) not in found:
                source.report(
                    ("authority", *place, "roles", number),
                    f"there is no role '{role}'",
                    suggestion(role, [str(name) for name, user in found.items() if user.role]),
                )


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
) -> dict[AccountName, tuple[str, ...]] | None:
    """Account → databases; None where every user may use every database."""
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
    result: dict[AccountName, tuple[str, ...]] = {}
    for part in filter(None, (piece.strip() for piece in raw.split(","))):
        account, equals, database = part.partition("=")
        if not equals or not database.strip():
            source.report((*path, "props", key), f"'{part}' has no '='", "write user@host=database")
            continue
        named = read_account(account.strip())
        result[named] = (*result.get(named, ()), database.strip())
    return result
