"""`dbmesh reshard start`: a job is planned, and begins when nothing stands in its way.

Decides which files of the rules a job keeps, and that no secret is among them. What stands in its way, `reshard.planning`
decides; sidecars carry the job out.
"""

from __future__ import annotations

import asyncio
import json
import time
from dataclasses import replace
from pathlib import Path

from dbmesh.cli.configuration import read_directory
from dbmesh.cli.loading import counted, describe, load_directory
from dbmesh.cli.output import EXIT_DIFFERENT, EXIT_OK, Failure, answers
from dbmesh.cli.reshard import make_job_plan, print_plan
from dbmesh.cli.reshard_jobs import described_job, refuse_unserved, store_of_jobs
from dbmesh.cli.revisions import operator
from dbmesh.cli.stores import opened_store
from dbmesh.governance.revisions import read_files, read_known
from dbmesh.governance.store import Store
from dbmesh.reshard.jobs.documents import begin_job, read_jobs
from dbmesh.reshard.jobs.files import JobFiles
from dbmesh.reshard.jobs.generation import moving_tables
from dbmesh.reshard.jobs.job import Job, Mode, NotNow
from dbmesh.reshard.planning.plan import Plan
from dbmesh.rules.loader import DATABASE_FILES, GLOBAL_FILE
from dbmesh.rules.secrecy import clear_secrets
from dbmesh.rules.source import read_source


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
        store = store_of_jobs(opened)
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
    await refuse_unserved(store)
    number = max((one.number for one in await read_jobs(store)), default=0) + 1
    before, after = load_directory(directory), load_directory(to)
    plan = await make_job_plan(store, before, after, database, str(number), mode)
    estimates = tuple((move.name, plan.all_rows(move)) for move in plan.scope.moves)
    name = plan.scope.before.database
    return plan, Job(number, name, operator(), time.time(), estimates=estimates, mode=mode)


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
