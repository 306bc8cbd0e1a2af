"""Federation: what no shard and no merge can answer runs on a merge node, over the rows of every table it names.

Decides the scans (one for each table reference, on the data nodes its conditions leave), the final statement, the merge
node, and what is refused even so: what belongs to one connection (locks by name, assigned variables) and data sources
that speak no MySQL.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from sqlglot import exp

from dbmesh.errors import MeshError, not_supported
from dbmesh.model import ColumnSchema, DataNode
from dbmesh.planner.context import PlanContext
from dbmesh.planner.federation.columns import needed_columns
from dbmesh.planner.federation.final import (
    final_template,
    locks_by_scope,
    temporary_name,
)
from dbmesh.planner.federation.harmless import Guard
from dbmesh.planner.federation.pushing import Pushed, pushed_conditions
from dbmesh.planner.federation.values import loaded, scanned
from dbmesh.planner.names import drop_schema_qualifiers, logic_names, session_answers
from dbmesh.planner.plan import BoundStatement, Call, Names, Shot
from dbmesh.planner.resolve import Scopes, TableReference
from dbmesh.planner.route import Router
from dbmesh.planner.scans import Federation, LoadedColumn, Scan
from dbmesh.planner.template import Edits, Frame, Segment, TableName, Template, quote_name
from dbmesh.planner.written_clauses import LockClause, lock_clauses
from dbmesh.rules.ruleset import BroadcastTable
from dbmesh.sql.lexer import LexerFlags
from dbmesh.sql.stand_ins import is_default_of

_EVERY_ROW = " LIMIT 18446744073709551615"
"""Overrides the session's sql_select_limit, which is for the client's rows."""

_OF_ONE_CONNECTION = frozenset(
    ("GET_LOCK", "RELEASE_LOCK", "RELEASE_ALL_LOCKS", "IS_FREE_LOCK", "IS_USED_LOCK", "MASTER_POS_WAIT", "NEXTVAL",
     "LASTVAL", "SETVAL", "LOAD_FILE")
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Condition:
    """A pushed condition's text, left out where a guard does not hold."""

    text: tuple[Segment, ...]
    guards: tuple[Guard, ...]


@dataclass(frozen=True, slots=True)
class ScanTemplate:
    """One table reference of the statement as a query of its own."""

    reference: TableReference
    table: str
    head: tuple[Segment, ...]
    conditions: tuple[Condition, ...]
    tail: tuple[Segment, ...]
    flags: LexerFlags
    columns: tuple[LoadedColumn, ...]
    known: frozenset[str]

    def bind(self, nodes: tuple[DataNode, ...], merge_node: str, call: Call | None) -> Scan:
        """The scan of these nodes for the values of a call."""
        table = self.reference.table
        here = [node for node in table.nodes if node.data_source == merge_node]
        if isinstance(table, BroadcastTable):
            # Every node has all its rows.
            nodes = tuple(here[:1]) or nodes[:1]
        shots = () if call is None else self._shots(nodes, call)
        definition = here[0] if here else table.nodes[0]
        return Scan(self.table, table.name, definition, self.columns, self.known, shots)

    def _shots(self, nodes: Sequence[DataNode], call: Call) -> tuple[Shot, ...]:
        segments = [*self.head]
        joint = " WHERE ("
        for condition in self.conditions:
            if all(guard.holds(call, self.flags) for guard in condition.guards):
                segments += (joint, *condition.text, ")")
                joint = " AND ("
        template = Template((*segments, *self.tail), self.flags)
        return tuple(
            Shot(node.data_source, template.frame((node.table,)).render(call.literals, call))
            for node in nodes
        )


@dataclass(frozen=True, slots=True)
class FederationTemplate:
    """A federated statement before its values are known."""

    router: Router
    scans: tuple[ScanTemplate, ...]
    final: Frame
    names: Names
    sources: tuple[str, ...]
    merge_node: str | None = None

    def bind(self, call: Call, reason: MeshError) -> BoundStatement:
        """The scans and the final statement for these values. `reason` is why nothing simpler will do."""
        nodes = [self.router.nodes(scan.reference, call) for scan in self.scans]
        merge_node = self.merge_node or self._choose(nodes)
        scans = tuple(
            scan.bind(places, merge_node, call) for scan, places in zip(self.scans, nodes, strict=True)
        )
        keep = call.keep_parameters
        final = self.final.render(call.literals, call, keep_parameters=keep)
        answer = Federation(merge_node, scans, final, str(reason))
        shots = tuple(shot for scan in scans for shot in scan.shots)
        return BoundStatement(shots, answer, self.names, keeps_parameters=keep)

    def prototype(self, literals: Sequence[object] = ()) -> Federation:
        """The final statement with its `?`, over temporary tables nothing is loaded into."""
        merge_node = self.merge_node or self._choose([scan.reference.table.nodes for scan in self.scans])
        scans = tuple(scan.bind((), merge_node, None) for scan in self.scans)
        return Federation(merge_node, scans, self.final.prototype(literals), "")

    def _choose(self, nodes: Sequence[tuple[DataNode, ...]]) -> str:
        """The data source that holds most of what is scanned; the first of the configuration among equals."""
        counts = Counter(node.data_source for places in nodes for node in places)
        return max(self.sources, key=lambda source: counts[source])


def plan_federation(context: PlanContext, scopes: Scopes, router: Router) -> FederationTemplate:
    """How a merge node answers this statement. Raises MeshError(NOT_SUPPORTED)."""
    tree = context.statement.tree
    _refuse(context, scopes, tree)
    tokens = context.statement.tokens
    clauses = lock_clauses(tokens)
    locks = locks_by_scope(scopes, tree, clauses)
    columns = needed_columns(context, scopes)
    conditions = pushed_conditions(context, scopes)
    edits = context.edits()
    drop_schema_qualifiers(context, edits)
    session_answers(context, edits)
    scans = tuple(
        _scan(context, edits, reference, columns[reference.index], conditions.get(reference.index, ()), lock)
        for reference in scopes.references
        for lock in (locks.get(reference.index),)
    )
    names = logic_names(context, scopes)
    renamed = {scan.table: scan.reference.table.name for scan in scans}
    return FederationTemplate(
        router,
        scans,
        final_template(context, scopes, clauses).frame(()),
        Names(names.database, {**names.tables, **renamed}),
        tuple(context.rule_set.data_sources),
        context.rule_set.merge_node,
    )


def _refuse(context: PlanContext, scopes: Scopes, tree: exp.Expr) -> None:
    if context.hints.data_source is not None:
        raise not_supported("federation under the hint DATA_SOURCE_NAME", "leave out the hint")
    for source in _sources_of(scopes):
        kind = context.rule_set.data_sources[source].kind
        if kind != "mysql":
            raise not_supported(
                f"this statement over several data nodes with {kind} data sources",
                "add conditions on the sharding columns so that one data node holds all rows",
            )
    for function in tree.find_all(exp.Anonymous):
        if is_default_of(function):
            # Temporary tables have no defaults of their own.
            raise not_supported(
                "DEFAULT(column) in a statement that brings rows of several data nodes together",
                "write the default value",
            )
        if function.name.upper() in _OF_ONE_CONNECTION:
            raise not_supported(
                f"{function.name.upper()} in a statement over several data nodes",
                "call it in a SELECT of its own",
            )


def _sources_of(scopes: Scopes) -> dict[str, None]:
    found: dict[str, None] = {}
    for reference in scopes.references:
        for node in reference.table.nodes:
            found[node.data_source] = None
    return found


def _scan(
    context: PlanContext,
    edits: Edits,
    reference: TableReference,
    columns: Sequence[ColumnSchema],
    conditions: Sequence[Pushed],
    lock: LockClause | None,
) -> ScanTemplate:
    alias = quote_name(reference.alias, quoted=True)
    items = ", ".join(
        [scanned(column, f"{alias}.{quote_name(column.name, quoted=True)}") for column in columns]
    )
    tail: list[Segment] = [_EVERY_ROW]
    if lock is not None:
        tail += (f" {lock.mode}", *edits.between(*lock.waits))
    schema = reference.schema
    assert schema is not None
    return ScanTemplate(
        reference,
        temporary_name(reference),
        (f"SELECT {items} FROM ", TableName(0, quoted=True), f" AS {alias}"),
        tuple(Condition(edits.build(*found.span).segments, found.guards) for found in conditions),
        tuple(tail),
        context.flags,
        tuple(loaded(column) for column in columns),
        frozenset(column.name.lower() for column in schema.columns),
    )
