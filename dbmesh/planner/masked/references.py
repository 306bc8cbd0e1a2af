"""The places of a statement that name tables with masked columns.

Decides which they are, and what is said where that cannot be told. Knows no rewriting.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from sqlglot import exp

from dbmesh.errors import MeshError, not_supported
from dbmesh.model import TableSchema
from dbmesh.planner.context import PlanContext
from dbmesh.planner.elsewhere import database_of
from dbmesh.planner.masked.masks import ReaderMasks
from dbmesh.planner.subselects import is_common_table
from dbmesh.rules.masks.rule import MaskAlgorithm

INSTEAD = "ask for the right to read the columns as they are"


REAL_PREFIX = "dbmesh_real_"
"""What the names of real values begin with; no statement of a client may write it."""


@dataclass(frozen=True, slots=True)
class MaskedReference:
    """One place of a statement that names a table with masked columns. `masks` are these, in lower case; `real_predicates`: the
    conditions of its SELECT compare real values."""

    node: exp.Table
    key: str
    schema: TableSchema
    masks: Mapping[str, MaskAlgorithm]
    real_predicates: bool = False

    @property
    def alias(self) -> str:
        """What its columns are qualified with, in lower case."""
        return str(self.node.alias or self.node.name).lower()

    def hides(self, name: str) -> bool:
        """Whether a column's name may mean a masked one. Servers know more ways to write a letter than lower case."""
        return name.lower() in self.masks or not (name.isascii() or self.schema.column(name))

    def real_name(self, column: str) -> str:
        """What the derived table in this place calls the real values of a column."""
        return f"{REAL_PREFIX}{self.name_start}_{column}"

    @property
    def name_start(self) -> int:
        """Where the table's own name begins."""
        return int(self.node.this.meta["start"])

    @property
    def span(self) -> tuple[int, int]:
        """The name with its database, half-open."""
        first = self.node.args.get("db") or self.node.this
        return int(first.meta["start"]), int(self.node.this.meta["end"]) + 1


def masked_references(context: PlanContext, masks: ReaderMasks, tree: exp.Expr) -> list[MaskedReference]:
    """The places of a tree that name masked tables, in no order. Raises MeshError: NOT_SUPPORTED for a table whose columns are not known,
    InAnotherDatabase."""
    found: list[MaskedReference] = []
    for node in tree.find_all(exp.Table):
        if not isinstance(node.this, exp.Identifier) or is_common_table(node):
            continue
        if isinstance(node.parent, exp.Lock) or (
            isinstance(node.parent, exp.Delete) and node.arg_key == "tables"
        ):
            continue
        key = context.rule_set.key(database_of(context, node.db or None, node.name), node.name)
        columns = masks.tables.get(key)
        if columns is None:
            continue
        schema = context.catalog.table(key)
        if schema is None or not schema.columns or node.args.get("catalog") is not None:
            raise unknown_columns(node.name)
        found.append(MaskedReference(node, key, schema, columns, key in masks.real_predicates))
    return found


def unknown_columns(table: str) -> MeshError:
    """The refusal of a table that has masks and whose columns nobody knows."""
    return not_supported(f"masked columns of '{table}', whose columns are not known", INSTEAD)


def unclear(table: str) -> MeshError:
    """The refusal of a statement that names a masked table in a place nobody can follow."""
    return not_supported(f"masked columns of '{table}' in a statement of this form", INSTEAD)


def quoted(context: PlanContext, name: str) -> str:
    """A name in the quotes that the session reads as such."""
    mark = '"' if context.flags.ansi_quotes else "`"
    return mark + name.replace(mark, mark * 2) + mark
