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
from dbmesh.planner.lexemes import Kind, Lexeme
from dbmesh.planner.resolve import Scopes, TableReference
from dbmesh.rules.encryption.rule import EncryptedColumn, EncryptedTable
from dbmesh.wire.constants import ColumnFlag

PLAINLY = "select the column as it is and compute with the value, or leave the column unencrypted"


@dataclass(frozen=True, slots=True)
class FoundColumn:
    """A column of a statement that is an encrypted one."""

    node: exp.Column
    reference: TableReference
    column: EncryptedColumn

    @property
    def span(self) -> tuple[int, int]:
        """Its own name, without qualifiers."""
        return int(self.node.this.meta["start"]), int(self.node.this.meta["end"]) + 1

    @property
    def name(self) -> str:
        """Its name as written, without quotes."""
        return str(self.node.name)


class References:
    """The encrypted tables of a statement and its columns of theirs."""

    def __init__(self, context: PlanContext, scopes: Scopes, tree: exp.Expr) -> None:
        self._scopes = scopes
        encrypted = context.rule_set.encrypted
        self.tables: list[tuple[TableReference, EncryptedTable]] = [
            (reference, encrypted[reference.key])
            for reference in scopes.references
            if reference.key in encrypted and not is_temporary(context, reference)
        ]
        self._by_index = {reference.index: table for reference, table in self.tables}
        self.names = {
            column.name.lower() for _, table in self.tables for column in table.columns if not column.plain
        }
        self.hidden = frozenset[str]().union(*(table.hidden for _, table in self.tables))
        self.columns: list[FoundColumn] = []
        self.known: set[int] = set()
        for node in tree.find_all(exp.Column):
            self._read(node)

    def table(self, reference: TableReference) -> EncryptedTable | None:
        """The encrypted columns of a reference's table."""
        return self._by_index.get(reference.index)

    def _read(self, node: exp.Column) -> None:
        if isinstance(node.this, exp.Star) or "start" not in node.this.meta:
            return
        found = self._scopes.column(node)
        if found is None:
            return
        self.known.add(int(node.this.meta["start"]))
        table = self._by_index.get(found[0].index)
        column = None if table is None else table.by_name.get(node.name.lower())
        if column is not None and not column.plain:
            self.columns.append(FoundColumn(node, found[0], column))

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


def key_flags(schema: TableSchema | None, name: str) -> int:
    """The flags that the keys of a table give to a column's definition."""
    if schema is None:
        return 0
    lowered = name.lower()
    flags = 0
    keys = [(schema.primary_key, True), *((key, True) for key in schema.unique_keys)]
    for key, unique in [*keys, *((key, False) for key in schema.indexes)]:
        columns = [column.lower() for column in key]
        if lowered not in columns:
            continue
        flags |= ColumnFlag.PART_KEY
        if key == schema.primary_key:
            flags |= ColumnFlag.PRIMARY_KEY
        elif columns[0] == lowered:
            flags |= ColumnFlag.UNIQUE_KEY if unique and len(columns) == 1 else ColumnFlag.MULTIPLE_KEY
    return flags


def unclear(what: str) -> MeshError:
    """The refusal of an encrypted column where servers would compute with its cipher."""
    return not_supported(f"{what} over encrypted columns", PLAINLY)
