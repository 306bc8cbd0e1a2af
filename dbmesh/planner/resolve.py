"""Names to rules: which tables a statement names, where each lives, and whose column a column is.

Decides nothing about routes. A table that no rule names and nobody found on a data source does not exist.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from sqlglot import exp

from dbmesh.errors import UNKNOWN_SEQUENCE, UNKNOWN_TABLE, MeshError, not_supported
from dbmesh.model import ColumnSchema, DataNode, TableSchema
from dbmesh.planner.context import PlanContext
from dbmesh.planner.elsewhere import database_of
from dbmesh.planner.subselects import inner_column, is_common_table, scope_of
from dbmesh.planner.views import NamesView
from dbmesh.rules.ruleset import BroadcastTable, RuleSet, ShardedTable, SingleTable

_NUMBERS = re.compile(r"seq_\d+_to_\d+(?:_step_\d+)?", re.IGNORECASE)
SYSTEM_SCHEMAS = frozenset(("information_schema", "mysql", "performance_schema", "sys"))

AnyTable = ShardedTable | BroadcastTable | SingleTable
ScopeNode = exp.Select | exp.Update | exp.Delete | exp.Insert


@dataclass(frozen=True, slots=True, eq=False)
class TableReference:
    """One place where a statement names a table.

    `database` is its logic database, `key` what rules and catalog know it by. `alias` is the name its columns are
    qualified with, as written. `start` and `end` are the span of the table's name with its schema in the text. `scope` is
    the SELECT, UPDATE, DELETE or INSERT the reference stands in.
    """

    index: int
    node: exp.Table
    database: str
    key: str
    table: AnyTable
    schema: TableSchema | None
    alias: str
    aliased: bool
    quoted: bool
    start: int
    end: int
    scope: exp.Expr

    def _may_be(self, name: str, database: str) -> bool:
        if self.alias.lower() != name.lower():
            return False
        return not database or database.lower() == self.database.lower()


def named(references: Iterable[TableReference], name: str, database: str) -> list[TableReference]:
    """Those of the references that a qualifier of a column, with the name of a database or '', can mean. Most servers tell
    `t` from `T`; where nothing is written just so, the case is no matter, and the server tells what it holds of it."""
    found = [reference for reference in references if reference._may_be(name, database)]
    return [reference for reference in found if reference.alias == name] or found


class Scopes:
    """All table references of a statement, and the columns' way to them."""

    def __init__(self, references: tuple[TableReference, ...], opaque: frozenset[int]) -> None:
        self.references = references
        self._opaque = opaque
        self._by_scope: dict[int, list[TableReference]] = {}
        for reference in references:
            self._by_scope.setdefault(id(reference.scope), []).append(reference)

    def of(self, scope: exp.Expr) -> list[TableReference]:
        """The references that stand in this very scope, in the order of the text."""
        return self._by_scope.get(id(scope), [])

    def is_opaque(self, scope: exp.Expr) -> bool:
        """Whether the scope also reads derived tables, common table expressions or table functions."""
        return id(scope) in self._opaque

    @property
    def sharded(self) -> tuple[TableReference, ...]:
        """References to sharded tables."""
        return tuple(r for r in self.references if isinstance(r.table, ShardedTable))

    def column(self, column: exp.Column) -> tuple[TableReference, ColumnSchema | None] | None:
        """The reference a column belongs to and its schema where the catalog knows it; None when that is not certain
        (an unqualified name among several tables the catalog does not know, a column of a derived table)."""
        if isinstance(column.this, exp.Star):
            return None
        scope = scope_of(column)
        while scope is not None:
            found = self._in_scope(scope, column)
            if found is not None or not self._can_be_outer(scope, column):
                return found
            scope = scope_of(scope)
        return None

    def through(self, column: exp.Column) -> tuple[TableReference, ColumnSchema | None] | None:
        """As `column`; a column of a derived table is the column of the table inside that it passes on."""
        found = self.column(column)
        if found is not None:
            return found
        inner = inner_column(column)
        return None if inner is None else self.through(inner)

    def _in_scope(
        self, scope: exp.Expr, column: exp.Column
    ) -> tuple[TableReference, ColumnSchema | None] | None:
        references = self.of(scope)
        if column.table:
            owners = named(references, column.table, column.db)
            # Two tables of one name and different databases: the server tells what is ambiguous.
            return (owners[0], _schema(owners[0], column.name)) if len(owners) == 1 else None
        if self.is_opaque(scope):
            return None
        owners = [reference for reference in references if _schema(reference, column.name)]
        if len(owners) == 1 and all(reference.schema for reference in references):
            return owners[0], _schema(owners[0], column.name)
        if len(references) == 1 and references[0].schema is None and scope_of(scope) is None:
            return references[0], None
        return None

    def _can_be_outer(self, scope: exp.Expr, column: exp.Column) -> bool:
        """Whether a column not found in `scope` must belong to a scope around it."""
        if column.table:
            return not any(name.lower() == column.table.lower() for name in _derived_names(scope))
        if self.is_opaque(scope):
            return False
        return all(r.schema and not _schema(r, column.name) for r in self.of(scope))


def _schema(reference: TableReference, column: str) -> ColumnSchema | None:
    return None if reference.schema is None else reference.schema.column(column)


def _derived_names(scope: exp.Expr) -> Iterator[str]:
    for source in scope.find_all(exp.Subquery, exp.Table):
        if scope_of(source) is scope and source.alias_or_name:
            yield source.alias_or_name


def resolve(context: PlanContext, tree: exp.Expr | None = None, *, views: bool = False) -> Scopes:
    """Every table reference of a tree (the statement's own by default), in the order of the text. With `views` mesh views
    are tables of their data source.

    Raises MeshError: UNKNOWN_TABLE, NO_DATABASE, InAnotherDatabase, NamesView.
    """
    root = context.statement.tree if tree is None else tree
    found: list[tuple[int, exp.Table]] = []
    opaque: set[int] = set()
    for node in root.find_all(exp.Table, exp.Subquery, exp.Lateral, exp.Values, exp.JSONTable, exp.Unnest):
        if isinstance(node, exp.Table) and isinstance(node.this, exp.Identifier):
            if isinstance(node.parent, exp.Lock | exp.Into) or _is_dual(node):
                continue
            if not is_common_table(node) and not _is_delete_target(node):
                found.append((node.this.meta["start"], node))
                continue
        elif (isinstance(node, exp.Subquery) and isinstance(node.this, exp.Table)) or not _is_source(node):
            continue
        scope = scope_of(node)
        if scope is not None:
            opaque.add(id(scope))
    found.sort(key=lambda item: item[0])
    references = tuple(_reference(context, index, node, root) for index, (_, node) in enumerate(found))
    if not views:
        _find_views(context, references, root)
    return Scopes(references, frozenset(opaque))


def _find_views(context: PlanContext, references: Sequence[TableReference], root: exp.Expr) -> None:
    """Raise NamesView for a mesh view, and for a view on one data source that is read beside rows of others."""
    for reference in references:
        spread = reference.key in context.catalog.views
        single = reference.key in context.catalog.single_views and isinstance(reference.table, SingleTable)
        if single and not isinstance(
            reference.node.parent, exp.Insert | exp.Update | exp.Delete | exp.Schema
        ):
            source = reference.table.nodes[0].data_source
            spread = any(_is_elsewhere(other.table, source) for other in references)
        if spread:
            raise NamesView(reference.node.name, context, root)


def _is_elsewhere(table: AnyTable, source: str) -> bool:
    """Whether rows of a table may be on other data sources only."""
    if isinstance(table, ShardedTable):
        return True
    return all(node.data_source != source for node in table.nodes)


def _is_source(node: exp.Expr) -> bool:
    """Whether a node stands where a FROM clause takes rows from."""
    return isinstance(node.parent, exp.From | exp.Join | exp.Table)


def _is_dual(node: exp.Table) -> bool:
    return node.name.lower() == "dual" and not node.db and not node.this.quoted


def _is_delete_target(node: exp.Table) -> bool:
    """`DELETE a, b FROM …` names references, not tables."""
    return isinstance(node.parent, exp.Delete) and node.arg_key == "tables"


def _reference(context: PlanContext, index: int, node: exp.Table, root: exp.Expr) -> TableReference:
    identifier = node.this
    start, end = identifier.meta["start"], identifier.meta["end"] + 1
    database = node.args.get("db")
    if node.args.get("catalog") is not None:
        raise not_supported("a table name of three parts", "write database.table")
    if database is not None:
        start = database.meta["start"]
    own = database_of(context, None if database is None else database.name, identifier.name)
    key = context.rule_set.key(own, identifier.name)
    alias = node.args.get("alias")
    # A sequence is no source of columns: it stands in no FROM.
    call = node.parent if isinstance(node.parent, exp.Anonymous) else None
    if call is not None and call.name.upper() == "LASTVAL":
        raise not_supported(
            "the last value of a sequence, which one connection remembers",
            "keep the number NEXT VALUE FOR gives",
        )
    return TableReference(
        index=index,
        node=node,
        database=own,
        key=key,
        table=_table(context, identifier.name, own)
        if call is None
        else _sequence(context, identifier.name, own),
        schema=context.catalog.table(key),
        alias=alias.name if alias is not None and alias.name else identifier.name,
        aliased=call is not None or (alias is not None and bool(alias.name)),
        quoted=bool(identifier.args.get("quoted")),
        start=start,
        end=end,
        scope=call or scope_of(node) or root,
    )


def _sequence(context: PlanContext, name: str, database: str) -> AnyTable:
    try:
        return _table(context, name, database)
    except MeshError as error:
        if error.kind is not UNKNOWN_TABLE:
            raise
        raise MeshError(UNKNOWN_SEQUENCE, database=database, table=name) from error


def find_table(context: PlanContext, name: str) -> AnyTable:
    """The rule or place of a logic table of the first database being planned for. Raises MeshError: UNKNOWN_TABLE,
    NamesView."""
    if name.lower() in context.catalog.views:
        raise NamesView(name, context)
    return _table(context, name, context.rule_set.database)


def _table(context: PlanContext, name: str, database: str) -> AnyTable:
    key = context.rule_set.key(database, name)
    rule = context.rule_set.table(key)
    if rule is not None:
        return rule
    node = context.catalog.single_nodes.get(key) or _numbers(context.rule_set, name)
    if node is None:
        raise MeshError(UNKNOWN_TABLE, database=database, table=name)
    return SingleTable(str(node.table), node)


def is_numbers(name: str) -> bool:
    """Whether a name is that of a table of MariaDB's SEQUENCE engine, whose one column is `seq`."""
    return _NUMBERS.fullmatch(name) is not None


def _numbers(rule_set: RuleSet, name: str) -> DataNode | None:
    """A table of MariaDB's SEQUENCE engine, which every MariaDB has and nobody creates (`seq_1_to_10`)."""
    if not is_numbers(name):
        return None
    sources = [name for name, config in rule_set.data_sources.items() if config.kind == "mysql"]
    chosen = rule_set.default_single_source
    if chosen not in sources:
        chosen = sources[0] if sources else None
    return None if chosen is None else DataNode(chosen, name)


def system_tables(context: PlanContext, tree: exp.Expr) -> Iterator[tuple[exp.Table, str]]:
    """The tables of system schemas (information_schema, mysql …) that a statement names, each with its schema."""
    for table in tree.find_all(exp.Table):
        if not isinstance(table.this, exp.Identifier) or (not table.db and is_common_table(table)):
            continue
        schema = (table.db or context.system_schema or "").lower()
        if schema in SYSTEM_SCHEMAS:
            yield table, schema
