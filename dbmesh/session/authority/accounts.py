"""CREATE USER, GRANT, SET ROLE and their like: who may send them, and what the session answers.

Decides permissions and errors, as servers do. What a statement changes `rules.account_changes` knows, where accounts are kept the
mesh's keeper does.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from dbmesh.backend.connection import Product
from dbmesh.engine.warnings import ShardWarning
from dbmesh.errors import (
    ACCOUNT_FAILED,
    INVALID_ROLE,
    NO_SUCH_ACCOUNT,
    NO_SUCH_GRANT,
    ROLE_NOT_GRANTED,
    UNKNOWN_COLUMN,
    UNKNOWN_TABLE,
    MeshError,
    not_supported,
)
from dbmesh.planner.session_plan import ChangeAccounts, LocalRows, SetRole, ShowCreateUser, ShowGrants
from dbmesh.rules import account_statements as said
from dbmesh.rules.account_changes import Accounts, Changed, apply, spelled
from dbmesh.rules.account_text import shown_grants, shown_user, title
from dbmesh.rules.accounts import AccountName, User
from dbmesh.rules.grant_text import granted_items, quoted, read_level
from dbmesh.rules.privileges import Privilege
from dbmesh.session.answering.diagnostics import remember_warnings
from dbmesh.session.answering.result_sink import ResultSink
from dbmesh.session.authority.account_names import account_named, named
from dbmesh.session.authority.account_rights import check_accounts, check_statement, own_name
from dbmesh.session.authority.rights import renew, require_administrator
from dbmesh.session.planning import may_reload
from dbmesh.session.statements.variables import set_variables
from dbmesh.wire.packets import OkPacket

if TYPE_CHECKING:
    from dbmesh.session.session import Session

_NO_TLS = (
    "dbmesh: nobody can log in here: the account requires TLS, which this sidecar does not serve; "
    "set proxy-frontend-ssl-enabled: true under props of global.yaml"
)
_VERBS: dict[type, str] = {
    said.CreateUsers: "CREATE USER",
    said.AlterUsers: "ALTER USER",
    said.CreateRoles: "CREATE ROLE",
    said.RenameUsers: "RENAME USER",
}


async def change_accounts(session: Session, statement: ChangeAccounts, sink: ResultSink, more: int) -> None:
    """Change accounts of the mesh, for all sidecars. Raises MeshError."""
    keeper = session.mesh.accounts
    if keeper is None:
        raise not_supported(
            "changing accounts without a store",
            "name one in mode.repository, or list accounts in global.yaml",
        )
    change = named(session, statement.statement)
    if (
        isinstance(change, said.CreateRoles)
        and change.admin is None
        and session.mesh.product is not Product.MYSQL
    ):
        change = replace(change, admin=own_name(session))
    check_statement(session, change)
    await _check_table(session, change)
    session.warnings = await session.end_transaction(commit=True)
    changed = await keeper.change(partial(_changed, session, change))
    if changed.failed:
        raise _failed(change, changed)
    if statement.then is not None:
        await set_variables(session, statement.then)
    notes = [ShardWarning("Note", number, text) for number, text in changed.notes]
    if _asks_for_tls(change) and not session.mesh.configuration.properties["proxy-frontend-ssl-enabled"]:
        notes.append(ShardWarning("Warning", 1105, _NO_TLS))
    remember_warnings(session, notes)
    session.row_count = 0
    sink.ok(OkPacket(status=session.status | more, warnings=len(notes)))


def _asks_for_tls(change: said.AccountStatement) -> bool:
    tls = None
    if isinstance(change, (said.CreateUsers, said.AlterUsers)):
        tls = change.options.tls
    elif isinstance(change, said.GrantPrivileges):
        tls = change.tls
    return tls is not None and tls.required


def _changed(session: Session, change: said.AccountStatement, accounts: Accounts) -> Changed:
    # Again: what the session holds may have been taken from it while its transaction ended, or by a change that came first.
    check_statement(session, change)
    check_accounts(session, change, accounts)
    changed = apply(change, accounts)
    if changed.failed and session.mesh.product is Product.MYSQL:
        # MySQL does all of a statement or nothing, MariaDB as much as it can.
        raise _failed(change, changed)
    return changed


def _failed(change: said.AccountStatement, changed: Changed) -> MeshError:
    roles = isinstance(change, said.CreateRoles) or (isinstance(change, said.DropAccounts) and change.roles)
    verb = _VERBS.get(type(change)) or ("DROP ROLE" if roles else "DROP USER")
    names = ",".join(spelled(name, role=roles) for name in changed.failed)
    return MeshError(ACCOUNT_FAILED, verb=verb, names=names)


# ---------------------------------------------------------------------------------------------- tables


async def _check_table(session: Session, change: said.AccountStatement) -> None:
    """Raises MeshError for a GRANT on a table or a column that is not there; CREATE may be granted on what is not there yet."""
    if not isinstance(change, said.GrantPrivileges) or change.level.table is None:
        return
    database_name, table = change.level.database or "", change.level.table
    target = read_level(change.level)
    if any(privilege is Privilege.CREATE for _, privilege in granted_items(change.items, target)):
        return
    database = session.find_database(database_name)
    schema = None if database is None else database.catalog.table(table)
    if database is not None and schema is None and may_reload(session, database):
        await session.mesh.reload(database)
        database = session.find_database(database_name)
        schema = None if database is None else database.catalog.table(table)
    if schema is None:
        raise MeshError(UNKNOWN_TABLE, database=database_name, table=table)
    known = {column.name.lower() for column in schema.columns}
    for _, columns in change.items:
        for column in columns or ():
            if column.lower() not in known:
                raise MeshError(UNKNOWN_COLUMN, column=column, clause=table)


# ---------------------------------------------------------------------------------------------- roles of the session


async def set_role(session: Session, statement: SetRole, sink: ResultSink, more: int) -> None:
    """SET ROLE. Raises MeshError."""
    authority = session.mesh.authority
    user = authority.users.get(own_name(session))
    held = frozenset() if user is None else user.roles
    listed = named(session, statement.roles)
    if statement.special == "DEFAULT":
        roles = frozenset() if user is None else authority.default_roles(user)
    elif statement.special == "ALL":
        roles = held.difference(listed)
    else:
        _check_held(session, listed, held)
        roles = frozenset(listed)
    session.roles = roles
    renew(session)
    session.row_count = 0
    remember_warnings(session, [])
    sink.ok(OkPacket(status=session.status | more))


def _check_held(session: Session, roles: Iterable[AccountName], held: frozenset[AccountName]) -> None:
    own = own_name(session)
    for role in roles:
        found = session.mesh.authority.users.get(role)
        if found is None or not found.role:
            raise MeshError(INVALID_ROLE, role=quoted(role.name))
        if role not in held:
            raise MeshError(
                ROLE_NOT_GRANTED, user=quoted(own.name), host=quoted(own.host), role=quoted(role.name)
            )


# ---------------------------------------------------------------------------------------------- SHOW


def grants(session: Session, statement: ShowGrants) -> LocalRows:
    """SHOW GRANTS. Raises MeshError."""
    authority, own = session.mesh.authority, own_name(session)
    name = own if statement.account is None else account_named(session, statement.account)
    mariadb = session.mesh.product is not Product.MYSQL
    user = authority.users.get(name)
    mine = name == own or name in {one.account for one in _reached(session)}
    if not mine:
        require_administrator(session, "mysql")
    if user is None:
        raise MeshError(NO_SUCH_GRANT, user=name.name, host=name.host)
    own_roles = name == own and statement.account in (None, said.CURRENT_USER)
    active = session.roles if own_roles else user.roles if user.role else named(session, statement.using)
    rows = shown_grants(authority, user, active, mariadb=mariadb)
    column = f"Grants for {title(name, role=user.role, mariadb=mariadb)}"
    return LocalRows((column,), tuple((row,) for row in rows))


def _reached(session: Session) -> list[User]:
    authority = session.mesh.authority
    user = authority.users.get(own_name(session))
    return [] if user is None else authority.reached(user, session.roles)


def created_user(session: Session, statement: ShowCreateUser) -> LocalRows:
    """SHOW CREATE USER. Raises MeshError."""
    name = account_named(session, statement.account)
    if name != own_name(session):
        require_administrator(session, "mysql")
    user = session.mesh.authority.users.get(name)
    if user is None or user.role:
        raise MeshError(NO_SUCH_ACCOUNT)
    text = shown_user(user, mariadb=session.mesh.product is not Product.MYSQL)
    return LocalRows((f"CREATE USER for {name}",), ((text,),))
