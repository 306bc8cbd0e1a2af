"""RENAME TABLE: one or several tables, one after another, so that names can be exchanged.

Decides what every actual table is called in the end and which rules follow: those that CREATE TABLE made. Tables with a rule
of the configuration keep their names.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from dbmesh.errors import NAME_TOO_LONG, TABLE_EXISTS, UNKNOWN_TABLE, MeshError, not_supported
from dbmesh.model import DataNode
from dbmesh.planner.context import PlanContext
from dbmesh.planner.ddl_nodes import is_numbered, plan_shots
from dbmesh.planner.ddl_places import DdlTable, check_keeps_triggers, check_single, table_at
from dbmesh.planner.ddl_reading import NamePlace, read_rename_table
from dbmesh.planner.lexemes import LexemeReader
from dbmesh.planner.template import Segment, TableName
from dbmesh.planner.text_plan import TextPlan, TextShot
from dbmesh.planner.views import actual_name
from dbmesh.rules.auto_tables import MOST_NAME, built
from dbmesh.rules.declared_keys import with_tables_renamed
from dbmesh.rules.ruleset import MadeTable, RuleChange


@dataclass(frozen=True, slots=True)
class _Renamed:
    """A table on its way: what it was at first, and its name and nodes now."""

    first: DdlTable
    made: MadeTable | None
    name: str
    nodes: tuple[DataNode, ...]


def plan_rename_tables(context: PlanContext, reader: LexemeReader) -> TextPlan:
    """RENAME TABLE a TO b, c TO d …. Raises MeshError: UNKNOWN_TABLE, TABLE_EXISTS, NAME_TOO_LONG, NOT_SUPPORTED."""
    pairs = read_rename_table(reader)
    moved: dict[str, _Renamed] = {}
    left: set[str] = set()
    steps: dict[str, list[str]] = {}
    for before, after in pairs:
        table = moved.pop(before.name.lower(), None) or _first(context, before, left)
        _check_free(context, after, moved, left)
        following = _named(context, table, after.name)
        for old, new in zip(table.nodes, following.nodes, strict=True):
            steps.setdefault(old.data_source, []).extend((old.table, new.table))
        left.add(before.name.lower())
        left.discard(after.name.lower())
        moved[after.name.lower()] = following
    shots = [_shot(context, pairs, source, names) for source, names in steps.items()]
    tables = list(moved.values())
    plan = plan_shots(context, tables[0].first, shots)
    views = any(table.first.name.lower() in context.catalog.views for table in tables)
    return replace(plan, change=_change(context, tables), announced=views)


def _first(context: PlanContext, place: NamePlace, left: set[str]) -> _Renamed:
    table = table_at(context, place)
    if place.name.lower() in left:
        raise MeshError(UNKNOWN_TABLE, database=context.rule_set.database, table=place.name)
    made = context.rule_set.made.get(table.name.lower())
    if table.rule is not None and made is None:
        raise not_supported(f"renaming '{table.name}', which has a rule", "change the rule's table name")
    check_keeps_triggers(context, table)
    return _Renamed(table, made, table.name, table.nodes)


def _check_free(context: PlanContext, place: NamePlace, moved: dict[str, _Renamed], left: set[str]) -> None:
    name = place.name.lower()
    other = table_at(context, place, new=True)
    known = other.rule is not None or name in context.catalog.single_nodes
    if name in moved or (known and name not in left):
        raise MeshError(TABLE_EXISTS, table=place.name)


def _named(context: PlanContext, table: _Renamed, name: str) -> _Renamed:
    if table.made is None:
        [node] = table.nodes
        if table.first.name.lower() in context.catalog.views:
            if len(actual_name(name)) > MOST_NAME:
                raise MeshError(NAME_TOO_LONG, name=name)
            return replace(table, name=name, nodes=(replace(node, table=actual_name(name)),))
        check_single(context, node.data_source, name)
        return replace(table, name=name, nodes=(replace(node, table=name),))
    if len(f"{name}_{len(table.nodes) - 1}") > MOST_NAME:
        raise MeshError(NAME_TOO_LONG, name=name)
    nodes = built(replace(table.made, name=name), context.rule_set.own_sources).nodes
    return replace(table, name=name, nodes=nodes)


def _shot(
    context: PlanContext, pairs: Sequence[tuple[NamePlace, NamePlace]], source: str, names: Sequence[str]
) -> TextShot:
    segments: list[Segment] = []
    for index in range(0, len(names), 2):
        segments += [", "] if segments else []
        segments += [TableName(index, quoted=True), " TO ", TableName(index + 1, quoted=True)]
    edits = context.edits()
    edits.replace(pairs[0][0].start, pairs[-1][1].end, *segments)
    return TextShot(source, edits.build().frame(names))


def _change(context: PlanContext, tables: Sequence[_Renamed]) -> RuleChange:
    """What the renamed tables mean for the rules that were made."""
    ruled = [table for table in tables if table.made is not None]
    made = tuple(replace(table.made, name=table.name) for table in ruled if table.made is not None)
    numbered = [table for table in ruled if is_numbered(context, table.first)]
    names = dict.fromkeys(name for table in numbered for name in (table.first.name, table.name))
    gone = tuple(table.first.name for table in ruled)
    following = {table.first.name.lower(): table.name for table in tables}
    declared = with_tables_renamed(context.rule_set, following)
    return RuleChange(made, gone, tuple((name, 1) for name in names), declared)
