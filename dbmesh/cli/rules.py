"""`dbmesh rules`: check a configuration directory, print the JSON Schema editors use.

Decides what a valid directory's summary shows. What is valid, `dbmesh.rules` decides.
"""

from __future__ import annotations

import json
from pathlib import Path

from rich import box
from rich.table import Table

from dbmesh.cli.loading import counted, load_directory
from dbmesh.cli.output import answers
from dbmesh.rules.ruleset import BroadcastTable, Configuration, RuleSet, ShardedTable
from dbmesh.rules.schema import json_schema


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
