"""Statements about accounts applied to the accounts there are.

Decides what a statement changes, and what of it fails, as servers do. Who may send it is the session's business, where accounts
are kept the store's. Passwords come here in their stored form only. Accounts of the configuration change nowhere but there.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from dbmesh.errors import (
    CANNOT_GRANT_ROLE,
    CANNOT_REVOKE_ROLE,
    INVALID_ROLE,
    NO_SUCH_ACCOUNT,
    NO_SUCH_GRANT,
    NO_SUCH_TABLE_GRANT,
    REVOKE_ALL_FAILED,
    ROLE_NOT_GRANTED,
    MeshError,
    not_supported,
)
from dbmesh.rules import account_statements as said
from dbmesh.rules.accounts import AccountName, User
from dbmesh.rules.grant_text import granted_items, is_all, quoted, read_level
from dbmesh.rules.privileges import OF_COLUMN, Grants, Privilege, Target, grant

Accounts = Mapping[AccountName, User]
"""Every account and role there is by its name."""


@dataclass(frozen=True, slots=True)
class Changed:
    """What a statement made of the accounts. `failed`: names it could do nothing with; `notes`: number and text of notes."""

    accounts: Accounts
    failed: tuple[AccountName, ...] = ()
    notes: tuple[tuple[int, str], ...] = ()


def apply(statement: said.AccountStatement, accounts: Accounts) -> Changed:
    """The accounts after a statement in which every name is an account's. Raises MeshError; nothing of the statement is done then."""
    return _APPLIED[type(statement)](statement, accounts)


def spelled(name: AccountName, *, role: bool = False) -> str:
    """An account as messages call it."""
    return f"'{name.name}'" if role else f"'{name.name}'@'{name.host}'"


def _changeable(user: User, verb: str) -> User:
    """Raises MeshError for an account that is written in the configuration."""
    if not user.stored:
        raise not_supported(
            f"{verb} for {spelled(user.account)}, which global.yaml names",
            "change it there, under authority",
        )
    return user


def _without(accounts: Accounts, gone: Collection[AccountName]) -> dict[AccountName, User]:
    """Accounts without some names, which nobody has as a role any more."""
    return {
        name: _forgetting(user, gone) if user.stored else user
        for name, user in accounts.items()
        if name not in gone
    }


def _forgetting(user: User, gone: Collection[AccountName]) -> User:
    if user.roles.isdisjoint(gone) and (user.default_roles or frozenset()).isdisjoint(gone):
        return user
    default = None if user.default_roles is None else user.default_roles.difference(gone)
    return replace(
        user,
        roles=user.roles.difference(gone),
        administered=user.administered.difference(gone),
        default_roles=default,
    )


# ---------------------------------------------------------------------------------------------- users and roles


def _create_users(statement: said.CreateUsers, accounts: Accounts) -> Changed:
    made = [
        _optioned(_identified(_nobody(name), credential), statement.options, accounts)
        for name, credential in statement.accounts
    ]
    roles = statement.options.default_roles or ()
    made = [_holding(user, roles, accounts) for user in made]
    return _create(made, accounts, statement, "user", 1973)


def _nobody(name: AccountName) -> User:
    return User(*name, default_roles=frozenset(), stored=True)


def _create_roles(statement: said.CreateRoles, accounts: Accounts) -> Changed:
    made = [replace(_nobody(name), role=True) for name in statement.names]
    changed = _create(made, accounts, statement, "role", 1975)
    admin = None if statement.admin is None else changed.accounts.get(statement.admin)
    if statement.admin is None or (admin is not None and not admin.stored):
        # Whoever is written in the configuration holds no role that is made later.
        return changed
    if admin is None:
        raise MeshError(NO_SUCH_ACCOUNT)
    new = {name for name in statement.names if accounts.get(name) is not changed.accounts[name]}
    holder = replace(admin, roles=admin.roles | new, administered=admin.administered | new)
    return replace(changed, accounts={**changed.accounts, holder.account: holder})


def _create(
    made: Iterable[User],
    accounts: Accounts,
    statement: said.CreateUsers | said.CreateRoles,
    kind: str,
    note: int,
) -> Changed:
    found = dict(accounts)
    failed: list[AccountName] = []
    notes: list[tuple[int, str]] = []
    for user in made:
        there = found.get(user.account)
        if there is not None and statement.or_replace and there.role == user.role:
            _changeable(there, f"CREATE OR REPLACE {kind.upper()}")
        elif there is not None and statement.if_not_exists and there.role == user.role:
            text = f"Can't create {kind} {spelled(user.account, role=user.role)}; it already exists"
            notes.append((note, text))
            continue
        elif there is not None:
            failed.append(user.account)
            continue
        # Whoever held a role of this name held another one.
        found = {**_without(found, {user.account}), user.account: user}
    return Changed(found, tuple(failed), tuple(notes))


def _alter_users(statement: said.AlterUsers, accounts: Accounts) -> Changed:
    found = dict(accounts)
    failed: list[AccountName] = []
    notes: list[tuple[int, str]] = []
    for name, credential in statement.accounts:
        user = found.get(name)
        if user is None or user.role:
            if statement.if_exists:
                notes.append((1396, f"Operation ALTER USER failed for {spelled(name)}"))
            else:
                failed.append(name)
            continue
        user = _identified(_changeable(user, "ALTER USER"), credential)
        found[name] = _optioned(user, statement.options, accounts)
    return Changed(found, tuple(failed), tuple(notes))


def _set_password(statement: said.SetPassword, accounts: Accounts) -> Changed:
    user = accounts.get(statement.account)
    if user is None or user.role:
        raise MeshError(NO_SUCH_ACCOUNT)
    user = _identified(_changeable(user, "SET PASSWORD"), statement.credential)
    return Changed({**accounts, user.account: user})


def _identified(user: User, credential: said.Credential | None) -> User:
    if credential is None:
        return user
    return replace(user, password=credential.stored or "", plugin=credential.plugin)


def _optioned(user: User, options: said.Options, accounts: Accounts) -> User:
    if options.tls is not None:
        user = replace(user, tls=options.tls)
    if options.locked is not None:
        user = replace(user, locked=options.locked)
    if options.default_roles is not None:
        user = _holding(user, options.default_roles, accounts)
        user = replace(user, default_roles=frozenset(options.default_roles))
    return user


def _holding(user: User, roles: Iterable[AccountName], accounts: Accounts) -> User:
    """A user who holds these roles. Raises MeshError for one there is not."""
    return replace(user, roles=user.roles.union(_role(accounts, name).account for name in roles))


def _drop(statement: said.DropAccounts, accounts: Accounts) -> Changed:
    kind, note = ("role", 1976) if statement.roles else ("user", 1974)
    gone: set[AccountName] = set()
    failed: list[AccountName] = []
    notes: list[tuple[int, str]] = []
    for name in statement.names:
        user = accounts.get(name)
        if user is not None and user.role == statement.roles and name not in gone:
            _changeable(user, f"DROP {kind.upper()}")
            gone.add(name)
        elif statement.if_exists:
            notes.append((note, f"Can't drop {kind} {spelled(name, role=statement.roles)}; it doesn't exist"))
        else:
            failed.append(name)
    return Changed(_without(accounts, gone), tuple(failed), tuple(notes))


def _rename(statement: said.RenameUsers, accounts: Accounts) -> Changed:
    found = dict(accounts)
    failed: list[AccountName] = []
    for before, after in statement.names:
        user = found.get(before)
        if user is None or user.role or after in found:
            failed.append(before)
            continue
        _changeable(user, "RENAME USER")
        # Whoever held a role that was called so held another one.
        found = _without(found, {before, after})
        found[after] = replace(user, name=after.name, host=after.host)
    return Changed(found, tuple(failed))


# ---------------------------------------------------------------------------------------------- privileges


def _grant(statement: said.GrantPrivileges, accounts: Accounts) -> Changed:
    target = read_level(statement.level)
    grants = granted_items(statement.items, target)
    if statement.option:
        grants |= {(target, Privilege.GRANT_OPTION)}
    found = dict(accounts)
    for name, credential in statement.accounts:
        user = found.get(name)
        if user is None:
            if credential is None:
                raise MeshError(NO_SUCH_ACCOUNT)
            found = _without(found, {name})
            user = _nobody(name)
        user = _identified(_changeable(user, "GRANT"), credential)
        user = replace(user, grants=user.grants | grants)
        found[name] = user if statement.tls is None else replace(user, tls=statement.tls)
    return Changed(found)


def _revoke(statement: said.RevokePrivileges, accounts: Accounts) -> Changed:
    target = read_level(statement.level)
    revoked = granted_items(statement.items, target)
    if any(is_all(name) for name, _ in statement.items):
        # To take everything back is to take SUPER back too, which ALL does not give.
        revoked |= grant(target, target.grantable - {Privilege.GRANT_OPTION})
    found = dict(accounts)
    for name in statement.accounts:
        user = found.get(name)
        if user is None:
            raise MeshError(NO_SUCH_GRANT, user=name.name, host=name.host)
        _changeable(user, "REVOKE")
        if target.database is not None and not _holds_some(user.grants, target):
            if target.table is None:
                raise MeshError(NO_SUCH_GRANT, user=name.name, host=name.host)
            raise MeshError(NO_SUCH_TABLE_GRANT, user=name.name, host=name.host, table=target.table)
        found[name] = replace(user, grants=_left(user.grants, revoked))
    return Changed(found)


def _holds_some(grants: Grants, target: Target) -> bool:
    """Whether anything was granted on a database, or on a table and its columns."""
    return any(one._replace(column=None) == target for one, _ in grants)


def _left(grants: Grants, revoked: Grants) -> Grants:
    """What a revocation leaves. A privilege on a table is taken back with those on its columns."""
    whole = {(target, privilege) for target, privilege in revoked if target.table and privilege in OF_COLUMN}
    return frozenset(
        (target, privilege)
        for target, privilege in grants
        if (target, privilege) not in revoked and (target._replace(column=None), privilege) not in whole
    )


def _revoke_all(statement: said.RevokeAll, accounts: Accounts) -> Changed:
    found = dict(accounts)
    for name in statement.accounts:
        user = found.get(name)
        if user is None:
            raise MeshError(REVOKE_ALL_FAILED)
        _changeable(user, "REVOKE")
        found[name] = replace(
            user, grants=frozenset(), roles=frozenset(), administered=frozenset(), default_roles=frozenset()
        )
    return Changed(found)


# ---------------------------------------------------------------------------------------------- roles


def _role(accounts: Accounts, name: AccountName) -> User:
    role = accounts.get(name)
    if role is None or not role.role:
        raise MeshError(INVALID_ROLE, role=quoted(name.name))
    return role


def _grant_roles(statement: said.GrantRoles, accounts: Accounts) -> Changed:
    found = dict(accounts)
    for role in statement.roles:
        _role(accounts, role)
        for name in statement.accounts:
            user = found.get(name)
            if user is None:
                raise MeshError(NO_SUCH_ACCOUNT)
            _changeable(user, "GRANT")
            if name == role or reaches(found, role, name):
                # A role that holds itself.
                raise MeshError(CANNOT_GRANT_ROLE, role=role.name, account=spelled(name, role=user.role))
            administered = user.administered | ({role} if statement.admin else set())
            found[name] = replace(user, roles=user.roles | {role}, administered=administered)
    return Changed(found)


def reaches(accounts: Accounts, start: AccountName, wanted: AccountName) -> bool:
    """Whether a role is granted to an account, by itself or through others."""
    waiting, seen = [start], {start}
    while waiting:
        user = accounts.get(waiting.pop())
        for role in () if user is None else user.roles - seen:
            if role == wanted:
                return True
            seen.add(role)
            waiting.append(role)
    return False


def _revoke_roles(statement: said.RevokeRoles, accounts: Accounts) -> Changed:
    found = dict(accounts)
    for role in statement.roles:
        _role(accounts, role)
        for name in statement.accounts:
            user = found.get(name)
            held = frozenset() if user is None else user.administered if statement.admin_only else user.roles
            if user is None or role not in held:
                shown = spelled(name, role=user is not None and user.role)
                raise MeshError(CANNOT_REVOKE_ROLE, role=role.name, account=shown)
            _changeable(user, "REVOKE")
            if statement.admin_only:
                found[name] = replace(user, administered=user.administered - {role})
            else:
                found[name] = _forgetting(user, {role})
    return Changed(found)


def _set_default_roles(statement: said.SetDefaultRoles, accounts: Accounts) -> Changed:
    found = dict(accounts)
    for role in statement.roles or ():
        _role(accounts, role)
    for name in statement.accounts:
        user = found.get(name)
        if user is None or user.role:
            if statement.roles:
                raise _not_granted(name, statement.roles[0])
            raise MeshError(NO_SUCH_ACCOUNT)
        _changeable(user, "SET DEFAULT ROLE")
        roles = user.roles if statement.roles is None else frozenset(statement.roles)
        for role in sorted(roles - user.roles):
            raise _not_granted(name, role)
        found[name] = replace(user, default_roles=roles)
    return Changed(found)


def _not_granted(name: AccountName, role: AccountName) -> MeshError:
    return MeshError(ROLE_NOT_GRANTED, user=quoted(name.name), host=quoted(name.host), role=quoted(role.name))


_APPLIED: Mapping[type, Callable[[Any, Accounts], Changed]] = {
    said.CreateUsers: _create_users,
    said.AlterUsers: _alter_users,
    said.SetPassword: _set_password,
    said.CreateRoles: _create_roles,
    said.DropAccounts: _drop,
    said.RenameUsers: _rename,
    said.GrantPrivileges: _grant,
    said.RevokePrivileges: _revoke,
    said.RevokeAll: _revoke_all,
    said.GrantRoles: _grant_roles,
    said.RevokeRoles: _revoke_roles,
    said.SetDefaultRoles: _set_default_roles,
}
