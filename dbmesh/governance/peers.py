"""Sidecars ask one another through the store: for their sessions, and to kill one.

Decides how a question and its answers lie there: under a lease of the asker's, so that nothing stays. What is told of a session,
`session.peers` decides.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from dbmesh.errors import NOT_THREAD_OWNER, STORE, UNKNOWN_THREAD, MeshError, not_supported
from dbmesh.governance import layout
from dbmesh.governance.following import follow
from dbmesh.governance.instances import Instance, State, read_instances
from dbmesh.governance.store import MOST_CHANGES, LeaseLost, Store, StoreError, Write
from dbmesh.governance.switches import read_switches, switch_data_source, switch_instance
from dbmesh.rules.sections import suggestion
from dbmesh.session.mesh import Mesh
from dbmesh.session.peers import Account, Asker, Process, Sidecar, kill, processes, worker_of

_log = logging.getLogger(__name__)

PATIENCE = 3.0
"""Seconds a sidecar may take to answer."""

LOOK = 0.02
"""Seconds between two looks for answers."""

MOST_BYTES = 1_000_000
"""Of one sidecar's answer: etcd takes no values above 1.5 MB."""

_LEASE = 10.0
"""Seconds until what an asker that has died has asked is gone."""

_REFUSALS = {kind.name: kind for kind in (UNKNOWN_THREAD, NOT_THREAD_OWNER)}


class StorePeers:
    """See `session.peers.Peers`. `own` is this sidecar's id, `random_bytes(n)` gives n random bytes."""

    def __init__(self, store: Store, mesh: Mesh, own: str, random_bytes: Callable[[int], bytes]) -> None:
        self._store = store
        self._mesh = mesh
        self._own = own
        self._random_bytes = random_bytes
        self._answered: set[str] = set()

    async def serve(self) -> None:
        """Answer until the store is closed."""
        prefix = layout.requests_prefix(self._own)
        await follow(self._store, prefix, self._answer_all, "requests of other sidecars")

    async def processes(self, asker: Account) -> Sequence[tuple[str, Process]]:
        """See `Peers`. One that does not answer is told of as such."""
        try:
            addresses = {one.id: one.address for one in await read_instances(self._store)}
        except StoreError as error:
            raise MeshError(STORE, reason=error) from error
        others = [one for one in addresses if one != self._own]
        answers = await self._ask(others, _question(asker)) if others else {}
        found = [(addresses.get(self._own, ""), one) for one in processes(self._mesh, asker)]
        for id_ in others:
            told = answers.get(id_)
            rows = (
                [Process(0, state=f"no answer within {PATIENCE:g} s")]
                if told is None
                else [Process(**one) for one in told]
            )
            found += [(addresses[id_], one) for one in rows]
        return found

    async def kill(self, asker: Account, id_: int, *, query: bool) -> None:
        """See `Peers`."""
        owner = await self._owner(id_)
        if owner is None or owner == self._own:
            raise MeshError(UNKNOWN_THREAD, id=id_)
        answers = await self._ask([owner], _question(asker) | {"kill": id_, "query": query})
        if owner not in answers:
            reason = f"the sidecar of connection {id_} has not answered within {PATIENCE:g} s"
            raise MeshError(STORE, reason=reason)
        if answers[owner]:
            raise MeshError(_REFUSALS[answers[owner]], id=id_)

    async def sidecars(self) -> Sequence[Sidecar]:
        """See `Peers`."""
        try:
            found = await read_instances(self._store)
            off = (await read_switches(self._store)).instances
        except StoreError as error:
            raise MeshError(STORE, reason=error) from error
        return [
            Sidecar(one.id, one.address, _status(one, off), one.version, one.id == self._own) for one in found
        ]

    async def switch_sidecar(self, id_: str, *, on: bool) -> None:
        """See `Peers`."""
        known = [one.id for one in await self.sidecars()]
        if id_ not in known and not on:
            raise not_supported(
                f"DISABLE of sidecar '{id_}', which is not alive", suggestion(id_, known, "there is none")
            )
        try:
            await switch_instance(self._store, id_, on=on)
        except StoreError as error:
            raise MeshError(STORE, reason=error) from error

    async def switch_data_source(self, name: str, *, on: bool) -> None:
        """See `Peers`."""
        try:
            await switch_data_source(self._store, name, on=on)
        except StoreError as error:
            raise MeshError(STORE, reason=error) from error

    async def _owner(self, id_: int) -> str | None:
        """The sidecar whose connection it is, if it is alive."""
        try:
            taken = await self._store.get(layout.worker(worker_of(id_)))
            alive = None if taken is None else await self._store.get(layout.instance(taken.value.decode()))
        except StoreError as error:
            raise MeshError(STORE, reason=error) from error
        return None if taken is None or alive is None else taken.value.decode()

    async def _ask(self, others: Sequence[str], question: Mapping[str, object]) -> dict[str, Any]:
        """What those who answer in time say."""
        name = self._random_bytes(8).hex()
        value = json.dumps(question).encode()
        prefix = layout.answers_prefix(name)
        found: dict[str, Any] = {}
        try:
            lease = await self._store.grant(_LEASE)
            try:
                for start in range(0, len(others), MOST_CHANGES):
                    some = others[start : start + MOST_CHANGES]
                    await self._store.commit(
                        [Write(layout.request(one, name), value, lease=lease) for one in some]
                    )
                async with asyncio.timeout(PATIENCE):
                    while len(found) < len(others):
                        entries = (await self._store.range(prefix)).entries
                        found = {one.key.removeprefix(prefix): json.loads(one.value) for one in entries}
                        await asyncio.sleep(LOOK)
            except TimeoutError:
                _log.warning("%d of %d sidecars have not answered", len(others) - len(found), len(others))
            finally:
                await self._store.revoke(lease)
        except StoreError as error:
            raise MeshError(STORE, reason=error) from error
        return found

    async def _answer_all(self) -> None:
        prefix = layout.requests_prefix(self._own)
        entries = (await self._store.range(prefix)).entries
        for entry in entries:
            name = entry.key.removeprefix(prefix)
            if name in self._answered:
                continue
            self._answered.add(name)
            answer = json.dumps(self._answer(json.loads(entry.value))).encode()
            try:
                await self._store.commit([Write(layout.answer(name, self._own), answer, lease=entry.lease)])
            except LeaseLost:
                # Nobody waits for it any more.
                continue
        self._answered &= {entry.key.removeprefix(prefix) for entry in entries}

    def _answer(self, question: Mapping[str, Any]) -> object:
        asker = Asker(question["account"], question["administrator"])
        if "kill" not in question:
            return _told(processes(self._mesh, asker))
        try:
            kill(self._mesh, asker, question["kill"], query=question["query"])
        except MeshError as error:
            return error.kind.name
        return ""


def _told(found: Sequence[Process]) -> list[dict[str, Any]]:
    """As many sessions as one value of the store holds; the last entry says how many there are more."""
    told: list[dict[str, Any]] = []
    size = 0
    for position, one in enumerate(found):
        entry = asdict(one)
        size += len(json.dumps(entry))
        if size > MOST_BYTES:
            told.append(asdict(Process(0, state=f"{len(found) - position} sessions more are not shown")))
            break
        told.append(entry)
    return told


def _status(one: Instance, off: frozenset[str]) -> str:
    if one.id in off or one.state is State.DISABLED:
        return "CIRCUIT_BREAK"
    return "OK" if one.state is State.SERVING else one.state.value.upper()


def _question(asker: Account) -> dict[str, object]:
    return {"account": asker.account, "administrator": asker.administrator}
