"""`dbmesh rules`: check a configuration directory, print its rules, and the JSON Schema editors use.

Decides what a valid directory's summary shows. What is valid, `dbmesh.rules` decides.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from textwrap import indent

import yaml
from rich import box
from rich.table import Table

from dbmesh.cli.configuration import read_directory
from dbmesh.cli.loading import counted, load_directory
from dbmesh.cli.output import Failure, answers
from dbmesh.cli.stores import in_force, opened_store
from dbmesh.governance.made_rules import read_made
from dbmesh.governance.revisions import read_files, read_known
from dbmesh.rules.auto_tables import sharding_item
from dbmesh.rules.loader import DATABASE_FILES
from dbmesh.rules.ruleset import BroadcastTable, Configuration, MadeTable, RuleSet, ShardedTable
from dbmesh.rules.schema import json_schema
from dbmesh.rules.source import read_source


def validate_directory(directory: Path) -> None:
    """Prints a summary of a valid directory. Raises Failure with every mistake of another."""
    configuration = load_directory(directory)
    console = answers()
    for rule_set in configuration.databases.values():
        console.print(summary(rule_set))
    console.print(f"[bold green]OK[/]: {totals(configuration)}")


def print_schema() -> None:
    """Prints the JSON Schema; not through Rich, which would wrap it."""
    print(json.dumps(json_schema(), indent=2))


def show_rules(directory: Path, database: str | None) -> None:
    """Prints the rules of every database, or of one: the items of the files (the store's where it has rules) as they are, and what
    CREATE TABLE made. Raises Failure."""
    configuration, files, made = asyncio.run(_in_force(load_directory(directory), directory))
    names = [one.database for one in configuration.databases.values()]
    if database is not None and database.lower() not in configuration.databases:
        raise Failure(f"there is no database '{database}'; there are {', '.join(names)}")
    written = written_rules(files)
    for name in names:
        if database is None or name.lower() == database.lower():
            print(f"# database {name}")
            print(rules_yaml(written.get(name.lower(), []), made[name.lower()]), end="")


def written_rules(files: Mapping[str, str]) -> dict[str, list[tuple[str, object]]]:
    """Database in lower case → tag and value of each item of its file."""
    found: dict[str, list[tuple[str, object]]] = {}
    for name, text in files.items():
        if fnmatchcase(name, DATABASE_FILES):
            source = read_source(name, text)
            items = [
                (source.tags[("rules", at)], item) for at, item in enumerate(source.value.get("rules") or ())
            ]
            found[str(source.value["databaseName"]).lower()] = items
    return found


def rules_yaml(written: Sequence[tuple[str, object]], made: Sequence[MadeTable]) -> str:
    """Items as the list `rules` of a file; made tables are an item of their own."""
    items = [(tag, value, "") for tag, value in written]
    if made:
        items.append(("!SHARDING", sharding_item(made), "# made by CREATE TABLE\n"))
    text = "rules:\n" if items else "rules: []\n"
    for tag, value, note in items:
        body = yaml.safe_dump(value, sort_keys=False, allow_unicode=True, width=120)
        text += f"{note}- {tag}\n{indent(body, '  ')}"
    return text


async def _in_force(
    own: Configuration, directory: Path
) -> tuple[Configuration, Mapping[str, str], dict[str, tuple[MadeTable, ...]]]:
    """What holds, its files, and the tables that statements made, by database."""
    async with opened_store(own, directory) as store:
        configuration = await in_force(own, store)
        if store is None:
            return configuration, read_directory(directory), dict.fromkeys(configuration.databases, ())
        active = (await read_known(store)).active
        files = await read_files(store, active) if active else read_directory(directory)
        return configuration, files, {name: await read_made(store, name) for name in configuration.databases}


def summary(rule_set: RuleSet) -> Table:
    """One table per logic database: each logic table, how it is placed and on which nodes."""
    table = Table(
        title=f"database {rule_set.database}", title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False
    )
    for heading in ("table", "kind", "sharded by", "nodes"):
        table.add_column(heading, overflow="fold")
    for rule in rule_set.tables.values():
        kind = "sharded" if isinstance(rule, ShardedTable) else "broadcast"
        keys = ", ".join(rule.sharding_columns) if isinstance(rule, ShardedTable) else ""
        table.add_row(rule.name, kind, keys, nodes(rule))
    for pattern in rule_set.single_tables:
        table.add_row(pattern, "single", "", "found when dbmesh starts")
    return table


def nodes(rule: ShardedTable | BroadcastTable, shown: int = 4) -> str:
    """`4: ds_0.t_order_0, … ds_1.t_order_1`: the count, then all nodes or the first and the last of many."""
    names = [str(node) for node in rule.nodes]
    if len(names) > shown:
        names = [*names[: shown - 1], f"… {names[-1]}"]
    return f"{len(rule.nodes)}: {', '.join(names)}"


def totals(configuration: Configuration) -> str:
    """The whole configuration in one line."""
    sets = configuration.databases.values()
    sources = sum(len(rule_set.data_sources) for rule_set in sets)
    tables = sum(len(rule_set.tables) for rule_set in sets)
    node_count = sum(len(rule.nodes) for rule_set in sets for rule in rule_set.tables.values())
    return ", ".join(
        (
            counted(len(configuration.databases), "database"),
            counted(sources, "data source"),
            counted(tables, "table rule"),
            counted(node_count, "data node"),
            counted(len(configuration.users), "user"),
        )
    )
