"""GRANT and REVOKE of privileges and roles, SET ROLE, SET DEFAULT ROLE, SHOW GRANTS.

Decides their spelling, MySQL's and MariaDB's. Which privileges there are `rules.grant_text` knows.
"""

from __future__ import annotations

from dbmesh.errors import not_supported
from dbmesh.planner.accounts.names import read_account, read_list, read_role, read_user
from dbmesh.planner.accounts.users import read_limits, read_requirement
from dbmesh.planner.lexemes import LexemeReader
from dbmesh.planner.session_plan import SetRole, ShowGrants
from dbmesh.rules.account_statements import (
    CURRENT_USER,
    GrantPrivileges,
    GrantRoles,
    Items,
    Level,
    RevokeAll,
    RevokePrivileges,
    RevokeRoles,
    SetDefaultRoles,
)
from dbmesh.rules.accounts import AccountName


def read_grant(reader: LexemeReader) -> GrantPrivileges | GrantRoles:
    """GRANT. Raises MeshError."""
    reader.expect("GRANT")
    _refuse_proxy(reader)
    if not _names_privileges(reader, "TO"):
        roles = read_list(reader, read_role)
        reader.expect("TO")
        accounts = read_list(reader, _read_receiver)
        admin = reader.accept("WITH", "ADMIN", "OPTION")
        reader.expect_end()
        return GrantRoles(roles, accounts, admin)
    items, level = _read_privileges(reader)
    reader.expect("TO")
    receivers = read_list(reader, read_user)
    tls = read_requirement(reader)
    option = False
    while reader.accept("WITH") or (option and not reader.at_end):
        if reader.accept("GRANT", "OPTION"):
            option = True
        else:
            read_limits(reader)
    if reader.looks_at("AS"):
        raise not_supported("GRANT … AS another account", "log in as that account")
    reader.expect_end()
    return GrantPrivileges(items, level, receivers, option, tls)


def read_revoke(reader: LexemeReader) -> RevokePrivileges | RevokeAll | RevokeRoles:
    """REVOKE. Raises MeshError."""
    reader.expect("REVOKE")
    _refuse_proxy(reader)
    found: RevokePrivileges | RevokeAll | RevokeRoles
    if _is_revoke_all(reader):
        reader.expect("FROM")
        found = RevokeAll(read_list(reader, _read_receiver))
    elif _names_privileges(reader, "FROM"):
        items, level = _read_privileges(reader)
        reader.expect("FROM")
        found = RevokePrivileges(items, level, read_list(reader, _read_receiver))
    else:
        admin_only = reader.accept("ADMIN", "OPTION", "FOR")
        roles = read_list(reader, read_role)
        reader.expect("FROM")
        found = RevokeRoles(roles, read_list(reader, _read_receiver), admin_only)
    reader.expect_end()
    return found


def _refuse_proxy(reader: LexemeReader) -> None:
    if reader.looks_at("PROXY"):
        raise not_supported("PROXY of accounts", "grant a role")


def _is_revoke_all(reader: LexemeReader) -> bool:
    start = reader.position
    if reader.accept("ALL"):
        reader.accept("PRIVILEGES")
        if reader.accept(",", "GRANT", "OPTION"):
            return True
    reader.position = start
    return False


def _names_privileges(reader: LexemeReader, end: str) -> bool:
    """Whether the words up to `end` have an ON, which roles do not."""
    ahead = 0
    while (lexeme := reader.peek(ahead)).start >= 0 and lexeme.word != end:
        if lexeme.word == "ON":
            return True
        ahead += 1
    return False


def _read_receiver(reader: LexemeReader) -> AccountName:
    return read_role(reader) if reader.looks_at("CURRENT_ROLE") else read_account(reader)


def _read_privileges(reader: LexemeReader) -> tuple[Items, Level]:
    items = read_list(reader, _read_item)
    reader.expect("ON")
    kind = reader.accept_any("TABLE")
    if kind is None and reader.accept_any("FUNCTION", "PROCEDURE", "PACKAGE") is not None:
        raise not_supported("privileges on one routine", "grant EXECUTE or ALTER ROUTINE on its database")
    return items, _read_level(reader)


def _read_item(reader: LexemeReader) -> tuple[str, tuple[str, ...] | None]:
    words: list[str] = []
    while (word := reader.peek().word) and word != "ON":
        words.append(word)
        reader.take()
    if not words:
        raise reader.error()
    columns = None
    if reader.accept("("):
        columns = read_list(reader, lambda one: one.expect_name().value)
        reader.expect(")")
    return " ".join(words), columns


def _read_level(reader: LexemeReader) -> Level:
    """`*.*`, `*`, `database.*`, `database.table`, `table`."""
    if reader.accept("*"):
        if reader.accept("."):
            reader.expect("*")
            return Level()
        return Level("")
    name = reader.expect_name().value
    if not reader.accept("."):
        return Level("", name)
    return Level(name) if reader.accept("*") else Level(name, reader.expect_name().value)


# ---------------------------------------------------------------------------------------------- roles of a session


def read_set_role(reader: LexemeReader) -> SetRole:
    """SET ROLE, from behind these words. Raises MeshError."""
    if (special := reader.accept_any("NONE", "DEFAULT")) is not None:
        found = SetRole(special)
    elif reader.accept("ALL"):
        found = SetRole("ALL", read_list(reader, read_role) if reader.accept("EXCEPT") else ())
    else:
        found = SetRole("", read_list(reader, read_role))
    reader.expect_end()
    return found


def read_set_default_role(reader: LexemeReader) -> SetDefaultRoles:
    """SET DEFAULT ROLE, from behind these words. Raises MeshError."""
    roles: tuple[AccountName, ...] | None = ()
    if reader.accept("ALL"):
        roles = None
    elif not reader.accept("NONE"):
        roles = read_list(reader, read_role)
    named = reader.accept_any("FOR", "TO") is not None
    accounts = read_list(reader, read_account) if named else (CURRENT_USER,)
    reader.expect_end()
    return SetDefaultRoles(roles, accounts)


def read_show_grants(reader: LexemeReader) -> ShowGrants:
    """SHOW GRANTS, from behind these words. Raises MeshError."""
    if not reader.accept("FOR"):
        reader.expect_end()
        return ShowGrants()
    account = _read_receiver(reader)
    using = read_list(reader, read_role) if reader.accept("USING") else ()
    reader.expect_end()
    return ShowGrants(account, using)
