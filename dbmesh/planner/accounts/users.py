"""CREATE, ALTER, DROP and RENAME USER, CREATE and DROP ROLE, SET PASSWORD.

Decides their spelling, MySQL's and MariaDB's, and which of their options the mesh does not have. Knows no accounts.
"""

from __future__ import annotations

from dataclasses import replace

from dbmesh.errors import WRONG_USAGE, MeshError, not_supported
from dbmesh.planner.accounts.names import (
    read_account,
    read_list,
    read_new_password,
    read_role,
    read_text,
    read_user,
)
from dbmesh.planner.lexemes import LexemeReader
from dbmesh.rules.account_statements import (
    CURRENT_USER,
    NO_OPTIONS,
    AccountStatement,
    AlterUsers,
    CreateRoles,
    CreateUsers,
    DropAccounts,
    Options,
    RenameUsers,
    SetPassword,
)
from dbmesh.rules.accounts import AccountName, TlsNeed

_LIMITS = (
    "MAX_QUERIES_PER_HOUR",
    "MAX_UPDATES_PER_HOUR",
    "MAX_CONNECTIONS_PER_HOUR",
    "MAX_USER_CONNECTIONS",
    "MAX_STATEMENT_TIME",
)


def read_users_statement(reader: LexemeReader) -> AccountStatement | None:
    """A statement about users or roles themselves; None for any other. Raises MeshError."""
    verb = reader.peek().word
    ahead = 3 if reader.looks_at("CREATE", "OR", "REPLACE") else 1
    kind = reader.peek(ahead).word
    if kind not in ("USER", "ROLE"):
        return None
    found: AccountStatement
    if verb == "CREATE":
        reader.position += ahead + 1
        found = _read_create(reader, kind, or_replace=ahead == 3)
    elif verb == "ALTER" and kind == "USER":
        reader.position += 2
        found = _read_alter(reader)
    elif verb == "DROP":
        reader.position += 2
        if_exists = reader.accept("IF", "EXISTS")
        names = read_list(reader, read_role if kind == "ROLE" else read_account)
        found = DropAccounts(names, kind == "ROLE", if_exists)
    elif verb == "RENAME" and kind == "USER":
        reader.position += 2
        found = RenameUsers(read_list(reader, _read_renaming))
    else:
        return None
    reader.expect_end()
    return found


def _read_create(reader: LexemeReader, kind: str, *, or_replace: bool) -> CreateUsers | CreateRoles:
    if_not_exists = reader.accept("IF", "NOT", "EXISTS")
    if or_replace and if_not_exists:
        raise MeshError(WRONG_USAGE, one="OR REPLACE", other="IF NOT EXISTS")
    if kind == "ROLE":
        names = read_list(reader, read_role)
        admin = _read_admin(reader) if reader.accept("WITH", "ADMIN") else None
        return CreateRoles(names, admin, if_not_exists, or_replace)
    accounts = read_list(reader, read_user)
    return CreateUsers(accounts, read_options(reader), if_not_exists, or_replace)


def _read_admin(reader: LexemeReader) -> AccountName:
    return read_role(reader) if reader.looks_at("CURRENT_ROLE") else read_account(reader)


def _read_alter(reader: LexemeReader) -> AlterUsers:
    if_exists = reader.accept("IF", "EXISTS")
    accounts = read_list(reader, read_user)
    return AlterUsers(accounts, read_options(reader), if_exists)


def _read_renaming(reader: LexemeReader) -> tuple[AccountName, AccountName]:
    before = read_account(reader)
    reader.expect("TO")
    return before, read_account(reader)


def read_set_password(reader: LexemeReader) -> SetPassword:
    """SET PASSWORD, from behind these words; other assignments may follow. Raises MeshError."""
    account = read_account(reader) if reader.accept("FOR") else CURRENT_USER
    if reader.accept("TO"):
        raise not_supported("passwords made by the server", "give one")
    reader.expect("=")
    return SetPassword(account, read_new_password(reader))


# ---------------------------------------------------------------------------------------------- options


def read_options(reader: LexemeReader) -> Options:
    """What follows the accounts: DEFAULT ROLE, REQUIRE, WITH limits, PASSWORD and ACCOUNT options. Raises MeshError."""
    options = NO_OPTIONS
    while not reader.at_end:
        if reader.accept("DEFAULT", "ROLE"):
            roles = () if reader.accept("NONE") else read_list(reader, read_role)
            options = replace(options, default_roles=roles)
        elif (tls := read_requirement(reader)) is not None:
            options = replace(options, tls=tls)
        elif reader.accept("WITH"):
            read_limits(reader)
        elif reader.accept("ACCOUNT"):
            lock = reader.accept_any("LOCK", "UNLOCK")
            if lock is None:
                raise reader.error()
            options = replace(options, locked=lock == "LOCK")
        elif reader.accept("PASSWORD"):
            _read_expiry(reader)
        elif (
            reader.accept_any("FAILED_LOGIN_ATTEMPTS", "PASSWORD_LOCK_TIME", "COMMENT", "ATTRIBUTE")
            is not None
        ):
            raise not_supported(
                "locking after failed logins, comments and attributes of accounts", "leave them out"
            )
        else:
            raise reader.error()
    return options


def read_requirement(reader: LexemeReader) -> TlsNeed | None:
    """REQUIRE …; None where there is none. Raises MeshError."""
    if not reader.accept("REQUIRE"):
        return None
    simple = reader.accept_any("NONE", "SSL", "X509")
    if simple is not None:
        return TlsNeed(simple != "NONE", simple == "X509")
    named = {"SUBJECT": "", "ISSUER": ""}
    while (part := reader.accept_any("SUBJECT", "ISSUER", "CIPHER")) is not None:
        if part == "CIPHER":
            raise not_supported(
                "REQUIRE CIPHER for one account",
                "choose TLS versions and ciphers for all in the proxy's certificate set-up",
            )
        named[part] = read_text(reader)
        reader.accept("AND")
    if not any(named.values()):
        raise reader.error()
    return TlsNeed(True, True, named["SUBJECT"], named["ISSUER"])


def read_limits(reader: LexemeReader) -> None:
    """Limits of 0, which are none. Raises MeshError for others."""
    some = False
    while (name := reader.accept_any(*_LIMITS)) is not None:
        some = True
        if reader.expect_integer():
            raise not_supported(
                f"{name} of an account", "set limits and connections under protection in global.yaml"
            )
    if not some:
        raise reader.error()


def _read_expiry(reader: LexemeReader) -> None:
    """PASSWORD options that say what holds anyway. Raises MeshError."""
    if reader.accept("EXPIRE") and reader.accept_any("DEFAULT", "NEVER") is not None:
        return
    if reader.accept("HISTORY", "DEFAULT") or reader.accept("REUSE", "INTERVAL", "DEFAULT"):
        return
    if reader.accept("REQUIRE", "CURRENT") and reader.accept_any("DEFAULT", "OPTIONAL") is not None:
        return
    raise not_supported(
        "passwords that expire, and histories of passwords", "leave the option out, or write DEFAULT"
    )
