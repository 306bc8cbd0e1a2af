"""A statement with the definitions of the views it names in their places: as derived tables, and where rows are written as
the view's own table (`view_writes`).

Decides nothing about routes: what comes out is planned like any statement.
"""

from __future__ import annotations

from sqlglot import exp

from dbmesh.errors import INVALID_VIEW, MeshError, not_supported
from dbmesh.model import TableSchema
from dbmesh.planner.context import PlanContext
from dbmesh.planner.elsewhere import database_of
from dbmesh.planner.lexemes import Kind, split_lexemes
from dbmesh.planner.row_locks import row_lock
from dbmesh.planner.select_names import keep_column_names
from dbmesh.planner.subselects import is_common_table
from dbmesh.planner.view_writes import ThroughView, add_condition, is_written, merges
from dbmesh.planner.views import Expansion, NamesView
from dbmesh.planner.written_clauses import lock_clauses
from dbmesh.sql.lexer import LexerFlags

_OF_THE_CACHE = frozenset(("SQL_CACHE", "SQL_NO_CACHE"))
"""Words that stand in a statement's first SELECT only."""
_EXPLAINING = frozenset(("EXPLAIN", "DESCRIBE", "DESC", "ANALYZE"))


def expand(found: NamesView) -> Expansion | None:
    """The statement with the definitions of the views it names, None where its tree does not show them. Raises
    MeshError: INVALID_VIEW, NOT_SUPPORTED where a view stands for more than its rows."""
    context = found.context
    tree = context.statement.tree if found.tree is None else found.tree
    edits = context.edits()
    views = [
        (table, key) for table in tree.find_all(exp.Table) if (key := _view_key(context, table)) is not None
    ]
    if not views:
        return None
    locks = lock_clauses(context.statement.tokens)
    for table, key in views:
        if table in (tree.args.get("tables") or ()):
            # A target of DELETE, which FROM names again.
            continue
        schema, query = _definition(context, table, key)
        if isinstance(tree, exp.DML) and is_written(tree, table, schema):
            through = ThroughView(context, tree, table, schema, query)
            condition = through.edit(edits)
            if condition:
                add_condition(edits, context.statement.tokens, table, _readable(condition, context.flags))
            continue
        start, end = (table.args.get("db") or table.this).meta["start"], table.this.meta["end"] + 1
        own = "" if table.alias else f" AS {context.statement.text[table.this.meta['start'] : end]}"
        definition = _readable(query, context.flags)
        if merges(query):
            unclear = not_supported(f"several locking clauses over the view '{table.name}'", "write one")
            lock = row_lock(context, table, table.alias_or_name.lower(), locks, unclear)
            definition = f"{definition} {lock}".rstrip()
        edits.replace(start, end, f"({definition}){own}")
        for column in tree.find_all(exp.Column):
            database = column.args.get("db")
            if isinstance(database, exp.Identifier) and column.table.lower() == table.name.lower():
                edits.replace(database.meta["start"], column.args["table"].meta["start"])
    if isinstance(tree, exp.Query) and context.statement.tokens[0].text.upper() not in _EXPLAINING:
        keep_column_names(context, edits)
    return Expansion(context.statement.shape.hints, edits.build().frame(()), reusable=not context.pinned)


def _view_key(context: PlanContext, table: exp.Table) -> str | None:
    """The key of the view a table of the tree is, None when it is none."""
    if not isinstance(table.this, exp.Identifier) or "start" not in table.this.meta or is_common_table(table):
        return None
    try:
        database = database_of(context, table.db or None, table.name)
    except MeshError:
        return None
    key = context.rule_set.key(database, table.name)
    catalog = context.catalog
    return key if key in catalog.views or key in catalog.single_views else None


def _definition(context: PlanContext, view: exp.Table, key: str) -> tuple[TableSchema, str]:
    definition = context.catalog.views.get(key, context.catalog.single_views.get(key))
    schema = context.catalog.table(key)
    if definition is None or schema is None or not schema.columns:
        database = database_of(context, view.db or None, view.name)
        raise MeshError(INVALID_VIEW, database=database, view=view.name)
    return schema, definition


def _readable(definition: str, flags: LexerFlags) -> str:
    """The definition as a session with these flags reads it, where a derived table stands. A server writes it with back quotes
    and backslashes, and with words about the query cache."""
    if flags.no_backslash_escapes and "\\" in definition:
        raise not_supported(
            "a view with a backslash in its definition under NO_BACKSLASH_ESCAPES", "unset it"
        )
    if not flags.ansi_quotes and "cache" not in definition.lower():
        return definition
    pieces: list[str] = []
    position = 0
    for lexeme in split_lexemes(definition):
        if lexeme.word in _OF_THE_CACHE:
            pieces.append(definition[position : lexeme.start])
            position = lexeme.end
        elif lexeme.kind is Kind.QUOTED and flags.ansi_quotes:
            own = lexeme.value.replace('"', '""')
            pieces += (definition[position : lexeme.start], f'"{own}"')
            position = lexeme.end
    return "".join(pieces) + definition[position:]
