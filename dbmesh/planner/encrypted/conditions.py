"""Encrypted columns in conditions, joins, counts and groups: each becomes the column whose values servers may compare.

Decides which uses are the same over those: =, <>, <=>, IN and IS NULL with values, equality of two columns that are made alike,
COUNT, COUNT(DISTINCT) and GROUP BY. Everything else would compute with ciphers and is refused. Equality is that of bytes.
"""

from __future__ import annotations

from sqlglot import exp

from dbmesh.errors import MeshError, not_supported
from dbmesh.planner.context import PlanContext
from dbmesh.planner.encrypted.recipe import Made, Part, Rewriting
from dbmesh.planner.encrypted.references import FoundColumn, References, unclear
from dbmesh.rules.encryption.rule import EncryptedColumn, StoredColumn
from dbmesh.sql.shape import Slot, SlotKind

_COMPARISONS = (exp.EQ, exp.NEQ, exp.NullSafeEQ)
_TAKEN = frozenset((SlotKind.HEX, SlotKind.BIT, SlotKind.NUMBER_HEX))


class Conditions:
    """Rewrites uses of encrypted columns that are no items of a SELECT and no targets of a write."""

    def __init__(self, context: PlanContext, references: References, rewriting: Rewriting) -> None:
        self._context = context
        self._references = references
        self._rewriting = rewriting
        self._by_node = {id(found.node): found for found in references.columns}

    def rewrite(self, found: FoundColumn) -> None:
        """Raises MeshError(NOT_SUPPORTED)."""
        node = found.node
        parent = node.parent
        if any(isinstance(around, exp.Having | exp.Order | exp.Window) for around in _around(node)):
            raise unclear("HAVING, ORDER BY and window functions")
        if parent is not None and not is_known(parent):
            raise unclear(f"this form of {type(parent).__name__.upper()}")
        if isinstance(parent, _COMPARISONS):
            self._compare(found, parent, parent.expression if node is parent.this else parent.this)
        elif isinstance(parent, exp.In) and parent.this is node:
            self._among(found, parent)
        elif (
            isinstance(parent, exp.Is) and isinstance(parent.expression, exp.Null) and parent.this is node
        ) or (isinstance(parent, exp.Count) and parent.this is node):
            self._name(found, found.column.cipher)
        elif isinstance(parent, exp.Distinct) and isinstance(parent.parent, exp.Count):
            self._name(found, alike(found.column, "COUNT(DISTINCT)"))
        elif isinstance(parent, exp.Group):
            self._name(found, alike(found.column, "GROUP BY"))
        else:
            raise unclear(f"the use of '{found.name}' in {type(parent).__name__.upper()}")

    def _name(self, found: FoundColumn, stored: StoredColumn) -> None:
        self._rewriting.replace(*found.span, found.stored_as(self._context, stored))

    def _compare(self, found: FoundColumn, comparison: exp.Expr, other: exp.Expr) -> None:
        column = found.column
        another = self._by_node.get(id(other))
        if another is not None:
            self._name(found, self._alike(found, another.column))
            return
        if isinstance(other, exp.Subquery):
            self._with_query(found, other)
            return
        stored = _equality(column)
        if isinstance(other, exp.Null):
            self._name(found, stored)
            return
        slot = value_slot(self._context, other, column)
        if not _several(stored):
            self._name(found, stored)
            self._rewriting.replace(slot.start, slot.end, Made(slot, column, Part.EQUALITY))
            return
        if isinstance(comparison, exp.NullSafeEQ) or other is not comparison.expression:
            raise not_supported(
                f"this comparison with '{found.name}' while there are several keys",
                "write column = value, or rotate to one key",
            )
        self._name(found, stored)
        self._rewriting.replace(
            found.span[1],
            slot.end,
            " NOT IN (" if isinstance(comparison, exp.NEQ) else " IN (",
            Made(slot, column, Part.EQUALITY, forms=True),
            ")",
        )

    def _with_query(self, found: FoundColumn, query: exp.Expr) -> None:
        """A comparison with the one column of a query, which returns what is compared."""
        outputs = self._references.lineage.outputs(query)
        another = outputs[0].column if outputs and len(outputs) == 1 else None
        if another is None:
            raise expected_value(found.column.name)
        self._name(found, self._alike(found, another))
        self._references.lineage.compare(query)

    def _alike(self, found: FoundColumn, another: EncryptedColumn) -> StoredColumn:
        """What is compared of a column with another one."""
        own = alike(found.column, "a join")
        if class_of(found.column) != class_of(another):
            raise not_supported(
                f"a comparison of the encrypted columns '{found.name}' and '{another.name}', which are encrypted otherwise",
                "give both the same encryptor for equality and the same type",
            )
        return own

    def _among(self, found: FoundColumn, among: exp.In) -> None:
        column = found.column
        stored = _equality(column)
        query = among.args.get("query")
        if query is not None:
            self._with_query(found, query)
            return
        if not among.expressions:
            raise unclear("IN without values")
        several = _several(stored)
        for value in among.expressions:
            if isinstance(value, exp.Null):
                continue
            slot = value_slot(self._context, value, column)
            if several and not slot.members:
                raise not_supported(
                    f"a list of other things than literals for '{found.name}' while there are several keys",
                    "write literals, or rotate to one key",
                )
            self._rewriting.replace(slot.start, slot.end, Made(slot, column, Part.EQUALITY, forms=True))
        self._name(found, stored)


def alike(column: EncryptedColumn, where: str) -> StoredColumn:
    """The column that has one value for each value. Raises MeshError(NOT_SUPPORTED)."""
    stored = _equality(column)
    if _several(stored):
        raise not_supported(
            f"{where} with '{column.name}' while there are several keys",
            "run dbmesh encrypt rotate and remove the old ones",
        )
    return stored


def _several(stored: StoredColumn) -> bool:
    """Whether a value may be stored in several forms."""
    return len(stored.encryptor.forms("0")) > 1


def _equality(column: EncryptedColumn) -> StoredColumn:
    stored = column.equality
    if stored is None:
        raise not_supported(
            f"a comparison of '{column.name}', whose cipher is different each time",
            "give the column an assistedQuery",
        )
    return stored


def class_of(column: EncryptedColumn) -> tuple[object, ...]:
    """Columns of one class have equal digests where the values are equal. Raises MeshError(NOT_SUPPORTED)."""
    stored = _equality(column)
    # By its keys too: another logic database may have an encryptor of this name.
    return stored.encryptor, column.type.equality_class


_KNOWN = frozenset(("this", "expression", "expressions", "query", "field", "big_int"))
"""Parts of nodes whose meaning is known here; others, such as a negation, might change it."""


def is_known(node: exp.Expr) -> bool:
    """Whether nothing of a node would be passed over."""
    return isinstance(node, exp.Select | exp.Update | exp.Delete | exp.Group) or all(
        name in _KNOWN for name, value in node.args.items() if value
    )


def value_slot(context: PlanContext, node: exp.Expr, column: EncryptedColumn) -> Slot:
    """The slot of a value that stands alone. Raises MeshError(NOT_SUPPORTED)."""
    slot = context.statement.slot(node)
    if slot is None or slot.kind in _TAKEN:
        raise expected_value(column.name)
    return slot


def expected_value(name: str) -> MeshError:
    """The refusal of anything but a value for an encrypted column."""
    return not_supported(
        f"anything but a literal, a parameter or NULL beside the encrypted column '{name}'",
        "write the value itself",
    )


def _around(node: exp.Expr) -> list[exp.Expr]:
    """The nodes around a node, up to its SELECT."""
    found: list[exp.Expr] = []
    parent = node.parent
    while parent is not None and not isinstance(parent, exp.Select | exp.Update | exp.Delete | exp.Insert):
        found.append(parent)
        parent = parent.parent
    return found
