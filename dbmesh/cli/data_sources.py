"""`dbmesh data-sources`: data sources and replicas of the mesh, and which of them are out of service.

Decides what is shown and which names are mistakes. Where it is kept, `governance.switches` says.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from rich import box
from rich.table import Table

from dbmesh.cli.loading import load_directory, secret_or_name
from dbmesh.cli.output import Failure, answers
from dbmesh.cli.stores import active_rules, opened_store
from dbmesh.governance.switches import read_switches, switch_data_source
from dbmesh.rules.ruleset import Configuration
from dbmesh.rules.sections import suggestion
from dbmesh.rules.shadow.rule import all_sources


@dataclass(frozen=True, slots=True)
class Listed:
    """One data source; `role` is primary or replica for the servers of a group."""

    name: str
    kind: str
    address: str
    role: str
    enabled: bool = True


def list_data_sources(directory: Path, *, as_json: bool) -> None:
    """Prints every data source, and whether it is in service. Raises Failure."""
    found = asyncio.run(_list(load_directory(directory, secret_or_name), directory))
    if as_json:
        answers().print_json(json.dumps([asdict(one) for one in found]))
        return
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for heading in ("data source", "kind", "address", "role", "state"):
        table.add_column(heading, overflow="fold")
    for one in found:
        table.add_row(
            one.name, one.kind, one.address, one.role, "enabled" if one.enabled else "[red]disabled[/]"
        )
    answers().print(table)


def switch(directory: Path, name: str, *, on: bool) -> None:
    """Takes a data source or a replica out of service, or back. Raises Failure."""
    asyncio.run(_switch(load_directory(directory, secret_or_name), directory, name, on=on))
    answers().print(f"{name} is {'enabled' if on else 'disabled'}")


async def _list(configuration: Configuration, directory: Path) -> list[Listed]:
    async with opened_store(configuration, directory) as store:
        if store is None:
            return list(_all(configuration))
        off = (await read_switches(store)).data_sources
        return [
            Listed(one.name, one.kind, one.address, one.role, one.name.lower() not in off)
            for one in _all(await active_rules(configuration, store))
        ]


async def _switch(configuration: Configuration, directory: Path, name: str, *, on: bool) -> None:
    async with opened_store(configuration, directory) as store:
        if store is None:
            raise Failure(
                "this configuration has no store to keep this in; name one in mode.repository of global.yaml"
            )
        known = {one.name.lower(): one for one in _all(await active_rules(configuration, store))}
        chosen = known.get(name.lower())
        if chosen is None and not on:
            raise Failure(f"there is no data source '{name}'; {suggestion(name, list(known))}")
        if chosen is not None and chosen.role == "primary" and not on:
            raise Failure(
                f"'{name}' is configured to be a primary; disable its group, or promote another server first"
            )
        await switch_data_source(store, name, on=on)


def _all(configuration: Configuration) -> Iterator[Listed]:
    for rule_set in configuration.databases.values():
        for name, config in all_sources(rule_set).items():
            address = f"{config.host}:{config.port}" if config.host else config.database
            group = rule_set.groups.get(name)
            yield Listed(
                f"{rule_set.database}.{name}", config.kind, address, "" if group is None else "group"
            )
            for role, member in (
                []
                if group is None
                else [
                    ("primary", group.primary),
                    *(("replica", one) for one in group.replicas),
                ]
            ):
                place = f"{member.host}:{member.port}"
                yield Listed(f"{rule_set.database}.{member.name}", member.kind, place, role)
