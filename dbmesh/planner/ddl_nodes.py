"""A DDL statement on every data node of its table: the client's own text with the names of that node.

Decides how one text becomes one shot per node. Which statements may, `ddl` decides.
"""

from __future__ import annotations

from collections.abc import Sequence

from dbmesh.model import DataNode
from dbmesh.planner.context import PlanContext
from dbmesh.planner.ddl_places import DdlTable, foreign_name, is_check, plain_symbol, symbol_name
from dbmesh.planner.ddl_reading import NamePlace
from dbmesh.planner.lexemes import split_lexemes
from dbmesh.planner.plan import Answer, CountMerge, Names, Relay, Verb
from dbmesh.planner.template import Edits, TableName
from dbmesh.planner.text_plan import TextPlan, TextShot
from dbmesh.planner.unrepeatable import reads_clock
from dbmesh.rules.ruleset import ShardedTable


def plan_shots(context: PlanContext, table: DdlTable, shots: Sequence[TextShot]) -> TextPlan:
    """The plan of these shots about one table."""
    answer: Answer = Relay() if len(shots) == 1 else CountMerge()
    return TextPlan(
        Verb.DDL,
        (table.name,),
        tuple(shots),
        answer,
        names_of_tables(context, (table,)),
        opens_transaction=False,
        implicit_commit=True,
        # ALTER TABLE … ADD COLUMN gives the rows there are its default.
        reads_clock=reads_clock(split_lexemes(context.statement.readable)),
    )


def names_of_tables(context: PlanContext, tables: Sequence[DdlTable]) -> Names:
    """Actual names of these tables back to their logic names."""
    names = {str(node.table): table.name for table in tables for node in table.nodes}
    return Names(context.rule_set.database, names, context.rule_set.schemas)


def plan_everywhere(
    context: PlanContext,
    table: DdlTable,
    place: NamePlace,
    references: Sequence[NamePlace] = (),
    symbols: Sequence[NamePlace] = (),
    *,
    edits: Edits | None = None,
    like: DdlTable | None = None,
    renamed: tuple[NamePlace, Sequence[DataNode]] | None = None,
) -> TextPlan:
    """The statement once per node, with the actual names of the table, its foreign tables, its constraints, the table
    it is to be like, and what it is renamed to. `edits` are those made already."""
    edits = edits or context.edits()
    kinds = {context.rule_set.data_sources[node.data_source].kind for node in table.nodes}
    checks = [
        symbol
        for symbol in symbols
        if table.crowded and kinds == {"mysql"} and is_check(context, table, symbol)
    ]
    names = (place, *references, *symbols, *([] if renamed is None else [renamed[0]]))
    for index, name in enumerate(names):
        quoted = context.statement.readable[name.end - 1] == "`"
        segments: tuple[str | TableName, ...] = (TableName(index, quoted),)
        if name in checks:
            # MariaDB's names of checks are unique per table alone.
            plain = TableName(len(names) + checks.index(name), quoted)
            segments = ("/*!80000 ", *segments, " *//*M! ", plain, " */")
        edits.replace(name.start, name.end, *segments)
    template = edits.build()
    plain_names = [plain_symbol(table, symbol) for symbol in checks]
    shots: list[TextShot] = []
    for number, node in enumerate(table.nodes):
        foreign = [
            like.nodes[number].table if like is not None else foreign_name(context, table, number, reference)
            for reference in references
        ]
        own = [symbol_name(table, number, symbol) for symbol in symbols]
        following = [] if renamed is None else [renamed[1][number].table]
        shots.append(
            TextShot(node.data_source, template.frame((node.table, *foreign, *own, *following, *plain_names)))
        )
    return plan_shots(context, table, shots)


def is_numbered(context: PlanContext, table: DdlTable) -> bool:
    """Whether the mesh counts the table's AUTO_INCREMENT."""
    if not isinstance(table.rule, ShardedTable) or table.rule.key_generator is None:
        return False
    return context.rule_set.key_generators[table.rule.key_generator].type == "AUTO_INCREMENT"
