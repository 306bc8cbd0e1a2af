"""Accounts in the store: one value for each, changed one after the other, the same in every process."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dbmesh.errors import NO_SUCH_ACCOUNT, MeshError
from dbmesh.governance import layout
from dbmesh.governance.accounts import StoredAccounts
from dbmesh.governance.embedded import EmbeddedStore
from dbmesh.governance.remembering import Remembering
from dbmesh.governance.store import MOST_CHANGES, Entry, Snapshot, Store, StoreUnavailable, Write
from dbmesh.governance.stored_accounts import from_value, read_accounts, to_value
from dbmesh.planner.session_plan import ChangeAccounts
from dbmesh.planner.session_statements import plan_session_statement
from dbmesh.rules.account_changes import Accounts, Changed, apply
from dbmesh.rules.accounts import AccountName, Authority, TlsNeed, User
from dbmesh.rules.privileges import Privilege, Target
from dbmesh.session.mesh import Mesh

ROOT = User("root", "%", "clear")
ANN = AccountName("ann", "%")


class Process:
    """A process of the mesh with the store's accounts."""

    def __init__(self, store: Store, *written: User) -> None:
        mesh: Any = SimpleNamespace(authority=Authority((ROOT, *written)), told_of_accounts=[], sessions={})
        self.mesh = cast("Mesh", mesh)
        self.accounts = StoredAccounts(store, self.mesh)

    async def run(self, text: str) -> Changed:
        plan = plan_session_statement(text)
        assert isinstance(plan, ChangeAccounts)
        statement = plan.statement
        return await self.accounts.change(lambda accounts: apply(statement, accounts))

    @property
    def names(self) -> list[str]:
        return sorted(str(name) for name in self.mesh.authority.users)


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[EmbeddedStore]:
    made = await EmbeddedStore.open(tmp_path / "store.db", time.time)
    yield made
    await made.close()


async def test_a_change_is_here_at_once_and_there_when_it_is_read(store: EmbeddedStore) -> None:
    here, there = Process(store), Process(store)
    await here.run("CREATE USER ann, 'b/c@d'@'h%'")
    assert here.names == ["ann@%", "b/c@d@h%", "root@%"]
    await there.accounts.read()
    assert there.names == here.names
    await there.run("DROP USER 'b/c@d'@'h%'")
    await here.accounts.read()
    assert here.names == there.names == ["ann@%", "root@%"]
    assert [one.key for one in (await store.range("/authority/")).entries] == [
        "/authority/accounts/ann@%25",
        "/authority/version",
    ]


async def test_every_process_is_told(store: EmbeddedStore) -> None:
    here, there = Process(store), Process(store)
    told: asyncio.Queue[Authority] = asyncio.Queue()
    there.mesh.told_of_accounts.append(told.put_nowait)
    following = asyncio.get_running_loop().create_task(there.accounts.follow())
    await here.run("CREATE USER ann")
    assert ANN in (await asyncio.wait_for(told.get(), 20)).users
    await here.run("DROP USER ann")
    assert ANN not in (await asyncio.wait_for(told.get(), 20)).users
    following.cancel()
    await asyncio.gather(following, return_exceptions=True)


async def test_changes_at_the_same_time_all_count(store: EmbeddedStore) -> None:
    here, there = Process(store), Process(store)
    await here.run("CREATE USER ann")
    rights = ("SELECT", "INSERT", "UPDATE", "DELETE", "CREATE", "DROP")
    await asyncio.gather(
        *((here, there)[number % 2].run(f"GRANT {one} ON shop.* TO ann") for number, one in enumerate(rights))
    )
    await here.accounts.read()
    granted = {privilege.value for _, privilege in here.mesh.authority.users[ANN].grants}
    assert granted == set(rights)


class _Slow(EmbeddedStore):
    """A store that gives what it has read when it is let."""

    gate: asyncio.Event | None = None
    holds: asyncio.Event

    async def range(self, prefix: str) -> Snapshot:
        found = await super().range(prefix)
        gate, self.gate = self.gate, None
        if gate is not None:
            self.holds.set()
            await gate.wait()
        return found


async def test_an_old_reading_does_not_bring_back_what_is_gone(tmp_path: Path) -> None:
    slow = await _Slow.open(tmp_path / "store.db", time.time)
    assert isinstance(slow, _Slow)
    here = Process(slow)
    await here.run("CREATE USER ann")
    slow.holds = asyncio.Event()
    gate = slow.gate = asyncio.Event()
    old = asyncio.get_running_loop().create_task(here.accounts.read())
    await slow.holds.wait()
    change = asyncio.get_running_loop().create_task(here.run("DROP USER ann"))
    await asyncio.sleep(0)
    gate.set()
    await asyncio.gather(old, change)
    assert ANN not in here.mesh.authority.users
    await slow.close()


async def test_what_the_configuration_names_counts(
    store: EmbeddedStore, caplog: pytest.LogCaptureFixture
) -> None:
    await Process(store).run(
        "CREATE USER ann IDENTIFIED BY PASSWORD '*81F5E21E35407D884A6CD4A731AEBFB6AF209E1B'"
    )
    both = Process(store, User("ann", "%", "clear"))
    await both.accounts.read()
    assert both.mesh.authority.users[ANN].password == "clear"
    assert "'ann@%' in the store is not used" in caplog.text
    with pytest.raises(MeshError, match=r"which global\.yaml names"):
        await both.run("DROP USER ann")
    # The file names it no more.
    both.mesh.authority = both.mesh.authority.with_written((ROOT,))
    assert both.mesh.authority.users[ANN].stored


async def test_what_cannot_be_read_is_no_account(
    store: EmbeddedStore, caplog: pytest.LogCaptureFixture
) -> None:
    await store.commit([Write("/authority/accounts/ann@%25", b"{}"), Write("/authority/accounts/x", b"\xff")])
    here = Process(store)
    await here.accounts.read()
    assert here.names == ["root@%"]
    assert caplog.text.count("is no account") == 2


async def test_a_role_of_many_is_gone_from_all(store: EmbeddedStore) -> None:
    here = Process(store)
    names = ", ".join(f"u{number}" for number in range(2 * MOST_CHANGES))
    await here.run("CREATE ROLE clerk")
    await here.run(f"CREATE USER {names}")
    await here.run(f"GRANT clerk TO {names}")
    await here.run("DROP ROLE clerk")
    assert not any(user.roles for user in here.mesh.authority.users.values())


async def test_a_change_of_many_that_another_comes_into_says_how_far_it_came(
    store: EmbeddedStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    here, commit, commits = Process(store), store.commit, 0

    async def second_comes_late(writes: Sequence[Write]) -> int:
        nonlocal commits
        commits += 1
        if commits == 2:
            await commit([Write(layout.accounts_version(), b"another")])
        return await commit(writes)

    monkeypatch.setattr(store, "commit", second_comes_late)
    names = ", ".join(f"u{number}" for number in range(2 * MOST_CHANGES))
    with pytest.raises(MeshError, match=f"{MOST_CHANGES - 1} of {2 * MOST_CHANGES} accounts are changed"):
        await here.run(f"CREATE USER {names}")
    await here.accounts.read()
    assert len(here.names) == MOST_CHANGES


async def test_a_store_that_is_away_is_an_error(store: EmbeddedStore) -> None:
    here = Process(store)
    await store.close()
    with pytest.raises(MeshError, match="the store failed"):
        await here.run("CREATE USER ann")


class _Away(EmbeddedStore):
    """A store that can be away."""

    away = False

    async def get(self, key: str) -> Entry | None:
        if self.away:
            raise StoreUnavailable("away")
        return await super().get(key)

    async def range(self, prefix: str) -> Snapshot:
        if self.away:
            raise StoreUnavailable("away")
        return await super().range(prefix)


async def test_accounts_are_there_after_a_restart_without_the_store(tmp_path: Path) -> None:
    inner = await _Away.open(tmp_path / "store.db", time.time)
    assert isinstance(inner, _Away)
    file = tmp_path / "snapshot.json"
    store = Remembering(inner, file)
    await store.begin()
    await Process(store).run(
        "CREATE USER ann IDENTIFIED BY PASSWORD '*81F5E21E35407D884A6CD4A731AEBFB6AF209E1B'"
    )
    # Whoever follows all of the store remembers it.
    await store.range(layout.ROOT)
    inner.away = True
    again = Remembering(inner, file)
    await again.begin()
    restarted = Process(again)
    await restarted.accounts.read()
    assert restarted.mesh.authority.users[ANN].password.startswith("*81F5")
    with pytest.raises(MeshError, match="the store failed"):
        await restarted.run("DROP USER ann")
    inner.away = False
    await again.range(layout.ROOT)
    await restarted.run("DROP USER ann")
    assert restarted.names == ["root@%"]
    await inner.close()


async def test_who_refuses_changes_nothing(store: EmbeddedStore) -> None:
    here = Process(store)

    def refuse(accounts: Accounts) -> Changed:
        raise MeshError(NO_SUCH_ACCOUNT)

    with pytest.raises(MeshError, match="matching row"):
        await here.accounts.change(refuse)
    assert not (await store.range(layout.authority_prefix())).entries


_NAMES = st.builds(AccountName, st.text(min_size=1, max_size=8), st.text(max_size=8))
_TARGETS = st.one_of(
    st.just(Target()),
    st.builds(Target, st.text(max_size=5)),
    st.builds(Target, st.text(max_size=5), st.text(max_size=5)),
    st.builds(Target, st.text(max_size=5), st.text(max_size=5), st.text(max_size=5)),
)


@given(
    st.builds(
        User,
        st.text(min_size=1),
        st.text(),
        st.sampled_from(("", "*81F5E21E35407D884A6CD4A731AEBFB6AF209E1B")),
        st.none() | st.just("mysql_native_password"),
        st.frozensets(st.tuples(_TARGETS, st.sampled_from(Privilege))),
        roles=st.frozensets(_NAMES),
        administered=st.frozensets(_NAMES),
        default_roles=st.frozensets(_NAMES),
        locked=st.booleans(),
        role=st.booleans(),
        tls=st.just(TlsNeed()) | st.builds(TlsNeed, st.just(True), st.booleans(), st.text(), st.text()),
        stored=st.just(True),
    )
)
def test_an_account_is_what_it_was(user: User) -> None:
    key = layout.account(*user.account)
    assert from_value(to_value(user)) == user
    assert read_accounts([Entry(key, to_value(user), 1)]) == {user.account: user}
