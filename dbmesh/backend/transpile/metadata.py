"""SHOW and DESCRIBE answers of translated data sources.

Decides rows and column names of each statement, as MySQL 8 gives them. Statements without an entry are refused.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from sqlglot import exp

from dbmesh.backend.transpile import variables
from dbmesh.backend.transpile.coerce import Stored
from dbmesh.backend.transpile.collations import BINARY, GENERAL_CI
from dbmesh.backend.transpile.refusals import ANYWHERE
from dbmesh.backend.transpile.schema import Column, Index, Table
from dbmesh.backend.transpile.types import Kind
from dbmesh.errors import ShardError
from dbmesh.planner.like import matches_like

Rows = list[tuple[Stored, ...]]
Answer = tuple[Sequence[str], Rows]


class Metadata:
    """Answers about one data source's tables. `settings` are the connection's variables over the defaults."""

    def __init__(
        self,
        database: str,
        tables: Mapping[str, Table],
        settings: Mapping[str, Stored],
        collation: str = GENERAL_CI,
    ) -> None:
        self._collation = collation
        self._database = database
        self._tables = tables
        self._settings = settings

    def show(self, node: exp.Show) -> Answer:
        """SHOW … as column names and rows. Raises MeshError or ShardError."""
        what = node.name.upper()
        like = node.args.get("like")
        if node.args.get("where") is not None:
            raise ANYWHERE.refused(node)
        pattern = None if like is None else like.name
        if what == "TABLES":
            return self._show_tables(pattern, full=bool(node.args.get("full")))
        if what in ("COLUMNS", "FIELDS"):
            return self.columns(self._target(node), pattern, full=bool(node.args.get("full")))
        if what in ("INDEX", "INDEXES", "KEYS"):
            return self._show_index(self._target(node))
        if what == "CREATE TABLE":
            table = self._target(node)
            return ("Table", "Create Table"), [(table.name, create_text(table, self._collation))]
        return self._server(what, pattern, node)

    def _server(self, what: str, pattern: str | None, node: exp.Show) -> Answer:
        pairs: list[tuple[str, Stored]]
        if what == "VARIABLES":
            pairs = [(name, variables.shown(name, value)) for name, value in sorted(self._settings.items())]
            return ("Variable_name", "Value"), list(matching(pairs, pattern))
        if what == "STATUS":
            return ("Variable_name", "Value"), list(matching(list(variables.STATUS.items()), pattern))
        if what == "WARNINGS":
            return ("Level", "Code", "Message"), []
        if what == "ENGINES":
            titles = ("Engine", "Support", "Comment", "Transactions", "XA", "Savepoints")
            return titles, [("InnoDB", "DEFAULT", "SQLite behind dbmesh", "YES", "NO", "YES")]
        if what == "COLLATION":
            names = ("Collation", "Charset", "Id", "Default", "Compiled", "Sortlen", "Pad_attribute")
            rows: Rows = [
                (GENERAL_CI, "utf8mb4", 45, "Yes", "Yes", 1, "PAD SPACE"),
                (BINARY, "utf8mb4", 46, "", "Yes", 1, "PAD SPACE"),
            ]
            return names, [row for row in rows if pattern is None or matches_like(str(row[0]), pattern)]
        if what in ("CHARACTER SET", "CHARSET"):
            return ("Charset", "Description", "Default collation", "Maxlen"), [
                ("utf8mb4", "UTF-8 Unicode", GENERAL_CI, 4)
            ]
        if what in ("DATABASES", "SCHEMAS"):
            return ("Database",), [(self._database,)]
        raise ANYWHERE.refused(node)

    def _target(self, node: exp.Show) -> Table:
        target = node.args.get("target")
        return self.table("" if target is None else target.name)

    def table(self, name: str) -> Table:
        """A table by name. Raises ShardError 1146."""
        table = self._tables.get(name.lower())
        if table is None:
            raise ShardError(1146, "42S02", f"Table '{self._database}.{name}' doesn't exist")
        return table

    def _show_tables(self, pattern: str | None, *, full: bool) -> Answer:
        title = f"Tables_in_{self._database}" + (f" ({pattern})" if pattern is not None else "")
        found = sorted(table.name for table in self._tables.values())
        kept = [name for name in found if pattern is None or matches_like(name, pattern)]
        if full:
            return (title, "Table_type"), [(name, "BASE TABLE") for name in kept]
        return (title,), [(name,) for name in kept]

    def columns(self, table: Table, pattern: str | None, *, full: bool) -> Answer:
        """SHOW COLUMNS and DESCRIBE."""
        rows: Rows = []
        for column in table.columns:
            if pattern is not None and not matches_like(column.name, pattern):
                continue
            null = "YES" if column.nullable else "NO"
            key, default, extra = key_of(table, column), default_of(column), extra_of(column)
            if full:
                collation = column.collation if column.type.kind is Kind.TEXT else None
                privileges = "select,insert,update,references"
                rows.append(
                    (
                        column.name,
                        column.declared,
                        collation,
                        null,
                        key,
                        default,
                        extra,
                        privileges,
                        column.comment,
                    )
                )
            else:
                rows.append((column.name, column.declared, null, key, default, extra))
        if full:
            return (
                ("Field", "Type", "Collation", "Null", "Key", "Default", "Extra", "Privileges", "Comment"),
                rows,
            )
        return ("Field", "Type", "Null", "Key", "Default", "Extra"), rows

    def _show_index(self, table: Table) -> Answer:
        titles = (
            *(
                "Table",
                "Non_unique",
                "Key_name",
                "Seq_in_index",
                "Column_name",
                "Collation",
                "Cardinality",
                "Sub_part",
            ),
            *("Packed", "Null", "Index_type", "Comment", "Index_comment", "Visible", "Expression"),
        )
        rows: Rows = []
        for index in table.indexes:
            for position, name in enumerate(index.columns, start=1):
                column = table.column(name)
                null = "YES" if column is not None and column.nullable else ""
                head = (
                    table.name,
                    0 if index.unique else 1,
                    index.name,
                    position,
                    name,
                    "A",
                    0,
                    None,
                    None,
                    null,
                )
                rows.append((*head, "BTREE", "", "", "YES", None))
        return titles, rows


def matching(pairs: Sequence[tuple[str, Stored]], pattern: str | None) -> list[tuple[str, Stored]]:
    """The pairs whose name matches a LIKE pattern."""
    return [pair for pair in pairs if pattern is None or matches_like(pair[0], pattern)]


def key_of(table: Table, column: Column) -> str:
    """The Key column of DESCRIBE."""
    if column.name in table.primary_key:
        return "PRI"
    leading = [index for index in table.indexes if index.columns[0] == column.name]
    if any(index.unique and len(index.columns) == 1 for index in leading):
        return "UNI"
    return "MUL" if leading else ""


def default_of(column: Column) -> str | None:
    """The Default column of DESCRIBE."""
    if column.default_now:
        return "CURRENT_TIMESTAMP" + (f"({column.type.decimals})" if column.type.decimals else "")
    return str(column.default) if column.has_default else None


def extra_of(column: Column) -> str:
    """The Extra column of DESCRIBE."""
    words = ["auto_increment"] if column.auto_increment else []
    if column.default_now:
        words.append("DEFAULT_GENERATED")
    if column.on_update_now:
        words.append(
            "on update CURRENT_TIMESTAMP" + (f"({column.type.decimals})" if column.type.decimals else "")
        )
    return " ".join(words)


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _back(name: str) -> str:
    return "`" + name.replace("`", "``") + "`"


def create_text(table: Table, collation: str = GENERAL_CI) -> str:
    """SHOW CREATE TABLE, with the table's collation."""
    lines = [_column_line(column, collation) for column in table.columns]
    lines += [_index_line(index) for index in table.indexes]
    for key in table.foreign_keys:
        name = f"CONSTRAINT {_back(key.name)} " if key.name else ""
        columns, references = ", ".join(map(_back, key.columns)), ", ".join(map(_back, key.references))
        lines.append(f"{name}FOREIGN KEY ({columns}) REFERENCES {_back(key.table)} ({references})")
    comment = f" COMMENT={_quoted(table.comment)}" if table.comment else ""
    body = ",\n  ".join(lines)
    tail = f"ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE={collation}{comment}"
    return f"CREATE TABLE {_back(table.name)} (\n  {body}\n) {tail}"


def _column_line(column: Column, collation: str) -> str:
    parts = [_back(column.name), column.declared]
    if column.type.kind is Kind.TEXT and column.collation != collation:
        parts.append(f"CHARACTER SET utf8mb4 COLLATE {column.collation}")
    if not column.nullable:
        parts.append("NOT NULL")
    if column.default_now:
        parts.append(f"DEFAULT {default_of(column)}")
    elif column.has_default:
        parts.append(f"DEFAULT {_quoted(str(column.default))}")
    elif column.nullable and column.type.code != 0xFC:
        parts.append("DEFAULT NULL")
    if column.on_update_now:
        parts.append(f"ON UPDATE {extra_of(column).rpartition('on update ')[2]}")
    if column.auto_increment:
        parts.append("AUTO_INCREMENT")
    if column.comment:
        parts.append(f"COMMENT {_quoted(column.comment)}")
    return " ".join(parts)


def _index_line(index: Index) -> str:
    columns = ",".join(map(_back, index.columns))
    if index.name == "PRIMARY":
        return f"PRIMARY KEY ({columns})"
    return f"{'UNIQUE ' if index.unique else ''}KEY {_back(index.name)} ({columns})"
