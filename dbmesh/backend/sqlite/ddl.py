"""CREATE, ALTER and DROP: MySQL's declarations to SQLite tables and to the record kept beside them.

Decides which declarations the embedded data source takes. Storage options without meaning here (ENGINE, …) are
accepted; what would change answers and is not offered is refused.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from sqlglot import exp

from dbmesh.backend.sqlite import names, types
from dbmesh.backend.sqlite.coerce import Coercion, Stored
from dbmesh.backend.sqlite.collation import BINARY, GENERAL_CI, TEXT_COLLATIONS
from dbmesh.backend.sqlite.expressions import refused
from dbmesh.backend.sqlite.inference import literal
from dbmesh.backend.sqlite.schema import Column, ForeignKey, Index, Table
from dbmesh.backend.sqlite.types import Kind
from dbmesh.errors import ShardError, not_supported

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
        raise not_supported(
            "CREATE TABLE … LIKE or AS SELECT on the embedded SQLite data source", "declare the columns"
        )
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
            raise refused(option)
    return collation, comment


def _collation(name: str) -> str:
    lowered = name.lower()
    if lowered not in TEXT_COLLATIONS:
        raise not_supported(
            f"the collation {name} on the embedded SQLite data source", f"use {GENERAL_CI} or {BINARY}"
        )
    return lowered


def _check_charset(name: str) -> None:
    if name.lower() not in _CHARSETS:
        raise not_supported(f"the character set {name} on the embedded SQLite data source", "use utf8mb4")


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
        raise refused(node)
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
    raise refused(kind)


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
        raise refused(value)
    known = literal(sign + value.name, is_string=value.is_string)
    stored = Coercion(column.name, declared).store(known.value)
    if isinstance(stored, bytes):
        raise refused(value)
    return replace(column, has_default=True, default=stored)


def read_key(node: exp.Expression, draft: Draft) -> None:
    """A key or constraint of CREATE TABLE or ALTER TABLE … ADD."""
    name = ""
    if isinstance(node, exp.Constraint):
        name = node.name
        if len(node.expressions) != 1:
            raise refused(node)
        node = node.expressions[0]
    if isinstance(node, exp.PrimaryKey):
        draft.indexes.append(Index("PRIMARY", True, _key_columns(node.expressions)))
    elif isinstance(node, exp.UniqueColumnConstraint):
        schema = node.this
        columns = _key_columns(schema.expressions)
        draft.indexes.append(Index(_free_name(draft, schema.name or name or columns[0]), True, columns))
    elif isinstance(node, exp.IndexColumnConstraint):
        if node.args.get("kind"):
            raise refused(node)
        columns = _key_columns(node.expressions)
        draft.indexes.append(Index(_free_name(draft, node.name or columns[0]), False, columns))
    elif isinstance(node, exp.ForeignKey):
        draft.foreign_keys.append(_foreign_key(name, node))
    else:
        raise refused(node)


def _key_columns(nodes: Sequence[exp.Expression]) -> tuple[str, ...]:
    columns = []
    for node in nodes:
        inner = node.this if isinstance(node, exp.Ordered) else node
        if not isinstance(inner, exp.Identifier | exp.Column):
            raise not_supported(
                "a key on a column's prefix, on the embedded SQLite data source", "index the whole column"
            )
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
        raise not_supported(
            "ON DELETE and ON UPDATE of foreign keys on the embedded SQLite data source", "leave them out"
        )
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
        raise not_supported(
            "AUTO_INCREMENT on a column that is not the primary key alone, on the embedded SQLite data source",
            "make it the primary key",
        )
    return table


def create_statements(table: Table) -> list[str]:
    """The SQLite statements that make the table and its indexes."""
    parts = [_column_sql(table, column) for column in table.columns]
    if table.primary_key and table.auto_column is None:
        parts.append(f"PRIMARY KEY ({_names(table.primary_key)})")
    parts += [
        f"FOREIGN KEY ({_names(key.columns)}) REFERENCES {names.name(key.table)} ({_names(key.references)})"
        for key in table.foreign_keys
    ]
    statements = [f"CREATE TABLE {names.name(table.name)} ({', '.join(parts)})"]
    statements += [index_sql(table.name, index) for index in table.indexes if index.name != "PRIMARY"]
    return statements


def _column_sql(table: Table, column: Column) -> str:
    if column.auto_increment:
        return f"{names.name(column.name)} INTEGER PRIMARY KEY AUTOINCREMENT"
    return f"{names.name(column.name)} {types.affinity(column.type)}{'' if column.nullable else ' NOT NULL'}"


def index_sql(table: str, index: Index) -> str:
    """CREATE INDEX; SQLite's index names are one namespace per file, so the table's name goes in front."""
    unique = "UNIQUE " if index.unique else ""
    return f"CREATE {unique}INDEX {names.name(index_name(table, index.name))} ON {names.name(table)} ({_names(index.columns)})"


def index_name(table: str, index: str) -> str:
    """The name an index has inside SQLite."""
    return f"{table}${index}"


def _names(columns: Sequence[str]) -> str:
    return ", ".join(map(names.name, columns))


@dataclass(frozen=True, slots=True)
class Alteration:
    """What ALTER TABLE does: the table afterwards, and the statements that get there."""

    table: Table
    statements: tuple[str, ...]


def alter(table: Table, node: exp.Alter) -> Alteration:
    """ALTER TABLE: ADD COLUMN (last), DROP COLUMN, ADD/DROP INDEX, RENAME TO. Raises MeshError for the rest."""
    statements: list[str] = []
    for action in node.args["actions"]:
        if isinstance(action, exp.ColumnDef):
            table = _add_column(table, action, statements)
        elif isinstance(action, exp.AddConstraint):
            for part in action.expressions:
                table = _add_key(table, part, statements)
        elif isinstance(action, exp.Drop):
            table = _drop(table, action, statements)
        elif isinstance(action, exp.AlterRename):
            name = action.this.name
            statements += [
                f"DROP INDEX {names.name(index_name(table.name, i.name))}"
                for i in table.indexes
                if i.name != "PRIMARY"
            ]
            statements.append(f"ALTER TABLE {names.name(table.name)} RENAME TO {names.name(name)}")
            table = replace(table, name=name)
            statements += [index_sql(name, index) for index in table.indexes if index.name != "PRIMARY"]
        else:
            raise refused(action)
    return Alteration(table, tuple(statements))


def _add_column(table: Table, node: exp.ColumnDef, statements: list[str]) -> Table:
    draft = Draft(indexes=list(table.indexes))
    before = len(draft.indexes)
    read_column(node, draft, GENERAL_CI)
    column = draft.columns[0]
    if (
        node.args.get("position")
        or len(draft.indexes) > before
        or column.auto_increment
        or column.default_now
    ):
        raise not_supported(
            "ADD COLUMN with a position, a key or a clock, on the embedded SQLite data source", "add it plain"
        )
    if table.column(column.name) is not None:
        raise ShardError(1060, "42S21", f"Duplicate column name '{column.name}'")
    default: Stored = column.default if column.has_default else None
    if default is None and not column.nullable:
        implicit: dict[Kind, Stored] = {Kind.INTEGER: 0, Kind.DOUBLE: 0.0, Kind.TEXT: ""}
        kind = column.type.kind
        implicit[Kind.DECIMAL] = "0"
        default = None if kind not in implicit else Coercion(column.name, column.type).store(implicit[kind])
        if default is None:
            raise not_supported(
                "ADD COLUMN … NOT NULL of this type on the embedded SQLite data source", "give it a DEFAULT"
            )
    sql = f"ALTER TABLE {names.name(table.name)} ADD COLUMN {_column_sql(table, column)}"
    statements.append(sql + ("" if default is None else f" DEFAULT {names.literal(default)}"))
    return replace(table, columns=(*table.columns, column))


def _add_key(table: Table, node: exp.Expression, statements: list[str]) -> Table:
    draft = Draft(indexes=list(table.indexes))
    read_key(node, draft)
    added = draft.indexes[len(table.indexes) :]
    if draft.foreign_keys or any(index.name == "PRIMARY" for index in added):
        raise not_supported(
            "adding this key by ALTER TABLE on the embedded SQLite data source", "declare it in CREATE TABLE"
        )
    statements += [index_sql(table.name, index) for index in added]
    return checked(replace(table, indexes=(*table.indexes, *added)))


def add_index(table: Table, node: exp.Create) -> Alteration:
    """CREATE INDEX."""
    params = node.this.args["params"]
    index = Index(node.this.name, bool(node.args.get("unique")), _key_columns(params.args["columns"]))
    if any(known.name.lower() == index.name.lower() for known in table.indexes):
        raise ShardError(1061, "42000", f"Duplicate key name '{index.name}'")
    changed = checked(replace(table, indexes=(*table.indexes, index)))
    return Alteration(changed, (index_sql(table.name, index),))


def drop_index(table: Table, name: str) -> Alteration:
    """DROP INDEX."""
    found = next((index for index in table.indexes if index.name.lower() == name.lower()), None)
    if found is None:
        raise ShardError(1091, "42000", f"Can't DROP INDEX `{name}`; check that it exists")
    if found.name == "PRIMARY":
        raise not_supported(
            "dropping the primary key on the embedded SQLite data source", "make another table"
        )
    rest = tuple(index for index in table.indexes if index is not found)
    return Alteration(
        replace(table, indexes=rest), (f"DROP INDEX {names.name(index_name(table.name, found.name))}",)
    )


def _drop(table: Table, action: exp.Drop, statements: list[str]) -> Table:
    kind, target = str(action.args.get("kind") or "").upper(), action.args["tables"][0].name
    if kind == "INDEX":
        alteration = drop_index(table, target)
        statements += alteration.statements
        return alteration.table
    column = table.column(target) if kind == "COLUMN" else None
    if kind != "COLUMN":
        raise refused(action)
    if column is None:
        raise ShardError(1091, "42000", f"Can't DROP COLUMN `{target}`; check that it exists")
    if any(column.name in index.columns for index in table.indexes):
        raise not_supported(
            "dropping a column of a key on the embedded SQLite data source", "drop the key first"
        )
    statements.append(f"ALTER TABLE {names.name(table.name)} DROP COLUMN {names.name(column.name)}")
    return replace(table, columns=tuple(known for known in table.columns if known is not column))
