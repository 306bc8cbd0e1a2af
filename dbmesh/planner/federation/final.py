"""The final statement: the client's own text over the temporary tables of the merge node.

Decides what changes in it: table names, qualifiers of the logic database, locks (the scans took them), index hints (they
name indexes the temporary tables may not have) and functions the session answers.
"""

from __future__ import annotations

from collections.abc import Sequence

from sqlglot import exp
from sqlglot.tokenizer_core import Token, TokenType

from dbmesh.errors import not_supported
from dbmesh.planner.context import PlanContext
from dbmesh.planner.names import drop_schema_qualifiers, session_answers
from dbmesh.planner.resolve import Scopes, TableReference
from dbmesh.planner.select_names import keep_column_names
from dbmesh.planner.template import Template
from dbmesh.planner.written_clauses import LockClause, index_hints, word
from dbmesh.sql.server_forms import ROWS_EXAMINED, server_forms


def temporary_name(reference: TableReference) -> str:
    """The temporary table of a reference: MySQL cannot open one twice in a statement, so each has its own."""
    return f"dbmesh_f{reference.index + 1}"


def final_template(context: PlanContext, scopes: Scopes, locks: Sequence[LockClause]) -> Template:
    """The template of the final statement. Raises MeshError(NOT_SUPPORTED) for PARTITION (…) and
    LIMIT … ROWS EXAMINED."""
    tokens = context.statement.tokens
    edits = context.edits()
    bare = _table_statements(tokens)
    _refuse_equal_names(scopes)
    if ROWS_EXAMINED in server_forms(context.statement.tree):
        raise not_supported(f"{ROWS_EXAMINED} in a statement over several data nodes", "leave it out")
    for reference in scopes.references:
        if reference.node.args.get("partition") is not None:
            raise not_supported(
                "PARTITION (…) in a statement over several data nodes", "leave it out; write conditions"
            )
        if reference.node.args.get("version") is not None:
            raise not_supported(
                "FOR SYSTEM_TIME in a statement over several data nodes that joins or computes",
                "read the versions in a query of their own",
            )
        written = context.statement.text[reference.node.this.meta["start"] : reference.end]
        plain = reference.aliased or reference.start in bare
        name = temporary_name(reference) + ("" if plain else f" AS {written}")
        edits.replace(reference.start, reference.end, name)
    drop_schema_qualifiers(context, edits)
    session_answers(context, edits)
    for span in (*(lock.span for lock in locks), *index_hints(tokens)):
        edits.replace(*span)
    keep_column_names(context, edits)
    return edits.build()


def _refuse_equal_names(scopes: Scopes) -> None:
    """Tables of several databases may have one name; the merge node has them all in one schema."""
    seen: set[tuple[int, str]] = set()
    for reference in scopes.references:
        name = (id(reference.scope), reference.alias.lower())
        if name in seen and not reference.aliased:
            raise not_supported(
                f"two tables named '{reference.alias}' in one statement over several data nodes",
                "give them aliases",
            )
        seen.add(name)


def locks_by_scope(scopes: Scopes, tree: exp.Expr, clauses: Sequence[LockClause]) -> dict[int, LockClause]:
    """Index of a reference → the lock its rows are read under. Raises MeshError(NOT_SUPPORTED) where text and tree do
    not tell whose lock it is."""
    if not clauses:
        return {}
    holders = _in_order_of_locks([node for node in tree.find_all(exp.Query) if node.args.get("locks")])
    owners = [holder for holder in holders for _ in holder.args["locks"]]
    if len(owners) != len(clauses):
        raise not_supported(
            "FOR UPDATE in several parts of a statement over several data nodes",
            "lock the rows of one SELECT",
        )
    found: dict[int, LockClause] = {}
    for holder, clause in zip(owners, clauses, strict=True):
        for reference in scopes.of(holder):
            if not clause.tables or reference.alias.lower() in clause.tables:
                found.setdefault(reference.index, clause)
    return found


def _in_order_of_locks(holders: Sequence[exp.Query]) -> list[exp.Query]:
    """Queries in the order in which their lock clauses are written: each stands behind everything in its query."""

    def end(holder: exp.Query) -> tuple[int, int]:
        ends = [node.meta["end"] for node in holder.walk() if "end" in node.meta]
        return max(ends, default=0), -(holder.depth or 0)

    return sorted(holders, key=end)


def _table_statements(tokens: Sequence[Token]) -> set[int]:
    """Where the name of `TABLE name` begins: no alias may follow it."""
    return {
        tokens[at + 1].start
        for at in range(len(tokens) - 1)
        if word(tokens, at) == "TABLE" and tokens[at + 1].token_type is not TokenType.L_PAREN
    }
