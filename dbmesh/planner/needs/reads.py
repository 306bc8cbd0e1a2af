"""What a query, UPDATE, DELETE or INSERT needs: which columns of which tables it reads and writes.

Decides by the tree, and where a tree might hide something by the text: a word that is a column's name and stands where nobody
has explained it counts as reading that column. Of what cannot be told apart both are needed. Knows no accounts.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from sqlglot import exp

from dbmesh.model import TableSchema
from dbmesh.planner.context import PlanContext
from dbmesh.planner.information_schema import is_harmless
from dbmesh.planner.lexemes import Kind, Lexeme
from dbmesh.planner.native_functions import stored_calls
from dbmesh.planner.needs.need import Need
from dbmesh.planner.resolve import SYSTEM_SCHEMAS
from dbmesh.planner.subselects import is_common_table, scope_of
from dbmesh.rules.privileges import Privilege
from dbmesh.sql.sequences import SEQUENCE_CALLS

_NAMES = (exp.Alias, exp.TableAlias, exp.Table, exp.JSONColumnDef, exp.CTE, exp.Window)
"""What an identifier may be part of that is no column."""


@dataclass(eq=False)
class Source:
    """A place where a statement names a table; without a `database` a derived table or the like. `scope` is the SELECT or write
    it stands in."""

    alias: str
    scope: exp.Expr | None
    database: str = ""
    table: str = ""
    schema: TableSchema | None = None
    reads: set[str] = field(default_factory=set)
    reads_all: bool = False
    is_target: bool = False

    @property
    def is_table(self) -> bool:
        """Whether it has privileges of its own."""
        return bool(self.table)

    def may_have(self, column: str) -> bool:
        """Whether a column of this name may be its own."""
        return self.is_table and (self.schema is None or self.schema.column(column) is not None)

    def read(self, column: str) -> None:
        """The statement reads this column."""
        self.reads.add(column.lower())

    def needs(self) -> Iterator[Need]:
        """What reading it needs."""
        if not self.is_table:
            return
        if self.reads_all:
            columns = None if self.schema is None else [one.name for one in self.schema.visible_columns]
            yield self.need(Privilege.SELECT, columns)
        if self.reads:
            yield self.need(Privilege.SELECT, sorted(self.reads))
        elif not self.reads_all and not self.is_target:
            yield Need(Privilege.SELECT, self.database, self.table, some=True)

    def need(self, privilege: Privilege, columns: Sequence[str] | None) -> Need:
        """A privilege on these columns of it, None for the whole table. A view's columns may be unknown here, not its name's."""
        return Need(privilege, self.database, self.table, None if columns is None else tuple(columns))


class Reading:
    """The sources of a tree, and what its columns read of them."""

    def __init__(self, context: PlanContext, tree: exp.Expr, lexemes: Sequence[Lexeme]) -> None:
        self.context = context
        self.tree = tree
        self.lexemes = lexemes
        self.others: list[Need] = []
        self.explained: set[int] = set()
        self.sources = list(self._sources())
        self._by_scope: dict[int, list[Source]] = {}
        for source in self.sources:
            self._by_scope.setdefault(id(source.scope), []).append(source)

    # ------------------------------------------------------------------ tables

    def _sources(self) -> Iterator[Source]:
        for node in self.tree.find_all(exp.Table, exp.Subquery, exp.Lateral, exp.Values, exp.Unnest):
            scope = scope_of(node)
            if not isinstance(node, exp.Table) or not isinstance(node.this, exp.Identifier):
                if node.alias:
                    yield Source(node.alias, scope)
                continue
            if isinstance(node.parent, exp.Lock | exp.Into) or _is_delete_target(node):
                continue
            if is_common_table(node) or (
                node.name.lower() == "dual" and not node.db and not node.this.quoted
            ):
                yield Source(node.alias_or_name, scope)
                if self._may_be_table(node):
                    yield self.source(None, node.name, node.alias_or_name, scope)
                continue
            found = self.source(node.db or None, node.name, node.alias_or_name, scope)
            call = node.parent if isinstance(node.parent, exp.Anonymous) else None
            if call is not None and found.is_table:
                self.others += sequence_needs(call.name, found)
                continue
            yield found

    def _may_be_table(self, node: exp.Table) -> bool:
        """Whether a server may take the name of a common table expression for a table's: MySQL compares these with their case."""
        written = {common.alias for common in self.tree.find_all(exp.CTE)}
        if not any(name != node.name and name.lower() == node.name.lower() for name in written):
            return False
        return self.source(None, node.name, node.name, None).schema is not None

    def source(self, database: str | None, table: str, alias: str, scope: exp.Expr | None) -> Source:
        """A table by its written name. What needs no privileges of its own has no `table`."""
        context = self.context
        written = database or context.system_schema or context.database
        if written is None:
            return Source(alias, scope)
        written = written.lower()
        if written in SYSTEM_SCHEMAS:
            if not is_harmless(written, table):
                self.others.append(Need(Privilege.SELECT, written, table, of_server=True))
            return Source(alias, scope)
        if (written, table.lower()) in context.settings.temporary:
            return Source(alias, scope)
        key = context.rule_set.key(written, table)
        return Source(alias, scope, written, table, context.catalog.table(key))

    # ------------------------------------------------------------------ columns

    def read_columns(self) -> None:
        """Every column, star and USING of the tree counts as read, but for those explained before."""
        for node in self.tree.find_all(exp.Identifier):
            if isinstance(node.parent, _NAMES):
                self._explain(node)
        for column in self.tree.find_all(exp.Column):
            if isinstance(column.this, exp.Star):
                for source in self._qualified(column):
                    source.reads_all = True
            elif not self._is_explained(column.this):
                self._read(column)
        for star in self.tree.find_all(exp.Star):
            self._read_star(star)
        for join in self.tree.find_all(exp.Join):
            self._read_join(join)
        self._read_unexplained()

    def write_column(self, column: exp.Column) -> list[Source]:
        """The tables whose column a SET assigns to."""
        self._explain(column)
        return [one for one in self._owners(column) if one.is_table]

    def explain(self, position: int) -> None:
        """The name at this position of the text reads nothing."""
        self.explained.add(position)

    def _explain(self, node: exp.Expr) -> None:
        for identifier in (node, *node.find_all(exp.Identifier)):
            if "start" in identifier.meta:
                self.explained.add(identifier.meta["start"])

    def _is_explained(self, node: exp.Expr) -> bool:
        return node.meta.get("start") in self.explained

    def _read(self, column: exp.Column) -> None:
        self._explain(column)
        if _is_output_name(column):
            return
        for source in self._owners(column):
            if source.is_table:
                source.read(column.name)

    def _owners(self, column: exp.Column) -> list[Source]:
        return self._qualified(column) if column.table else self._unqualified(column)

    def _qualified(self, column: exp.Column) -> list[Source]:
        """Those the column's qualifier may mean: in the nearest scope that has such a name, else anywhere."""
        name = column.table.lower()
        scope: exp.Expr | None = column
        while scope is not None:
            scope = scope_of(scope)
            found = [one for one in self._of(scope) if one.alias.lower() == name]
            if found:
                return found
        return [one for one in self.sources if one.alias.lower() == name]

    def _unqualified(self, column: exp.Column) -> list[Source]:
        scope: exp.Expr | None = column
        found: list[Source] = []
        certain = True
        while scope is not None:
            scope = scope_of(scope)
            here = self._of(scope)
            found += [one for one in here if one.may_have(column.name)]
            # What a derived table has is not known here: the column may be of a scope around as well.
            certain = certain and all(one.is_table for one in here)
            if any(one.schema is not None for one in found if one in here):
                break
        if found or not certain:
            return found
        # ORDER BY behind a query in brackets stands in no scope, and reads what is inside.
        return [one for one in self.sources if one.may_have(column.name)]

    def _of(self, scope: exp.Expr | None) -> list[Source]:
        return self._by_scope.get(id(scope), [])

    def _read_star(self, star: exp.Star) -> None:
        if isinstance(star.parent, exp.Column | exp.Count):
            return
        for source in self._of(scope_of(star)):
            source.reads_all = True

    def _read_join(self, join: exp.Join) -> None:
        here = self._of(scope_of(join))
        for name in join.args.get("using") or ():
            for source in here:
                if source.may_have(name.name):
                    source.read(name.name)
        if (join.args.get("method") or "").upper() == "NATURAL":
            for source in here:
                source.reads_all = True

    def _read_unexplained(self) -> None:
        for at, lexeme in enumerate(self.lexemes):
            if lexeme.kind not in (Kind.WORD, Kind.QUOTED) or lexeme.start in self.explained:
                continue
            following = self.lexemes[at + 1].text if at + 1 < len(self.lexemes) else ""
            if following == "(" and lexeme.kind is Kind.WORD:
                continue
            for source in self.sources:
                if source.schema is not None and source.schema.column(lexeme.value) is not None:
                    source.read(lexeme.value)

    # ------------------------------------------------------------------ the rest

    def needs(self) -> Iterator[Need]:
        """Everything that reading needs."""
        yield from self.others
        for source in self.sources:
            yield from source.needs()
        for lock in self.tree.find_all(exp.Lock):
            if lock.args.get("update"):
                for source in self._of(lock.parent):
                    if source.is_table:
                        yield Need(Privilege.UPDATE, source.database, source.table, some=True)
        yield from function_needs(self.context, self.tree, self.lexemes)


def function_needs(context: PlanContext, tree: exp.Expr, lexemes: Sequence[Lexeme]) -> Iterator[Need]:
    """EXECUTE of every function that is not known as a server's own, FILE of LOAD_FILE."""
    for call in stored_calls(tree):
        if call.name.upper() in SEQUENCE_CALLS:
            continue
        owner = call.parent.this if isinstance(call.parent, exp.Dot) else None
        database = owner.name if isinstance(owner, exp.Identifier | exp.Column) else context.database
        if database is not None:
            yield Need(Privilege.EXECUTE, database.lower(), routine=call.name)
    if any(lexeme.word == "LOAD_FILE" for lexeme in lexemes):
        yield Need(Privilege.FILE)


def sequence_needs(call: str, sequence: Source) -> list[Need]:
    """What a call of a sequence needs."""
    privileges = {"LASTVAL": [Privilege.SELECT], "SETVAL": [Privilege.INSERT]}.get(
        call.upper(), [Privilege.SELECT, Privilege.INSERT]
    )
    return [Need(privilege, sequence.database, sequence.table) for privilege in privileges]


def _is_delete_target(node: exp.Table) -> bool:
    return isinstance(node.parent, exp.Delete) and node.arg_key == "tables"


def _is_output_name(column: exp.Column) -> bool:
    """Whether ORDER BY means a column of the result: MySQL looks for a bare name among them first."""
    order = column.parent.parent if isinstance(column.parent, exp.Ordered) else None
    query = order.parent if isinstance(order, exp.Order) else None
    if column.table or not isinstance(query, exp.Select):
        return False
    return any(
        isinstance(item, exp.Alias) and item.alias.lower() == column.name.lower()
        for item in query.expressions
    )
