"""EXPLAIN and ANALYZE of a statement: a data node's own plan, or the mesh's where no data node has one.

Decides that the first data node speaks for all, since nodes have the same tables and indexes, and that a statement which
is federated or written by keys is explained in the mesh's words, as rows a client of EXPLAIN can read. Reads no prefix.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

from dbmesh.errors import MeshError, Refusal, not_supported
from dbmesh.planner.context import PlanContext
from dbmesh.planner.explain import describe, explain
from dbmesh.planner.lexemes import LexemeReader
from dbmesh.planner.names import logic_names
from dbmesh.planner.one_place import OnePlacePlan
from dbmesh.planner.plan import BoundStatement, Call, Names, Relay, RenameValues, ShardPlan, Shot, Verb
from dbmesh.planner.resolve import resolve
from dbmesh.planner.route import build_router
from dbmesh.planner.scans import Federation
from dbmesh.planner.select import plan_select
from dbmesh.planner.steps import DerivedWrite
from dbmesh.planner.tree_names import rename_references
from dbmesh.planner.write import plan_write
from dbmesh.sql.lexer import LexerFlags
from dbmesh.sql.literals import value_text
from dbmesh.sql.parse import parse

_TITLES = ("id", "select_type", "table", "type", "possible_keys", "key", "key_len", "ref", "rows", "Extra")
_QUERIES = ("SELECT", "WITH", "TABLE", "VALUES", "(")
_WRITES = ("UPDATE", "DELETE")


class ExplainForm(Enum):
    """What an explanation looks like."""

    ROWS = "traditional"
    JSON = "json"
    TREE = "tree"


def plan_explain(context: PlanContext, start: int, form: ExplainForm, *, runs: bool) -> ShardPlan:
    """The plan of EXPLAIN for the statement that begins at `start`; with `runs` (ANALYZE) the statement is executed.

    Raises MeshError: as the statement itself would.
    """
    text = context.statement.readable
    tree = parse(" " * start + text[start:])
    scopes = resolve(context, tree)
    word = LexemeReader(text[start:]).peek().text.upper()
    reads = word in _QUERIES
    one_place = OnePlacePlan(
        Verb.SHOW if reads or not runs else Verb.OTHER,
        tuple(dict.fromkeys(reference.table.name for reference in scopes.references)),
        build_router(context, scopes),
        rename_references(context, scopes, tree).build(),
        logic_names(context, scopes),
        "ANALYZE" if runs else "EXPLAIN",
        answer=RenameValues((0, 2) if form is ExplainForm.ROWS else (0,)),
        any_target=reads or not runs,
        reads_only=reads or not runs,
        opens_transaction=runs,
    )
    if not reads and (runs or word not in _WRITES):
        return one_place
    return ExplainPlan(one_place, _explained(context, start, reads=reads), form, context.flags)


def _explained(context: PlanContext, start: int, *, reads: bool) -> ShardPlan | Refusal:
    try:
        inner = context.of_part(start)
        return plan_select(inner) if reads else plan_write(inner)
    except MeshError as refusal:
        return Refusal.of(refusal)


@dataclass(frozen=True, slots=True)
class ExplainPlan:
    """A `ShardPlan`: `one_place` asks a data node for its plan of the statement, `explained` is the mesh's own."""

    one_place: OnePlacePlan
    explained: ShardPlan | Refusal
    form: ExplainForm
    flags: LexerFlags

    @property
    def verb(self) -> Verb:
        """See `ShardPlan`."""
        return self.one_place.verb

    @property
    def tables(self) -> tuple[str, ...]:
        """See `ShardPlan`."""
        return self.one_place.tables

    @property
    def opens_transaction(self) -> bool:
        """See `ShardPlan`."""
        return self.one_place.opens_transaction

    @property
    def keeps_warnings(self) -> bool:
        """See `ShardPlan`."""
        return self.one_place.keeps_warnings

    reads_only = True
    from_replica = False
    repeatable = False
    implicit_commit = False
    pin = None
    calculates_found_rows = False
    reads_clock = False
    direct = None

    def bind(self, call: Call) -> BoundStatement:
        """The first data node's EXPLAIN, or one shot with the mesh's explanation. Raises MeshError as the statement would."""
        if isinstance(self.explained, Refusal):
            return self.one_place.bind(call)
        bound = self.explained.bind(Call(call.literals, call.session, call.parameters))
        if not isinstance(bound.answer, Federation | DerivedWrite):
            return self.one_place.bind(call)
        source = (
            bound.answer.merge_node
            if isinstance(bound.answer, Federation)
            else self.one_place.router.fallback
        )
        shot = Shot(source, self._told(bound).encode("utf-8", "surrogateescape"))
        return BoundStatement((shot,), Relay(), Names(self.one_place.names.database, {}))

    def prototype(self, literals: Sequence[object] = ()) -> Shot:
        """See `ShardPlan`."""
        return self.one_place.prototype(literals)

    def _told(self, bound: BoundStatement) -> str:
        """The explanation as a query of constants: any server gives its rows their form."""
        rows = explain(bound)
        if self.form is ExplainForm.ROWS:
            return " UNION ALL ".join(self._row(bound, number) for number in range(len(rows)))
        if self.form is ExplainForm.TREE:
            lines = [f"-> {describe(bound.answer)}"]
            lines += [f"    -> {source}: {sql}" for source, sql, _ in rows]
            return self._document("\n".join(lines))
        shots = [{"data_source": source, "sql": sql} for source, sql, _ in rows]
        document = {"query_block": {"select_id": 1, "dbmesh": describe(bound.answer), "shots": shots}}
        return self._document(json.dumps(document, ensure_ascii=False, indent=2))

    def _document(self, text: str) -> str:
        return f"SELECT {self._text(text)} AS `EXPLAIN`"

    def _row(self, bound: BoundStatement, number: int) -> str:
        source, sql, remark = explain(bound)[number]
        kind, table = "DERIVED WRITE", None
        if isinstance(bound.answer, Federation):
            kind = "FEDERATED"
            loaded = [scan.logic_table for scan in bound.answer.scans for _ in scan.shots]
            table = loaded[number] if number < len(loaded) else None
        extra = f"{source}: {sql}" + (f" ({remark})" if remark else "")
        values = (number + 1, kind, table, "ALL" if table else None, None, None, None, None, None, extra)
        return "SELECT " + ", ".join(
            f"{self._text(value)} AS `{title}`" for title, value in zip(_TITLES, values, strict=True)
        )

    def _text(self, value: int | str | None) -> str:
        return value_text(value, self.flags)


def read_form(name: str) -> ExplainForm:
    """FORMAT = name. Raises MeshError(NOT_SUPPORTED) for a form nobody knows."""
    for form in ExplainForm:
        if form.value == name.lower():
            return form
    raise not_supported(f"EXPLAIN FORMAT={name[:40]}", "use TRADITIONAL, JSON or TREE")
