"""What a statement shows of the columns that decide between production and shadow.

Decides which conditions, rows and assignments are looked at, and refuses those whose values only a server knows.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from sqlglot import exp

from dbmesh.errors import MeshError, not_supported
from dbmesh.model import ColumnSchema
from dbmesh.planner.conditions import Conditions, read_operand
from dbmesh.planner.context import PlanContext
from dbmesh.planner.insert import as_insert, column_names, source_of
from dbmesh.planner.insert_reading import InsertReading, read_insert
from dbmesh.planner.insert_rows import Generated, Source
from dbmesh.planner.known_columns import column_conditions, conditions_around
from dbmesh.planner.lexemes import Lexeme, LexemeReader
from dbmesh.planner.plan import Verb
from dbmesh.planner.resolve import AnyTable, Scopes, TableReference, find_table, resolve
from dbmesh.planner.shadow.choice import (
    Assigned,
    ByConditions,
    ByHint,
    ByRows,
    Choice,
    DecidingColumn,
    Voter,
    deciding_columns,
    moves_rows,
)
from dbmesh.planner.write import parse_write
from dbmesh.rules.shadow.rule import Operation, ShadowedTable, ShadowRule
from dbmesh.sql.parse import parse

_OPERATIONS = {
    Verb.SELECT: Operation.SELECT,
    Verb.UPDATE: Operation.UPDATE,
    Verb.DELETE: Operation.DELETE,
}


def read_choice(context: PlanContext, rule: ShadowRule, verb: Verb) -> Choice:
    """How it is chosen where a SELECT, INSERT, REPLACE, UPDATE or DELETE goes. Raises MeshError(NOT_SUPPORTED)."""
    if verb in (Verb.INSERT, Verb.REPLACE):
        return _of_insert(context, rule)
    tree = context.statement.tree if verb is Verb.SELECT else parse_write(context.statement.readable)
    targets = tree.args.get("tables")
    if targets:
        # `DELETE a, b FROM …` names references a second time.
        tree.set("tables", None)
    scopes = resolve(context, tree)
    votes = _Votes(context, rule, scopes, _OPERATIONS[verb])
    return votes.choice(tree, scopes.references, votes.assigned(tree))


def _of_insert(context: PlanContext, rule: ShadowRule) -> Choice:
    reader = LexemeReader(context.statement.readable)
    reading = read_insert(reader)
    hinted = context.statement.hints.shadow
    table = rule.table(reading.table.name)
    matchers = {} if table is None else table.of(Operation.INSERT)
    if not reading.rows or any(lexeme.word in ("SELECT", "WITH") for lexeme in reader.lexemes):
        return _of_query(context, rule, reading, table)
    if table is None:
        voters: tuple[tuple[Voter, ...], ...] = ((ByHint(hinted),),) if rule.by_hint else ()
        return Choice(voters, () if rule.by_hint else (reading.table.name,), (), hinted, context.flags)
    found_table = find_table(context, reading.table.name)
    others = () if _is_covered(table, found_table, rule) else (table.name,)
    schema = context.catalog.table(found_table.name)
    names = column_names(reading, schema)
    schemas: dict[str, ColumnSchema | None] = {
        name: schema.column(name) if schema else None for name in matchers
    }
    slots = {slot.start: slot for slot in context.statement.shape.slots}
    found: list[Voter] = [ByHint(hinted and table.by_hint)]
    for column in deciding_columns(table.name, matchers, schemas):
        if column.name not in names:
            continue
        sources: list[Source] = []
        for row in reading.rows:
            if len(row.cells) != len(names):
                continue
            cell = row.cells[names.index(column.name)]
            if cell.word == "DEFAULT":
                continue
            source = source_of(cell, slots, is_key=False)
            if source is None or source is Generated.KEY:
                raise _computed(column)
            sources.append(source)
        folded = context.statement.shape.row is not None and not reading.set_form
        found.append(ByRows(column, tuple(sources[:1] if folded else sources), context.flags))
    for name, lexemes in reading.updates:
        if name.lower() in table.columns and not _keeps(name, lexemes):
            raise moves_rows(table.name, name)
    return Choice((tuple(found),), others, (), hinted, context.flags)


def _of_query(
    context: PlanContext, rule: ShadowRule, reading: InsertReading, table: ShadowedTable | None
) -> Choice:
    """An INSERT of what a query finds: its values are known to nobody."""
    hinted = context.statement.hints.shadow
    if table is not None and table.of(Operation.INSERT) and not (hinted and table.by_hint):
        raise not_supported(
            f"INSERT of a query's rows into '{table.name}', which may belong to production or to the shadow",
            "write the rows with VALUES, or use the hint SHADOW with a SQL_HINT algorithm",
        )
    tree = parse(as_insert(context))
    scopes = resolve(context, tree)
    votes = _Votes(context, rule, scopes, Operation.SELECT)
    return votes.choice(tree, scopes.references, ())


def _is_covered(shadowed: ShadowedTable, table: AnyTable, rule: ShadowRule) -> bool:
    """Whether every data source of a table has a shadow for it. Of several logic databases each has its own names."""
    return rule.joint or shadowed.sources.issuperset(node.data_source for node in table.nodes)


def _keeps(name: str, lexemes: Sequence[Lexeme]) -> bool:
    """Whether ON DUPLICATE KEY UPDATE gives a column the value that the row to be inserted has, or keeps it."""
    words = [lexeme.value.lower() for lexeme in lexemes]
    return words in ([name.lower()], ["values", "(", name.lower(), ")"], ["value", "(", name.lower(), ")"])


def _computed(column: DecidingColumn) -> MeshError:
    return not_supported(
        f"an expression as a value of '{column.name}' of '{column.table}', which decides between production and shadow",
        "send a literal or a parameter",
    )


class _Votes:
    """What the table references of a statement say."""

    def __init__(self, context: PlanContext, rule: ShadowRule, scopes: Scopes, operation: Operation) -> None:
        self._context = context
        self._rule = rule
        self._scopes = scopes
        self._operation = operation

    def choice(
        self, tree: exp.Expr, references: Iterable[TableReference], assigned: tuple[Assigned, ...]
    ) -> Choice:
        hinted = self._context.statement.hints.shadow
        deciding = [r for r in references if self._matchers(r)]
        conditions = conditions_around(self._context, self._scopes, deciding)
        self._refuse_computed(tree, {r.index: r for r in deciding})
        voters: list[tuple[Voter, ...]] = []
        others: list[str] = []
        for reference in references:
            table = self._rule.table(reference.key)
            if table is not None:
                own = [ByHint(hinted and table.by_hint), *self._by_conditions(reference, conditions)]
                voters.append(tuple(own))
                if not _is_covered(table, reference.table, self._rule):
                    others.append(table.name)
            elif self._rule.by_hint and hinted:
                voters.append((ByHint(hinted=True),))
            else:
                others.append(reference.table.name)
        return Choice(tuple(voters), tuple(others), assigned, hinted, self._context.flags)

    def assigned(self, tree: exp.Expr) -> tuple[Assigned, ...]:
        """The columns that decide, about whatever operation, and that an UPDATE gives new values. Raises MeshError."""
        if not isinstance(tree, exp.Update):
            return ()
        found: list[Assigned] = []
        own = self._scopes.of(tree)
        for assignment in tree.expressions:
            name = assignment.this.name.lower()
            owner = own[0] if len(own) == 1 else (self._scopes.column(assignment.this) or (None,))[0]
            for reference in own if owner is None else (owner,):
                table = self._rule.table(reference.key)
                if table is None or name not in table.columns:
                    continue
                value = read_operand(self._context, assignment.expression)
                if value is None:
                    raise moves_rows(table.name, name)
                matchers = tuple(one for columns in table.matchers.values() for one in columns.get(name, ()))
                schema = reference.schema.column(name) if reference.schema else None
                found.append(Assigned(DecidingColumn(table.name, name, schema, matchers), value))
        return tuple(found)

    def _matchers(self, reference: TableReference) -> Mapping[str, object]:
        table = self._rule.table(reference.key)
        return {} if table is None else table.of(self._operation)

    def _by_conditions(
        self, reference: TableReference, conditions: Mapping[int, Conditions]
    ) -> Iterator[Voter]:
        table = self._rule.table(reference.key)
        if table is None or not table.of(self._operation):
            return
        matchers = table.of(self._operation)
        disjuncts = column_conditions(reference, matchers, conditions)
        schemas = {name: reference.schema.column(name) if reference.schema else None for name in matchers}
        for column in deciding_columns(table.name, matchers, schemas):
            said = tuple(disjunct.get(column.name, ()) for disjunct in disjuncts)
            if any(said):
                yield ByConditions(column, said, self._context.flags)

    def _refuse_computed(self, tree: exp.Expr, deciding: Mapping[int, TableReference]) -> None:
        """A value that only a server computes may be one of the shadow."""
        if not deciding:
            return
        for node in tree.find_all(exp.EQ, exp.NullSafeEQ, exp.In):
            if isinstance(tree, exp.Update) and node.parent is tree:
                continue
            sides = [(node.this, node.expressions)] if isinstance(node, exp.In) else []
            if isinstance(node, exp.Binary):
                sides = [(node.left, [node.right]), (node.right, [node.left])]
            for column, values in sides:
                name = self._deciding(column, deciding)
                if name is not None and any(self._is_computed(value) for value in values):
                    raise _computed(name)

    def _deciding(self, node: exp.Expr, deciding: Mapping[int, TableReference]) -> DecidingColumn | None:
        while isinstance(node, exp.Paren):
            node = node.this
        found = self._scopes.through(node) if isinstance(node, exp.Column) else None
        if (
            found is None
            or found[0].index not in deciding
            or node.name.lower() not in self._matchers(found[0])
        ):
            return None
        return DecidingColumn(found[0].table.name, node.name, None, ())

    def _is_computed(self, node: exp.Expr) -> bool:
        if any(True for _ in node.find_all(exp.Column, exp.Query)):
            return False
        return read_operand(self._context, node) is None
