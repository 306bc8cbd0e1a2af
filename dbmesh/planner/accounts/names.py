"""Accounts, roles and passwords as statements write them.

Decides their spelling, MySQL's and MariaDB's. Knows no accounts.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TypeVar

from dbmesh.errors import (
    ACCOUNT_HASH,
    ACCOUNT_NAME_TOO_LONG,
    ACCOUNT_PLUGIN,
    INVALID_ROLE,
    MeshError,
    not_supported,
)
from dbmesh.planner.lexemes import Kind, LexemeReader
from dbmesh.rules.account_statements import (
    CACHING_SHA2,
    CURRENT_ROLE,
    CURRENT_USER,
    NATIVE,
    Credential,
)
from dbmesh.rules.accounts import AccountName

T = TypeVar("T")

_NATIVE_HASH = re.compile(r"\*[0-9A-Fa-f]{40}")
_LONGEST_NAME, _LONGEST_HOST = 128, 255
_NAMES = (Kind.WORD, Kind.QUOTED, Kind.STRING)
_PLUGINS = (NATIVE, CACHING_SHA2)


def read_list(reader: LexemeReader, read: Callable[[LexemeReader], T]) -> tuple[T, ...]:
    """One or more, with commas between."""
    found = [read(reader)]
    while reader.accept(","):
        found.append(read(reader))
    return tuple(found)


def read_account(reader: LexemeReader) -> AccountName:
    """`'name'@'host'`, `name`, CURRENT_USER, USER(). Raises MeshError."""
    if reader.accept("CURRENT_USER") or (reader.looks_at("USER", "(", ")") and reader.accept("USER")):
        if reader.accept("("):
            reader.expect(")")
        return CURRENT_USER
    name = _read_name(reader)
    host = _read_host(reader)
    if not name:
        raise not_supported("accounts without a name", "give the account a name")
    for text, what, most in ((name, "user name", _LONGEST_NAME), (host, "host name", _LONGEST_HOST)):
        if len(text) > most:
            raise MeshError(ACCOUNT_NAME_TOO_LONG, text=text[:most], what=what, most=most)
    return AccountName(name, host)


def read_role(reader: LexemeReader) -> AccountName:
    """`name`, `'name'@'host'`, CURRENT_ROLE. Raises MeshError."""
    if reader.accept("CURRENT_ROLE"):
        if reader.accept("("):
            reader.expect(")")
        return CURRENT_ROLE
    plain = reader.peek().kind is Kind.WORD
    role = read_account(reader)
    if role == CURRENT_USER or (plain and role.name.upper() in ("NONE", "PUBLIC", "ALL", "DEFAULT")):
        raise MeshError(INVALID_ROLE, role=f"`{role.name.upper() or 'CURRENT_USER'}`")
    return role


def _read_name(reader: LexemeReader) -> str:
    if reader.peek().kind not in _NAMES:
        raise reader.error()
    return reader.take().value


def _read_host(reader: LexemeReader) -> str:
    host = "%"
    if reader.peek().kind is Kind.USER_VARIABLE:
        host = reader.take().value
    elif reader.accept("@"):
        host = _read_name(reader)
    if "/" in host:
        raise not_supported("an account's host with a netmask", "write a pattern like '10.0.%'")
    return host.lower() or "%"


def read_user(reader: LexemeReader) -> tuple[AccountName, Credential | None]:
    """An account and how it logs in, where that is said. Raises MeshError."""
    return read_account(reader), read_credential(reader)


def read_credential(reader: LexemeReader) -> Credential | None:
    """IDENTIFIED BY | WITH | VIA …. Raises MeshError."""
    if not reader.accept("IDENTIFIED"):
        return None
    if reader.accept("BY"):
        found = _read_password(reader, None)
    elif reader.accept_any("WITH", "VIA") is not None:
        found = _read_plugin(reader)
    else:
        raise reader.error()
    if reader.accept("REPLACE"):
        # Whoever may change it need not know what it was.
        read_text(reader)
    if reader.looks_at("RETAIN") or reader.looks_at("DISCARD"):
        raise _two_passwords()
    return found


def _read_plugin(reader: LexemeReader) -> Credential:
    plugin = _read_name(reader).lower()
    if plugin not in _PLUGINS:
        raise MeshError(ACCOUNT_PLUGIN, plugin=plugin)
    if reader.accept("BY"):
        found = _read_password(reader, plugin)
    elif reader.accept_any("AS", "USING") is None:
        found = Credential(plugin, stored="")
    elif reader.looks_at("PASSWORD", "("):
        found = Credential(plugin, plain=_read_function(reader))
    else:
        found = Credential(plugin, stored=_checked(plugin, _read_stored(reader)))
    if reader.looks_at("OR"):
        raise not_supported("several ways to log in to one account", "name one")
    return found


def _read_password(reader: LexemeReader, plugin: str | None) -> Credential:
    if reader.accept("PASSWORD"):
        return Credential(NATIVE, stored=_checked(NATIVE, read_text(reader)))
    if reader.looks_at("RANDOM"):
        raise not_supported("passwords made by the server", "give one")
    return Credential(plugin, plain=read_text(reader))


def _read_function(reader: LexemeReader) -> str:
    """PASSWORD('text')."""
    reader.expect("PASSWORD", "(")
    text = read_text(reader)
    reader.expect(")")
    return text


def read_new_password(reader: LexemeReader) -> Credential:
    """What follows SET PASSWORD [FOR account] =: PASSWORD('text'), or a text, which is one of `Credential.stored` without a plugin: servers
    differ in what it is. Raises MeshError."""
    if reader.looks_at("PASSWORD", "("):
        return Credential(plain=_read_function(reader))
    if reader.looks_at("OLD_PASSWORD"):
        raise not_supported("passwords of MySQL 4.0", "write PASSWORD('…')")
    text = read_text(reader)
    if reader.accept("REPLACE"):
        read_text(reader)
    if reader.looks_at("RETAIN"):
        raise _two_passwords()
    return Credential(stored=text)


def _two_passwords() -> MeshError:
    return not_supported("two passwords of one account", "make a second account, and drop the first later")


def read_text(reader: LexemeReader) -> str:
    """A string, in pieces or in one. Raises MeshError."""
    if reader.peek().kind is not Kind.STRING or reader.peek().text[0] in "xXbB":
        raise reader.error()
    return reader.take().value


def _read_stored(reader: LexemeReader) -> str:
    if reader.peek().kind is Kind.NUMBER and reader.peek().text[:2] == "0x":
        return reader.take().text
    return read_text(reader)


def _checked(plugin: str, stored: str) -> str:
    """Raises MeshError for what is no password of this plugin in its stored form."""
    if stored == "":
        return stored
    if plugin == NATIVE:
        fits = _NATIVE_HASH.fullmatch(stored) is not None
        stored = stored.upper()
    elif stored[:2] == "0x":
        fits = stored.lower().startswith("0x244124") and len(stored) == 142
    else:
        fits = stored.startswith("$A$") and len(stored) == 70 and stored.isascii()
    if not fits:
        raise MeshError(ACCOUNT_HASH)
    return stored
