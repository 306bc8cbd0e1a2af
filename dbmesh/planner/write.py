"""UPDATE and DELETE: every data node that may hold matching rows runs the statement on its own rows.

Decides when that is exact: rows are named by the statement's own conditions, no row moves to another shard, and no
node needs rows of another. The rest is written by keys (`derived.keyed`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise

from sqlglot import exp

from dbmesh.errors import MeshError, Refusal, not_supported
from dbmesh.planner.conditions import ColumnPredicate, Equals, Operand, scope_conditions
from dbmesh.planner.context import PlanContext
from dbmesh.planner.derived.keyed import KeyedWrite, outside_brackets, plan_keyed_write
from dbmesh.planner.derived.plan import DerivedPlan
from dbmesh.planner.lexemes import Kind, Lexeme, LexemeReader
from dbmesh.planner.names import logic_names
from dbmesh.planner.plan import ShardPlan, Verb
from dbmesh.planner.point import Frames, direct, point_lookup
from dbmesh.planner.resolve import Scopes, TableReference, named, resolve
from dbmesh.planner.route import build_router
from dbmesh.planner.scatter import stays_beside
from dbmesh.planner.side_effects import side_effects
from dbmesh.planner.tree_names import rename_references, rename_targets
from dbmesh.planner.unrepeatable import reads_clock, refuse_unrepeatable
from dbmesh.planner.write_plan import KeptColumn, WritePlan, broadcast_write
from dbmesh.rules.ruleset import BroadcastTable, ShardedTable
from dbmesh.sql.parse import parse

_MODIFIERS = frozenset(("LOW_PRIORITY", "QUICK", "IGNORE"))


def plan_write(context: PlanContext) -> ShardPlan:
    """The plan of an UPDATE or DELETE.

    Raises MeshError: PARSE_ERROR, UNKNOWN_TABLE, SHARDING_KEY_REQUIRED (auditor), NOT_SUPPORTED.
    """
    reader = LexemeReader(context.statement.readable)
    tree = parse_write(context.statement.readable)
    if not isinstance(tree, exp.Update | exp.Delete):
        raise not_supported(
            f"this form of {reader.peek().text.upper()}", "write it for one table with a plain WHERE"
        )
    verb = Verb.UPDATE if isinstance(tree, exp.Update) else Verb.DELETE
    # `DELETE a, b FROM …` names references a second time: kept aside, or they would count as tables of their own.
    targets = tuple(tree.args.get("tables") or ())
    tree.set("tables", None)
    scopes = resolve(context, tree)
    written = tuple(_written(scopes, tree, targets))
    edits = rename_references(context, scopes, tree)
    rename_targets(edits, scopes, tree, targets)
    tables = tuple(dict.fromkeys(reference.table.name for reference in scopes.references))
    clock = reads_clock(reader.lexemes) or any(_takes_time(verb, reference) for reference in written)
    names = logic_names(context, scopes)
    derived = _derived(context, scopes, tree, written, reader.lexemes)
    if any(isinstance(reference.table, BroadcastTable) for reference in written):
        refuse_unrepeatable(reader.lexemes, written[0].table.name)
        if _repeatable(tree, scopes):
            returning = tree.args.get("returning") is not None
            everywhere = broadcast_write(
                verb, tables, scopes, edits.build(), names, reads_clock=clock, returning=returning
            )
            if not context.rule_set.doubled.intersection(table.lower() for table in tables):
                return everywhere
            router, template = build_router(context, scopes), edits.build()
            return DerivedPlan(verb, tables, derived, names, router, template, everywhere, reads_clock=clock)
        if isinstance(derived, Refusal):
            raise derived.error()
        return DerivedPlan(verb, tables, derived, names, build_router(context, scopes), edits.build())
    router = build_router(context, scopes)
    sharded = all(isinstance(reference.table, ShardedTable) for reference in written)
    effects = side_effects(reader.lexemes)
    # Variables go from row to row, wherever the rows are.
    many = sharded and effects is None and not scopes.is_opaque(tree) and stays_beside(scopes, router, tree)
    frames = Frames(edits.build())
    kept = _kept_columns(context, scopes, tree)
    point = point_lookup(router)
    return WritePlan(
        verb=verb,
        tables=tables,
        router=router,
        frames=frames,
        names=names,
        kept=kept or (),
        moves=kept is None,
        many=many,
        limited=_ties_rows(tree),
        derived=derived,
        returning=tree.args.get("returning") is not None,
        effects=effects,
        point=point,
        direct=None
        if kept is None
        or kept
        or effects is not None
        or not context.rule_set.doubled.isdisjoint(map(str.lower, tables))
        else direct(context, router, point, frames, names),
        reads_clock=clock,
    )


def _takes_time(verb: Verb, reference: TableReference) -> bool:
    """Whether a trigger, or a column of a changed row by itself (ON UPDATE CURRENT_TIMESTAMP), may take the current time."""
    schema = reference.schema
    if schema is not None and schema.reads_clock:
        return True
    return verb is Verb.UPDATE and (schema is None or any(column.reads_clock for column in schema.columns))


def _derived(
    context: PlanContext,
    scopes: Scopes,
    tree: exp.Update | exp.Delete,
    written: Sequence[TableReference],
    lexemes: Sequence[Lexeme],
) -> KeyedWrite | Refusal:
    try:
        return plan_keyed_write(context, scopes, tree, written, lexemes)
    except MeshError as refusal:
        return Refusal.of(refusal)


def _ties_rows(tree: exp.Update | exp.Delete) -> bool:
    """Whether rows of several nodes must be seen together: LIMIT takes some of all. ORDER BY alone is each node's own, as
    long as nobody sees the order."""
    ordered = tree.args.get("order") is not None and tree.args.get("returning") is not None
    return ordered or tree.args.get("limit") is not None


def parse_write(text: str) -> exp.Expr:
    """An UPDATE or DELETE as a tree. RETURNING behind ORDER BY or LIMIT, where the parser does not know it, is read by itself."""
    text = _for_parser(text)
    outer = {one.word: one.start for one in reversed(tuple(outside_brackets(LexemeReader(text).lexemes)))}
    late = min((outer[word] for word in ("ORDER", "LIMIT") if word in outer), default=None)
    returning = outer.get("RETURNING")
    if late is None or returning is None or "DELETE" not in outer:
        return parse(text)
    tree = parse(text[:returning])
    alone = parse(text[:late] + " " * (returning - late) + text[returning:])
    tree.set("returning", alone.args.get("returning"))
    return tree


def _for_parser(text: str) -> str:
    """The text in the form the parser knows, positions kept: LOW_PRIORITY, QUICK and IGNORE, which it takes for names, are
    blanked, `SET column := value` has its other sign, and `DELETE FROM a USING …` becomes `DELETE a FROM …`."""
    reader = LexemeReader(text)
    verb = next((at for at, one in enumerate(reader.lexemes) if one.word in ("UPDATE", "DELETE")), 0)
    reader.position = verb + 1
    while reader.peek().word in _MODIFIERS:
        text = _overwrite(text, reader.take(), "")
    for before, lexeme in pairwise(reader.lexemes):
        if lexeme.text == ":=" and before.kind in (Kind.WORD, Kind.QUOTED):
            # SET column := value; a user variable's stays.
            text = _overwrite(text, lexeme, "=")
    if reader.lexemes[verb].word == "DELETE" and reader.looks_at("FROM"):
        outer = outside_brackets(reader.lexemes[reader.position :])
        using = next((one for one in outer if one.word in ("USING", "WHERE", "JOIN", "ORDER", "LIMIT")), None)
        if using is not None and using.word == "USING":
            text = _overwrite(_overwrite(text, using, "FROM"), reader.peek(), "")
    return text


def _overwrite(text: str, lexeme: Lexeme, word: str) -> str:
    return text[: lexeme.start] + word.ljust(lexeme.end - lexeme.start) + text[lexeme.end :]


def _written(
    scopes: Scopes, tree: exp.Update | exp.Delete, targets: tuple[exp.Table, ...]
) -> Iterator[TableReference]:
    """The references whose rows change."""
    own = scopes.of(tree)
    if isinstance(tree, exp.Delete):
        meant = {one.index for target in targets for one in named(own, target.name, target.db)}
        yield from (reference for reference in own if not targets or reference.index in meant)
        return
    seen: set[int] = set()
    for column in _assigned(tree):
        owner = own[0] if len(own) == 1 else (scopes.column(column) or (None,))[0]
        if owner is None:
            raise not_supported(
                f"an UPDATE whose column {column.sql()} cannot be told to one table", "qualify the column"
            )
        if owner.index not in seen:
            seen.add(owner.index)
            yield owner


def _assigned(tree: exp.Update) -> Iterator[exp.Column]:
    for assignment in tree.expressions:
        if not isinstance(assignment, exp.EQ) or not isinstance(assignment.this, exp.Column):
            raise not_supported(f"the assignment {assignment.sql()}", "write column = value")
        yield assignment.this


def _repeatable(tree: exp.Update | exp.Delete, scopes: Scopes) -> bool:
    """Whether every server changes the same rows by itself: nothing but broadcast tables decides which."""
    others = any(not isinstance(reference.table, BroadcastTable) for reference in scopes.references)
    return not others and not _ties_rows(tree)


def _kept_columns(context: PlanContext, scopes: Scopes, tree: exp.Expr) -> tuple[KeptColumn, ...] | None:
    """Assignments to sharding columns, each with the values WHERE says the column has. None where WHERE says nothing or
    the new value is an expression: rows may move."""
    if not isinstance(tree, exp.Update):
        return ()
    kept: list[KeptColumn] = []
    own = scopes.of(tree)
    for assignment in tree.expressions:
        column = assignment.this
        found = (own[0], None) if len(own) == 1 else scopes.column(column)
        name = column.name.lower()
        if found is None or not isinstance(found[0].table, ShardedTable):
            continue
        reference, table = found[0], found[0].table
        if name not in table.sharding_columns or len(table.nodes) == 1 or _is_itself(assignment):
            continue
        now = _known_values(context, scopes, tree, reference, name)
        slot = context.statement.slot(assignment.expression)
        if slot is None or not now:
            return None
        schema = reference.schema.column(name) if reference.schema else None
        kept.append(KeptColumn(schema, Operand(slot), now))
    return tuple(kept)


def _is_itself(assignment: exp.EQ) -> bool:
    value = assignment.expression
    return (
        isinstance(value, exp.Column)
        and value.name.lower() == assignment.this.name.lower()
        and not value.table
    )


def _known_values(
    context: PlanContext, scopes: Scopes, tree: exp.Expr, reference: TableReference, name: str
) -> tuple[Operand, ...]:
    """What WHERE says the column equals in every row changed."""
    certain = scope_conditions(context, scopes, tree).certain
    return tuple(
        atom.predicate.operands[0]
        for atom in certain
        if isinstance(atom, ColumnPredicate)
        and atom.column == (reference.index, name)
        and isinstance(atom.predicate, Equals)
        and len(atom.predicate.operands) == 1
        and not (atom.predicate.operands[0].slot and atom.predicate.operands[0].slot.members)
    )
