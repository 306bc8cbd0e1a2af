"""Revisions in the store: proposed once, decided once, and never past a sidecar that has just joined."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from dbmesh.governance import ddl_journal, layout, revisions
from dbmesh.governance.embedded import EmbeddedStore
from dbmesh.governance.instances import forget, read_sidecars
from dbmesh.governance.revisions import (
    Observed,
    Outcome,
    Revision,
    RolloutUnderWay,
    acknowledge,
    advance,
    carry_out,
    forget_answers,
    propose,
    read_files,
    read_known,
    say_held,
)
from dbmesh.governance.rollout import MARGIN, Acknowledgement, Activate, Hold, Refuse, Wait
from dbmesh.governance.store import Conflict, Store, StoreError, Write
from dbmesh.rules.ruleset import MadeTable, RuleChange

_FILES = {"global.yaml": "a: 1\n", "database-shop.yaml": "b: 2\n"}


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[EmbeddedStore]:
    made = await EmbeddedStore.open(tmp_path / "store.db", time.time)
    yield made
    await made.close()


async def _propose(store: Store, comment: str = "") -> Revision:
    revision = Revision(0, "me@here", 5.0, comment, "abc")
    return await propose(store, await read_known(store), revision, _FILES)


async def _join(store: Store, name: str) -> None:
    value = json.dumps({"address": f"{name}:3307"}).encode()
    await store.commit([Write(layout.instance(name), value), Write(layout.membership(), name.encode())])


def _now() -> Observed:
    """Somebody who looks for the first time."""
    return Observed(lambda: 0.0)


async def _moving(store: Store, *members: str) -> None:
    """A revision that moves rows is rolled out to sidecars that may be serving."""
    await store.commit([Write(layout.member(f"host:{name}"), name.encode()) for name in members])
    revision = Revision(0, "me@here", 5.0, "", "abc", moves=True)
    await propose(store, await read_known(store), revision, _FILES)


async def test_where_rows_move_all_hold_first(store: EmbeddedStore) -> None:
    await _join(store, "a")
    await _moving(store, "a")
    await acknowledge(store, 1, "a", "")
    assert await advance(store, _now()) == Hold()
    assert (await read_known(store)).holding
    assert await advance(store, _now()) == Wait(("a:3307",))
    rolling = await read_known(store)
    await say_held(store, rolling, "a")
    assert await advance(store, _now()) == Activate()
    known = await read_known(store)
    assert (known.active, known.rolling, known.holding, known.held) == (1, None, False, frozenset())
    await forget_answers(store)
    assert [entry.key for entry in (await store.range(layout.rules_prefix())).entries] == [
        layout.active_revision(),
        layout.revision(1),
    ], "nothing is left of the roll-out"
    await say_held(store, rolling, "a")
    assert not (await store.range(layout.held_prefix(1))).entries, "said too late"


async def test_one_that_vanished_and_had_promised_holds_by_itself(store: EmbeddedStore) -> None:
    await _join(store, "a")
    await _moving(store, "a", "b")
    for name in "ab":
        await acknowledge(store, 1, name, "")
    assert await advance(store, _now()) == Hold()
    await say_held(store, await read_known(store), "a")
    clock = iter((0.0, MARGIN))
    observed = Observed(lambda: next(clock))
    assert await advance(store, observed) == Wait(("host:b",))
    assert await advance(store, observed) == Activate()


async def test_one_that_vanished_before_it_promised_stops_a_move_until_it_is_forgotten(
    store: EmbeddedStore,
) -> None:
    await _join(store, "a")
    await _moving(store, "a", "b")
    await acknowledge(store, 1, "a", "")
    clock = iter((0.0, 30.0))
    observed = Observed(lambda: next(clock))
    assert await advance(store, observed) == Wait(("host:b",))
    assert (await read_sidecars(store)).unheard == {"b": "host:b"}
    step = await advance(store, observed)
    assert isinstance(step, Refuse)
    assert "host:b may still serve by the rules there are" in step.reason
    assert step.reason.endswith("dbmesh mesh forget host:b")
    assert await forget(store, "host:b")
    assert not await forget(store, "host:a"), "it is alive"
    await _moving(store)
    await acknowledge(store, 2, "a", "")
    assert await advance(store, _now()) == Hold()


async def test_one_that_vanished_stops_no_other_revision(store: EmbeddedStore) -> None:
    await store.commit([Write(layout.member("host:b"), b"b")])
    await _propose(store)
    assert await advance(store, _now()) == Activate()


async def test_without_sidecars_a_revision_holds_at_once(store: EmbeddedStore) -> None:
    assert (await read_known(store)).active == 0
    proposed = await _propose(store, "why")
    assert proposed.number == 1
    assert await advance(store, _now()) == Activate()
    known = await read_known(store)
    assert (known.active, known.rolling) == (1, None)
    assert known.revisions[1].outcome is Outcome.ACCEPTED
    assert (known.revisions[1].by, known.revisions[1].comment) == ("me@here", "why")
    assert await read_files(store, 1) == _FILES
    assert await advance(store, _now()) is None, "there is none under way"


async def test_all_must_be_prepared(store: EmbeddedStore) -> None:
    await _join(store, "a")
    await _join(store, "b")
    await _propose(store)
    assert await advance(store, _now()) == Wait(("a:3307", "b:3307"))
    await acknowledge(store, 1, "a", "")
    assert await advance(store, _now()) == Wait(("b:3307",))
    await acknowledge(store, 1, "b", "")
    assert await advance(store, _now()) == Activate()
    await forget_answers(store)
    assert not (await store.range(layout.acknowledgements_prefix(1))).entries


async def test_answers_are_forgotten_also_for_who_did_not_come_to_it(store: EmbeddedStore) -> None:
    await _join(store, "a")
    for number in (1, 2):
        await _moving(store, "a")
        await acknowledge(store, number, "a", "")
        assert await advance(store, _now()) == Hold()
        await say_held(store, await read_known(store), "a")
        assert await advance(store, _now()) == Activate()
    await _moving(store, "a")
    await acknowledge(store, 3, "a", "")
    await store.commit([Write(layout.held(3, "a"), b"")])
    await forget_answers(store)
    answers = [entry.key for entry in (await store.range("/")).entries if entry.key.endswith("/a")]
    assert [one for one in answers if one.startswith(layout.rules_prefix())] == [
        layout.held(3, "a"),
        layout.acknowledgement(3, "a"),
    ], "of what is being rolled out"


async def test_one_that_cannot_refuses_it_for_all(store: EmbeddedStore) -> None:
    await _join(store, "a")
    await _propose(store)
    await acknowledge(store, 1, "a", "no such file")
    assert (await read_known(store)).acknowledgements == (Acknowledgement("a", "no such file"),)
    assert await advance(store, _now()) == Refuse("a:3307: no such file")
    known = await read_known(store)
    assert (known.active, known.rolling) == (0, None)
    assert (known.revisions[1].outcome, known.revisions[1].reason) == (
        Outcome.REFUSED,
        "a:3307: no such file",
    )
    await forget_answers(store)
    await acknowledge(store, 1, "a", "")
    assert not (await store.range(layout.acknowledgements_prefix(1))).entries, "said too late"
    assert (await _propose(store)).number == 2


async def test_time_is_over(store: EmbeddedStore) -> None:
    await _join(store, "a")
    await _propose(store)
    clock = iter((5.0, 34.0, 35.0))
    observed = Observed(lambda: next(clock))
    assert isinstance(await advance(store, observed), Wait)
    assert isinstance(await advance(store, observed), Wait)
    assert await advance(store, observed) == Refuse("no answer within 30 s from a:3307")


async def test_one_at_a_time(store: EmbeddedStore) -> None:
    await _join(store, "a")
    before = await read_known(store)
    await _propose(store)
    with pytest.raises(RolloutUnderWay, match="revision 1 is being rolled out by me@here"):
        await _propose(store)
    with pytest.raises(RolloutUnderWay, match="have changed meanwhile"):
        await propose(store, before, Revision(0, "you", 6.0, "", "d"), _FILES)


async def test_files_have_a_size(store: EmbeddedStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(revisions, "MOST_FILES", 10)
    with pytest.raises(StoreError, match="10 are the most the store takes"):
        await _propose(store)
    with pytest.raises(StoreError, match="not kept any more"):
        await read_files(store, 1)


async def test_old_ones_are_forgotten(store: EmbeddedStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(revisions, "KEPT", 2)
    for _ in range(5):
        await _propose(store)
        await advance(store, _now())
    assert sorted((await read_known(store)).revisions) == [2, 3, 4, 5], "the active one, the newest, and two"


class _Joining:
    """A store into which a sidecar comes just before the first commit."""

    def __init__(self, store: EmbeddedStore) -> None:
        self._store = store
        self.get, self.range = store.get, store.range
        self.joined = False

    async def commit(self, *arguments: object) -> int:
        if not self.joined:
            self.joined = True
            await _join(self._store, "late")
        return await self._store.commit(*arguments)  # type: ignore[arg-type]


async def test_nobody_is_overlooked(store: EmbeddedStore) -> None:
    await _propose(store)
    joining = _Joining(store)
    assert await advance(joining, _now()) is None  # type: ignore[arg-type]
    assert (await read_known(store)).active == 0
    assert await advance(store, _now()) == Wait(("late:3307",))


async def test_several_carry_it_out(store: EmbeddedStore) -> None:
    await _propose(store)
    ended = await asyncio.gather(*(carry_out(store, 1, time.monotonic) for _ in range(4)))
    assert {one.outcome for one in ended} == {Outcome.ACCEPTED}
    assert (await read_known(store)).active == 1
    with pytest.raises(StoreError, match="not known"):
        await carry_out(store, 9, time.monotonic)


async def test_rules_are_not_made_while_others_are_rolled_out(store: EmbeddedStore) -> None:
    await _join(store, "a")
    await _propose(store)
    change = RuleChange(made=(MadeTable("t", {}),))
    making = ddl_journal.make_record("r1", "shop", "CREATE TABLE t (id INT)", 5.0, (), change)
    with pytest.raises(Conflict):
        await ddl_journal.begin(store, making)
    await ddl_journal.begin(
        store, ddl_journal.make_record("r2", "shop", "ALTER TABLE u ADD c INT", 5.0, (), RuleChange())
    )
    await acknowledge(store, 1, "a", "")
    await advance(store, _now())
    await ddl_journal.begin(store, making)
