"""MySQL's declarations of tables, columns and keys, read from CREATE TABLE and ALTER TABLE.

Decides which declarations a translated data source takes. Storage options without meaning there (ENGINE, …) are
accepted; what would change answers and is not offered is refused. Writes no statement.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from sqlglot import exp

from dbmesh.backend.transpile import types
from dbmesh.backend.transpile.coerce import Coercion
from dbmesh.backend.transpile.collations import BINARY, GENERAL_CI, TEXT_COLLATIONS
from dbmesh.backend.transpile.inference import number_of
from dbmesh.backend.transpile.refusals import ANYWHERE
from dbmesh.backend.transpile.schema import Column, ForeignKey, Index, Table
from dbmesh.backend.transpile.types import Kind
from dbmesh.errors import ShardError

_CHARSETS = frozenset({"utf8mb4", "utf8", "utf8mb3"})


@dataclass(slots=True)
class Draft:
    """A table while its declaration is read."""

    columns: list[Column] = field(default_factory=list)
    indexes: list[Index] = field(default_factory=list)
    foreign_keys: list[ForeignKey] = field(default_factory=list)


def read_create(node: exp.Create) -> Table:
    """The table a CREATE TABLE declares. Raises MeshError (not supported) or ShardError."""
    schema = node.this
    if not isinstance(schema, exp.Schema) or node.args.get("expression") is not None:
        raise ANYWHERE.refusal("CREATE TABLE … LIKE or AS SELECT", "declare the columns")
    collation, comment = _options(node)
    name, draft = schema.this.name, Draft()
    for part in schema.expressions:
        if isinstance(part, exp.ColumnDef):
            read_column(part, draft, collation)
        else:
            read_key(part, draft)
    return checked(
        Table(name, tuple(draft.columns), tuple(draft.indexes), tuple(draft.foreign_keys), comment)
    )


def _options(node: exp.Create) -> tuple[str, str]:
    collation, comment = GENERAL_CI, ""
    properties = node.args.get("properties")
    for option in properties.expressions if properties is not None else ():
        if isinstance(option, exp.CollateProperty):
            collation = _collation(option.this.name)
        elif isinstance(option, exp.CharacterSetProperty):
            _check_charset(option.this.name)
        elif isinstance(option, exp.SchemaCommentProperty):
            comment = option.this.name
        elif not isinstance(option, exp.EngineProperty | exp.AutoIncrementProperty | exp.RowFormatProperty):
            raise ANYWHERE.refused(option)
    return collation, comment


def _collation(name: str) -> str:
    lowered = name.lower()
    if lowered not in TEXT_COLLATIONS:
        raise ANYWHERE.refusal(f"the collation {name}", f"use {GENERAL_CI} or {BINARY}")
    return lowered


def _check_charset(name: str) -> None:
    if name.lower() not in _CHARSETS:
        raise ANYWHERE.refusal(f"the character set {name}", "use utf8mb4")


def read_column(node: exp.ColumnDef, draft: Draft, collation: str) -> None:
    """One column definition, with the keys it declares."""
    shown, kind = types.declared(_declared_text(node))
    column = Column(node.name, shown, collation)
    for constraint in node.args.get("constraints") or ():
        column = _constrained(column, constraint.args["kind"], draft, kind)
    draft.columns.append(column)


def _declared_text(node: exp.ColumnDef) -> str:
    kind = node.args.get("kind")
    if kind is None:
        raise ANYWHERE.refused(node)
    text = kind.sql("mysql").lower()
    name = kind.this.name if isinstance(kind.this, exp.DType) else ""
    if name.startswith("U") and name in (
        "UBIGINT",
        "UINT",
        "USMALLINT",
        "UTINYINT",
        "UMEDIUMINT",
        "UDECIMAL",
    ):
        return text if "unsigned" in text else f"{text} unsigned"
    return "tinyint(1)" if name == "BOOLEAN" else text


def _constrained(column: Column, kind: exp.Expression, draft: Draft, declared: types.SqlType) -> Column:
    if isinstance(kind, exp.NotNullColumnConstraint):
        return replace(column, nullable=bool(kind.args.get("allow_null")))
    if isinstance(kind, exp.AutoIncrementColumnConstraint):
        return replace(column, auto_increment=True, nullable=False)
    if isinstance(kind, exp.PrimaryKeyColumnConstraint):
        draft.indexes.append(Index("PRIMARY", True, (column.name,)))
        return column
    if isinstance(kind, exp.UniqueColumnConstraint):
        draft.indexes.append(Index(_free_name(draft, column.name), True, (column.name,)))
        return column
    if isinstance(kind, exp.CommentColumnConstraint):
        return replace(column, comment=kind.this.name)
    if isinstance(kind, exp.CollateColumnConstraint):
        return replace(column, collation=_collation(kind.this.name))
    if isinstance(kind, exp.CharacterSetColumnConstraint):
        _check_charset(kind.this.name)
        return column
    if isinstance(kind, exp.DefaultColumnConstraint):
        return _with_default(column, kind.this, declared)
    if isinstance(kind, exp.OnUpdateColumnConstraint) and _is_now(kind.this):
        return replace(column, on_update_now=True)
    raise ANYWHERE.refused(kind)


def _is_now(node: exp.Expression) -> bool:
    return isinstance(node, exp.CurrentTimestamp) or (
        isinstance(node, exp.Anonymous) and str(node.this).upper() == "NOW"
    )


def _with_default(column: Column, value: exp.Expression, declared: types.SqlType) -> Column:
    if _is_now(value):
        return replace(column, default_now=True)
    if isinstance(value, exp.Null):
        return column
    sign = ""
    if isinstance(value, exp.Neg):
        sign, value = "-", value.this
    if isinstance(value, exp.Boolean):
        value = exp.Literal.number(int(bool(value.this)))
    if not isinstance(value, exp.Literal):
        raise ANYWHERE.refused(value)
    known = value.name if value.is_string else number_of(sign + value.name)[0]
    stored = Coercion(column.name, declared).store(known)
    if isinstance(stored, bytes):
        raise ANYWHERE.refused(value)
    return replace(column, has_default=True, default=stored)


def read_key(node: exp.Expression, draft: Draft) -> None:
    """A key or constraint of CREATE TABLE or ALTER TABLE … ADD."""
    name = ""
    if isinstance(node, exp.Constraint):
        name = node.name
        if len(node.expressions) != 1:
            raise ANYWHERE.refused(node)
        node = node.expressions[0]
    if isinstance(node, exp.PrimaryKey):
        draft.indexes.append(Index("PRIMARY", True, key_columns(node.expressions)))
    elif isinstance(node, exp.UniqueColumnConstraint):
        schema = node.this
        columns = key_columns(schema.expressions)
        draft.indexes.append(Index(_free_name(draft, schema.name or name or columns[0]), True, columns))
    elif isinstance(node, exp.IndexColumnConstraint):
        if node.args.get("kind"):
            raise ANYWHERE.refused(node)
        columns = key_columns(node.expressions)
        draft.indexes.append(Index(_free_name(draft, node.name or columns[0]), False, columns))
    elif isinstance(node, exp.ForeignKey):
        draft.foreign_keys.append(_foreign_key(name, node))
    else:
        raise ANYWHERE.refused(node)


def key_columns(nodes: Sequence[exp.Expression]) -> tuple[str, ...]:
    """The columns of a key, in order. Raises MeshError for prefixes and expressions."""
    columns = []
    for node in nodes:
        inner = node.this if isinstance(node, exp.Ordered) else node
        if not isinstance(inner, exp.Identifier | exp.Column):
            raise ANYWHERE.refusal("a key on a column's prefix", "index the whole column")
        columns.append(inner.name)
    return tuple(columns)


def _free_name(draft: Draft, wanted: str) -> str:
    taken = {index.name.lower() for index in draft.indexes}
    name, number = wanted, 2
    while name.lower() in taken:
        name, number = f"{wanted}_{number}", number + 1
    return name


def _foreign_key(name: str, node: exp.ForeignKey) -> ForeignKey:
    reference = node.args["reference"]
    target = reference.this
    if reference.args.get("options") or node.args.get("delete") or node.args.get("update"):
        raise ANYWHERE.refusal("ON DELETE and ON UPDATE of foreign keys", "leave them out")
    return ForeignKey(
        name,
        tuple(part.name for part in node.expressions),
        target.this.name,
        tuple(part.name for part in target.expressions),
    )


def checked(table: Table) -> Table:
    """The table with its keys' columns spelled and made NOT NULL as declared. Raises ShardError for mistakes."""
    lowered = [column.name.lower() for column in table.columns]
    for name in lowered:
        if lowered.count(name) > 1:
            raise ShardError(1060, "42S21", f"Duplicate column name '{name}'")
    indexes = []
    for index in table.indexes:
        columns = []
        for part in index.columns:
            column = table.column(part)
            if column is None:
                raise ShardError(1072, "42000", f"Key column '{part}' doesn't exist in table")
            columns.append(column.name)
        indexes.append(Index(index.name, index.unique, tuple(columns)))
    if sum(index.name == "PRIMARY" for index in indexes) > 1:
        raise ShardError(1068, "42000", "Multiple primary key defined")
    indexes.sort(key=lambda index: (index.name != "PRIMARY", not index.unique))
    table = replace(table, indexes=tuple(indexes))
    primary = table.primary_key
    columns_now = tuple(
        replace(column, nullable=False) if column.name in primary else column for column in table.columns
    )
    table = replace(table, columns=columns_now)
    auto = table.auto_column
    if auto is not None and (primary != (auto.name,) or auto.type.kind is not Kind.INTEGER):
        raise ANYWHERE.refusal(
            "AUTO_INCREMENT on a column that is not the primary key alone", "make it the primary key"
        )
    return table


def index_name(table: str, index: str) -> str:
    """The name an index has inside the data source, where index names are one namespace."""
    return f"{table}${index}"
