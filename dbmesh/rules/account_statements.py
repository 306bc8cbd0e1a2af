"""What statements about accounts say, as values: CREATE USER, GRANT, SET PASSWORD and their like.

Decides nothing. Reading them is `planner.accounts`' business, applying them `rules.account_changes`'.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from dbmesh.rules.accounts import AccountName, TlsNeed

CURRENT_USER: Final = AccountName("", "CURRENT_USER")
"""The account of whoever asks; no account of the mesh is without a name."""
CURRENT_ROLE: Final = AccountName("", "CURRENT_ROLE")
"""The active role of whoever asks."""

NATIVE: Final = "mysql_native_password"
CACHING_SHA2: Final = "caching_sha2_password"


@dataclass(frozen=True, slots=True)
class Credential:
    """How an account is to log in: the `plain` text of its password, or its `stored` form. `plugin` is None for the usual one."""

    plugin: str | None = None
    plain: str | None = field(default=None, repr=False)
    stored: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Options:
    """What is said of all accounts of a statement; None where nothing is."""

    tls: TlsNeed | None = None
    locked: bool | None = None
    default_roles: tuple[AccountName, ...] | None = None


NO_OPTIONS: Final = Options()


@dataclass(frozen=True, slots=True)
class CreateUsers:
    """CREATE [OR REPLACE] USER [IF NOT EXISTS]: names, each with how it logs in."""

    accounts: tuple[tuple[AccountName, Credential | None], ...]
    options: Options = NO_OPTIONS
    if_not_exists: bool = False
    or_replace: bool = False


@dataclass(frozen=True, slots=True)
class AlterUsers:
    """ALTER USER [IF EXISTS]."""

    accounts: tuple[tuple[AccountName, Credential | None], ...]
    options: Options = NO_OPTIONS
    if_exists: bool = False


@dataclass(frozen=True, slots=True)
class SetPassword:
    """SET PASSWORD [FOR account]."""

    account: AccountName
    credential: Credential


@dataclass(frozen=True, slots=True)
class CreateRoles:
    """CREATE [OR REPLACE] ROLE [IF NOT EXISTS] [WITH ADMIN account]; `admin` is None where none is named."""

    names: tuple[AccountName, ...]
    admin: AccountName | None = None
    if_not_exists: bool = False
    or_replace: bool = False


@dataclass(frozen=True, slots=True)
class DropAccounts:
    """DROP USER and DROP ROLE (`roles`) [IF EXISTS]."""

    names: tuple[AccountName, ...]
    roles: bool
    if_exists: bool = False


@dataclass(frozen=True, slots=True)
class RenameUsers:
    """RENAME USER: what each was called, and what it is called then."""

    names: tuple[tuple[AccountName, AccountName], ...]


@dataclass(frozen=True, slots=True)
class Level:
    """What privileges are for: everything, a database ('' is the current one), or a table."""

    database: str | None = None
    table: str | None = None


Items = tuple[tuple[str, tuple[str, ...] | None], ...]
"""Privileges by name, each with its columns where it is for these alone."""


@dataclass(frozen=True, slots=True)
class GrantPrivileges:
    """GRANT privileges ON level TO accounts. `option`: WITH GRANT OPTION."""

    items: Items
    level: Level
    accounts: tuple[tuple[AccountName, Credential | None], ...]
    option: bool = False
    tls: TlsNeed | None = None


@dataclass(frozen=True, slots=True)
class RevokePrivileges:
    """REVOKE privileges ON level FROM accounts."""

    items: Items
    level: Level
    accounts: tuple[AccountName, ...]


@dataclass(frozen=True, slots=True)
class RevokeAll:
    """REVOKE ALL PRIVILEGES, GRANT OPTION FROM accounts."""

    accounts: tuple[AccountName, ...]


@dataclass(frozen=True, slots=True)
class GrantRoles:
    """GRANT roles TO accounts [WITH ADMIN OPTION]."""

    roles: tuple[AccountName, ...]
    accounts: tuple[AccountName, ...]
    admin: bool = False


@dataclass(frozen=True, slots=True)
class RevokeRoles:
    """REVOKE [ADMIN OPTION FOR] roles FROM accounts."""

    roles: tuple[AccountName, ...]
    accounts: tuple[AccountName, ...]
    admin_only: bool = False


@dataclass(frozen=True, slots=True)
class SetDefaultRoles:
    """SET DEFAULT ROLE roles | ALL (None) | NONE (empty) FOR accounts."""

    roles: tuple[AccountName, ...] | None
    accounts: tuple[AccountName, ...]


AccountStatement = (
    CreateUsers
    | AlterUsers
    | SetPassword
    | CreateRoles
    | DropAccounts
    | RenameUsers
    | GrantPrivileges
    | RevokePrivileges
    | RevokeAll
    | GrantRoles
    | RevokeRoles
    | SetDefaultRoles
)
"""Statements that change accounts."""
