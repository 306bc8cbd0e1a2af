"""CREATE TABLE … AS SELECT of rows that no one data source has: the query is federated, and its merge node makes the table.

Decides that the merge node is the data source the new table belongs on. The table's types are the server's, as of any query.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from dbmesh.errors import MeshError, Refusal, not_supported
from dbmesh.planner.context import PlanContext
from dbmesh.planner.ddl_places import DdlTable, check_single
from dbmesh.planner.ddl_reading import NamePlace
from dbmesh.planner.federation.plan import FederationTemplate
from dbmesh.planner.lexemes import LexemeReader
from dbmesh.planner.plan import BoundStatement, Call, Verb
from dbmesh.planner.scans import Federation
from dbmesh.planner.select import plan_select
from dbmesh.planner.template import Frame, TableName
from dbmesh.planner.text_plan import part_frame

_STARTS = ("SELECT", "WITH", "VALUES", "TABLE")


@dataclass(frozen=True, slots=True)
class QueryTablePlan:
    """A `ShardPlan`, whose `tables` are the one it makes and those it reads: `head` is the statement up to its query, which has the literals from number `skipped` on."""

    tables: tuple[str, ...]
    head: Frame
    federation: FederationTemplate
    skipped: int
    why: Refusal
    verb: Verb = Verb.DDL
    # Its shots read; what it makes is made by the final statement.
    reads_only: bool = True
    from_replica: bool = False
    repeatable: bool = False
    opens_transaction: bool = False
    implicit_commit: bool = True
    pin: None = None
    calculates_found_rows: bool = False
    reads_clock: bool = False
    keeps_warnings: bool = False
    direct: None = None

    def bind(self, call: Call) -> BoundStatement:
        """The scans, and the statement over what they load."""
        bound = self.federation.bind(
            Call(call.literals[self.skipped :], call.session, call.parameters), self.why.error()
        )
        assert isinstance(bound.answer, Federation)
        final = self.head.render(call.literals, call) + bound.answer.final
        return bound._replace(answer=replace(bound.answer, final=final), keeps_parameters=False)

    def prototype(self, literals: Sequence[object] = ()) -> Federation:
        """The query alone: a statement that makes a table has no columns."""
        return self.federation.prototype(literals[self.skipped :])


def plan_query_table(
    context: PlanContext, place: NamePlace, target: DdlTable, why: MeshError
) -> QueryTablePlan:
    """CREATE TABLE `target` … AS SELECT, federated because of `why`. Raises MeshError(NOT_SUPPORTED)."""
    source = target.nodes[0].data_source
    check_single(context, source, target.name)
    if context.rule_set.data_sources[source].kind != "mysql":
        raise why
    reader = LexemeReader(context.statement.readable)
    start = _query_start(reader, place)
    select = plan_select(context.of_part(start))
    if not isinstance(select.federation, FederationTemplate):
        raise why if select.federation is None else select.federation.error()
    edits = context.edits()
    edits.replace(place.start, place.end, TableName(0, quoted=True))
    skipped = sum(not slot.parameter and slot.start < start for slot in context.statement.shape.slots)
    return QueryTablePlan(
        (target.name, *select.tables),
        part_frame(edits.build(None, start), (target.nodes[0].table,)),
        replace(select.federation, merge_node=source),
        skipped,
        Refusal.of(why),
        reads_clock=select.reads_clock,
    )


def _query_start(reader: LexemeReader, place: NamePlace) -> int:
    """Where the query begins: behind the definitions and options, outside brackets unless it stands in some itself."""
    while reader.peek().start < place.end:
        reader.take()
    while not reader.at_end:
        if reader.peek().word in _STARTS or (reader.looks_at("(") and reader.peek(1).word in _STARTS):
            return reader.peek().start
        if reader.looks_at("("):
            reader.skip_parentheses()
        else:
            reader.take()
    raise not_supported("this form of CREATE TABLE … AS", "write CREATE TABLE … AS SELECT …")
