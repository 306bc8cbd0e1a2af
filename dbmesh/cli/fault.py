"""`dbmesh fault`: faults that are made on purpose while the mesh runs.

Decides what is shown and what is a mistake. What a fault does, `governance.protection` decides.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

from rich import box
from rich.table import Table

from dbmesh.cli.loading import load_directory, secret_or_name
from dbmesh.cli.output import Failure, answers
from dbmesh.cli.stores import opened_store
from dbmesh.governance.protection.rehearsals import add_fault, read_faults, remove_fault
from dbmesh.governance.store import Store
from dbmesh.rules.mistakes import ConfigurationError
from dbmesh.rules.protection.values import Fault
from dbmesh.rules.sections import suggestion


def list_faults(directory: Path, *, as_json: bool) -> None:
    """Prints the faults under way that somebody has added. Raises Failure."""

    async def read() -> list[Fault]:
        async with _store(directory) as store:
            return await read_faults(store)

    faults, now = asyncio.run(read()), time.time()
    if as_json:
        answers().print_json(json.dumps([_told(fault, now) for fault in faults]))
        return
    if not faults:
        answers().print("no fault is made; those of the configuration are not listed")
        return
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for heading in ("fault", "does", "hits", "percent", "ends in"):
        table.add_column(heading, overflow="fold")
    for fault in faults:
        told = _told(fault, now)
        table.add_row(
            fault.name,
            str(told["does"]),
            str(told["hits"]),
            f"{fault.percent:g}",
            f"{told['seconds_left']} s",
        )
    answers().print(table)


def add(directory: Path, name: str, section: Mapping[str, object], seconds: float) -> None:
    """Makes a fault on every sidecar for so many seconds. Raises Failure."""

    async def write() -> None:
        async with _store(directory) as store:
            now = time.time()
            await add_fault(store, name, section, now + seconds, now)

    try:
        asyncio.run(write())
    except ConfigurationError as error:
        mistake = error.mistakes[0]
        raise Failure(f"fault '{name}': {mistake.message}; {mistake.fix}") from error
    answers().print(f"fault '{name}' is made for {seconds:g} s")


def remove(directory: Path, name: str) -> None:
    """Ends a fault. Raises Failure."""

    async def write() -> None:
        async with _store(directory) as store:
            known = [fault.name for fault in await read_faults(store)]
            if name not in known:
                raise Failure(
                    f"nobody has added a fault '{name}'; {suggestion(name, known, 'there is none')}"
                )
            await remove_fault(store, name)

    asyncio.run(write())
    answers().print(f"fault '{name}' is over")


@asynccontextmanager
async def _store(directory: Path) -> AsyncIterator[Store]:
    async with opened_store(load_directory(directory, secret_or_name), directory) as store:
        if store is None:
            raise Failure(
                "this configuration has no store to keep faults in; name one in mode.repository of global.yaml"
            )
        yield store


def _told(fault: Fault, now: float) -> dict[str, object]:
    does = [f"wait {fault.delay * 1000:g} ms"] if fault.delay else []
    does += [f"error {fault.number}"] if fault.number else []
    does += ["disconnect"] if fault.disconnects else []
    chosen = fault.selection
    hits = {
        "data sources": fault.data_sources,
        "users": chosen.users,
        "databases": chosen.databases,
        "tables": chosen.tables,
        "verbs": chosen.verbs,
        "fingerprints": chosen.fingerprints,
    }
    named = "; ".join(f"{kind} {', '.join(sorted(names))}" for kind, names in hits.items() if names)
    return {
        "fault": fault.name,
        "does": ", ".join(does),
        "hits": named or "all statements",
        "percent": fault.percent,
        "seconds_left": max(0, round(fault.until - now)),
    }
