"""Who may change accounts: what a statement about them needs, and which accounts are out of reach.

Decides as servers do, and closes what would give an account more than it has: what one grants one must hold with GRANT OPTION, and an
administrator's account is changed by administrators alone. Knows nothing of how accounts are changed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from dbmesh.errors import (
    ACCESS_DENIED,
    CREATE_BY_GRANT,
    DATABASE_DENIED,
    PRIVILEGE_NEEDED,
    ROLE_DENIED,
    TABLE_DENIED,
    MeshError,
    not_supported,
)
from dbmesh.rules import account_statements as said
from dbmesh.rules.account_changes import Accounts
from dbmesh.rules.accounts import AccountName, Authority, User
from dbmesh.rules.grant_text import granted_items, is_all, read_level
from dbmesh.rules.privileges import Privilege, Target
from dbmesh.session.authority.masking import reads_masked
from dbmesh.session.authority.rights import require

if TYPE_CHECKING:
    from dbmesh.session.session import Session


def own_name(session: Session) -> AccountName:
    """The session's account."""
    return AccountName(*session.account.rpartition("@")[::2])


def check_statement(session: Session, change: said.AccountStatement) -> None:
    """Raise MeshError for a statement that the account may not send, whatever accounts there are."""
    if _is_own_password(session, change):
        return
    if reads_masked(session):
        # A new account, or a new name, would read what this one may not.
        raise not_supported(
            "changing accounts for users who read masked columns",
            "ask for the right to read the columns as they are",
        )
    if isinstance(change, (said.GrantPrivileges, said.RevokePrivileges)):
        _check_grants(session, change)
        return
    if isinstance(change, (said.GrantRoles, said.RevokeRoles)):
        _check_roles(session, change.roles)
        return
    if isinstance(change, said.SetPassword):
        _require_accounts(session)
        return
    if isinstance(change, said.SetDefaultRoles):
        if any(name != own_name(session) for name in change.accounts):
            _require_accounts(session)
        return
    require(session, Privilege.CREATE_USER)
    if isinstance(change, (said.CreateUsers, said.AlterUsers)):
        _check_roles(session, change.options.default_roles or ())


def _is_own_password(session: Session, change: said.AccountStatement) -> bool:
    own = own_name(session)
    if isinstance(change, said.SetPassword):
        return change.account == own
    return (
        isinstance(change, said.AlterUsers)
        and change.options == said.NO_OPTIONS
        and all(name == own and credential is not None for name, credential in change.accounts)
    )


def _require_accounts(session: Session) -> None:
    """What servers keep in the schema mysql."""
    if not session.privileges.may(Privilege.CREATE_USER):
        own = own_name(session)
        raise MeshError(DATABASE_DENIED, user=own.name, host=own.host, database="mysql")


def _check_grants(session: Session, change: said.GrantPrivileges | said.RevokePrivileges) -> None:
    target = read_level(change.level)
    needed = {(target, Privilege.GRANT_OPTION), *granted_items(change.items, target)}
    if (
        isinstance(change, said.RevokePrivileges)
        and target == Target()
        and any(is_all(n) for n, _ in change.items)
    ):
        needed.add((target, Privilege.SUPER))
    # GRANT OPTION is told of first.
    for one, privilege in sorted(needed, key=lambda need: need[1] is not Privilege.GRANT_OPTION):
        if not session.privileges.may_grant(privilege, one):
            raise _grant_denied(session, privilege, one)
    if isinstance(change, said.GrantPrivileges) and change.tls is not None:
        _require_accounts(session)


def _grant_denied(session: Session, privilege: Privilege, target: Target) -> MeshError:
    own = own_name(session)
    if target.database is None:
        return MeshError(ACCESS_DENIED, user=own.name, host=own.host, using="YES")
    if target.table is None:
        return MeshError(DATABASE_DENIED, user=own.name, host=own.host, database=target.database)
    verb = "GRANT" if privilege is Privilege.GRANT_OPTION else privilege.value
    return MeshError(TABLE_DENIED, verb=verb, user=own.name, host=own.host, table=target.table)


def _check_roles(session: Session, roles: tuple[AccountName, ...]) -> None:
    """Raise MeshError for a role that the account may not grant."""
    if session.privileges.administrator:
        return
    authority, own = session.mesh.authority, own_name(session)
    user = authority.users.get(own)
    reached = [] if user is None else authority.reached(user, session.roles)
    if any(all(role not in one.administered for one in reached) for role in roles):
        raise MeshError(ROLE_DENIED, user=own.name, host=own.host)


# ---------------------------------------------------------------------------------------------- which accounts


def check_accounts(session: Session, change: said.AccountStatement, accounts: Accounts) -> None:
    """Raise MeshError where a statement would change an account that this one may not."""
    if isinstance(change, said.GrantPrivileges):
        for name, credential in change.accounts:
            if credential is not None and not session.privileges.may(Privilege.CREATE_USER):
                if name not in accounts:
                    raise MeshError(CREATE_BY_GRANT)
                _require_accounts(session)
    if session.privileges.administrator:
        return
    authority = Authority(accounts.values())
    for name in _changed_names(change):
        user = accounts.get(name)
        if user is not None and name != own_name(session) and _administers(authority, user):
            raise MeshError(PRIVILEGE_NEEDED, privilege=Privilege.SUPER.value)


def _changed_names(change: said.AccountStatement) -> list[AccountName]:
    """The accounts whose passwords, names or rights a statement takes over. What GRANT and REVOKE of privileges and roles may do
    to anybody is bounded by what the sender holds."""
    if isinstance(change, (said.CreateUsers, said.AlterUsers)):
        return [name for name, _ in change.accounts]
    if isinstance(change, said.GrantPrivileges):
        return [
            name for name, credential in change.accounts if credential is not None or change.tls is not None
        ]
    if isinstance(change, said.SetPassword):
        return [change.account]
    if isinstance(change, (said.DropAccounts, said.CreateRoles)):
        return list(change.names)
    if isinstance(change, said.RenameUsers):
        return [before for before, _ in change.names]
    if isinstance(change, (said.RevokeAll, said.SetDefaultRoles)):
        return list(change.accounts)
    return []


def _administers(authority: Authority, user: User) -> bool:
    return any(privilege is Privilege.SUPER for _, privilege in authority.grants(user, user.roles))
