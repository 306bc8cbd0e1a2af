"""`dbmesh rules diff|apply|history|rollback`: revisions of the rules in the store of a mesh.

Decides what is shown and which exit code says what. How a revision is rolled out, `governance.revisions` decides; what differs,
`rules.diff`.
"""

from __future__ import annotations

import asyncio
import getpass
import json
import os
import socket
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

from rich import box
from rich.table import Table
from rich.text import Text

from dbmesh.cli.configuration import read_directory
from dbmesh.cli.loading import counted, describe, load_directory, secret_or_name
from dbmesh.cli.output import EXIT_DIFFERENT, EXIT_OK, Failure, answers
from dbmesh.cli.stores import opened_store
from dbmesh.governance.revisions import Known, Outcome, Revision, carry_out, propose, read_files, read_known
from dbmesh.governance.store import Store
from dbmesh.rules.diff import Change, Difference, differences
from dbmesh.rules.loader import DATABASE_FILES, GLOBAL_FILE, load_configuration
from dbmesh.rules.mistakes import ConfigurationError
from dbmesh.rules.ruleset import Configuration
from dbmesh.rules.secrecy import clear_secrets

_NOTHING = Configuration({}, (), {})


def show_differences(directory: Path, *, as_json: bool) -> int:
    """Prints what applying a directory would change. Returns the exit code. Raises Failure."""
    after = load_directory(directory, secret_or_name)
    found = asyncio.run(_differences(after, directory))
    _print_differences(found, as_json=as_json)
    return EXIT_DIFFERENT if found else EXIT_OK


def apply_directory(
    directory: Path, comment: str, *, dry_run: bool, moved: bool, limit: float, as_json: bool
) -> None:
    """Rolls a directory's rules and users out to the mesh. Raises Failure with the reason when nothing has changed."""
    after = load_directory(directory, secret_or_name)
    files = {
        name: text
        for name, text in read_directory(directory).items()
        if name == GLOBAL_FILE or Path(name).match(DATABASE_FILES)
    }
    found = clear_secrets(files)
    if found:
        notes = tuple(describe(directory, mistake) for mistake in found)
        raise Failure(f"{counted(len(notes), 'secret')} in clear text; nothing has changed", notes)
    asyncio.run(_apply(directory, after, files, comment, moved, limit, dry_run=dry_run, as_json=as_json))


def show_history(directory: Path, *, as_json: bool) -> None:
    """Prints the revisions that are known, newest first. Raises Failure."""
    configuration = load_directory(directory, secret_or_name)
    known = asyncio.run(_known(configuration, directory))
    revisions = sorted(known.revisions.values(), key=lambda one: -one.number)
    if as_json:
        shown = [asdict(one) | {"active": one.number == known.active} for one in revisions]
        answers().print_json(json.dumps(shown))
    elif revisions:
        answers().print(_history(revisions, known.active))
        for one in revisions:
            if one.reason:
                answers().print(Text(f"revision {one.number}: {one.reason}"), soft_wrap=True)
    else:
        answers().print("the store has no rules yet; sidecars run their own files")


def roll_back(
    directory: Path, number: int | None, comment: str, *, moved: bool, limit: float, as_json: bool
) -> None:
    """Rolls the rules of an earlier revision out again, as a new one. Raises Failure."""
    configuration = load_directory(directory, secret_or_name)
    asyncio.run(_roll_back(configuration, directory, number, comment, moved, limit, as_json=as_json))


async def _differences(after: Configuration, directory: Path) -> tuple[Difference, ...]:
    async with opened_store(after, directory) as store:
        known = await read_known(_there(store))
        return differences(await _active(_there(store), known), after)


async def _apply(
    directory: Path,
    after: Configuration,
    files: Mapping[str, str],
    comment: str,
    moved: bool,
    limit: float,
    *,
    dry_run: bool,
    as_json: bool,
) -> None:
    async with opened_store(after, directory) as opened:
        store = _there(opened)
        known = await read_known(store)
        active = await _active(store, known)
        _refuse_in_a_job(active)
        found = differences(active, after)
        if not as_json:
            _print_differences(found, as_json=False)
        if not found and known.active:
            if as_json:
                answers().print_json(json.dumps({"revision": known.active, "changes": []}))
            return
        _refuse_moves(found, moved=moved)
        if dry_run:
            if as_json:
                answers().print_json(
                    json.dumps({"revision": None, "changes": [asdict(one) for one in found]})
                )
            else:
                answers().print("nothing has been applied (--dry-run)")
            return
        revision = _revision(comment, after.fingerprint, moved=moved, limit=limit)
        await _rolled_out(store, known, revision, files, found, as_json=as_json)


async def _roll_back(
    configuration: Configuration,
    directory: Path,
    number: int | None,
    comment: str,
    moved: bool,
    limit: float,
    *,
    as_json: bool,
) -> None:
    async with opened_store(configuration, directory) as opened:
        store = _there(opened)
        known = await read_known(store)
        chosen = _earlier(known) if number is None else number
        if chosen not in known.revisions:
            raise Failure(f"there is no revision {chosen}; see: dbmesh rules history")
        files = await read_files(store, chosen)
        after = _loaded(files, chosen)
        active = await _active(store, known)
        _refuse_in_a_job(active)
        if after.moving is not None:
            raise Failure(f"revision {chosen} is a step of reshard job {after.moving.job}; choose another")
        found = differences(active, after)
        if not found:
            raise Failure(f"revision {chosen} says what the active one says; nothing has changed")
        if not as_json:
            _print_differences(found, as_json=False)
        _refuse_moves(found, moved=moved)
        text = comment or f"back to revision {chosen}"
        revision = _revision(text, after.fingerprint, moved=moved, limit=limit)
        await _rolled_out(store, known, revision, files, found, as_json=as_json)


async def _rolled_out(
    store: Store,
    known: Known,
    revision: Revision,
    files: Mapping[str, str],
    found: Sequence[Difference],
    *,
    as_json: bool,
) -> None:
    proposed = await propose(store, known, revision, files)
    ended = await carry_out(store, proposed.number, time.monotonic)
    if ended.outcome is Outcome.REFUSED:
        raise Failure(f"revision {ended.number} is refused, and nothing has changed: {ended.reason}")
    if as_json:
        shown = {"revision": ended.number, "changes": [asdict(one) for one in found]}
        answers().print_json(json.dumps(shown))
    else:
        answers().print(f"[bold green]OK[/]: revision {ended.number} is active")


async def _known(configuration: Configuration, directory: Path) -> Known:
    async with opened_store(configuration, directory) as store:
        return await read_known(_there(store))


async def _active(store: Store, known: Known) -> Configuration:
    """What holds now; nothing while the store has no rules."""
    if not known.active:
        return _NOTHING
    return _loaded(await read_files(store, known.active), known.active)


def _refuse_in_a_job(active: Configuration) -> None:
    if active.moving is not None:
        raise Failure(
            f"reshard job {active.moving.job} changes the rules; end it first: dbmesh reshard finish, or cancel"
        )


def _loaded(files: Mapping[str, str], number: int) -> Configuration:
    try:
        return load_configuration(files, secret_or_name)
    except ConfigurationError as error:
        notes = tuple(map(str, error.mistakes))
        raise Failure(f"revision {number} cannot be read by this version", notes) from error


def _earlier(known: Known) -> int:
    before = [
        one.number
        for one in known.revisions.values()
        if one.outcome is Outcome.ACCEPTED and one.number < known.active
    ]
    if not before:
        raise Failure("there is no earlier revision to go back to; see: dbmesh rules history")
    return max(before)


def _there(store: Store | None) -> Store:
    if store is None:
        raise Failure(
            "this configuration has no store to keep rules in; name one in mode.repository of global.yaml"
        )
    return store


def _refuse_moves(found: Sequence[Difference], *, moved: bool) -> None:
    moving = [f"{one.kind} '{one.name}' of database '{one.database}'" for one in found if one.moves]
    if moving and not moved:
        raise Failure(
            f"nothing has changed: rows would be looked for where they may not be: {', '.join(moving)}; "
            "move them first, then add --rows-are-moved"
        )


def _revision(comment: str, fingerprint: str, *, moved: bool, limit: float) -> Revision:
    return Revision(0, operator(), time.time(), comment, fingerprint, moved, limit=limit)


def operator() -> str:
    """Who runs this, and where."""
    try:
        name = getpass.getuser()
    except (KeyError, OSError):
        # A container's account need not have a name.
        name = str(os.getuid())
    return f"{name}@{socket.gethostname()}"


_SIGNS = {Change.ADDED: "[green]+[/]", Change.REMOVED: "[red]-[/]", Change.CHANGED: "[yellow]~[/]"}


def _print_differences(found: Sequence[Difference], *, as_json: bool) -> None:
    if as_json:
        answers().print_json(json.dumps([asdict(one) for one in found]))
        return
    if not found:
        answers().print("nothing changes")
        return
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for heading in ("", "database", "what", "name", "change"):
        table.add_column(heading, overflow="fold")
    for one in found:
        details = "; ".join(one.details) or one.change.value
        warning = " (its rows are looked for elsewhere)" if one.moves else ""
        table.add_row(
            _SIGNS[one.change], Text(one.database), one.kind, Text(one.name), Text(details + warning)
        )
    answers().print(table)


def _history(revisions: Sequence[Revision], active: int) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for heading in ("revision", "state", "applied", "by", "comment", "files"):
        table.add_column(heading, overflow="fold")
    for one in revisions:
        state = "active" if one.number == active else one.outcome.value
        when = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(one.at))
        table.add_row(str(one.number), Text(state), when, one.by, Text(one.comment), one.fingerprint)
    return table
