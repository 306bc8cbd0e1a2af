"""ALTER TABLE and CREATE UNIQUE INDEX of tables whose rule CREATE TABLE made.

Decides whether the rule stays, follows the change, or cannot hold any more: then the table is made whole while it is empty, and
left as it is, with the reason, when it has rows. Runs nothing.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from dataclasses import replace
from hashlib import sha1

from dbmesh.errors import NAME_TOO_LONG, TABLE_EXISTS, MeshError, not_supported
from dbmesh.model import DataNode
from dbmesh.planner.alter_reading import KeyChanges, read_key_changes
from dbmesh.planner.auto_tables import algorithm_of, first_number
from dbmesh.planner.context import PlanContext
from dbmesh.planner.ddl_nodes import is_numbered, plan_everywhere, plan_shots
from dbmesh.planner.ddl_places import DdlTable, check_keeps_triggers, check_single, table_at
from dbmesh.planner.ddl_reading import AlterTable, NamePlace
from dbmesh.planner.foreign_keys import alter_keys
from dbmesh.planner.lexemes import Kind, LexemeReader
from dbmesh.planner.plan import Shot
from dbmesh.planner.template import Frame, Template, quote_name
from dbmesh.planner.text_plan import MadeWhole, TextPlan, TextShot
from dbmesh.rules.auto_tables import MOST_NAME, built
from dbmesh.rules.ruleset import MadeTable, RuleChange

_GUARD = "dbmesh_empty"
"""Begins the name of the constraint that no row fulfils: while a table has it, it is empty and stays so."""


def plan_alter_made(context: PlanContext, read: AlterTable, table: DdlTable, made: MadeTable) -> TextPlan:
    """ALTER TABLE of a table whose rule CREATE TABLE made: its rule follows a new name of the table or of its sharding
    column. Raises MeshError(NOT_SUPPORTED)."""
    changes = read_key_changes(context.statement.readable)
    why = next(_breaks(context, read, made, changes), None)
    keys = alter_keys(context, read, table)
    edits, references, symbols, warnings = keys.edits, keys.references, keys.symbols, keys.warnings
    if why is not None:
        if read.renamed_to is not None:
            raise not_supported(
                f"this ALTER TABLE with RENAME ({why})", "rename the table in a statement of its own"
            )
        trial = plan_everywhere(context, _first_node(table), read.table, references, symbols, edits=edits)
        whole = _made_whole(context, table, trial, why, warnings)
        return replace(whole, change=replace(whole.change, declared=keys.declared))
    reader = LexemeReader(context.statement.readable)
    numbering: tuple[tuple[str, int], ...] = ()
    if is_numbered(context, table) and _names_number(reader):
        numbering = ((table.name, first_number(context, reader)),)
    change, renamed = RuleChange(numbering=numbering), None
    following = _with_column(made, changes)
    if read.renamed_to is not None:
        change, renamed = _renaming(context, table, following, read.renamed_to)
    elif following is not made:
        change = RuleChange((following,), (table.name,), numbering)
    plan = plan_everywhere(context, table, read.table, references, symbols, edits=edits, renamed=renamed)
    return replace(plan, change=replace(change, declared=keys.declared), warnings=warnings)


def plan_index_made(context: PlanContext, place: NamePlace, table: DdlTable, made: MadeTable) -> TextPlan:
    """CREATE or DROP INDEX of such a table."""
    why = next(_unkept_keys(read_key_changes(context.statement.readable), _sharding_column(made)), None)
    if why is None:
        return plan_everywhere(context, table, place)
    return _made_whole(context, table, plan_everywhere(context, _first_node(table), place), why, ())


# ---------------------------------------------------------------------------------------------- what a rule can hold


def _sharding_column(made: MadeTable) -> str:
    column: str = made.section["shardingStrategy"]["standard"]["shardingColumn"]
    return column


def _breaks(context: PlanContext, read: AlterTable, made: MadeTable, changes: KeyChanges) -> Iterator[str]:
    """Why the rule could not hold after an ALTER TABLE."""
    column = _sharding_column(made)
    following = changes.renamed.get(column.lower(), column)
    yield from _unkept_keys(changes, following)
    if changes.primary is not None and following.lower() not in map(str.lower, changes.primary):
        yield f"its primary key would not contain '{following}', by which it is sharded"
    gone = {name.lower() for name in read.gone}
    if column.lower() in gone and column.lower() not in changes.renamed:
        yield f"'{column}', by which it is sharded, would be gone"
    changed = changes.columns.get(column.lower())
    if changed is not None:
        algorithm = algorithm_of(context, changed)
        used = made.section["shardingStrategy"]["standard"]["shardingAlgorithmName"]
        if algorithm is None or not used.startswith(f"auto_{algorithm.lower()}_"):
            yield f"its rows are placed by '{column}', whose type would change"
        if changed.automatic != ("keyGenerateStrategy" in made.section):
            yield f"the numbers of '{column}' are the mesh's or nobody's, which would change"
        if changed.computed or changed.defaults:
            yield f"the server would make the values of '{column}'"
    if (
        changes.converts
        and "hash_mod" in made.section["shardingStrategy"]["standard"]["shardingAlgorithmName"]
    ):
        yield f"its rows are placed by '{column}', whose collation may change"


def _unkept_keys(changes: KeyChanges, column: str) -> Iterator[str]:
    for index in changes.unique:
        if column.lower() not in map(str.lower, index.columns):
            yield (
                f"its unique key ({', '.join(index.columns)}) could not be kept over several data nodes, since it does "
                f"not contain '{column}'"
            )


def _with_column(made: MadeTable, changes: KeyChanges) -> MadeTable:
    """The rule with the sharding column's new name; the same where it keeps its own."""
    column = _sharding_column(made)
    following = changes.renamed.get(column.lower(), column)
    if following == column:
        return made
    section = copy.deepcopy(dict(made.section))
    section["shardingStrategy"]["standard"]["shardingColumn"] = following
    if "keyGenerateStrategy" in section:
        section["keyGenerateStrategy"]["column"] = following
    return replace(made, section=section)


def _names_number(reader: LexemeReader) -> bool:
    """Whether AUTO_INCREMENT stands as a table option, not as a column's attribute."""
    words = [lexeme.text.upper() for lexeme in reader.lexemes]
    return any(
        word == "AUTO_INCREMENT"
        and position + 1 < len(words)
        and (words[position + 1] == "=" or reader.lexemes[position + 1].kind is Kind.NUMBER)
        for position, word in enumerate(words)
    )


def _renaming(
    context: PlanContext, table: DdlTable, made: MadeTable, after: NamePlace
) -> tuple[RuleChange, tuple[NamePlace, Sequence[DataNode]]]:
    other = table_at(context, after, new=True)
    if other.rule is not None or after.name.lower() in context.catalog.single_nodes:
        raise MeshError(TABLE_EXISTS, table=after.name)
    if len(f"{after.name}_{len(table.nodes) - 1}") > MOST_NAME:
        raise MeshError(NAME_TOO_LONG, name=after.name)
    check_keeps_triggers(context, table)
    following = replace(made, name=after.name)
    nodes = built(following, context.rule_set.own_sources).nodes
    numbering = ((table.name, 1), (after.name, 1)) if is_numbered(context, table) else ()
    return RuleChange((following,), (table.name,), numbering), (after, nodes)


# ---------------------------------------------------------------------------------------------- made whole


def _first_node(table: DdlTable) -> DdlTable:
    return replace(table, nodes=table.nodes[:1])


def _made_whole(
    context: PlanContext, table: DdlTable, trial: TextPlan, why: str, warnings: tuple[str, ...]
) -> TextPlan:
    """The client's statement on the first data node of a table whose other nodes are empty; it then becomes the table."""
    check_keeps_triggers(context, table)
    first, others = table.nodes[0], table.nodes[1:]
    if any(context.rule_set.data_sources[node.data_source].kind != "mysql" for node in table.nodes):
        raise not_supported(f"this change of '{table.name}': {why}", "make a new table")
    check_single(context, first.data_source, table.name)
    guards = tuple(_shot(node, f"ADD CONSTRAINT {_guard_of(node)} CHECK (FALSE)") for node in others)
    undo = tuple(_shot(node, f"DROP CONSTRAINT {_guard_of(node)}") for node in others)
    [statement] = trial.shots
    written = Shot(statement.data_source, statement.frame.filled(context.literal_texts))
    own = quote_name(table.name, quoted=True)
    statements = [
        (first.data_source, f"RENAME TABLE {quote_name(first.table, quoted=True)} TO {own}"),
        *((node.data_source, f"DROP TABLE {quote_name(node.table, quoted=True)}") for node in others),
    ]
    plan = plan_shots(context, table, [TextShot(source, _fixed(context, sql)) for source, sql in statements])
    return replace(
        plan,
        change=RuleChange(gone=(table.name,)),
        warnings=(*warnings, f"dbmesh: '{table.name}' is no longer sharded: {why}"),
        whole=MadeWhole(table.name, why, guards, undo, written),
    )


def _guard_of(node: DataNode) -> str:
    """One name per table: MySQL keeps those of a schema apart, and names of tables may be too long to be part of it."""
    return f"{_GUARD}_{sha1(node.table.encode(), usedforsecurity=False).hexdigest()[:16]}"


def _shot(node: DataNode, clause: str) -> Shot:
    return Shot(node.data_source, f"ALTER TABLE {quote_name(node.table, quoted=True)} {clause}".encode())


def _fixed(context: PlanContext, sql: str) -> Frame:
    return Template((sql,), context.flags).frame(())
