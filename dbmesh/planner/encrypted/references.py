"""What a statement says of encrypted columns: where it names their tables, and whose each column is.

Decides that a name which may mean an encrypted column and is followed nowhere refuses the statement. Knows no rewriting.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sqlglot import exp

from dbmesh.errors import MeshError, not_supported
from dbmesh.model import TableSchema
from dbmesh.planner.context import PlanContext
from dbmesh.planner.encrypted.from_clause import Field
from dbmesh.planner.encrypted.lineage import Lineage, Output
from dbmesh.planner.lexemes import Kind, Lexeme
from dbmesh.planner.masked.references import quoted
from dbmesh.planner.resolve import Scopes, TableReference
from dbmesh.rules.encryption.rule import EncryptedColumn, EncryptedTable, StoredColumn

PLAINLY = "select the column as it is and compute with the value, or leave the column unencrypted"


@dataclass(frozen=True, slots=True)
class FoundColumn:
    """A column of a statement that is an encrypted one, under the names of where it is read from. `alone`: nothing else is read, so that its
    names need no qualifier."""

    node: exp.Column
    field: Field
    alone: bool = False

    @property
    def column(self) -> EncryptedColumn:
        """The column under the names of its source."""
        assert self.field.column is not None
        return self.field.column

    @property
    def reference(self) -> TableReference | None:
        """The table it is of, None for that of a derived table."""
        return self.field.reference

    @property
    def span(self) -> tuple[int, int]:
        """Its own name, without qualifiers."""
        return int(self.node.this.meta["start"]), int(self.node.this.meta["end"]) + 1

    @property
    def name(self) -> str:
        """Its name as written, without quotes."""
        return str(self.node.name)

    def stored_as(self, context: PlanContext, stored: StoredColumn) -> str:
        """What to write for one of the columns that keep it."""
        if stored is self.column.assisted and isinstance(self.field.output, Output):
            self.field.output.compare()
        own = quoted(context, stored.name)
        return own if self.node.table or self.alone else f"{quoted(context, self.field.alias)}.{own}"


class References:
    """The encrypted tables of a statement, its columns of theirs, and all names that have been followed to a column."""

    def __init__(self, context: PlanContext, scopes: Scopes, tree: exp.Expr) -> None:
        encrypted = context.rule_set.encrypted
        self.tables: list[tuple[TableReference, EncryptedTable]] = [
            (reference, encrypted[reference.key])
            for reference in scopes.references
            if reference.key in encrypted and not is_temporary(context, reference)
        ]
        self.lineage = Lineage(context, scopes, {reference.index: table for reference, table in self.tables})
        self.names = {
            column.name.lower() for _, table in self.tables for column in table.columns if not column.plain
        }
        self.hidden = frozenset[str]().union(*(table.hidden for _, table in self.tables))
        self.columns: list[FoundColumn] = []
        self.resolved: list[tuple[exp.Column, Field]] = []
        self.known: set[int] = set()
        if not self.tables:
            return
        alone = len(list(tree.find_all(exp.Table))) == 1
        for node in tree.find_all(exp.Column):
            found = self.lineage.column(node)
            if found is None:
                continue
            self.known.add(int(node.this.meta["start"]))
            self.resolved.append((node, found))
            if found.column is not None:
                self.columns.append(FoundColumn(node, found, alone))
        for scope in tree.find_all(exp.Select, exp.Update, exp.Delete):
            for source in self.lineage.from_clause(scope).sources:
                self.names |= {one.name.lower() for one in source.fields or () if one.column is not None}

    def check_names(self, lexemes: Sequence[Lexeme], known: set[int]) -> None:
        """Raises MeshError(NOT_SUPPORTED) for a name that may be of an encrypted column, or of what it is kept in, and stands in a
        place that nobody has followed."""
        places = self.known | known
        for lexeme in lexemes:
            if lexeme.kind not in (Kind.WORD, Kind.QUOTED) or lexeme.start in places:
                continue
            name = lexeme.value.lower()
            if name in self.hidden:
                raise not_supported(
                    f"the name '{lexeme.value}' of a column that keeps encrypted values",
                    "name the logic column",
                )
            if name in self.names:
                raise not_supported(f"the encrypted column '{lexeme.value}' in this place", PLAINLY)


def is_temporary(context: PlanContext, reference: TableReference) -> bool:
    """Whether the session has a temporary table of the name."""
    return reference.schema is not None and reference.schema.temporary


def names_of(table: EncryptedTable, schema: TableSchema) -> Mapping[str, EncryptedColumn]:
    """Columns of an INSERT without a list, in order: logic name in lower case → the encrypted column."""
    return {
        column.name.lower(): table.by_name[column.name.lower()]
        for column in schema.columns
        if column.name.lower() in table.by_name
    }


def unclear(what: str) -> MeshError:
    """The refusal of an encrypted column where servers would compute with its cipher."""
    return not_supported(f"{what} over encrypted columns", PLAINLY)
