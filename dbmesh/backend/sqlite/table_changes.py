"""CREATE, ALTER, DROP and TRUNCATE of one SQLite file's tables.

Decides which SQLite statements run and keeps the record of each table (`schema`) with them. Transactions around them
are the database's business.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping

from sqlglot import exp

from dbmesh.backend.sqlite import ddl, names
from dbmesh.backend.sqlite.errors import duplicate, translate, violated_key
from dbmesh.backend.sqlite.place import PLACE
from dbmesh.backend.transpile import schema
from dbmesh.backend.transpile.declarations import read_create
from dbmesh.backend.transpile.scope import find_table
from dbmesh.errors import ShardError


class TableChanges:
    """Changes of tables in the file called `name`. `tables` are those there now, by lower-case name."""

    def __init__(self, database: sqlite3.Connection, tables: Mapping[str, schema.Table], name: str) -> None:
        self._sqlite = database
        self._tables = tables
        self._name = name

    def run(self, tree: exp.Expression) -> None:
        """Run one statement. Raises MeshError or ShardError."""
        kind = str(tree.args.get("kind") or "").upper()
        if isinstance(tree, exp.Create) and kind == "TABLE":
            self._create(tree)
        elif isinstance(tree, exp.Create) and kind == "INDEX":
            self._apply(tree.this.args["table"], lambda table: ddl.add_index(table, tree))
        elif isinstance(tree, exp.Drop) and kind == "TABLE":
            self._drop(tree)
        elif isinstance(tree, exp.Drop) and kind == "INDEX" and tree.args.get("cluster") is not None:
            name = tree.args["tables"][0].name
            self._apply(tree.args["cluster"].this, lambda table: ddl.drop_index(table, name))
        elif isinstance(tree, exp.Alter):
            self._apply(tree.this, lambda table: ddl.alter(table, tree))
        elif isinstance(tree, exp.TruncateTable):
            self._truncate(tree)
        else:
            raise PLACE.refused(tree)

    def _create(self, tree: exp.Create) -> None:
        if any(isinstance(part, exp.TemporaryProperty) for part in tree.find_all(exp.TemporaryProperty)):
            raise PLACE.refusal("temporary tables", "use an ordinary table")
        table = read_create(tree)
        if table.name.lower() in self._tables:
            if tree.args.get("exists"):
                return
            raise ShardError(1050, "42S01", f"Table '{table.name}' already exists")
        if table.name.lower() == schema.CATALOG_TABLE or table.name.lower().startswith("sqlite_"):
            raise ShardError(1103, "42000", f"Incorrect table name '{table.name}'")
        for statement in ddl.create_statements(table):
            self._sqlite.execute(statement)
        self._record(table)

    def _record(self, table: schema.Table) -> None:
        self._sqlite.execute(
            f"INSERT INTO {schema.CATALOG_TABLE} (name, definition) VALUES (?, ?)",
            (table.name, schema.dump(table)),
        )

    def _forget(self, name: str) -> None:
        self._sqlite.execute(f"DELETE FROM {schema.CATALOG_TABLE} WHERE name = ?", (name,))

    def _drop(self, tree: exp.Drop) -> None:
        for node in tree.args["tables"]:
            table = self._tables.get(node.name.lower())
            if table is None and not tree.args.get("exists"):
                raise ShardError(1051, "42S02", f"Unknown table '{self._name}.{node.name}'")
            if table is not None:
                self._sqlite.execute(f"DROP TABLE {names.name(table.name)}")
                self._forget(table.name)

    def _apply(self, node: exp.Expression, change: Callable[[schema.Table], ddl.Alteration]) -> None:
        table = find_table(self._tables, node, self._name, PLACE)
        alteration = change(table)
        if (
            alteration.table.name.lower() != table.name.lower()
            and alteration.table.name.lower() in self._tables
        ):
            raise ShardError(1050, "42S01", f"Table '{alteration.table.name}' already exists")
        for statement in alteration.statements:
            try:
                self._sqlite.execute(statement)
            except sqlite3.IntegrityError as error:
                key = violated_key(error, alteration.table)
                raise (duplicate(key[0], ("?",)) if key is not None else translate(error)) from error
        self._forget(table.name)
        self._record(alteration.table)

    def _truncate(self, tree: exp.TruncateTable) -> None:
        for node in tree.expressions:
            table = find_table(self._tables, node, self._name, PLACE)
            self._sqlite.execute(f"DELETE FROM {names.name(table.name)}")
            if table.auto_column is not None:
                self._sqlite.execute("DELETE FROM sqlite_sequence WHERE name = ?", (table.name,))
