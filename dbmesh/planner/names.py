"""Names in the text: logic tables become actual ones, schema qualifiers go, the session answers for itself.

Decides which spans of a statement are rewritten for a shard whatever the route is. Knows no routes and no merges.
"""

from __future__ import annotations

from collections.abc import Iterable

from sqlglot import exp
from sqlglot.tokenizer_core import Token, TokenType

from dbmesh.errors import not_supported
from dbmesh.model import QualifiedTable
from dbmesh.planner.context import PlanContext
from dbmesh.planner.plan import Names
from dbmesh.planner.resolve import AnyTable, Scopes, TableReference, named
from dbmesh.planner.session_values import (
    SESSION_FUNCTIONS,
    SESSION_VARIABLES,
    WITHOUT_PARENTHESES,
    SessionValue,
)
from dbmesh.planner.template import Edits, SchemaQualifier, TableName
from dbmesh.planner.written_clauses import system_time_end


def has_own_names(table: AnyTable, written: str) -> bool:
    """Whether the table's actual name differs from what the client wrote, on some node."""
    return any(node.table != written or isinstance(node.table, QualifiedTable) for node in table.nodes)


def rename_tables(context: PlanContext, edits: Edits, references: Iterable[TableReference]) -> None:
    """Actual names for table references, as aliases of which the written names live on: `t_order_3 AS t_order`.

    For SELECT and UPDATE, where MySQL and MariaDB accept an alias.
    """
    text = context.statement.text
    for reference in references:
        written = text[reference.node.this.meta["start"] : reference.end]
        if not has_own_names(reference.table, reference.node.name):
            edits.replace(reference.start, reference.end, written)
            continue
        name, alias = TableName(reference.index, reference.quoted), f" AS {written}"
        end = _alias_place(context, reference)
        if reference.aliased or end != reference.end:
            edits.replace(reference.start, reference.end, name)
        else:
            edits.replace(reference.start, reference.end, name, alias)
        if end != reference.end and not reference.aliased:
            edits.insert(end, alias)


def _alias_place(context: PlanContext, reference: TableReference) -> int:
    """Where a table's alias stands or would: behind its PARTITION (…) and FOR SYSTEM_TIME …."""
    tokens, end = context.statement.tokens, reference.end
    partition = reference.node.args.get("partition")
    if partition is not None:
        last = max(node.meta["end"] for node in partition.find_all(exp.Identifier))
        end = next(token.end + 1 for token in tokens if token.start > last and token.text == ")")
    return end if reference.node.args.get("version") is None else system_time_end(tokens, end)


def replace_names(context: PlanContext, edits: Edits, references: Iterable[TableReference]) -> None:
    """Actual names for table references and for the qualifiers of their columns, without aliases: for INSERT,
    REPLACE and DELETE, where older servers accept none."""
    tree = context.statement.tree
    for reference in references:
        name = TableName(reference.index, reference.quoted)
        edits.replace(reference.start, reference.end, name)
        if reference.aliased:
            continue
        for column in tree.find_all(exp.Column):
            qualifier = column.args.get("table")
            if qualifier is not None and qualifier.name.lower() == reference.alias.lower():
                edits.replace(qualifier.meta["start"], qualifier.meta["end"] + 1, name)


def drop_schema_qualifiers(context: PlanContext, edits: Edits) -> None:
    """`shop.t_order.id` → `t_order.id`. Raises MeshError for a column of another database."""
    known = [name.lower() for name in (context.rule_set.database, *context.rule_set.joined)]
    for column in context.statement.tree.find_all(exp.Column):
        database = column.args.get("db")
        if database is None:
            continue
        if database.name.lower() not in known:
            raise not_supported(
                f"a column of another database ('{database.name}')",
                f"use tables of '{context.rule_set.database}' only",
            )
        edits.replace(database.meta["start"], column.args["table"].meta["start"])


def rename_schema_qualifiers(context: PlanContext, edits: Edits, scopes: Scopes) -> None:
    """As `drop_schema_qualifiers`; where tables of several databases are named, which may have the same name, the schema
    stays and gets its actual name."""
    if not context.rule_set.joined:
        drop_schema_qualifiers(context, edits)
        return
    for column in context.statement.tree.find_all(exp.Column):
        database = column.args.get("db")
        if database is None:
            continue
        meant = named(scopes.references, column.table, database.name)
        if not meant:
            raise not_supported(
                f"the column name {column.sql()}", "qualify the column by its table or alias only"
            )
        start, end = database.meta["start"], column.args["table"].meta["start"]
        edits.replace(start, end, SchemaQualifier(meant[0].index))


def session_answers(context: PlanContext, edits: Edits, start: int = 0) -> None:
    """DATABASE(), LAST_INSERT_ID(), @@identity … are answered by the session, not by a pooled connection, from `start` on."""
    tokens = [token for token in context.statement.tokens if token.start >= start]
    for at, token in enumerate(tokens):
        value = SESSION_FUNCTIONS.get(token.text.upper())
        if value is None or token.text[:1] in "'\"`" or _text_at(tokens, at - 1) in (".", "@"):
            continue
        if token.token_type in (TokenType.STRING, TokenType.IDENTIFIER):
            continue
        if _text_at(tokens, at + 1) == "(" and _text_at(tokens, at + 2) == ")":
            edits.replace(token.start, tokens[at + 2].end + 1, value)
        elif token.text.upper() in WITHOUT_PARENTHESES and _text_at(tokens, at + 1) != "(":
            edits.replace(token.start, token.end + 1, value)
    for at, token in enumerate(tokens):
        if token.token_type is TokenType.SESSION_PARAMETER:
            last = at + 3 if _text_at(tokens, at + 1).upper() in ("SESSION", "LOCAL") else at + 1
            name, end = _text_at(tokens, last).lower(), tokens[last].end + 1
            known = SESSION_VARIABLES.get(name)
            if known is not None:
                edits.replace(token.start, end, known)
            elif name == "character_set_client" and context.flags.recoded:
                # Data sources get the text in another one.
                own = SessionValue("", "@@character_set_client").text(f"'{context.flags.recoded}'")
                edits.replace(token.start, end, own)


def _text_at(tokens: list[Token], at: int) -> str:
    return tokens[at].text if 0 <= at < len(tokens) else ""


def logic_names(context: PlanContext, scopes: Scopes) -> Names:
    """The way back from actual names, for column definitions and error texts."""
    tables: dict[str, str] = {}
    for reference in scopes.references:
        table = reference.table
        tables.update((str(node.table), table.name) for node in table.nodes)
    return Names(context.rule_set.database, tables, context.rule_set.schemas)
