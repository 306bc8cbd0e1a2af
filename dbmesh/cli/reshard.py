"""`dbmesh reshard`: what moving tables to other rules would take.

Decides what is shown and which exit code says what. What a job moves and what stops it, `reshard.plan` decides.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich import box
from rich.filesize import decimal
from rich.table import Table
from rich.text import Text

from dbmesh.assembly import all_rules
from dbmesh.cli.loading import counted, load_directory
from dbmesh.cli.output import EXIT_DIFFERENT, EXIT_OK, Failure, answers
from dbmesh.cli.stores import in_force, opened_store
from dbmesh.governance.store import Store
from dbmesh.planner.catalog import AmbiguousTable
from dbmesh.reshard.jobs.job import Mode
from dbmesh.reshard.jobs.scope import TableMove
from dbmesh.reshard.planning.plan import Plan, make_plan
from dbmesh.reshard.planning.survey import survey
from dbmesh.rules.ruleset import Configuration, RuleSet
from dbmesh.rules.sections import suggestion

_JOB = "0"
"""The number of a job that is only planned: it stands in names until one begins."""

_SHOWN = 8
"""Actual tables of one side that are named one by one."""


def show_plan(directory: Path, to: Path, database: str | None, mode: Mode, *, as_json: bool) -> int:
    """Prints what a job from the rules that hold to those of `to` would do. Returns the exit code. Raises Failure."""
    plan = asyncio.run(_plan(load_directory(directory), load_directory(to), directory, database, mode))
    print_plan(plan, as_json=as_json)
    return EXIT_OK if plan.possible else EXIT_DIFFERENT


def print_plan(plan: Plan, *, as_json: bool) -> None:
    """Prints a plan."""
    if as_json:
        answers().print_json(json.dumps(described(plan)))
    else:
        _print(plan)


async def _plan(
    before: Configuration, after: Configuration, directory: Path, database: str | None, mode: Mode
) -> Plan:
    async with opened_store(before, directory) as store:
        return await make_job_plan(store, before, after, database, _JOB, mode)


async def make_job_plan(
    store: Store | None,
    before: Configuration,
    after: Configuration,
    database: str | None,
    job: str,
    mode: Mode,
) -> Plan:
    """The plan of a job from the rules that hold to those of `after`. Raises Failure, StoreError and StartError."""
    held = await in_force(before, store)
    if held.moving is not None:
        raise Failure(f"reshard job {held.moving.job} is under way; see: dbmesh reshard status")
    old, new = await all_rules(store, held), await all_rules(store, after)
    rules = _chosen(old, database)
    target = new.get(rules.database.lower())
    if target is None:
        raise Failure(f"the new rules have no database '{rules.database}'")
    found = await survey([*rules.data_sources.values(), *target.data_sources.values()])
    try:
        return make_plan(rules, target, found, held.transaction_type, job, mode)
    except AmbiguousTable as error:
        raise Failure(str(error)) from error


def _chosen(rules: dict[str, RuleSet], name: str | None) -> RuleSet:
    if name is None and len(rules) == 1:
        return next(iter(rules.values()))
    known = [one.database for one in rules.values()]
    if name is None:
        raise Failure(f"name one database with --database: {', '.join(known)}")
    if name.lower() not in rules:
        raise Failure(f"there is no database '{name}'; {suggestion(name, known)}")
    return rules[name.lower()]


def described(plan: Plan) -> dict[str, Any]:
    """A plan as JSON says it."""
    return {
        "database": plan.scope.before.database,
        "mode": plan.mode.value,
        "possible": plan.possible,
        "tables": [_table(plan, move) for move in plan.scope.moves],
        "findings": [
            {"about": one.about, "finding": one.sentence, "cure": one.cure, "blocks": one.blocks}
            for one in plan.findings
        ],
        "steps": list(plan.steps()) if plan.possible else [],
    }


def _table(plan: Plan, move: TableMove) -> dict[str, Any]:
    return {
        "table": move.name,
        "changes": list(move.details),
        "rows": plan.all_rows(move),
        "bytes": plan.all_bytes(move),
        "sources": [
            {"node": str(node), "rows": plan.rows(node), "bytes": plan.size(node)}
            for node in move.before.nodes
        ],
        "targets": [{"node": str(one.node), "built_as": one.built_as} for one in move.targets],
    }


def _print(plan: Plan) -> None:
    console = answers()
    for move in plan.scope.moves:
        console.print(_described(plan, move))
    if not plan.scope.moves:
        console.print(
            f"the new rules look for every row of database {plan.scope.before.database} where it is"
        )
    for one in plan.findings:
        word, style = ("obstacle", "bold red") if one.blocks else ("remark", "yellow")
        console.print(Text.assemble((f"{word}: ", style), f"{one.about}: {one.sentence}"), soft_wrap=True)
        console.print(Text(f"    cure: {one.cure}"), soft_wrap=True)
    if plan.possible:
        for number, step in enumerate(plan.steps(), 1):
            console.print(f"{number}. {step}", soft_wrap=True)
    elif plan.scope.moves:
        blocking = sum(one.blocks for one in plan.findings)
        console.print(f"[bold red]the job cannot begin:[/] {counted(blocking, 'obstacle')}")


def _described(plan: Plan, move: TableMove) -> Table:
    """One table's data nodes on both sides, side by side."""
    rows, size = plan.all_rows(move), plan.all_bytes(move)
    table = Table(
        title=f"{move.name}: about {rows:,} rows, {decimal(size)}; {'; '.join(move.details)}",
        title_justify="left",
        box=box.SIMPLE_HEAD,
        pad_edge=False,
    )
    for heading in ("from", "rows", "size", "to", "built as"):
        table.add_column(heading, overflow="fold", justify="right" if heading in ("rows", "size") else "left")
    sources = [
        (str(node), _number(plan.rows(node)), decimal(plan.size(node) or 0)) for node in move.before.nodes
    ]
    targets = [
        (str(one.node), "" if one.built_as == one.node.table else one.built_as) for one in move.targets
    ]
    for number in range(min(max(len(sources), len(targets)), _SHOWN)):
        table.add_row(*_at(sources, number, 3), *_at(targets, number, 2))
    if max(len(sources), len(targets)) > _SHOWN:
        table.add_row(_more(sources), "", "", _more(targets), "")
    return table


def _number(value: int | None) -> str:
    return "?" if value is None else f"{value:,}"


def _at(rows: Sequence[tuple[str, ...]], number: int, width: int) -> tuple[str, ...]:
    return rows[number] if number < len(rows) else ("",) * width


def _more(rows: Sequence[tuple[str, ...]]) -> str:
    return f"… {len(rows) - _SHOWN} more" if len(rows) > _SHOWN else ""
