"""Statements that write tables with masked columns, by users who read them masked.

Decides that such a statement may give these columns new values, and may not look at the ones they have: no condition, no value and no
row it returns, and no error about a duplicate, tells of them. Queries inside it are `reads`' business. Knows nothing of routes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from sqlglot import exp

from dbmesh.errors import MeshError, not_supported
from dbmesh.planner.lexemes import Kind, Lexeme
from dbmesh.planner.masked.references import INSTEAD, MaskedReference
from dbmesh.planner.subselects import scope_of


def check_update(
    tree: exp.Update | exp.Delete, reference: MaskedReference, lexemes: Sequence[Lexeme]
) -> None:
    """A table that an UPDATE or DELETE changes, or joins with what it changes. Raises MeshError(NOT_SUPPORTED)."""
    assigned = list(_assigned(tree))
    allowed = {column.this.meta.get("start") for column in assigned}
    if reference.real_predicates:
        compared = (column for column in tree.find_all(exp.Column) if _is_predicate(tree, column))
        allowed.update(column.this.meta.get("start") for column in compared)
    # Names in the text, since a tree may take a column for something else.
    for at, lexeme in enumerate(lexemes):
        if lexeme.kind not in (Kind.WORD, Kind.QUOTED) or lexeme.start in allowed:
            continue
        if reference.hides(lexeme.value) and not _is_of_another(lexemes, at, reference):
            raise _refused(reference, "a value or a condition of")
    natural = any(join.method and scope_of(join) is tree for join in tree.find_all(exp.Join))
    if natural and not reference.real_predicates:
        raise _refused(reference, "a join over")
    returning = tree.args.get("returning")
    if returning is not None and returning.find(exp.Star) is not None:
        raise _refused(reference, "RETURNING of")
    _check_keys(reference, {column.name.lower() for column in assigned})


def _is_of_another(lexemes: Sequence[Lexeme], at: int, reference: MaskedReference) -> bool:
    """Whether a name is surely qualified as another table's column."""
    if at < 2 or lexemes[at - 1].text != "." or lexemes[at - 2].kind not in (Kind.WORD, Kind.QUOTED):
        return False
    qualifier = lexemes[at - 2].value
    # How servers compare other letters depends on lower_case_table_names.
    return (qualifier + reference.alias).isascii() and qualifier.lower() != reference.alias


def _assigned(tree: exp.Update | exp.Delete) -> Iterator[exp.Column]:
    for one in tree.expressions if isinstance(tree, exp.Update) else ():
        if isinstance(one, exp.EQ) and isinstance(one.this, exp.Column):
            yield one.this


def _is_predicate(tree: exp.Expr, column: exp.Column) -> bool:
    """Whether a column stands in the statement's own WHERE, or in ON of its own joins."""
    node: exp.Expr = column
    while node.parent is not None and node.parent is not tree:
        if isinstance(node.parent, exp.Join) and scope_of(node.parent) is tree and node.arg_key == "on":
            return True
        node = node.parent
    return isinstance(node, exp.Where)


def check_insert(reference: MaskedReference, tail: Sequence[Lexeme]) -> None:
    """A table that rows are inserted into; `tail` is what stands behind the rows (ON DUPLICATE KEY UPDATE …, RETURNING …).
    Raises MeshError(NOT_SUPPORTED)."""
    returning = False
    assigned: set[str] = set()
    for at, lexeme in enumerate(tail):
        before, after = tail[at - 1] if at else None, tail[at + 1] if at + 1 < len(tail) else None
        returning = returning or lexeme.word == "RETURNING"
        if returning and lexeme.kind is Kind.MARK and lexeme.text == "*":
            raise _refused(reference, "RETURNING of")
        if lexeme.kind not in (Kind.WORD, Kind.QUOTED):
            continue
        if _is_target(tail, at):
            assigned.add(lexeme.value.lower())
            continue
        given = (
            before is not None and before.text == "(" and at > 1 and tail[at - 2].word in ("VALUES", "VALUE")
        )
        if reference.hides(lexeme.value) and not (given and after is not None and after.text == ")"):
            raise _refused(reference, "a value or a condition of")
    _check_keys(reference, assigned)


def _is_target(tail: Sequence[Lexeme], at: int) -> bool:
    """Whether a name is the left side of an assignment of ON DUPLICATE KEY UPDATE."""
    if at + 1 >= len(tail) or tail[at + 1].text != "=":
        return False
    depth = sum({"(": 1, ")": -1}.get(one.text, 0) for one in tail[:at] if one.kind is Kind.MARK)
    first = at
    while first > 1 and tail[first - 1].text == ".":
        first -= 2
    before = tail[first - 1] if first else None
    return depth == 0 and before is not None and (before.text == "," or before.word == "UPDATE")


def _check_keys(reference: MaskedReference, assigned: set[str]) -> None:
    """A server tells the whole key in its error about a duplicate, the columns too that keep their values."""
    for key in (reference.schema.primary_key, *reference.schema.unique_keys):
        columns = {column.lower() for column in key}
        if columns & assigned and (columns & reference.masks.keys()) - assigned:
            raise _refused(reference, "a change of a unique key with")


def _refused(reference: MaskedReference, what: str) -> MeshError:
    return not_supported(f"{what} masked columns of '{reference.node.name}' in a write", INSTEAD)
