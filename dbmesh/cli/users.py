"""`dbmesh users`: the accounts and roles of the mesh, of the files and those that SQL has made.

Decides what is shown. Passwords are shown by nobody: SHOW CREATE USER tells their stored form to administrators.
"""

from __future__ import annotations

import asyncio
import json
from dataclasses import asdict, dataclass
from pathlib import Path

from rich import box
from rich.table import Table

from dbmesh.cli.loading import load_directory, secret_or_name
from dbmesh.cli.output import Failure, answers
from dbmesh.cli.stores import active_rules, opened_store
from dbmesh.governance import layout
from dbmesh.governance.stored_accounts import read_accounts
from dbmesh.rules.account_text import shown_grants
from dbmesh.rules.accounts import Authority, User
from dbmesh.rules.authority import read_account
from dbmesh.rules.ruleset import Configuration
from dbmesh.rules.sections import suggestion


@dataclass(frozen=True, slots=True)
class ListedUser:
    """One account or role. `source`: global.yaml, or the store, where SQL has put it; `note` says why it cannot be used."""

    account: str
    kind: str
    source: str
    roles: tuple[str, ...]
    grants: tuple[str, ...]
    note: str = ""


def list_users(directory: Path, *, as_json: bool) -> None:
    """Prints every account and role. Raises Failure."""
    found = asyncio.run(_read(load_directory(directory, secret_or_name), directory))
    if as_json:
        answers().print_json(json.dumps([asdict(one) for one in found]))
        return
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for heading in ("account", "kind", "source", "roles", "note"):
        table.add_column(heading, overflow="fold")
    for one in found:
        table.add_row(one.account, one.kind, one.source, ", ".join(one.roles), one.note)
    answers().print(table)


def show_user(directory: Path, name: str, *, as_json: bool) -> None:
    """Prints one account, or role, with its grants. Raises Failure."""
    found = asyncio.run(_read(load_directory(directory, secret_or_name), directory))
    wanted = str(read_account(name))
    chosen = [one for one in found if one.account == wanted]
    if not chosen:
        raise Failure(f"there is no account '{wanted}'; {suggestion(wanted, [one.account for one in found])}")
    if as_json:
        answers().print_json(json.dumps([asdict(one) for one in chosen]))
        return
    for one in chosen:
        note = f": {one.note}" if one.note else ""
        answers().print(f"{one.account}, {one.kind} of {one.source}{note}", markup=False, soft_wrap=True)
        for grant in one.grants:
            answers().print(f"  {grant}", markup=False, soft_wrap=True)


async def _read(configuration: Configuration, directory: Path) -> list[ListedUser]:
    stored: list[User] = []
    async with opened_store(configuration, directory) as store:
        if store is not None:
            configuration = await active_rules(configuration, store)
            snapshot = await store.range(layout.accounts_prefix())
            stored = list(read_accounts(snapshot.entries).values())
    authority = Authority((*configuration.users, *stored))
    hidden = [one for one in stored if one.account in authority.hidden]
    users = [*authority.users.values(), *hidden]
    return [
        _listed(authority, one, hidden=one in hidden)
        for one in sorted(users, key=lambda one: (one.role, one.account, one.stored))
    ]


def _listed(authority: Authority, user: User, *, hidden: bool) -> ListedUser:
    note = "global.yaml names it too, and counts" if hidden else "locked" if user.locked else ""
    return ListedUser(
        str(user.account),
        "role" if user.role else "user",
        "the store" if user.stored else "global.yaml",
        tuple(map(str, sorted(user.roles))),
        tuple(shown_grants(authority, user, (), mariadb=True)),
        note,
    )
