"""Which database an account's statements are planned in before it chose one."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from dbmesh.errors import MeshError
from dbmesh.session.session import Session


def _current(allowed: tuple[str, ...] | None, chosen: str | None = None) -> object:
    databases = {"hr": "the HR database", "shop": "the shop"}
    mesh = SimpleNamespace(databases=databases, default_database=databases["hr"])
    made = SimpleNamespace(mesh=mesh, database=chosen, allowed_databases=allowed)
    getter = Session.current_database.fget
    assert getter is not None
    return getter(made)


def test_only_a_database_the_account_may_use() -> None:
    assert _current(None) == "the HR database"
    assert _current(("shop",)) == "the shop"
    assert _current(("hr", "shop"), "Shop") == "the shop"
    with pytest.raises(MeshError) as caught:
        _current(())
    assert caught.value.number == 1046
