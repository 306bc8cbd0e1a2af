"""Accounts as SHOW GRANTS and SHOW CREATE USER tell them: statements that make the same account again.

Decides their spelling, MariaDB's and MySQL's. Passwords are told in their stored form, and only those that SQL has set: what
the configuration names stays there.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from dbmesh.rules.account_statements import CACHING_SHA2, NATIVE
from dbmesh.rules.accounts import AccountName, Authority, TlsNeed, User
from dbmesh.rules.grant_text import quoted, written_grants

_IN_CONFIGURATION = "<in global.yaml>"


def title(name: AccountName, *, role: bool = False, mariadb: bool) -> str:
    """An account as the columns of SHOW call it."""
    return name.name if role and mariadb else str(name)


def shown_grants(
    authority: Authority, user: User, active: Iterable[AccountName], *, mariadb: bool
) -> list[str]:
    """SHOW GRANTS of an account; with what its `active` roles hold."""
    to = _called(user, mariadb=mariadb)
    if not mariadb:
        return [*written_grants(authority.grants(user, active), to), *_mysql_roles(user, to)]
    reached = authority.reached(user, active)
    lines: list[str] = []
    # What a user has itself comes before everything that its roles have.
    for part in [reached] if user.role else [reached[:1], reached[1:]]:
        lines += [line for one in part for line in _mariadb_roles(one, authority)]
        lines += [line for one in part for line in written_grants(one.grants, _called(one, mariadb=True))]
    default = () if user.role or not user.stored else sorted(authority.default_roles(user))
    if default:
        lines.append(f"SET DEFAULT ROLE {', '.join(quoted(role.name) for role in default)} FOR {to}")
    return lines


def _called(user: User, *, mariadb: bool) -> str:
    name = quoted(user.name)
    return name if user.role and mariadb else f"{name}@{quoted(user.host)}"


def _mariadb_roles(user: User, authority: Authority) -> Iterator[str]:
    to = _called(user, mariadb=True)
    for role in sorted(user.roles):
        if role in authority.users:
            option = " WITH ADMIN OPTION" if role in user.administered else ""
            yield f"GRANT {quoted(role.name)} TO {to}{option}"


def _mysql_roles(user: User, to: str) -> Iterator[str]:
    for roles, option in (
        (user.roles - user.administered, ""),
        (user.roles & user.administered, " WITH ADMIN OPTION"),
    ):
        if roles:
            listed = ",".join(f"{quoted(role.name)}@{quoted(role.host)}" for role in sorted(roles))
            yield f"GRANT {listed} TO {to}{option}"


def shown_user(user: User, *, mariadb: bool) -> str:
    """SHOW CREATE USER."""
    parts = ["CREATE USER", f"{quoted(user.name)}@{quoted(user.host)}"]
    if mariadb:
        parts += [
            *_mariadb_identity(user),
            *_requirement(user.tls),
            *(["ACCOUNT LOCK"] if user.locked else []),
        ]
        return " ".join(parts)
    parts.append(f"IDENTIFIED WITH '{_plugin(user)}'")
    if user.password:
        parts.append(f"AS '{_stored(user)}'")
    if user.default_roles:
        roles = ",".join(f"{quoted(role.name)}@{quoted(role.host)}" for role in sorted(user.default_roles))
        parts.append(f"DEFAULT ROLE {roles}")
    parts += _requirement(user.tls) or ["REQUIRE NONE"]
    parts.append(f"PASSWORD EXPIRE DEFAULT ACCOUNT {'LOCK' if user.locked else 'UNLOCK'}")
    parts.append("PASSWORD HISTORY DEFAULT PASSWORD REUSE INTERVAL DEFAULT PASSWORD REQUIRE CURRENT DEFAULT")
    return " ".join(parts)


def _mariadb_identity(user: User) -> list[str]:
    if _plugin(user) == NATIVE:
        return [f"IDENTIFIED BY PASSWORD '{_stored(user)}'"] if user.password else []
    return [f"IDENTIFIED VIA {_plugin(user)} USING '{_stored(user)}'"]


def _plugin(user: User) -> str:
    if user.plugin is not None:
        return user.plugin
    return CACHING_SHA2 if user.password[:3] == "$A$" else NATIVE


def _stored(user: User) -> str:
    return user.password if user.stored else _IN_CONFIGURATION


def _requirement(tls: TlsNeed) -> list[str]:
    if not tls.required:
        return []
    named = [
        f"{part} {_text(value)}"
        for part, value in (("ISSUER", tls.issuer), ("SUBJECT", tls.subject))
        if value
    ]
    return ["REQUIRE", *(named or ["X509" if tls.certificate else "SSL"])]


def _text(value: str) -> str:
    return "'" + value.replace("\\", "\\\\").replace("'", "''") + "'"
