"""`dbmesh transactions`: branches left prepared, writes left to be undone, and ending both.

Decides what is shown. What becomes of a transaction, its decider says (`transaction.recovery`, `transaction.undo_recovery`).
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from enum import Enum
from pathlib import Path

from rich import box
from rich.table import Table

from dbmesh.assembly import build_mesh
from dbmesh.backend.pool import Pool
from dbmesh.cli.loading import counted, load_directory
from dbmesh.cli.output import Failure, answers
from dbmesh.cli.stores import in_force, opened_store
from dbmesh.transaction.recovery import Findings, InDoubt, Recovery
from dbmesh.transaction.two_phase import End
from dbmesh.transaction.undo_recovery import LeftAlone, Writes


def list_transactions(directory: Path, *, as_json: bool) -> None:
    """Prints every prepared branch of the mesh, and every write nobody sees to. Raises Failure."""
    findings, writes = asyncio.run(_look(directory))
    if as_json:
        answers().print_json(json.dumps(_as_value(findings, writes)))
        return
    if findings.in_doubt:
        answers().print(_described(findings.in_doubt))
    else:
        answers().print("no branch is prepared")
    for left in writes.left.values():
        for sign, place in left.places.items():
            reason = left.dirty.get(sign, "its process is gone")
            answers().print(f"writes of {left.gtrid} left on {place}: {reason}", soft_wrap=True)
    if findings.foreign:
        answers().print(
            f"{counted(findings.foreign, 'prepared branch', 'prepared branches')} of other managers: never touched"
        )
    for place, reason in (findings.unreachable | writes.unreachable).items():
        answers().print(f"not asked: {place}: {reason}")


class Dirty(Enum):
    """What to do with writes that cannot be undone because others have changed their rows."""

    LEAVE = "leave"
    RETRY = "retry"
    KEEP_CURRENT = "keep current"


def resolve_transactions(directory: Path, older_than: float, dirty: Dirty, *, as_json: bool) -> None:
    """Ends every branch that stays prepared for `older_than` seconds, and every transaction whose writes nobody sees to. Raises
    Failure when one could not be ended."""
    ended, undone = asyncio.run(_resolve(directory, older_than, dirty))
    left = [one for one, end in ended if end is End.UNKNOWN]
    if as_json:
        rows: list[dict[str, object]] = [
            {"transaction": one.xid.gtrid, "prepared_on": str(one.place), "end": end.value}
            for one, end in ended
        ]
        rows += [{**_write_as_value(one), "end": end.value} for one, end in undone]
        answers().print_json(json.dumps(rows))
    else:
        for one, end in ended:
            answers().print(f"{one.xid.gtrid} on {one.place}: {end.value}")
        answers().print(f"{counted(len(ended) - len(left), 'prepared branch', 'prepared branches')} ended")
        for other, end in undone:
            reasons = "; ".join(other.dirty.values())
            answers().print(f"writes of {other.gtrid}: {end.value}{f' ({reasons})' if reasons else ''}")
    if left:
        raise Failure(
            f"{counted(len(left), 'prepared branch', 'prepared branches')} could not be ended: their decider does not answer"
        )
    stuck = [one for one, end in undone if end is End.UNKNOWN]
    if stuck:
        raise Failure(
            f"the writes of {counted(len(stuck), 'transaction', 'transactions')} could not be undone: see dbmesh transactions "
            "list; put the rows right and use --retry, or --keep-current to leave them as they are"
        )


def _described(branches: list[InDoubt]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for heading in ("transaction", "prepared on", "decided on"):
        table.add_column(heading, overflow="fold")
    for one in branches:
        table.add_row(
            one.xid.gtrid, str(one.place), str(one.decider or "a place that is not configured here")
        )
    return table


def _write_as_value(one: LeftAlone) -> dict[str, object]:
    return {
        "transaction": one.gtrid,
        "wrote_on": [str(place) for place in one.places.values()],
        "decided_on": None if one.decider is None else str(one.decider),
        "dirty": {str(one.places[sign]): reason for sign, reason in one.dirty.items()},
    }


def _as_value(findings: Findings, writes: Writes) -> object:
    unreachable = findings.unreachable | writes.unreachable
    return {
        "left": [_write_as_value(one) for one in writes.left.values()],
        "in_doubt": [
            {
                "transaction": one.xid.gtrid,
                "prepared_on": str(one.place),
                "decided_on": None if one.decider is None else str(one.decider),
            }
            for one in findings.in_doubt
        ],
        "foreign": findings.foreign,
        "unreachable": {str(place): reason for place, reason in unreachable.items()},
    }


async def _look(directory: Path) -> tuple[Findings, Writes]:
    async with _recovery(directory) as recovery:
        return await recovery.look(), await recovery.undo.look()


async def _resolve(
    directory: Path, older_than: float, dirty: Dirty
) -> tuple[list[tuple[InDoubt, End]], list[tuple[LeftAlone, End]]]:
    async with _recovery(directory) as recovery:
        if older_than:
            await recovery.resolve(older_than=float("inf"))
            await asyncio.sleep(older_than)
        ended = await recovery.resolve(older_than=older_than)
        writes = await recovery.undo.look()
        if dirty is Dirty.KEEP_CURRENT:
            await recovery.undo.keep_current(writes)
        return ended, await recovery.undo.resolve(writes, again=dirty is not Dirty.LEAVE)


@asynccontextmanager
async def _recovery(directory: Path) -> AsyncIterator[Recovery]:
    configuration = load_directory(directory)
    pools: list[Pool] = []
    try:
        async with opened_store(configuration, directory) as store:
            mesh = await build_mesh(await in_force(configuration, store), pools, store)
            yield Recovery(mesh.compensator)
    finally:
        for pool in pools:
            await pool.close()
