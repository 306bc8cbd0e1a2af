"""`dbmesh transactions`: branches left prepared, and ending them.

Decides what is shown. What a branch becomes, its decider says (`transaction.recovery`).
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from rich import box
from rich.table import Table

from dbmesh import app
from dbmesh.backend.pool import Pool
from dbmesh.cli.loading import counted, load_directory
from dbmesh.cli.output import Failure, answers
from dbmesh.cli.stores import opened_store
from dbmesh.transaction.recovery import Findings, InDoubt, Recovery
from dbmesh.transaction.two_phase import End


def list_transactions(directory: Path, *, as_json: bool) -> None:
    """Prints every prepared branch of the mesh. Raises Failure."""
    findings = asyncio.run(_look(directory))
    if as_json:
        answers().print_json(json.dumps(_as_value(findings)))
        return
    if findings.in_doubt:
        answers().print(_described(findings.in_doubt))
    else:
        answers().print("no branch is prepared")
    if findings.foreign:
        answers().print(
            f"{counted(findings.foreign, 'prepared branch', 'prepared branches')} of other managers: never touched"
        )
    for place, reason in findings.unreachable.items():
        answers().print(f"not asked: {place}: {reason}")


def resolve_transactions(directory: Path, older_than: float, *, as_json: bool) -> None:
    """Ends every branch that stays prepared for `older_than` seconds. Raises Failure when one could not be ended."""
    ended = asyncio.run(_resolve(directory, older_than))
    left = [one for one, end in ended if end is End.UNKNOWN]
    if as_json:
        rows = [
            {"transaction": one.xid.gtrid, "prepared_on": str(one.place), "end": end.value}
            for one, end in ended
        ]
        answers().print_json(json.dumps(rows))
    else:
        for one, end in ended:
            answers().print(f"{one.xid.gtrid} on {one.place}: {end.value}")
        answers().print(f"{counted(len(ended) - len(left), 'prepared branch', 'prepared branches')} ended")
    if left:
        raise Failure(
            f"{counted(len(left), 'prepared branch', 'prepared branches')} could not be ended: their decider does not answer"
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


def _as_value(findings: Findings) -> object:
    return {
        "in_doubt": [
            {
                "transaction": one.xid.gtrid,
                "prepared_on": str(one.place),
                "decided_on": None if one.decider is None else str(one.decider),
            }
            for one in findings.in_doubt
        ],
        "foreign": findings.foreign,
        "unreachable": {str(place): reason for place, reason in findings.unreachable.items()},
    }


async def _look(directory: Path) -> Findings:
    async with _recovery(directory) as recovery:
        return await recovery.look()


async def _resolve(directory: Path, older_than: float) -> list[tuple[InDoubt, End]]:
    async with _recovery(directory) as recovery:
        if older_than:
            await recovery.resolve(older_than=float("inf"))
            await asyncio.sleep(older_than)
        return await recovery.resolve(older_than=older_than)


@asynccontextmanager
async def _recovery(directory: Path) -> AsyncIterator[Recovery]:
    configuration = load_directory(directory)
    pools: list[Pool] = []
    try:
        async with opened_store(configuration, directory) as store:
            mesh = await app.build_mesh(configuration, pools, store)
            yield Recovery(mesh.coordinator)
    finally:
        for pool in pools:
            await pool.close()
