"""Rows of information_schema about accounts, roles and privileges: the mesh's own, as one server would have them.

Decides who sees which rows, and the values of every column: MariaDB and MySQL have other columns, and each takes those it knows. Knows no
connections.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from dbmesh.merge.system_rows import Row
from dbmesh.rules.accounts import AccountName, Authority, User
from dbmesh.rules.privileges import EVERYTHING, Privilege, Target


@dataclass(frozen=True, slots=True)
class Viewer:
    """Who asks: the account and its active roles. One who `sees_all` is told of every account's privileges, others of their own.
    `roles_have_hosts`: roles are accounts like others, as for MySQL."""

    account: AccountName
    roles: frozenset[AccountName]
    sees_all: bool
    roles_have_hosts: bool


_Values = Mapping[str, str | None]


def account_rows(table: str, columns: Sequence[str], authority: Authority, viewer: Viewer) -> list[Row]:
    """The rows of one of the tables about accounts. `columns` are the table's, in upper case. O(accounts and their grants)."""
    found: list[Row] = []
    for values in _VALUES[table](authority, viewer):
        told = {"TABLE_CATALOG": "def", **values}
        texts = [told.get(column) for column in columns]
        found.append([None if text is None else text.encode("utf-8", "surrogateescape") for text in texts])
    return found


def _accounts(authority: Authority, viewer: Viewer) -> list[User]:
    return [
        authority.users[name] for name in sorted(authority.users) if viewer.sees_all or name == viewer.account
    ]


def _grants(user: User) -> Iterator[tuple[Target, Sequence[Privilege], str]]:
    """What an account holds on each target, in the order of servers, and whether it may grant it on."""
    held: dict[Target, set[Privilege]] = {EVERYTHING: set()}
    for target, privilege in user.grants:
        held.setdefault(target, set()).add(privilege)
    for target in sorted(held, key=lambda one: tuple(part or "" for part in one)):
        privileges = held[target]
        on = "YES" if Privilege.GRANT_OPTION in privileges else "NO"
        yield target, [one for one in Privilege if one in privileges - {Privilege.GRANT_OPTION}], on


def _grantee(user: User, viewer: Viewer) -> str:
    host = "" if user.role and not viewer.roles_have_hosts else user.host
    return f"'{user.name}'@'{host}'"


def _of_server(authority: Authority, viewer: Viewer) -> Iterator[_Values]:
    for user in _accounts(authority, viewer):
        if user.role and not viewer.roles_have_hosts:
            continue
        for target, privileges, on in _grants(user):
            if target == EVERYTHING:
                for name in [one.value for one in privileges] or ["USAGE"]:
                    yield {"GRANTEE": _grantee(user, viewer), "PRIVILEGE_TYPE": name, "IS_GRANTABLE": on}


def _within(
    wanted: Callable[[Target], bool],
) -> Callable[[Authority, Viewer], Iterator[_Values]]:
    """Privileges on databases, on tables or on columns."""

    def values(authority: Authority, viewer: Viewer) -> Iterator[_Values]:
        for user in _accounts(authority, viewer):
            # A column's privileges can be granted on as its table's can.
            of_tables = {
                (target.database, target.table): on
                for target, _, on in _grants(user)
                if target.column is None
            }
            for target, privileges, on in _grants(user):
                if not wanted(target):
                    continue
                for name in [one.value for one in privileges] or ["USAGE"]:
                    yield {
                        "GRANTEE": _grantee(user, viewer),
                        "TABLE_SCHEMA": target.database,
                        "TABLE_NAME": target.table,
                        "COLUMN_NAME": target.column,
                        "PRIVILEGE_TYPE": name,
                        "IS_GRANTABLE": on
                        if target.column is None
                        else of_tables.get((target.database, target.table), "NO"),
                    }

    return values


def _applicable(authority: Authority, viewer: Viewer) -> Iterator[_Values]:
    """Roles that were granted to the account, and to these."""
    own = authority.users.get(viewer.account)
    if own is None:
        return
    default = authority.default_roles(own)
    for user in authority.reached(own, own.roles):
        for role in sorted(user.roles):
            is_default = "YES" if role in default else "NO"
            yield {
                "USER": own.name,
                "HOST": own.host,
                "GRANTEE": user.name if user.role or viewer.roles_have_hosts else str(user.account),
                "GRANTEE_HOST": user.host,
                "ROLE_NAME": role.name,
                "ROLE_HOST": role.host,
                "IS_GRANTABLE": "YES" if role in user.administered else "NO",
                # MariaDB tells it of roles granted to the account itself alone.
                "IS_DEFAULT": None if user.role and not viewer.roles_have_hosts else is_default,
                "IS_MANDATORY": "NO",
            }


def _enabled(authority: Authority, viewer: Viewer) -> Iterator[_Values]:
    """Roles that are active, and those granted to them."""
    own = authority.users.get(viewer.account)
    reached = (
        [] if own is None else [user for user in authority.reached(own, viewer.roles) if user is not own]
    )
    if not reached and not viewer.roles_have_hosts:
        # MariaDB tells of no role by a row.
        yield {}
    default = frozenset() if own is None else authority.default_roles(own)
    for role in reached:
        yield {
            "ROLE_NAME": role.name,
            "ROLE_HOST": role.host,
            "IS_DEFAULT": "YES" if role.account in default else "NO",
            "IS_MANDATORY": "NO",
        }


_VALUES: Mapping[str, Callable[[Authority, Viewer], Iterator[_Values]]] = {
    "USER_PRIVILEGES": _of_server,
    "SCHEMA_PRIVILEGES": _within(lambda one: one.database is not None and one.table is None),
    "TABLE_PRIVILEGES": _within(lambda one: one.table is not None and one.column is None),
    "COLUMN_PRIVILEGES": _within(lambda one: one.column is not None),
    "APPLICABLE_ROLES": _applicable,
    "ENABLED_ROLES": _enabled,
}
