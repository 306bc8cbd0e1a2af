"""What the session's account may do beside the statements that are planned (`planner.needs` asks about those).

Decides the errors. What an account holds is `rules.privileges`' business.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

from dbmesh.errors import DATABASE_DENIED, PRIVILEGE_NEEDED, MeshError
from dbmesh.rules.accounts import AccountName, Authority, User
from dbmesh.rules.privileges import NOTHING, Privilege, Privileges

if TYPE_CHECKING:
    from dbmesh.session.mesh import Mesh
    from dbmesh.session.session import Session

_log = logging.getLogger(__name__)


def use_account(session: Session, user: User) -> None:
    """The session is this account's from here on."""
    session.account = str(user.account)
    session.roles = session.mesh.authority.default_roles(user)
    renew(session)


def renew(session: Session) -> None:
    """What the account and its active roles hold now counts from the session's next statement on. Who is gone may do nothing."""
    _hold(session, _rights(session.mesh.authority, session.account, session.roles))


def _rights(
    authority: Authority, account: str, roles: frozenset[AccountName]
) -> tuple[Privileges, frozenset[str]]:
    """What an account with these active roles may do, and the names masks know it by."""
    user = authority.users.get(AccountName(*account.rpartition("@")[::2]))
    if user is None:
        return NOTHING, frozenset()
    # Roles that are not active count too: nobody reads unmasked by SET ROLE NONE.
    names = frozenset(one.name for one in authority.reached(user, user.roles))
    return authority.privileges(user, roles), names


def _hold(session: Session, rights: tuple[Privileges, frozenset[str]]) -> None:
    session.privileges, names = rights
    session.principals = names | {session.user_name}
    session.checked = None if session.privileges.administrator else session.privileges


def use_authority(mesh: Mesh, authority: Authority) -> list[asyncio.Task[None]]:
    """Other accounts, roles and grants for every session of this process. Returns what is still to be done before all of them can
    log in. O(sessions + different accounts among them)."""
    for name in sorted(authority.hidden - mesh.authority.hidden):
        _log.warning("the account '%s' in the store is not used: global.yaml names one too", name)
    mesh.authority = authority
    preparing = [told(authority) for told in mesh.told_of_accounts]
    known: dict[tuple[str, frozenset[AccountName]], tuple[Privileges, frozenset[str]]] = {}
    for session in mesh.sessions.values():
        key = session.account, session.roles
        if key not in known:
            known[key] = _rights(authority, *key)
        _hold(session, known[key])
    return [one for one in preparing if one is not None]


def require(session: Session, *privileges: Privilege) -> None:
    """Raise MeshError(PRIVILEGE_NEEDED) unless the account holds one of these on everything."""
    if not any(session.privileges.may(privilege) for privilege in privileges):
        raise MeshError(PRIVILEGE_NEEDED, privilege=", ".join(one.value for one in privileges))


def require_administrator(session: Session, schema: str) -> None:
    """Raise MeshError(DATABASE_DENIED) where the account may not use a schema of the servers themselves."""
    if not session.privileges.administrator:
        raise _denied(session, schema)


def require_sight(session: Session, database: str) -> None:
    """Raise MeshError(DATABASE_DENIED) where the account may not know whether there is such a logic database."""
    if not session.privileges.sees_database(database):
        raise _denied(session, database)


def _denied(session: Session, database: str) -> MeshError:
    name, _, host = session.account.rpartition("@")
    return MeshError(DATABASE_DENIED, user=name, host=host, database=database)
