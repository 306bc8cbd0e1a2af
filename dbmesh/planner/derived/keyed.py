"""UPDATE and DELETE whose rows their own WHERE cannot name on each node: the keys are read first, the rows written by key.

Decides the query that reads the keys under lock, which assignments are computed by it (those that look at other tables)
and which by the write, and when a row has to move to another node. Joins, subqueries, ORDER BY and LIMIT stay in the
query, where any plan may serve them.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from sqlglot import exp

from dbmesh.errors import not_supported
from dbmesh.model import ColumnFamily, TableSchema
from dbmesh.planner.context import PlanContext
from dbmesh.planner.derived.insert_form import refuse_partitions
from dbmesh.planner.derived.literals import carried_as
from dbmesh.planner.derived.writers import Key, KeyedWriter, MovingWriter
from dbmesh.planner.elsewhere import logic_name
from dbmesh.planner.lexemes import Kind, Lexeme
from dbmesh.planner.plan import Call
from dbmesh.planner.resolve import Scopes, TableReference
from dbmesh.planner.side_effects import side_effects
from dbmesh.planner.steps import DerivedStep, DerivedWrite, RowWriter, Strictness
from dbmesh.planner.template import Frame, Segment, Template, quote_name
from dbmesh.planner.text_plan import part_frame
from dbmesh.rules.ruleset import ShardedTable
from dbmesh.sql.lexer import LexerFlags

_CLAUSES = ("SET", "FROM", "USING", "WHERE", "ORDER", "LIMIT", "RETURNING")
_UNNAMEABLE = frozenset((ColumnFamily.FLOAT, ColumnFamily.JSON, ColumnFamily.OTHER))
UPDATED_NOTHING = b"Rows matched: 0  Changed: 0  Warnings: 0"


@dataclass(frozen=True, slots=True)
class KeyedStep:
    """The step of one written table, before its literals are known. `parts` are the write's text up to WHERE: frames, and
    indexes of values of the query's rows; `returned` as in `DerivedStep`."""

    query: Frame
    parts: tuple[Frame | int, ...]
    suffix: Frame
    key: Key
    qualifier: str
    flags: LexerFlags
    moving: MovingWriter | None = None
    returned: int | None = None

    def bind(self, call: Call) -> DerivedStep:
        """The query's text and its writer."""
        writer: RowWriter = self.moving or KeyedWriter(
            tuple(part if isinstance(part, int) else render(part, call) for part in self.parts),
            render(self.suffix, call),
            self.key,
            self.qualifier,
            self.flags,
        )
        return DerivedStep(render(self.query, call), writer, self.returned)


@dataclass(frozen=True, slots=True)
class KeyedWrite:
    """An UPDATE or DELETE by keys. `returning` is a query with the columns of RETURNING and no rows. `strictness`: see
    `DerivedWrite`."""

    steps: tuple[KeyedStep, ...]
    info: bytes
    ignores: bool
    strictness: Strictness
    returning: Frame | None = None
    looks_row_by_row: bool = False

    def bind(self, call: Call) -> DerivedWrite:
        """The steps for these values."""
        returning = "" if self.returning is None else render(self.returning, call)
        steps = tuple(step.bind(call) for step in self.steps)
        return DerivedWrite(
            steps,
            self.info,
            self.ignores,
            returning,
            self.strictness,
            looks_row_by_row=self.looks_row_by_row,
        )


def render(frame: Frame, call: Call) -> str:
    """A frame's text in logic names, literals and parameters in place."""
    return frame.render(call.literals, call).decode("utf-8", "surrogateescape")


@dataclass(frozen=True, slots=True)
class Assignment:
    """One assignment of SET as spans of the text. `computed`: its value must come from the query, `carried_as` what it
    says."""

    column: str
    start: int
    value: int
    end: int
    computed: bool
    carried_as: tuple[str, str] = ("", "")


def plan_keyed_write(
    context: PlanContext,
    scopes: Scopes,
    tree: exp.Update | exp.Delete,
    written: Sequence[TableReference],
    lexemes: Sequence[Lexeme],
) -> KeyedWrite:
    """The derivation. `lexemes` are those of the whole statement. Raises MeshError(NOT_SUPPORTED) with the reason why
    there is none."""
    text = _Text(context, lexemes)
    if isinstance(tree, exp.Delete):
        steps = tuple(_delete(text, reference) for reference in written)
        returning = _returning(text, written[0]) if text.returns else None
        row_by_row = len(written) == 1 and _looks_row_by_row(scopes, written[0])
        return KeyedWrite(steps, b"", text.ignore, Strictness.NONE, returning, row_by_row)
    assignments = _assignments(scopes, tree, text)
    steps = tuple(
        _update(text, reference, [one for owner, one in assignments if owner.index == reference.index])
        for reference in written
    )
    changed = {one.column.lower() for _, one in assignments}
    strictness = _strictness(scopes, text, written[0], changed)
    row_by_row = strictness is not Strictness.ALL and _looks_row_by_row(scopes, written[0])
    return KeyedWrite(steps, UPDATED_NOTHING, text.ignore, strictness, looks_row_by_row=row_by_row)


def _looks_row_by_row(scopes: Scopes, written: TableReference) -> bool:
    """Whether it is a write of one table with subqueries."""
    beside = [one for one in scopes.references if one is not written]
    return bool(beside) and all(one.scope is not written.scope for one in beside)


def _strictness(scopes: Scopes, text: _Text, written: TableReference, changed: set[str]) -> Strictness:
    """What is an error of an UPDATE that changes these columns of a table."""
    if len(scopes.of(written.scope)) > 1 or scopes.is_opaque(written.scope):
        return Strictness.ALL
    if any(one.key == written.key for one in scopes.references if one.scope is not written.scope):
        return Strictness.ALL
    schema = written.schema
    primary = {name.lower() for name in schema.primary_key} if schema else set()
    return Strictness.NONE if "ORDER" in text.clauses or primary & changed else Strictness.ROWS


class _Text:
    """The statement's clauses as spans, and templates made of them."""

    def __init__(self, context: PlanContext, lexemes: Sequence[Lexeme]) -> None:
        self._context = context
        self._edits = context.edits()
        self.lexemes = lexemes
        self.flags = context.flags
        self.hints = context.statement.shape.hints
        self.start = context.statement.shape.start
        self.end = lexemes[-1].end
        outer = tuple(outside_brackets(lexemes))
        at = next(i for i, lexeme in enumerate(outer) if lexeme.word in ("UPDATE", "DELETE"))
        self.verb = outer[at].word
        self.prefix = self.between(self.start, outer[at].start)
        self.ignore = False
        at += 1
        while outer[at].word in ("LOW_PRIORITY", "QUICK", "IGNORE"):
            self.ignore = self.ignore or outer[at].word == "IGNORE"
            at += 1
        # A derived table stands in brackets, outside of which its name alone is left.
        self.head_end = next(one.start for one in lexemes if one.start >= outer[at - 1].end)
        self.clauses: dict[str, Lexeme] = {}
        joins_using = self.verb == "UPDATE" or outer[at].word != "FROM"
        for before, lexeme in itertools.pairwise(outer[at - 1 :]):
            # USE INDEX FOR ORDER BY stands inside the tables.
            hinted = lexeme.word == "ORDER" and before.word == "FOR"
            if lexeme.word in _CLAUSES and not (lexeme.word == "USING" and joins_using) and not hinted:
                self.clauses.setdefault(lexeme.word, lexeme)
        self.outer = outer[at:]

    def table(self, reference: TableReference) -> str:
        """A table that is written, as a statement of the mesh's own names it."""
        return logic_name(self._context, reference.database, reference.table.name)

    def placing(self, reference: TableReference) -> tuple[str, ...]:
        """The columns by which a row is where it is: where both sides of a table that moves are written, its primary key too, since a row
        that is given another one is another row there."""
        rule, doubled = reference.table, self._context.rule_set.doubled
        found = rule.sharding_columns if isinstance(rule, ShardedTable) and len(rule.nodes) > 1 else ()
        if reference.schema is None or reference.table.name.lower() not in doubled:
            return tuple(found)
        return tuple(dict.fromkeys((*found, *(name.lower() for name in reference.schema.primary_key))))

    def between(self, start: int, end: int) -> tuple[Segment, ...]:
        """The client's text of a span with its slots."""
        return self._edits.between(start, end)

    def clause_end(self, word: str) -> int:
        """Where a clause ends: at the next one."""
        start = self.clauses[word].start if word in self.clauses else self.head_end
        return min((one.start for one in self.clauses.values() if one.start > start), default=self.end)

    def clause(self, word: str) -> tuple[Segment, ...]:
        """A clause with its word, '' when there is none."""
        return self.between(self.clauses[word].start, self.clause_end(word)) if word in self.clauses else ()

    @property
    def returns(self) -> bool:
        """Whether the rows written are the answer (RETURNING)."""
        return "RETURNING" in self.clauses

    def returned(self, reference: TableReference) -> tuple[Segment, ...]:
        """The list of RETURNING as items behind others of a query: `*` needs its table there."""
        start = at = self.clauses["RETURNING"].end
        items: list[Segment] = []
        for before, lexeme in itertools.pairwise(self.outer):
            if lexeme.start >= start and lexeme.text == "*" and before.text.upper() in ("RETURNING", ","):
                items += (*self.between(at, lexeme.start), f" {_alias(reference)}.")
                at = lexeme.start
        return (*items, *self.between(at, self.end))

    @property
    def tables(self) -> tuple[Segment, ...]:
        """The table references, as they stand after FROM."""
        if self.verb == "UPDATE":
            return self.between(self.head_end, self.clauses["SET"].start)
        word = "USING" if "USING" in self.clauses else "FROM"
        return self.between(self.clauses[word].end, self.clause_end(word))

    def is_default(self, assignment: Assignment) -> bool:
        """Whether the value is the word DEFAULT."""
        span = [one for one in self.lexemes if assignment.value <= one.start < assignment.end]
        return len(span) == 1 and span[0].word == "DEFAULT"

    def query(self, columns: Sequence[Segment], order: str = "") -> Frame:
        """SELECT … FOR UPDATE of the rows the statement means; `order` stands in for its own ORDER BY."""
        rest = (*self.clause("WHERE"), " ", *(self.clause("ORDER") or (order,)), " ", *self.clause("LIMIT"))
        return self.frame(
            (self.hints, *self.prefix, "SELECT ", *columns, " FROM ", *self.tables, " ", *rest, " FOR UPDATE")
        )

    def frame(self, segments: Sequence[Segment]) -> Frame:
        """Segments as a frame whose literals are found by index."""
        return part_frame(Template(tuple(segments), self.flags))


def outside_brackets(lexemes: Iterable[Lexeme]) -> Iterator[Lexeme]:
    """Lexemes that stand in no brackets, and the brackets' own are left out."""
    depth = 0
    for lexeme in lexemes:
        if lexeme.kind is Kind.MARK and lexeme.text in "()":
            depth += 1 if lexeme.text == "(" else -1
        elif depth == 0:
            yield lexeme


def _delete(text: _Text, reference: TableReference) -> KeyedStep:
    key = _key(reference)
    table = text.table(reference)
    head = f"{text.hints}DELETE{' IGNORE' if text.ignore else ''} FROM {table}"
    columns = _key_columns(key, reference)
    if text.returns:
        # What RETURNING says of a row is what the query reads of it, in the query's order.
        columns += (", ", *text.returned(reference))
    returned = key.width if text.returns else None
    parts = (text.frame((head,)),)
    return KeyedStep(text.query(columns), parts, text.frame(()), key, "", text.flags, returned=returned)


def _returning(text: _Text, reference: TableReference) -> Frame:
    table = text.table(reference)
    return text.frame(
        (text.hints, "SELECT ", *text.returned(reference), f" FROM {table} AS {_alias(reference)} LIMIT 0")
    )


def _update(text: _Text, reference: TableReference, assignments: Sequence[Assignment]) -> KeyedStep:
    key = _key(reference)
    placing = text.placing(reference)
    if any(assignment.column in placing for assignment in assignments):
        return _moving_update(text, reference, assignments, key, placing)
    columns: list[Segment] = list(_key_columns(key, reference))
    width = key.width
    head = f"{text.hints}UPDATE{' IGNORE' if text.ignore else ''} {text.table(reference)} AS "
    parts: list[Frame | int] = [text.frame((f"{head}{_alias(reference)} SET ",))]
    for position, assignment in enumerate(assignments):
        if position:
            parts.append(text.frame((", ",)))
        if assignment.computed:
            parts.append(text.frame(text.between(assignment.start, assignment.value)))
            parts.append(width)
            width += 1
            columns += (", ", *_value(text, assignment, assignments[:position]))
        else:
            parts.append(text.frame(text.between(assignment.start, assignment.end)))
    ordered = text.clause("ORDER") if len(assignments) and "LIMIT" not in text.clauses else ()
    suffix = text.frame((" ", *ordered) if ordered else ())
    qualifier = f"{_alias(reference)}."
    return KeyedStep(text.query(columns), tuple(parts), suffix, key, qualifier, text.flags)


def _moving_update(
    text: _Text,
    reference: TableReference,
    assignments: Sequence[Assignment],
    key: Key,
    placing: Sequence[str],
) -> KeyedStep:
    schema, rule = _schema(reference), reference.table
    refuse_partitions(reference)
    if schema.guarded:
        raise not_supported(
            f"UPDATE of the sharding column of '{schema.name}', which has triggers or is the parent of foreign keys "
            "(its rows would be deleted and inserted again)",
            "leave the sharding column out of SET",
        )
    stored = [column for column in schema.columns if not column.generated]
    names = [column.name.lower() for column in stored]
    columns: list[Segment] = list(_key_columns(key, reference))
    for column in stored:
        before, behind = carried_as(column, column)
        columns.append(f", {before}{_qualified(reference, column.name)}{behind}")
    given = [one for one in assignments if one.column in placing or not text.is_default(one)]
    for position, assignment in enumerate(given):
        columns += (", ", *_value(text, assignment, given[:position]))
    assigned = tuple(names.index(assignment.column) for assignment in given)
    reset = tuple(names.index(one.column) for one in assignments if one not in given)
    numbered = rule.key_column.lower() if isinstance(rule, ShardedTable) and rule.key_column else None
    required = tuple(
        i
        for i, column in enumerate(stored)
        if names[i] in placing and (not column.nullable or column.auto_increment or names[i] == numbered)
    )
    writer = MovingWriter(
        text.table(reference),
        key,
        tuple(column.name for column in stored),
        assigned,
        tuple(names.index(name) for name in placing),
        tuple(i for i, column in enumerate(stored) if column.renewed and i not in (*assigned, *reset)),
        text.flags,
        reset,
        required,
        text.ignore,
        tuple(stored),
    )
    # Which row finds its new place taken depends on the order; a server's is mostly that of the key.
    order = f" ORDER BY {_key_columns(key, reference)[0]}" if text.ignore else ""
    return KeyedStep(text.query(columns, order), (), text.frame(()), key, "", text.flags, writer)


def _value(text: _Text, assignment: Assignment, earlier: Sequence[Assignment]) -> tuple[Segment, ...]:
    """An assignment's value as an item of the query. MySQL assigns from left to right, which a query does not."""
    words = {
        lexeme.value.lower() for lexeme in text.lexemes if assignment.value <= lexeme.start < assignment.end
    }
    before = {one.column for one in earlier} & words
    if before:
        raise not_supported(
            f"an assignment of '{assignment.column}' from '{min(before)}', which the same UPDATE changes before",
            "send two UPDATEs, or exchange the assignments",
        )
    if words == {"default"}:
        raise not_supported(
            f"'{assignment.column}' = DEFAULT in an UPDATE that moves rows or looks at other tables",
            "write the value",
        )
    opening, closing = assignment.carried_as
    return (f"{opening}(", *text.between(assignment.value, assignment.end), f"){closing}")


def _assignments(
    scopes: Scopes, tree: exp.Update, text: _Text
) -> tuple[tuple[TableReference, Assignment], ...]:
    """SET's assignments with the table each belongs to."""
    own = scopes.of(tree)
    spans = list(_spans(text))
    if len(spans) != len(tree.expressions):
        raise not_supported("this form of SET in UPDATE", "write column = value")
    found = []
    for (start, value, end), node in zip(spans, tree.expressions, strict=True):
        owner = own[0] if len(own) == 1 else (scopes.column(node.this) or (None,))[0]
        if owner is None:
            raise not_supported(
                f"an UPDATE of {node.this.sql()}, which no table is known to have", "qualify the column"
            )
        written = (one for one in text.lexemes if value <= one.start < end)
        special = node.expression.find(exp.Query) is not None or side_effects(tuple(written)) is not None
        is_default = node.expression.name.upper() == "DEFAULT" and isinstance(node.expression, exp.Column)
        computed = not is_default and (
            special
            or any(
                (scopes.column(column) or (None,))[0] is not owner
                for column in node.expression.find_all(exp.Column)
            )
        )
        target = owner.schema.column(node.this.name) if owner.schema else None
        source = scopes.column(node.expression) if isinstance(node.expression, exp.Column) else None
        carried = carried_as(None if source is None else source[1], target)
        found.append((owner, Assignment(node.this.name.lower(), start, value, end, computed, carried)))
    return tuple(found)


def _spans(text: _Text) -> Iterator[tuple[int, int, int]]:
    """Start, start of the value, and end of every assignment."""
    first, last = text.clauses["SET"].end, text.clause_end("SET")
    inside = [lexeme for lexeme in text.outer if first <= lexeme.start < last]
    start, value = first, 0
    for lexeme in inside:
        if lexeme.kind is not Kind.MARK:
            continue
        if lexeme.text in ("=", ":=") and not value:
            value = lexeme.end
        elif lexeme.text == ",":
            yield start, value, lexeme.start
            start, value = lexeme.end, 0
    yield start, value, last


def _key(reference: TableReference) -> Key:
    schema = _schema(reference)
    names = schema.primary_key or next(
        (
            columns
            for columns in schema.unique_keys
            if all((column := schema.column(name)) is not None and not column.nullable for name in columns)
        ),
        (),
    )
    columns = [schema.column(name) for name in names]
    if not names or any(column is None or column.family in _UNNAMEABLE for column in columns):
        raise not_supported(
            f"a write to '{schema.name}' whose rows a query must name first, while it has no primary key of exact values",
            "add a primary key, or name the rows in WHERE by the sharding columns",
        )
    rule = reference.table
    sharding = rule.sharding_columns if isinstance(rule, ShardedTable) else ()
    lowered = {name.lower() for name in names}
    return Key(tuple(names), tuple(name for name in sharding if name not in lowered))


def _schema(reference: TableReference) -> TableSchema:
    if reference.schema is None:
        raise not_supported(
            f"a write to '{reference.table.name}' whose rows a query must name first, while its columns are unknown",
            "name the rows in WHERE by the sharding columns",
        )
    return reference.schema


def _key_columns(key: Key, reference: TableReference) -> tuple[Segment, ...]:
    return (", ".join(_qualified(reference, name) for name in (*key.columns, *key.sharding)),)


def _qualified(reference: TableReference, column: str) -> str:
    return f"{_alias(reference)}.{quote_name(column, quoted=True)}"


def _alias(reference: TableReference) -> str:
    return quote_name(reference.alias, quoted=True)
