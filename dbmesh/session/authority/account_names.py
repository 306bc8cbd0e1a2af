"""Statements about accounts in the session's terms: whose CURRENT_USER is, which database `*` is in, how a password is stored.

Decides the stored form of passwords, the data sources' product's usual one. Knows no accounts.
"""

from __future__ import annotations

import secrets
import string
from dataclasses import fields, is_dataclass, replace
from typing import TYPE_CHECKING, Any, TypeVar

from dbmesh.backend.connection import Product
from dbmesh.errors import ACCOUNT_HASH, INVALID_ROLE, NO_DATABASE, MeshError
from dbmesh.rules import account_statements as said
from dbmesh.rules.accounts import AccountName
from dbmesh.session.authority.account_rights import own_name
from dbmesh.wire.auth import make_sha2_stored, native_hash

if TYPE_CHECKING:
    from dbmesh.session.session import Session

_SALT = string.ascii_letters + string.digits

S = TypeVar("S")


def named(session: Session, value: S) -> S:
    """A statement with names in place of CURRENT_USER, CURRENT_ROLE and the current database, and passwords in the form that is stored.
    Raises MeshError."""
    found: S = _named(session, value)
    return found


def _named(session: Session, value: Any) -> Any:
    if isinstance(value, AccountName):
        return account_named(session, value)
    if isinstance(value, said.Credential):
        return _stored(session, value)
    if isinstance(value, said.Level) and value.database == "":
        if session.database is None:
            raise MeshError(NO_DATABASE)
        return replace(value, database=session.database)
    if isinstance(value, tuple):
        return tuple(_named(session, part) for part in value)
    if is_dataclass(value) and not isinstance(value, type):
        parts = {one.name: _named(session, getattr(value, one.name)) for one in fields(value)}
        return replace(value, **parts)
    return value


def account_named(session: Session, name: AccountName) -> AccountName:
    """The account a name is of. Raises MeshError for CURRENT_ROLE without one."""
    if name == said.CURRENT_USER:
        return own_name(session)
    if name == said.CURRENT_ROLE:
        for role in sorted(session.roles):
            return role
        raise MeshError(INVALID_ROLE, role="`NONE`")
    return name


def _stored(session: Session, credential: said.Credential) -> said.Credential:
    mysql = session.mesh.product is Product.MYSQL
    plain, stored = credential.plain, credential.stored
    if stored is not None and credential.plugin is None:
        # SET PASSWORD = '…': a hash for MariaDB, the password itself for MySQL.
        if stored == "" or (stored[:1] == "*" and len(stored) == 41):
            return said.Credential(said.NATIVE, stored=stored.upper())
        if not mysql:
            raise MeshError(ACCOUNT_HASH)
        plain = stored
    if plain is None:
        return credential
    plugin = credential.plugin or (said.CACHING_SHA2 if mysql else said.NATIVE)
    return said.Credential(plugin, stored=hashed(plain, plugin))


def hashed(password: str, plugin: str) -> str:
    """A password in the form a plugin stores; '' for none. About 10 ms for caching_sha2_password."""
    text = password.encode("utf-8", "surrogateescape")
    if not text:
        return ""
    if plugin == said.CACHING_SHA2:
        salt = "".join(secrets.choice(_SALT) for _ in range(20))
        return make_sha2_stored(text, salt.encode()).decode()
    return f"*{native_hash(text).hex().upper()}"
