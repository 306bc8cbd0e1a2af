"""A statement of a user who reads some columns masked: as it is, rewritten, or refused.

Decides by the kind of the statement. What is not known to be harmless is refused: a statement may pass unseen only if it names no masked table,
no view, no system schema, and calls nothing but the servers' own functions. Knows nothing of routes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from unicodedata import normalize

from sqlglot import exp

from dbmesh.errors import not_supported
from dbmesh.planner.context import PlanContext
from dbmesh.planner.elsewhere import database_of
from dbmesh.planner.insert_reading import as_insert, read_insert
from dbmesh.planner.lexemes import Kind, Lexeme, LexemeReader
from dbmesh.planner.masked.masks import ReaderMasks
from dbmesh.planner.masked.reads import read_masked
from dbmesh.planner.masked.references import (
    INSTEAD,
    REAL_PREFIX,
    MaskedReference,
    masked_references,
    unclear,
    unknown_columns,
)
from dbmesh.planner.masked.system import EXPLAINED_NEVER, check_show, check_system_tables, is_explained
from dbmesh.planner.masked.writes import check_insert, check_update
from dbmesh.planner.native_functions import may_call_stored
from dbmesh.planner.phases import first_word, goes_into_variables, unread
from dbmesh.planner.resolve import SYSTEM_SCHEMAS
from dbmesh.planner.select_names import keep_column_names
from dbmesh.planner.subselects import is_common_table, scope_of
from dbmesh.planner.template import Edits
from dbmesh.planner.view_expansion import expand
from dbmesh.planner.views import Expansion, NamesView
from dbmesh.planner.write import parse_write
from dbmesh.sql.parse import parse


class Passed(Enum):
    """What becomes of a statement that is not rewritten."""

    ALWAYS = "whatever its literals are"
    ONCE = "with these literals"


@dataclass(frozen=True, slots=True)
class Rewritten:
    """What is planned instead. `complete`: it may be planned as it is; else only views have been put in place."""

    expansion: Expansion
    complete: bool


Outcome = Passed | Rewritten


class MaskedStatement:
    """One statement of a reader with masks."""

    def __init__(self, context: PlanContext, masks: ReaderMasks) -> None:
        self._context = context
        self._masks = masks
        self._reader = LexemeReader(context.statement.readable)
        self._lexemes: Sequence[Lexeme] = self._reader.lexemes
        self._names = {one.value.lower() for one in self._lexemes if one.kind in (Kind.WORD, Kind.QUOTED)}

    def outcome(self) -> Outcome:
        """Raises MeshError: NOT_SUPPORTED, PARSE_ERROR, InAnotherDatabase."""
        word = next((one.word for one in self._lexemes if one.text != "("), "")
        handler = _HANDLERS.get(word)
        if word != first_word(self._context) or word in _REFUSED:
            raise not_supported(f"{word} for users who read masked columns", INSTEAD)
        if handler is not None:
            return handler(self)
        if word not in _PASSED:
            raise unread(self._context)
        return Passed.ONCE

    @property
    def _touches(self) -> bool:
        """Whether the statement may reach a masked value by a name it writes."""
        return not self._names.isdisjoint(self._masks.watched)

    def _check_calls(self, tree: exp.Expr | None, lexemes: Sequence[Lexeme] | None = None) -> None:
        if may_call_stored(tree, self._lexemes if lexemes is None else lexemes) or "load_file" in self._names:
            raise not_supported("calls of stored functions for users who read masked columns", INSTEAD)

    # ------------------------------------------------------------------ by kind

    def query(self) -> Outcome:
        """SELECT, VALUES, TABLE, and WITH of any kind."""
        context = self._context
        if goes_into_variables(context):
            # The query without INTO is looked up by itself.
            return Passed.ALWAYS
        words = {one.word for one in self._lexemes}
        if self._lexemes[0].word == "WITH" and words & {"UPDATE", "DELETE"}:
            tree = parse_write(context.statement.readable)
            if isinstance(tree, exp.Update | exp.Delete):
                return self._write(tree)
        tree = context.statement.tree
        self._check_calls(tree)
        check_system_tables(context, tree)
        if not self._touches:
            return Passed.ALWAYS
        if not isinstance(tree, exp.Query | exp.Values):
            raise unclear(self._watched_name())
        self._check_places(tree)
        return self._read(tree, masked_references(context, self._masks, tree))

    def write(self) -> Outcome:
        """UPDATE and DELETE."""
        tree = parse_write(self._context.statement.readable)
        if not isinstance(tree, exp.Update | exp.Delete):
            # The planner of writes refuses it.
            return Passed.ALWAYS
        return self._write(tree)

    def _write(self, tree: exp.Update | exp.Delete) -> Outcome:
        self._check_calls(tree)
        check_system_tables(self._context, tree)
        if not self._touches:
            return Passed.ALWAYS
        self._check_places(tree)
        expanded = self._expand_views(tree)
        if expanded is not None:
            return expanded
        references = masked_references(self._context, self._masks, tree)
        own = [one for one in references if scope_of(one.node) is tree or one.node.parent is tree]
        for reference in own:
            check_update(tree, reference, self._lexemes)
        own_ids = {id(one) for one in own}
        return self._read(tree, [one for one in references if id(one) not in own_ids])

    def insert(self) -> Outcome:
        """INSERT and REPLACE."""
        context = self._context
        reading = read_insert(LexemeReader(context.statement.readable, self._lexemes))
        nested = any(one.word in ("SELECT", "TABLE", "WITH") for one in self._lexemes)
        target = self._target(reading.table.database, reading.table.name)
        if not nested and not self._is_view(reading.table.database, reading.table.name):
            self._check_calls(None, [one for one in self._lexemes if one.start >= reading.columns_end])
            if target is not None:
                check_insert(target, [one for one in self._lexemes if one.start >= reading.tail])
            return Passed.ALWAYS
        tree = parse(as_insert(context.statement.readable, self._lexemes))
        self._check_calls(tree)
        check_system_tables(context, tree)
        if not self._touches:
            return Passed.ALWAYS
        if not isinstance(tree, exp.Insert):
            raise unclear(self._watched_name())
        self._check_places(tree)
        expanded = self._expand_views(tree)
        if expanded is not None:
            return expanded
        if target is not None:
            check_insert(target, _behind_rows(self._lexemes))
        references = masked_references(context, self._masks, tree)
        return self._read(tree, [one for one in references if one.name_start >= reading.table.end])

    def _target(self, database: str | None, name: str) -> MaskedReference | None:
        """The table an INSERT names, where it has masks."""
        context = self._context
        key = context.rule_set.key(database_of(context, database, name), name)
        columns = self._masks.tables.get(key)
        if columns is None:
            return None
        schema = context.catalog.table(key)
        if schema is None or not schema.columns:
            raise unknown_columns(name)
        node = exp.Table(this=exp.to_identifier(name))
        return MaskedReference(node, key, schema, columns)

    def _is_view(self, database: str | None, name: str) -> bool:
        context = self._context
        schema = context.catalog.table(context.rule_set.key(database_of(context, database, name), name))
        return schema is not None and schema.definition is not None

    def create(self) -> Outcome:
        """CREATE: what is made of a query holds what its maker reads; code that servers run would read for others."""
        words = [one.word for one in self._lexemes]
        kind = next((word for word in words[1:] if word in _MADE), "")
        if kind in _CODE:
            raise not_supported(f"CREATE {kind} for users who read masked columns", INSTEAD)
        if kind == "VIEW" or (not self._touches and kind != "TABLE"):
            # Who reads a view reads its tables through masks of his own.
            return Passed.ONCE
        if kind != "TABLE":
            raise unclear(self._watched_name())
        if self._touches and "REFERENCES" in words:
            # A child's column follows the parent's, whose values its owner must have guessed once.
            raise unclear(self._watched_name())
        if "SELECT" not in words and words.count("TABLE") == 1:
            return Passed.ONCE
        tree = self._context.statement.tree
        if not isinstance(tree, exp.Create):
            raise unclear(self._watched_name())
        query = tree.args.get("expression")
        self._check_calls(tree)
        check_system_tables(self._context, tree)
        if not self._touches or query is None:
            return Passed.ONCE
        self._check_places(tree)
        return self._read(query, masked_references(self._context, self._masks, query))

    def untouched(self) -> Outcome:
        """Statements that tell, change or lose what a mask hides, or the mask itself, where they name a masked table."""
        if self._touches:
            raise unclear(self._watched_name())
        return Passed.ONCE

    def show(self) -> Outcome:
        """SHOW, DESCRIBE, EXPLAIN, ANALYZE."""
        if is_explained(self._lexemes):
            self._check_calls(None)
            if self._touches or not self._names.isdisjoint(EXPLAINED_NEVER):
                raise not_supported("EXPLAIN of a statement over masked columns", INSTEAD)
            return Passed.ONCE
        check_show(self._lexemes)
        self._check_calls(None)
        return Passed.ONCE

    def load(self) -> Outcome:
        """LOAD DATA: its rows are the client's own."""
        words = [one.word for one in self._lexemes]
        self._check_calls(None, self._lexemes[words.index("SET") :] if "SET" in words else ())
        return Passed.ONCE

    # ------------------------------------------------------------------ edits

    def _expand_views(self, tree: exp.Expr) -> Rewritten | None:
        """The statement with the definitions of its views in their places, None where it names none."""
        context = self._context
        found = [name for table in tree.find_all(exp.Table) if (name := self._view(table)) is not None]
        if not found:
            return None
        expansion = expand(NamesView(found[0], context, tree))
        if expansion is None:
            raise unclear(found[0])
        return Rewritten(expansion, complete=False)

    def _view(self, table: exp.Table) -> str | None:
        """The name of a view the tree reads. Raises MeshError(NOT_SUPPORTED) for one whose definition is not known."""
        context = self._context
        if not isinstance(table.this, exp.Identifier) or is_common_table(table):
            return None
        if (table.db or context.system_schema or "").lower() in SYSTEM_SCHEMAS:
            return None
        key = context.rule_set.key(database_of(context, table.db or None, table.name), table.name)
        schema = context.catalog.table(key)
        if schema is None or schema.definition is None:
            return None
        if context.catalog.views.get(key, context.catalog.single_views.get(key)) is None:
            raise unknown_columns(table.name)
        return str(table.name)

    def _read(
        self,
        tree: exp.Expr,
        references: Sequence[MaskedReference],
    ) -> Outcome:
        """The statement with these references masked."""
        context = self._context
        expanded = self._expand_views(tree)
        if expanded is not None:
            return expanded
        if any(_as_server_reads(name).startswith(REAL_PREFIX) for name in self._names):
            raise unclear(self._watched_name())
        if not references:
            return Passed.ALWAYS
        edits: Edits = context.edits()
        read_masked(context, edits, tree, references, self._lexemes)
        if tree is context.statement.tree and isinstance(tree, exp.Query):
            keep_column_names(context, edits)
        frame = edits.build().frame(())
        return Rewritten(
            Expansion(context.statement.shape.hints, frame, reusable=not context.pinned), complete=True
        )

    def _check_places(self, tree: exp.Expr) -> None:
        """Every place that names a masked table is one the tree shows, and no common table expression has its name: what the parser passes
        over may read it, and servers do not agree on the case of such names."""
        root = tree.root()
        for part in root.find_all(exp.From, exp.Join):
            if not isinstance(part.this, _SOURCES):
                raise unclear(self._watched_name())
        for common in root.find_all(exp.CTE):
            if common.alias.lower() in self._masks.watched:
                raise unclear(common.alias)
        shown = {one.meta.get("start") for one in root.find_all(exp.Identifier)}
        for lexeme in self._lexemes:
            if lexeme.kind not in (Kind.WORD, Kind.QUOTED) or lexeme.start in shown:
                continue
            if lexeme.value.lower() in self._masks.watched:
                raise unclear(lexeme.value)

    def _watched_name(self) -> str:
        return next(one.value for one in self._lexemes if one.value.lower() in self._masks.watched)


def _as_server_reads(name: str) -> str:
    """A name with every letter that servers may take for a plain one as that."""
    return name if name.isascii() else normalize("NFKD", name).casefold()


def _behind_rows(lexemes: Sequence[Lexeme]) -> Sequence[Lexeme]:
    """What stands behind the query of an INSERT: ON DUPLICATE KEY UPDATE …, RETURNING …."""
    depth = 0
    for at, lexeme in enumerate(lexemes):
        if lexeme.kind is Kind.MARK:
            depth += {"(": 1, ")": -1}.get(lexeme.text, 0)
        following = lexemes[at + 1].word if at + 1 < len(lexemes) else ""
        if depth == 0 and ((lexeme.word, following) == ("ON", "DUPLICATE") or lexeme.word == "RETURNING"):
            return lexemes[at:]
    return ()


_SOURCES = (exp.Table, exp.Subquery, exp.Lateral, exp.Values)
"""What FROM and joins take rows from, as trees have it."""
_CODE = frozenset(("PROCEDURE", "FUNCTION", "TRIGGER", "EVENT"))
_MADE = _CODE | {"VIEW", "TABLE", "INDEX", "SEQUENCE", "DATABASE", "SCHEMA", "USER", "ROLE"}
_REFUSED = frozenset(("CALL",))
_PASSED = frozenset(
    ("", "BEGIN", "CHECK", "COMMIT", "DEALLOCATE", "DO", "DROP", "EXECUTE", "FLUSH", "GET", "GRANT", "HANDLER", "KILL", "LOCK", "OPTIMIZE",
     "PREPARE", "RELEASE", "REPAIR", "REVOKE", "ROLLBACK", "SAVEPOINT", "SET", "START", "TRUNCATE", "UNLOCK", "USE", "XA")
)  # fmt: skip
"""Words that begin statements of the session, whose parts are looked up by themselves, and ones that read no row."""
_HANDLERS: Mapping[str, Callable[[MaskedStatement], Outcome]] = {
    **dict.fromkeys(("SELECT", "WITH", "VALUES", "TABLE"), MaskedStatement.query),
    **dict.fromkeys(("INSERT", "REPLACE"), MaskedStatement.insert),
    **dict.fromkeys(("UPDATE", "DELETE"), MaskedStatement.write),
    **dict.fromkeys(("SHOW", "DESCRIBE", "DESC", "EXPLAIN", "ANALYZE"), MaskedStatement.show),
    **dict.fromkeys(("ALTER", "RENAME", "CHECKSUM"), MaskedStatement.untouched),
    "CREATE": MaskedStatement.create,
    "LOAD": MaskedStatement.load,
}
