"""`dbmesh reshard status|watch|pause|…`: jobs that move tables, in the store of a mesh.

Decides what is asked of a job and how its state is shown. What becomes of a job, `reshard.job` decides; sidecars carry it out.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from rich import box
from rich.console import Group, RenderableType
from rich.filesize import decimal
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from dbmesh.cli.loading import load_directory, secret_or_name
from dbmesh.cli.output import EXIT_DIFFERENT, EXIT_OK, Failure, answers
from dbmesh.cli.stores import opened_store
from dbmesh.governance.instances import State, read_instances
from dbmesh.governance.store import Store, StoreUnavailable
from dbmesh.reshard.jobs.documents import change_job, read_job, read_jobs, read_progress
from dbmesh.reshard.jobs.job import (
    PAUSABLE,
    WAITING,
    Job,
    Mode,
    NotNow,
    Phase,
    Wish,
    may_be_wished,
    paused,
    resumed,
    wished,
)

LOOK = 0.5
"""Seconds between two looks at a job that is watched."""

PATIENCE = 15.0
"""Seconds a job that is watched may be out of sight."""

_STANDS = {Phase.READY: "both sides are equal", Phase.REVERSE: "the new tables are read"}
"""What the operator decides by."""


def ask(directory: Path, number: int | None, wish: Wish, *, wait: bool, as_json: bool) -> int:
    """Asks for a phase, and waits for its end. Returns the exit code. Raises Failure."""
    return asyncio.run(
        _change(
            directory,
            number,
            lambda job: wished(job, wish, time.time()),
            wait=wait,
            asks=True,
            as_json=as_json,
        )
    )


def pause_job(directory: Path, number: int | None, *, as_json: bool) -> int:
    """Lets copying and verifying stand still. Raises Failure."""
    return asyncio.run(_change(directory, number, paused, wait=False, as_json=as_json))


def resume_job(directory: Path, number: int | None, *, as_json: bool) -> int:
    """Lets a job go on, whatever kept it. Raises Failure."""
    return asyncio.run(_change(directory, number, resumed, wait=False, as_json=as_json))


def throttle_job(directory: Path, number: int | None, rate: int, *, as_json: bool) -> int:
    """Sets how many rows a second are copied at most. Raises Failure."""

    def throttled(job: Job) -> Job:
        return replace(job, rate=rate)

    return asyncio.run(_change(directory, number, throttled, wait=False, as_json=as_json))


async def _change(
    directory: Path,
    number: int | None,
    change: Callable[[Job], Job],
    *,
    wait: bool,
    as_json: bool,
    asks: bool = False,
) -> int:
    async with opened_store(load_directory(directory, secret_or_name), directory) as opened:
        store = store_of_jobs(opened)
        chosen = await _chosen(store, number)
        if asks:
            await refuse_unserved(store)
        try:
            job = await change_job(store, chosen.number, change)
        except NotNow as error:
            raise Failure(str(error)) from error
        except StoreUnavailable as error:
            note = f"whether job {chosen.number} was told is not known: see `dbmesh reshard status`"
            raise Failure(str(error), (note,)) from error
        while wait and job.works:
            job = await _later(store, job.number)
        progress = await read_progress(store, job.number)
        if as_json:
            answers().print_json(json.dumps(described_job(job, progress)))
        else:
            answers().print(_summary(job), soft_wrap=True)
        return EXIT_DIFFERENT if wait and job.stopped else EXIT_OK


async def _later(store: Store, number: int) -> Job:
    """A job some time later. A store that does not answer is asked again for a while. Raises StoreError."""
    until = asyncio.get_running_loop().time() + PATIENCE
    while True:
        await asyncio.sleep(LOOK)
        try:
            return await read_job(store, number)
        except StoreUnavailable:
            if asyncio.get_running_loop().time() > until:
                raise


def show_status(directory: Path, number: int | None, *, as_json: bool) -> int:
    """Prints how far a job is. Raises Failure."""

    async def look() -> tuple[Job, dict[str, Any]]:
        async with opened_store(load_directory(directory, secret_or_name), directory) as opened:
            store = store_of_jobs(opened)
            job = await _chosen(store, number, ended=True)
            return job, await read_progress(store, job.number)

    job, progress = asyncio.run(look())
    if as_json:
        answers().print_json(json.dumps(described_job(job, progress)))
    else:
        answers().print(_shown(job, progress))
    return EXIT_DIFFERENT if job.stopped else EXIT_OK


def watch_job(directory: Path, number: int | None, *, as_json: bool) -> int:
    """Shows how far a job is until it ends, waits for the operator, or does not go on. Returns the exit code. Raises Failure."""
    return asyncio.run(_watch(directory, number, as_json=as_json))


async def _watch(directory: Path, number: int | None, *, as_json: bool) -> int:
    async with opened_store(load_directory(directory, secret_or_name), directory) as opened:
        store = store_of_jobs(opened)
        job = await _chosen(store, number, ended=True)
        console = answers()
        if as_json:
            last = ""
            while True:
                line = json.dumps(described_job(job, await read_progress(store, job.number)))
                if line != last:
                    console.out(line, highlight=False)
                    last = line
                if not job.works and not (job.paused and job.phase in PAUSABLE):
                    break
                job = await _later(store, job.number)
        else:
            with Live(console=console, auto_refresh=False) as live:
                while True:
                    live.update(_shown(job, await read_progress(store, job.number)), refresh=True)
                    if not job.works and not (job.paused and job.phase in PAUSABLE):
                        break
                    job = await _later(store, job.number)
    return EXIT_DIFFERENT if job.stopped else EXIT_OK


def list_jobs(directory: Path, *, as_json: bool) -> None:
    """Prints all jobs there were, the newest first. Raises Failure."""

    async def look() -> list[Job]:
        async with opened_store(load_directory(directory, secret_or_name), directory) as opened:
            return (await read_jobs(store_of_jobs(opened)))[::-1]

    jobs = asyncio.run(look())
    if as_json:
        answers().print_json(json.dumps([described_job(job, {}) for job in jobs]))
        return
    if not jobs:
        answers().print("there is no reshard job")
        return
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for heading in ("job", "database", "phase", "tables", "begun", "by", "comment"):
        table.add_column(heading, overflow="fold")
    for job in jobs:
        table.add_row(
            str(job.number),
            job.database,
            job.phase.value,
            ", ".join(name for name, _ in job.estimates),
            time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(job.at)),
            job.by,
            Text(job.comment),
        )
    answers().print(table)
    for job in jobs:
        if job.stopped:
            answers().print(_summary(job), soft_wrap=True)


def described_job(job: Job, progress: dict[str, Any]) -> dict[str, Any]:
    """A job as JSON says it."""
    shown = asdict(job)
    shown["phase"] = job.phase.value
    shown["estimates"] = dict(job.estimates)
    shown["journal"] = [{"phase": phase, "at": at} for phase, at in job.journal]
    return {**shown, "waits": job.phase in WAITING, "ended": job.ended, "progress": progress}


def _shown(job: Job, progress: dict[str, Any]) -> RenderableType:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for heading in ("table", "rows", "copied", "", "size", "verified", "repaired"):
        table.add_column(heading, justify="left" if heading in ("table", "") else "right")
    for name, one in progress.get("tables", {}).items():
        rows, copied = one.get("rows", 0), one.get("copied", 0)
        table.add_row(
            Text(name),
            f"{max(rows, copied):,}",
            f"{copied:,}",
            ProgressBar(total=max(rows, copied, 1), completed=copied, width=24),
            decimal(one.get("bytes", 0)),
            f"{one.get('verified', 0):,}",
            f"{one.get('repaired', 0):,}",
        )
    parts: list[RenderableType] = [_summary(job)]
    if table.row_count:
        parts.append(table)
    if job.works and progress.get("rows_per_second"):
        left = progress.get("seconds_left")
        parts.append(
            Text(f"{progress['rows_per_second']:,} rows/s" + (f", about {left} s left" if left else ""))
        )
    if progress.get("throttled"):
        parts.append(Text(f"held up: {progress['throttled']}", "yellow"))
    writes = progress.get("writes", {})
    if writes.get("amplification"):
        parts.append(
            Text(
                f"clients' writes: {writes['statements']:,} with {writes['rows']:,} rows; on the other side {writes['other_statements']:,} "
                f"with {writes['other_rows']:,}; write amplification {writes['amplification']:.2f}"
            )
        )
    for one in progress.get("sources", ()):
        state = one["problem"] or f"{one['lag']} s behind, {one['keys']:,} keys seen"
        parts.append(Text(f"binlog of {one['data_source']}: {state}"))
    caught_up = progress.get("caught_up", {})
    if caught_up.get("keys"):
        parts.append(Text(f"{caught_up['keys']:,} changed rows were brought over from the binlogs"))
    bypassed = progress.get("bypassed", {})
    if bypassed.get("repaired"):
        parts.append(
            Text(f"{bypassed['repaired']:,} rows were written past the mesh, and repaired", "yellow")
        )
    parts += [
        Text(f"came past the mesh and names no rows: {text}", "yellow")
        for text in progress.get("statements", ())
    ]
    return Group(*parts)


def _summary(job: Job) -> Text:
    mode = ", mode cdc" if job.mode is Mode.CDC else ""
    text = Text.assemble(f"job {job.number} ({job.database}{mode}): ", (job.phase.value, "bold"))
    if job.paused:
        text.append(", paused", "yellow")
    if job.stopped:
        text.append(f"; it does not go on: {job.stopped}", "bold red")
        text.append(f"; mend that, then: {_next(job)}")
    elif job.phase in _STANDS:
        text.append(f"; {_STANDS[job.phase]}: {_next(job)}")
    return text


def _next(job: Job) -> str:
    """What the operator may say to a job that waits or does not go on."""
    match job.phase:
        case Phase.READY:
            return "dbmesh reshard cutover, or cancel"
        case Phase.REVERSE:
            return "dbmesh reshard finish, or rollback"
    return "dbmesh reshard resume, or cancel" if may_be_wished(job, Wish.CANCEL) else "dbmesh reshard resume"


async def _chosen(store: Store, number: int | None, *, ended: bool = False) -> Job:
    """The job of a number, or else the one that has not ended, or (`ended`) the newest."""
    jobs = await read_jobs(store)
    if number is not None:
        found = [one for one in jobs if one.number == number]
    else:
        found = [one for one in jobs if not one.ended] or (jobs[-1:] if ended else [])
    if not found:
        what = "no reshard job is under way" if number is None else f"there is no reshard job {number}"
        raise Failure(f"{what}; see: dbmesh reshard list")
    return found[0]


async def refuse_unserved(store: Store) -> None:
    """What nobody carries out now, a sidecar would that is started much later. Raises Failure and StoreError."""
    if not any(one.state is State.SERVING for one in await read_instances(store)):
        raise Failure("no sidecar is alive that could carry the job out; start one")


def store_of_jobs(store: Store | None) -> Store:
    """The store that jobs are kept in. Raises Failure where the configuration has none."""
    if store is None:
        raise Failure(
            "this configuration has no store to keep jobs in; name one in mode.repository of global.yaml"
        )
    return store
