"""`dbmesh reshard start|status|watch|…`: jobs that move tables, in the store of a mesh.

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

from dbmesh.cli.configuration import read_directory
from dbmesh.cli.loading import counted, describe, load_directory, secret_or_name
from dbmesh.cli.output import EXIT_DIFFERENT, EXIT_OK, Failure, answers
from dbmesh.cli.reshard import make_job_plan, print_plan
from dbmesh.cli.revisions import operator
from dbmesh.cli.stores import opened_store
from dbmesh.governance.instances import State, read_instances
from dbmesh.governance.revisions import read_files, read_known
from dbmesh.governance.store import Store, StoreUnavailable
from dbmesh.reshard.jobs.documents import begin_job, change_job, read_job, read_jobs, read_progress
from dbmesh.reshard.jobs.files import JobFiles
from dbmesh.reshard.jobs.generation import moving_tables
from dbmesh.reshard.jobs.job import PAUSABLE, WAITING, Job, Mode, NotNow, Phase, Wish, paused, resumed, wished
from dbmesh.reshard.planning.plan import Plan
from dbmesh.rules.loader import DATABASE_FILES, GLOBAL_FILE
from dbmesh.rules.secrecy import clear_secrets
from dbmesh.rules.source import read_source

LOOK = 0.5
"""Seconds between two looks at a job that is watched."""

PATIENCE = 15.0
"""Seconds a job that is watched may be out of sight."""

_ADVICE = {
    Phase.READY: "both sides are equal: dbmesh reshard cutover, or cancel",
    Phase.REVERSE: "the new tables are read: dbmesh reshard finish, or rollback",
}


def start_job(
    directory: Path,
    to: Path,
    database: str | None,
    comment: str,
    mode: Mode,
    *,
    automatic: bool,
    hold: float,
    rate: int,
    as_json: bool,
) -> int:
    """Begins a job and returns; sidecars carry it out. Returns the exit code. Raises Failure."""
    return asyncio.run(_start(directory, to, database, comment, mode, automatic, hold, rate, as_json=as_json))


async def _start(
    directory: Path,
    to: Path,
    database: str | None,
    comment: str,
    mode: Mode,
    automatic: bool,
    hold: float,
    rate: int,
    *,
    as_json: bool,
) -> int:
    async with opened_store(load_directory(directory), directory) as opened:
        store = _there(opened)
        plan, job = await planned_job(store, directory, to, database, mode)
        if not plan.possible:
            print_plan(plan, as_json=as_json)
            return EXIT_DIFFERENT
        wanted = replace(job, comment=comment, automatic=automatic, hold=hold, rate=rate)
        job = await begin_planned_job(store, plan, wanted, directory, to)
        if as_json:
            answers().print_json(json.dumps(described_job(job, {})))
        else:
            answers().print(
                f"[bold green]OK[/]: job {job.number} has begun; see: dbmesh reshard watch --config {directory}",
                soft_wrap=True,
            )
    return EXIT_OK


async def planned_job(
    store: Store, directory: Path, to: Path, database: str | None, mode: Mode = Mode.DOUBLE_WRITE
) -> tuple[Plan, Job]:
    """The next job from the rules that hold to those of `to`, and its plan; nothing has begun. Raises Failure and StoreError."""
    await _refuse_unserved(store)
    number = max((one.number for one in await read_jobs(store)), default=0) + 1
    before, after = load_directory(directory), load_directory(to)
    plan = await make_job_plan(store, before, after, database, str(number), mode)
    estimates = tuple((move.name, plan.all_rows(move)) for move in plan.scope.moves)
    name = plan.scope.before.database
    return plan, Job(number, name, operator(), time.time(), estimates=estimates, mode=mode)


async def _refuse_unserved(store: Store) -> None:
    """What nobody carries out now, a sidecar would that is started much later. Raises Failure and StoreError."""
    if not any(one.state is State.SERVING for one in await read_instances(store)):
        raise Failure("no sidecar is alive that could carry the job out; start one")


async def begin_planned_job(store: Store, plan: Plan, job: Job, directory: Path, to: Path) -> Job:
    """Begins a job that `planned_job` found possible. Raises Failure and StoreError."""
    base, texts = await _files_in_force(store, directory), _readable(to)
    files = JobFiles(
        job.number,
        job.database,
        base,
        _file_of(base, job.database, directory),
        texts[_file_of(texts, job.database, to)],
        moving_tables(plan.scope),
    )
    _refuse_secrets({**base, "new.yaml": files.after}, directory)
    try:
        return await begin_job(store, job, files)
    except NotNow as error:
        raise Failure(str(error)) from error


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
        store = _there(opened)
        chosen = await _chosen(store, number)
        if asks:
            await _refuse_unserved(store)
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
            store = _there(opened)
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
        store = _there(opened)
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
            return (await read_jobs(_there(opened)))[::-1]

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
            Text(job.phase.value + (f": {job.stopped}" if job.stopped else "")),
            ", ".join(name for name, _ in job.estimates),
            time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(job.at)),
            job.by,
            Text(job.comment),
        )
    answers().print(table)


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
    elif job.phase in _ADVICE:
        text.append(f"; {_ADVICE[job.phase]}")
    return text


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


async def _files_in_force(store: Store, directory: Path) -> dict[str, str]:
    """The files of the rules that hold: the store's where it has any."""
    known = await read_known(store)
    return await read_files(store, known.active) if known.active else _readable(directory)


def _readable(directory: Path) -> dict[str, str]:
    return {
        name: text
        for name, text in read_directory(directory).items()
        if name == GLOBAL_FILE or Path(name).match(DATABASE_FILES)
    }


def _file_of(files: dict[str, str], database: str, directory: Path) -> str:
    for name, text in files.items():
        value = read_source(name, text).value
        if isinstance(value, dict) and str(value.get("databaseName", "")).lower() == database.lower():
            return name
    raise Failure(f"no file of {directory} describes the database '{database}'")


def _refuse_secrets(files: dict[str, str], directory: Path) -> None:
    found = clear_secrets(files)
    if found:
        notes = tuple(describe(directory, mistake) for mistake in found)
        raise Failure(f"{counted(len(notes), 'secret')} in clear text; nothing has begun", notes)


def _there(store: Store | None) -> Store:
    if store is None:
        raise Failure(
            "this configuration has no store to keep jobs in; name one in mode.repository of global.yaml"
        )
    return store
