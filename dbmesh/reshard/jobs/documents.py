"""Reshard jobs in the store: their documents, their files, and how far they are.

Decides that there is one job at a time, and that a document changes by compare-and-set.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from dbmesh.governance import layout
from dbmesh.governance.store import ABSENT, Conflict, Guard, Store, StoreError, Write
from dbmesh.reshard.jobs.files import JobFiles, decode_files, encode_files
from dbmesh.reshard.jobs.job import Job, NotNow, begun, decode_job, encode_job
from dbmesh.reshard.jobs.lead import check_lead

MOST_FILES = 1_400_000
"""Bytes of a job's files; etcd takes 1.5 MB in one request."""


async def read_jobs(store: Store) -> list[Job]:
    """All there were, the first one first. Raises StoreError."""
    return [decode_job(entry.value) for entry in (await store.range(layout.reshard_jobs_prefix())).entries]


async def read_job(store: Store, number: int) -> Job:
    """One of them. Raises StoreError."""
    entry = await store.get(layout.reshard_job(number))
    if entry is None:
        raise StoreError(f"there is no reshard job {number}")
    return decode_job(entry.value)


async def begin_job(store: Store, job: Job, files: JobFiles) -> Job:
    """Begin a job. Raises NotNow while another has not ended, StoreError."""
    earlier = await read_jobs(store)
    busy = next((one for one in earlier if not one.ended), None)
    if busy is not None:
        raise NotNow(f"job {busy.number} is in phase '{busy.phase.value}'; one job runs at a time")
    if earlier and earlier[-1].number >= job.number:
        raise NotNow("another job has begun and ended meanwhile; plan again")
    value = encode_files(files)
    if len(value) > MOST_FILES:
        raise StoreError(f"the files of both sides are {len(value)} bytes, {MOST_FILES} are the most")
    made = begun(job)
    writes = [
        Write(layout.reshard_job(job.number), encode_job(made), ABSENT),
        Write(layout.reshard_files(job.number), value, ABSENT),
    ]
    try:
        await store.commit(writes)
    except Conflict as conflict:
        raise NotNow("somebody else has begun a job at the same time") from conflict
    return made


async def read_files_of(store: Store, number: int) -> JobFiles:
    """What a job was begun with. Raises StoreError."""
    entry = await store.get(layout.reshard_files(number))
    if entry is None:
        raise StoreError(f"the files of reshard job {number} are gone")
    return decode_files(entry.value)


async def change_job(
    store: Store, number: int, change: Callable[[Job], Job], lead: Guard | None = None
) -> Job:
    """Make a job what `change` says, which may be asked again. With `lead` (`take_lead`) it is who carries the job out that says so. Raises what
    it raises, StoreError."""
    while True:
        entry = await store.get(layout.reshard_job(number))
        if entry is None:
            raise StoreError(f"there is no reshard job {number}")
        present = decode_job(entry.value)
        following = change(present)
        if following == present:
            return present
        try:
            await store.commit(
                [Write(entry.key, encode_job(following), entry.revision)], [] if lead is None else [lead]
            )
        except Conflict:
            if lead is not None:
                await check_lead(store, lead)
            continue
        return following


async def tell_progress(store: Store, number: int, progress: Mapping[str, Any]) -> None:
    """How far a job is, for whoever watches. Raises StoreError."""
    await store.commit([Write(layout.reshard_progress(number), json.dumps(progress).encode())])


async def read_progress(store: Store, number: int) -> dict[str, Any]:
    """What was told last; empty before anything was. Raises StoreError."""
    entry = await store.get(layout.reshard_progress(number))
    found: dict[str, Any] = {} if entry is None else json.loads(entry.value)
    return found
