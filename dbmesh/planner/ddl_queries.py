"""CREATE TABLE … AS SELECT and CREATE VIEW: what is made of a query, on the data source of the tables it reads.

Decides which data source that is. A view of rows on several data nodes is a mesh view (`views`), a table of such rows is
made elsewhere (`query_table`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from sqlglot import exp

from dbmesh.errors import NAME_TOO_LONG, TABLE_EXISTS, MeshError, not_supported
from dbmesh.model import QualifiedTable
from dbmesh.planner.context import PlanContext
from dbmesh.planner.ddl_nodes import plan_shots
from dbmesh.planner.ddl_places import MOST_NAME, DdlTable, check_single, default_source, table_at
from dbmesh.planner.ddl_reading import NamePlace, read_place
from dbmesh.planner.lexemes import LexemeReader
from dbmesh.planner.names import logic_names
from dbmesh.planner.resolve import AnyTable, Scopes, resolve
from dbmesh.planner.template import Frame, TableName
from dbmesh.planner.text_plan import TextPlan, TextShot
from dbmesh.planner.tree_names import rename_references
from dbmesh.planner.views import actual_name, on_same_server
from dbmesh.rules.ruleset import SingleTable
from dbmesh.sql.parse import parse

BY_HAND = "create it on the data source itself; the mesh finds tables there"


@dataclass(frozen=True, slots=True)
class _Query:
    """The query something is made of, and the data sources of those of its tables that are on one alone."""

    tree: exp.Expr
    scopes: Scopes
    sources: frozenset[str]


def plan_create_view(context: PlanContext, reader: LexemeReader) -> TextPlan:
    """CREATE [OR REPLACE] VIEW and ALTER VIEW. Raises MeshError: TABLE_EXISTS, NAME_TOO_LONG, NOT_SUPPORTED."""
    new = reader.looks_at("CREATE") and not reader.looks_at("CREATE", "OR", "REPLACE")
    while not reader.accept("VIEW"):
        reader.take()
    reader.accept("IF", "NOT", "EXISTS")
    place = read_place(reader)
    target = table_at(context, place, new=True)
    query = _query(context, _view_query(context, reader), views=True)
    views = context.catalog.views
    keys = {reference.key for reference in query.scopes.references}
    known = target.rule is not None or target.name.lower() in views
    if not known and len(query.sources) < 2 and keys.isdisjoint(views) and not query.scopes.sharded:
        return _on_one_source(context, place, target, query)
    foreign = next((r for r in query.scopes.references if r.database != context.rule_set.database), None)
    if foreign is not None:
        raise not_supported(
            f"a view of rows on several data nodes and of tables of '{foreign.database}'",
            f"use tables of '{context.rule_set.database}' only",
        )
    source, actual = _home(context, query.scopes)
    name = _name_there(context, target, source, new=new)
    shot = TextShot(source, _text(context, place, query, (*actual, name), answered=False))
    plan = plan_shots(context, target, (shot,))
    names = logic_names(context, query.scopes)
    names = replace(names, tables={**names.tables, name: target.name})
    return replace(plan, names=names, announced=True, tables=_tables(target, query))


def _name_there(context: PlanContext, target: DdlTable, source: str, *, new: bool) -> str:
    """What a mesh view is called on its data source. What has its name already gives its own: the server tells then that
    it is there."""
    if target.name.lower() in context.catalog.views:
        if target.nodes[0].data_source != source:
            raise not_supported(
                f"replacing the view '{target.name}' by one of tables on other data sources",
                "drop it, then create it",
            )
        return target.nodes[0].table
    name = actual_name(target.name)
    if target.rule is None and target.name.lower() not in context.catalog.single_nodes:
        if len(name) > MOST_NAME:
            raise MeshError(NAME_TOO_LONG, name=target.name)
        return name
    schema = context.catalog.table(target.name)
    if target.rule is not None and schema is None:
        raise not_supported(
            f"a query as the content of '{target.name}', which has a rule", "choose another name"
        )
    here = next((node.table for node in target.nodes if node.data_source == source), None)
    if here is None:
        raise MeshError(TABLE_EXISTS, table=target.name)
    if not new and schema is not None and schema.definition is not None:
        raise not_supported(
            f"replacing the view '{target.name}' of one data source by one of rows on several",
            "drop it, then create it",
        )
    return here


def _home(context: PlanContext, scopes: Scopes) -> tuple[str, list[str]]:
    """The data source a mesh view is kept on, and what its tables are called there: the first that has, or whose server
    has, a node of each. Raises MeshError(NOT_SUPPORTED)."""
    for beside in (False, True):
        for source in context.rule_set.own_sources:
            names = [
                _name_on(context, reference.table, source, beside=beside) for reference in scopes.references
            ]
            found = [name for name in names if name is not None]
            if len(found) == len(names) and context.rule_set.data_sources[source].kind == "mysql":
                return source, found
    raise not_supported(
        "a view of tables that no server has together", "write the query itself in the statement"
    )


def _name_on(context: PlanContext, table: AnyTable, source: str, *, beside: bool) -> str | None:
    configs = context.rule_set.data_sources
    for node in table.nodes:
        if node.data_source == source:
            return node.table
        if beside and on_same_server(configs[source], configs[node.data_source]):
            return QualifiedTable(configs[node.data_source].database, node.table)
    return None


def plan_from_query(context: PlanContext, place: NamePlace, *, temporary: bool = False) -> TextPlan:
    """CREATE TABLE … AS SELECT of tables on one data source. Raises MeshError: TABLE_EXISTS, NOT_SUPPORTED, NamesView."""
    target = table_at(context, place, new=True)
    tree = context.statement.tree
    found = tree.args.get("expression")
    if not isinstance(tree, exp.Create) or not isinstance(found, exp.Query):
        raise not_supported("this form of CREATE … AS", BY_HAND)
    query = _query(context, found)
    if query.scopes.sharded:
        raise not_supported(
            f"a table made of the sharded table '{query.scopes.sharded[0].table.name}'",
            "write the query itself in the statement",
        )
    return _on_one_source(context, place, target, query, temporary=temporary)


def _view_query(context: PlanContext, reader: LexemeReader) -> exp.Expr:
    """The tree of the query behind a view's name and columns, its CHECK OPTION left out, at its own positions."""
    if reader.looks_at("("):
        reader.skip_parentheses()
    reader.expect("AS")
    start, last = reader.peek().start, len(reader.lexemes)
    if [lexeme.word for lexeme in reader.lexemes[-2:]] == ["CHECK", "OPTION"]:
        last -= 3 if reader.lexemes[-3].word == "WITH" else 4
    if last <= reader.position:
        raise reader.error()
    end = reader.lexemes[last - 1].end
    return parse(" " * start + context.statement.readable[start:end])


def _query(context: PlanContext, query: exp.Expr, *, views: bool = False) -> _Query:
    scopes = resolve(context, query, views=views)
    singles = (r.table.node.data_source for r in scopes.references if isinstance(r.table, SingleTable))
    return _Query(query, scopes, frozenset(singles))


def _on_one_source(
    context: PlanContext, place: NamePlace, target: DdlTable, query: _Query, *, temporary: bool = False
) -> TextPlan:
    if target.rule is not None:
        raise not_supported(
            f"a query as the content of '{target.name}', which has a rule", "choose another name"
        )
    if len(query.sources) > 1:
        raise not_supported("a table made of tables of several data sources", BY_HAND)
    source = next(iter(query.sources), None) or default_source(context)
    if not temporary:
        check_single(context, source, target.name)
        known = context.catalog.single_nodes.get(target.name.lower())
        if known is not None and known.data_source != source:
            raise MeshError(TABLE_EXISTS, table=target.name)
    actual: list[str] = []
    for reference in query.scopes.references:
        here = [node.table for node in reference.table.nodes if node.data_source == source]
        if not here:
            raise not_supported(
                f"'{reference.table.name}', which is not on '{source}', in this query", BY_HAND
            )
        actual.append(here[0])
    shot = TextShot(source, _text(context, place, query, (*actual, target.nodes[0].table)))
    return replace(plan_shots(context, target, (shot,)), tables=_tables(target, query))


def _tables(target: DdlTable, query: _Query) -> tuple[str, ...]:
    """What is made, and what it is made of."""
    return tuple(dict.fromkeys((target.name, *(reference.key for reference in query.scopes.references))))


def _text(
    context: PlanContext, place: NamePlace, query: _Query, names: Sequence[str], *, answered: bool = True
) -> Frame:
    """The client's text with these names for its tables and, the last of them, for what is made; `answered` by the
    session where it asks for what a session is."""
    start = place.end if answered else None
    edits = rename_references(context, query.scopes, query.tree, answers_from=start)
    edits.replace(place.start, place.end, TableName(len(names) - 1))
    return edits.build().frame(names)
