"""`dbmesh users list|show`: the files' accounts and the store's."""

from __future__ import annotations

import asyncio
import json
import time
from pathlib import Path

import pytest

from dbmesh.cli.main import run
from dbmesh.governance import layout
from dbmesh.governance.embedded import EmbeddedStore
from dbmesh.governance.namespaced import Namespaced
from dbmesh.governance.store import Write
from dbmesh.governance.stored_accounts import to_value
from dbmesh.rules.accounts import AccountName, User
from dbmesh.rules.privileges import Privilege, Target, grant
from dbmesh.rules.repositories import NAMESPACE

_GLOBAL = """\
mode: {type: Standalone, repository: {type: SQLite, props: {path: store.db}}}
authority:
  users: [{user: root, password: open, admin: true}, {user: both, password: open, grants: []}]
  roles: [{role: clerk, grants: [{privileges: SELECT, on: shop.*}]}]
"""
_HASH = "*81F5E21E35407D884A6CD4A731AEBFB6AF209E1B"


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    (tmp_path / "global.yaml").write_text(_GLOBAL)
    (tmp_path / "database-shop.yaml").write_text(
        "databaseName: shop\ndataSources:\n  ds_0: {url: 'mysql://h/s'}\nrules:\n- !SINGLE\n  tables: ['*.*']\n"
    )
    ann = User(
        "ann",
        "10.%",
        _HASH,
        grants=grant(Target("shop", "t"), (Privilege.INSERT,)),
        roles=frozenset({AccountName("clerk", "%")}),
        default_roles=frozenset(),
        locked=True,
        stored=True,
    )

    async def fill() -> None:
        store = Namespaced(await EmbeddedStore.open(tmp_path / "store.db", time.time), NAMESPACE)
        for user in (ann, User("both", "%", _HASH, stored=True)):
            await store.commit([Write(layout.account(*user.account), to_value(user))])
        await store.close()

    asyncio.run(fill())
    return tmp_path


def test_all_accounts_are_listed_without_passwords(
    directory: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["users", "list", "--config", str(directory), "--json"]) == 0
    text = capsys.readouterr().out
    assert [(one["account"], one["kind"], one["source"], one["note"]) for one in json.loads(text)] == [
        ("ann@10.%", "user", "the store", "locked"),
        ("both@%", "user", "global.yaml", ""),
        ("both@%", "user", "the store", "global.yaml names it too, and counts"),
        ("root@%", "user", "global.yaml", ""),
        ("clerk@%", "role", "global.yaml", ""),
    ]
    assert _HASH not in text
    assert "open" not in text
    assert run(["users", "list", "--config", str(directory)]) == 0
    assert "ann@10.%" in capsys.readouterr().out


def test_one_account_is_shown_with_what_it_holds(directory: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["users", "show", "ann@10.%", "--config", str(directory)]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "ann@10.%, user of the store: locked",
        "  GRANT `clerk` TO `ann`@`10.%`",
        "  GRANT USAGE ON *.* TO `ann`@`10.%`",
        "  GRANT INSERT ON `shop`.`t` TO `ann`@`10.%`",
    ]
    assert run(["users", "show", "clerk", "--config", str(directory), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)[0]["kind"] == "role"
    assert run(["users", "show", "nobody", "--config", str(directory)]) == 1
    assert "there is no account 'nobody@%'" in capsys.readouterr().err
