"""Names and passwords of statements in the session's terms, and passwords as they are stored."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest

from dbmesh.backend.connection import Product
from dbmesh.errors import MeshError
from dbmesh.rules.account_statements import (
    CACHING_SHA2,
    CURRENT_ROLE,
    CURRENT_USER,
    NATIVE,
    CreateUsers,
    Credential,
    DropAccounts,
    Level,
    RevokePrivileges,
)
from dbmesh.rules.accounts import AccountName
from dbmesh.session.authority.account_names import hashed, named
from dbmesh.wire.auth import parse_secret, verify_password

ANN, CLERK = AccountName("ann", "10.%"), AccountName("clerk", "%")
HASH = "*81F5E21E35407D884A6CD4A731AEBFB6AF209E1B"


def session_of(product: Product = Product.MARIADB, database: str | None = "shop") -> Any:
    roles = frozenset({CLERK})
    return cast(
        "Any",
        SimpleNamespace(
            mesh=SimpleNamespace(product=product), account="ann@10.%", roles=roles, database=database
        ),
    )


@pytest.mark.parametrize("plugin", [NATIVE, CACHING_SHA2])
@pytest.mark.parametrize("password", ["x", "pässword", "a\udcff", "$A$005$", HASH])
def test_a_password_is_stored_so_that_it_lets_in_nobody_else(plugin: str, password: str) -> None:
    stored = hashed(password, plugin)
    assert stored != password
    secret = parse_secret(stored)
    assert secret.plain is None
    assert verify_password(password.encode("utf-8", "surrogateescape"), secret)
    assert not verify_password(b"other", secret)
    assert not verify_password(stored.encode(), secret)
    assert (hashed(password, plugin) == stored) is (plugin == NATIVE)
    assert hashed("", plugin) == ""


def test_the_usual_plugin_is_the_data_sources() -> None:
    for product, plugin in (
        (Product.MARIADB, NATIVE),
        (Product.MYSQL, CACHING_SHA2),
        (Product.OTHER, NATIVE),
    ):
        found = named(session_of(product), Credential(plain="x"))
        assert (found.plugin, found.plain) == (plugin, None)
        assert found.stored == HASH or found.stored[:3] in ("$A$", "*B6")


def test_a_text_of_set_password_is_a_hash_for_mariadb_and_the_password_for_mysql() -> None:
    literal = Credential(stored="open")
    with pytest.raises(MeshError, match="41-digit"):
        named(session_of(), literal)
    assert named(session_of(Product.MYSQL), literal).stored[:3] == "$A$"
    for product in (Product.MARIADB, Product.MYSQL):
        assert named(session_of(product), Credential(stored=HASH.lower())) == Credential(NATIVE, stored=HASH)
        assert named(session_of(product), Credential(stored="")) == Credential(NATIVE, stored="")


def test_names() -> None:
    statement = DropAccounts((CURRENT_USER, CURRENT_ROLE, AccountName("bob", "%")), roles=False)
    assert named(session_of(), statement).names == (ANN, CLERK, AccountName("bob", "%"))
    revoke = RevokePrivileges((("SELECT", None),), Level("", "t"), (CURRENT_USER,))
    assert named(session_of(), revoke) == RevokePrivileges((("SELECT", None),), Level("shop", "t"), (ANN,))
    with pytest.raises(MeshError, match="No database selected"):
        named(session_of(database=None), revoke)
    create = CreateUsers(((AccountName("bob", "%"), Credential(plain="x")),))
    assert "plain=" not in repr(named(session_of(), create))
    lone = session_of()
    lone.roles = frozenset()
    with pytest.raises(MeshError, match="Invalid role"):
        named(lone, CURRENT_ROLE)
