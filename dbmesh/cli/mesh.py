"""`dbmesh mesh`: the sidecars that are alive or may be, and who runs what.

Decides what is shown. Who is alive, the store says.
"""

from __future__ import annotations

import asyncio
import json
import time
from dataclasses import asdict
from pathlib import Path

from rich import box
from rich.table import Table

from dbmesh.cli.loading import load_directory, secret_or_name
from dbmesh.cli.output import Failure, answers
from dbmesh.cli.stores import opened_store
from dbmesh.governance.instances import Instance, State, forget, read_instances, read_sidecars
from dbmesh.governance.switches import switch_instance
from dbmesh.rules.ruleset import Configuration
from dbmesh.rules.sections import suggestion

_NO_STORE = (
    "this configuration has no store, so its sidecars do not know of each other; "
    "name one in mode.repository of global.yaml"
)


def show_instances(directory: Path, *, as_json: bool) -> None:
    """Prints every sidecar that is alive, and those that may be. Raises Failure."""
    configuration = load_directory(directory)
    instances = asyncio.run(_read(configuration, directory))
    if as_json:
        answers().print_json(json.dumps([asdict(one) for one in instances]))
    elif instances:
        answers().print(_described(instances, configuration.fingerprint, time.time()))
    else:
        answers().print("no sidecar is alive")


def forget_member(directory: Path, place: str) -> None:
    """Notes that a sidecar which was not heard of serves no more. Raises Failure."""
    asyncio.run(_forget(load_directory(directory, secret_or_name), directory, place))
    answers().print(f"{place} is forgotten")


async def _forget(configuration: Configuration, directory: Path, place: str) -> None:
    async with opened_store(configuration, directory) as store:
        if store is None:
            raise Failure(_NO_STORE)
        if not await forget(store, place):
            known = sorted((await read_sidecars(store)).unheard.values())
            raise Failure(
                f"no sidecar that is not heard of ran at '{place}'; {suggestion(place, known, 'there is none')}"
            )


def switch_on_or_off(directory: Path, id_: str, *, on: bool) -> None:
    """Takes a sidecar out of service, or back. Raises Failure."""
    asyncio.run(_switch(load_directory(directory, secret_or_name), directory, id_, on=on))
    answers().print(f"{id_} is {'enabled' if on else 'disabled'}")


async def _switch(configuration: Configuration, directory: Path, id_: str, *, on: bool) -> None:
    async with opened_store(configuration, directory) as store:
        if store is None:
            raise Failure(_NO_STORE)
        known = [one.id for one in await read_instances(store)]
        if id_ not in known and not on:
            raise Failure(f"no sidecar has the id '{id_}'; {suggestion(id_, known, 'there is none')}")
        await switch_instance(store, id_, on=on)


async def _read(configuration: Configuration, directory: Path) -> list[Instance]:
    async with opened_store(configuration, directory) as store:
        if store is None:
            raise Failure(_NO_STORE)
        unheard = [
            Instance(id_, "", "", 0.0, place, State.UNHEARD)
            for id_, place in sorted((await read_sidecars(store)).unheard.items())
        ]
        return [*await read_instances(store), *unheard]


def _described(instances: list[Instance], own: str, now: float) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for heading in ("instance", "address", "version", "state", "up", "rules", "revision", "configuration"):
        # An id and an address are copied into the next command.
        table.add_column(heading, overflow="fold", no_wrap=heading in ("instance", "address"))
    for one in instances:
        if one.state is State.UNHEARD:
            table.add_row(one.id, one.address, "", one.state.value)
            continue
        same = "as here" if one.configuration == own else "another"
        table.add_row(
            one.id,
            one.address,
            one.version,
            one.state.value,
            _duration(now - one.since),
            one.rules,
            str(one.revision or "own files"),
            f"{one.configuration} ({same})",
        )
    return table


def _duration(seconds: float) -> str:
    """`45 s`, `12 min`, `3 h 5 min`, `2 d 4 h`."""
    minutes, hours, days = (int(seconds // unit) for unit in (60, 3600, 86_400))
    if days:
        return f"{days} d {hours % 24} h"
    if hours:
        return f"{hours} h {minutes % 60} min"
    return f"{minutes} min" if minutes else f"{max(int(seconds), 0)} s"
