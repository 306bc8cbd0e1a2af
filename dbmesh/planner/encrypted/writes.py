"""INSERT, REPLACE, UPDATE and DELETE over encrypted columns: a value is written to all columns that keep it.

Decides which values a write may give: literals, parameters, NULL and DEFAULT, and what ON DUPLICATE KEY UPDATE takes from the row itself.
A cipher that is different each time is left as it is where the value is: a row that keeps its values is not changed. Knows no routes.
"""

from __future__ import annotations

from collections.abc import Sequence

from sqlglot import exp

from dbmesh.errors import COLUMN_COUNT, UNKNOWN_COLUMN, MeshError, not_supported
from dbmesh.model import TableSchema
from dbmesh.planner.context import PlanContext
from dbmesh.planner.derived.insert_form import check_columns
from dbmesh.planner.encrypted.conditions import expected_value, value_slot
from dbmesh.planner.encrypted.lineage import WORDS
from dbmesh.planner.encrypted.recipe import Made, Part, Piece, Rewriting
from dbmesh.planner.encrypted.references import FoundColumn, References, unclear
from dbmesh.planner.insert_reading import CellPlace, InsertReading
from dbmesh.planner.lexemes import Kind, Lexeme
from dbmesh.planner.masked.references import quoted
from dbmesh.rules.encryption.rule import EncryptedColumn, EncryptedTable
from dbmesh.sql.parse import parse
from dbmesh.sql.shape import Slot, SlotKind

_NAMES = (Kind.WORD, Kind.QUOTED)
_TAKEN = frozenset((SlotKind.HEX, SlotKind.BIT, SlotKind.NUMBER_HEX))


def rewrite_update(
    context: PlanContext, tree: exp.Update, references: References, rewriting: Rewriting
) -> tuple[set[int], set[int]]:
    """Edits of the assignments to encrypted columns; the ids of these columns' nodes, and the places of their names. Raises
    MeshError(NOT_SUPPORTED)."""
    handled, known = set[int](), set[int]()
    targets = {
        id(one.this): one
        for one in tree.expressions
        if isinstance(one, exp.EQ) and isinstance(one.this, exp.Column)
    }
    several = len(references.tables) != 1 or tree.this.args.get("joins") or tree.args.get("from_")
    schema = None if several else references.tables[0][0].schema
    for one in targets.values():
        if schema is not None and schema.column(one.this.name) is None:
            raise MeshError(UNKNOWN_COLUMN, column=one.this.name, clause="SET")
    for one in targets.values():
        _assign_plain(context, one, references, rewriting, several=bool(several))
    for found in references.columns:
        assignment = targets.get(id(found.node))
        if assignment is None:
            continue
        if several:
            raise unclear("UPDATE of several tables")
        check_unique(None if found.reference is None else found.reference.schema, found.column)
        _assign(context, found, assignment, rewriting)
        handled.add(id(found.node))
    return handled, known


def _assign(context: PlanContext, found: FoundColumn, assignment: exp.EQ, rewriting: Rewriting) -> None:
    text = context.statement.text
    column = found.column
    first = found.node.args.get("db") or found.node.args.get("table")
    start = int(first.meta["start"]) if first is not None else found.span[0]
    qualifier = text[start : found.span[0]]
    slot: Slot | None
    if isinstance(assignment.expression, exp.Null):
        end, slot = _end_of_null(text, found.span[1]), None
    else:
        slot = value_slot(context, assignment.expression, column)
        end = slot.end
    rewriting.replace(start, end, *assignments(context, column, qualifier, slot))


def _assign_plain(
    context: PlanContext, assignment: exp.EQ, references: References, rewriting: Rewriting, *, several: bool
) -> None:
    """While the plain column is there, the others are written beside it."""
    for _, table in references.tables:
        column = table.by_name.get(assignment.this.name.lower())
        if column is None or not column.plain:
            continue
        if several:
            raise unclear("UPDATE of several tables")
        text = context.statement.text
        if isinstance(assignment.expression, exp.Null):
            end, slot = _end_of_null(text, int(assignment.this.this.meta["end"]) + 1), None
        else:
            slot = value_slot(context, assignment.expression, column)
            end = slot.end
        rewriting.insert(end, ", ", *assignments(context, column, "", slot))


def _end_of_null(text: str, start: int) -> int:
    at = text.upper().index("NULL", start)
    return at + len("NULL")


def assignments(
    context: PlanContext, column: EncryptedColumn, qualifier: str, slot: Slot | None
) -> list[Piece]:
    """`cipher = …, assisted = …`: the value of a slot, or NULL, for all columns that keep it."""
    pieces: list[Piece] = []
    for part, name in parts(column):
        own = qualifier + quoted(context, name)
        value: Piece = "NULL" if slot is None else Made(slot, column, part)
        if pieces:
            pieces.append(", ")
        if (
            part is Part.CIPHER
            and slot is not None
            and column.assisted
            and column.cipher.encryptor.nonce_size
        ):
            digest = qualifier + quoted(context, column.assisted.name)
            pieces += (
                f"{own} = IF({digest} <=> ",
                Made(slot, column, Part.EQUALITY),
                f", {own}, ",
                value,
                ")",
            )
        else:
            pieces += (f"{own} = ", value)
    return pieces


def check_unique(schema: TableSchema | None, column: EncryptedColumn) -> None:
    """A unique key sees two forms of a value as two values. Raises MeshError(NOT_SUPPORTED)."""
    stored = column.equality
    if schema is None or stored is None or column.plain or len(stored.encryptor.forms("0")) == 1:
        return
    keys = (schema.primary_key, *schema.unique_keys)
    if any(column.name.lower() in (name.lower() for name in key) for key in keys):
        raise not_supported(
            f"writing '{column.name}', which is in a unique key, while what is compared has several keys",
            "run dbmesh encrypt rotate and remove the old ones; keep one key for an assistedQuery of unique columns",
        )


def parts(column: EncryptedColumn) -> list[tuple[Part, str]]:
    """The columns that keep a value, the cipher first: what is left as it is asks for the digest before that is written."""
    found = [(Part.CIPHER, column.cipher.name)]
    if column.assisted is not None:
        found.append((Part.EQUALITY, column.assisted.name))
    if column.like is not None:
        found.append((Part.LIKE, column.like.name))
    return found


class InsertRewriter:
    """An INSERT or REPLACE with its rows written."""

    def __init__(
        self,
        context: PlanContext,
        reading: InsertReading,
        lexemes: Sequence[Lexeme],
        table: EncryptedTable,
        schema: TableSchema,
        rewriting: Rewriting,
    ) -> None:
        self._context = context
        self._reading = reading
        self._lexemes = lexemes
        self._table = table
        self._schema = schema
        self._rewriting = rewriting
        self.known: set[int] = set()

    def rewrite(self) -> None:
        """Raises MeshError: NOT_SUPPORTED, COLUMN_COUNT, UNKNOWN_COLUMN, COLUMN_TWICE."""
        reading = self._reading
        if not reading.rows:
            raise not_supported(
                "INSERT … SELECT into a table with encrypted columns",
                "read the rows, and insert their values",
            )
        if reading.delayed:
            raise unclear("INSERT DELAYED")
        columns = reading.columns
        if columns is None:
            columns = tuple(column.name for column in self._schema.visible_columns)
            self._list_columns(columns)
        else:
            # A value for a column that is not there would reach a data source as it is, for its error alone.
            check_columns(self._schema, columns)
            if not reading.set_form:
                self._rename_columns()
        encrypted = {
            place: self._table.by_name[name.lower()]
            for place, name in enumerate(columns)
            if name.lower() in self._table.by_name
        }
        self._check_defaults({column.name for column in encrypted.values()})
        for column in encrypted.values():
            check_unique(self._schema, column)
        for number, row in enumerate(reading.rows, 1):
            if not row.cells and reading.columns is None:
                raise not_supported(
                    "a row without values in a table with encrypted columns", "list the columns"
                )
            if len(row.cells) != len(columns):
                raise MeshError(COLUMN_COUNT, row=number)
            for cell in row.cells:
                self._check_names(cell.lexemes, "VALUES")
            for place, column in encrypted.items():
                self._cell(row.cells[place], column)
        self._tail()

    def _check_defaults(self, given: set[str]) -> None:
        """A default of the actual table's would be no cipher."""
        for column in self._table.columns:
            schema = self._schema.column(column.name)
            if column.name not in given and schema is not None and not schema.nullable:
                raise not_supported(
                    f"a row without a value for '{column.name}', which is NOT NULL and encrypted",
                    "give it one",
                )

    # ------------------------------------------------------------------ columns and rows

    def _list_columns(self, columns: Sequence[str]) -> None:
        names = ", ".join(
            ", ".join(self._names(self._table.by_name.get(name.lower()), name)) for name in columns
        )
        self._rewriting.insert(self._reading.columns_end, f" ({names})")

    def _names(self, column: EncryptedColumn | None, name: str) -> list[str]:
        own = [quoted(self._context, name)]
        if column is None:
            return own
        stored = [quoted(self._context, each) for _, each in parts(column)]
        return own + stored if column.plain else stored

    def _rename_columns(self) -> None:
        """The names in the list of columns; the last of several with dots is the column's."""
        reading = self._reading
        for at, lexeme in enumerate(self._lexemes):
            if not reading.table.end <= lexeme.start < reading.columns_end or lexeme.kind not in _NAMES:
                continue
            after = self._lexemes[at + 1] if at + 1 < len(self._lexemes) else None
            column = self._table.by_name.get(lexeme.value.lower())
            if column is None or after is None or after.text not in (",", ")"):
                continue
            self.known.add(lexeme.start)
            own = lexeme.text
            if column.plain:
                stored = [quoted(self._context, each) for _, each in parts(column)]
                self._rewriting.insert(lexeme.end, "".join(f", {each}" for each in stored))
            else:
                names = self._names(column, own)
                self._rewriting.replace(lexeme.start, lexeme.end, ", ".join(names))

    def _cell(self, cell: CellPlace, column: EncryptedColumn) -> None:
        values: list[Piece]
        if cell.word in ("NULL", "DEFAULT") and self._slot(cell) is None:
            values = [cell.word for _ in parts(column)]
        else:
            slot = self._slot(cell)
            if slot is None or slot.kind in _TAKEN:
                raise expected_value(column.name)
            values = [Made(slot, column, part) for part, _ in parts(column)]
        if self._reading.set_form:
            self._set_form(cell, column, values)
            return
        if column.plain:
            for value in values:
                self._rewriting.insert(cell.end, ", ", value)
            return
        pieces: list[Piece] = [values[0]]
        for value in values[1:]:
            pieces += (", ", value)
        self._rewriting.replace(cell.start, cell.end, *pieces)

    def _set_form(self, cell: CellPlace, column: EncryptedColumn, values: Sequence[Piece]) -> None:
        """`SET name = value`."""
        at = next(place for place, one in enumerate(self._lexemes) if one.start == cell.start)
        target = self._lexemes[at - 2]
        self.known.add(target.start)
        pieces: list[Piece] = []
        for (_, name), value in zip(parts(column), values, strict=True):
            pieces += (", " if pieces else "", f"{quoted(self._context, name)} = ", value)
        if column.plain:
            self._rewriting.insert(cell.end, ", ", *pieces)
        else:
            if self._lexemes[at - 3].text == ".":
                raise not_supported(
                    "a qualified name of an encrypted column in INSERT … SET", "write the column's name alone"
                )
            self._rewriting.replace(target.start, cell.end, *pieces)

    def _slot(self, cell: CellPlace) -> Slot | None:
        """The slot of a cell that is one value by itself."""
        if len(cell.lexemes) != 1:
            negative = len(cell.lexemes) == 2 and cell.lexemes[0].text == "-"
            if not negative:
                return None
        for slot in self._context.statement.shape.slots:
            if slot.start == cell.start and slot.end == cell.end:
                return slot
        return None

    # ------------------------------------------------------------------ what follows the rows

    def _tail(self) -> None:
        reading = self._reading
        tail = [one for one in self._lexemes if one.start >= reading.tail]
        words = [one.word for one in tail]
        if words[:1] == ["AS"] and any(name in self._table.by_name for name, _ in _lowered(reading)):
            raise not_supported("a row alias beside encrypted columns", "write VALUES(column)")
        if reading.returning and any(one.text == "*" for one in tail):
            raise unclear("RETURNING *")
        for name, value in reading.updates:
            if self._schema.column(name) is None:
                raise MeshError(UNKNOWN_COLUMN, column=name, clause="UPDATE")
            self._check_names(value, "UPDATE")
            column = self._table.by_name.get(name.lower())
            if column is not None:
                self._update(column, value)

    def _check_names(self, value: Sequence[Lexeme], clause: str) -> None:
        """Raises MeshError(UNKNOWN_COLUMN) for a name in an expression that is no column: what it is compared with is sent nowhere."""
        if len(value) < 2:
            return
        try:
            tree = parse(f"SELECT {self._context.statement.readable[value[0].start : value[-1].end]}")
        except MeshError:
            # The server says what is wrong with it.
            return
        for node in tree.find_all(exp.Column):
            # Qualified by another name it is of a row alias, or nothing.
            other = node.table and node.table.lower() != self._table.name.lower()
            known = other or node.name.lower() in WORDS or self._schema.column(node.name) is not None
            if not known and isinstance(node.this, exp.Identifier):
                raise MeshError(UNKNOWN_COLUMN, column=node.name, clause=clause)

    def _update(self, column: EncryptedColumn, value: Sequence[Lexeme]) -> None:
        """An assignment of ON DUPLICATE KEY UPDATE."""
        at = next(place for place, one in enumerate(self._lexemes) if one.start == value[0].start)
        target = self._lexemes[at - 2]
        start = target.start
        if self._lexemes[at - 3].text == ".":
            raise not_supported(
                "a qualified name of an encrypted column in ON DUPLICATE KEY UPDATE",
                "write the column's name alone",
            )
        self.known.add(target.start)
        end = value[-1].end
        pieces: list[Piece]
        if [one.word for one in value] == ["NULL"]:
            pieces = assignments(self._context, column, "", None)
        elif len(value) == 1:
            slot = self._slot(CellPlace(value[0].start, end, tuple(value)))
            if slot is None or slot.kind in _TAKEN:
                raise expected_value(column.name)
            pieces = assignments(self._context, column, "", slot)
        elif _is_values_of(value, column):
            self.known.add(value[2].start)
            pieces = self._from_row(column)
        else:
            raise expected_value(column.name)
        if column.plain:
            self._rewriting.insert(end, ", ", *pieces)
        else:
            self._rewriting.replace(start, end, *pieces)

    def _from_row(self, column: EncryptedColumn) -> list[Piece]:
        """`column = VALUES(column)`."""
        out: list[str] = []
        for part, name in parts(column):
            own = quoted(self._context, name)
            given = f"VALUES({own})"
            if part is Part.CIPHER and column.assisted and column.cipher.encryptor.nonce_size:
                digest = quoted(self._context, column.assisted.name)
                given = f"IF({digest} <=> VALUES({digest}), {own}, {given})"
            out.append(f"{own} = {given}")
        return [", ".join(out)]


def _is_values_of(value: Sequence[Lexeme], column: EncryptedColumn) -> bool:
    """Whether a value is VALUES(column), or MariaDB's VALUE(column)."""
    if len(value) != 4 or value[0].word not in ("VALUES", "VALUE"):
        return False
    return value[1].text == "(" and value[2].value.lower() == column.name.lower() and value[3].text == ")"


def _lowered(reading: InsertReading) -> list[tuple[str, object]]:
    return [(name.lower(), value) for name, value in reading.updates]
