"""INSERT, UPDATE and DELETE through a view: the view's table stands in its place, its condition in WHERE.

Decides that only views that pick columns and rows of one table can be written through; a column the view calls otherwise gets the
table's name for it. Knows no routes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from sqlglot import exp
from sqlglot.tokenizer_core import Token, TokenType

from dbmesh.errors import NOT_INSERTABLE, NOT_UPDATABLE, MeshError, not_supported
from dbmesh.model import TableSchema
from dbmesh.planner.context import PlanContext
from dbmesh.planner.elsewhere import database_of
from dbmesh.planner.subselects import aggregates_in, passing_query
from dbmesh.planner.template import Edits, quote_name
from dbmesh.sql.clauses import find_clauses
from dbmesh.sql.parse import parse, tokenize

_BEHIND_CONDITION = frozenset(("ORDER", "LIMIT", "RETURNING"))
_INSTEAD = "write its table"


@dataclass(frozen=True, slots=True)
class _Picked:
    """What a view picks: the `table`, its `columns` by the names the view has for them in lower case, and the `condition` on
    its rows: pieces of text between which the table is named, none for all rows."""

    table: exp.Table
    columns: Mapping[str, str]
    condition: tuple[str, ...]


def is_written(tree: exp.Expr, view: exp.Table, schema: TableSchema) -> bool:
    """Whether a statement writes what it names here; other tables of it are only read."""
    if isinstance(view.parent, exp.Insert | exp.Schema):
        return True
    name = view.alias_or_name.lower()
    if isinstance(tree, exp.Delete):
        named = tree.args.get("tables") or []
        return not named or any(target.name.lower() == name for target in named)
    if not isinstance(tree, exp.Update) or view.find_ancestor(exp.Select) is not None:
        return False
    assigned = [one.this for one in tree.expressions if isinstance(one.this, exp.Column)]
    alone = view.parent is tree and not _joins(tree)
    return alone or any(
        column.table.lower() == name if column.table else schema.column(column.name) is not None
        for column in assigned
    )


def merges(definition: str) -> bool:
    """Whether servers read a view by putting its query into the statement (ALGORITHM=MERGE), and lock the rows they read
    there; through one whose rows they collect first (groups, LIMIT, UNION) they lock none."""
    tree = parse(definition)
    return (
        isinstance(tree, exp.Select)
        and not any(tree.args.get(name) for name in ("group", "having", "distinct", "limit", "offset"))
        and not any(tree.find_all(exp.Window))
        and not aggregates_in(tree)
    )


class ThroughView:
    """One write through a view. `tree` is the statement's, `view` the target in it, `definition` the view's query."""

    def __init__(
        self, context: PlanContext, tree: exp.Expr, view: exp.Table, schema: TableSchema, definition: str
    ) -> None:
        self._context = context
        self._tree = tree
        self._view = view
        self._schema = schema
        self._joined = bool(_joins(tree))
        picked = _picked(definition)
        if picked is None:
            self._refuse_as_servers(definition)
            raise self._refused("which does more than pick columns and rows of one table")
        if self._is_named_again():
            raise self._refused("which is named twice")
        if picked.condition and any(join.side or join.method for join in _joins(tree)):
            raise self._refused("whose condition an outer join would see")
        self._picked = picked
        self._table = quote_name(picked.table.name, quoted=True)
        self._check()

    def edit(self, edits: Edits) -> str:
        """Edits that put the table in the view's place; the condition to be added, '' for none. Raises
        MeshError(NOT_SUPPORTED)."""
        start, end = _span(self._view)
        database = quote_name(self._picked.table.db, quoted=True)
        # The targets of a DELETE of joined tables are their aliases.
        alias = self._view.alias or (self._view.name if self._joined else "")
        own_alias = "" if self._view.alias or not alias else f" AS {quote_name(alias, quoted=True)}"
        edits.replace(start, end, f"{database}.{self._table}{own_alias}")
        qualifier = quote_name(alias, quoted=True) if alias else self._table
        for column in self._own_columns():
            written = column.args.get("table")
            if not alias and isinstance(written, exp.Identifier):
                first = column.args.get("db") or written
                edits.replace(first.meta["start"], written.meta["end"] + 1, self._table)
            self._rename(edits, column.this)
        for name in _names_without_columns(self._tree, self._view):
            self._rename(edits, name)
        if isinstance(self._tree, exp.Insert):
            if not isinstance(self._view.parent, exp.Schema):
                picked = [self._picked.columns[column.name.lower()] for column in self._schema.columns]
                edits.insert(end, f" ({', '.join(quote_name(name, quoted=True) for name in picked)})")
            return ""
        return qualifier.join(self._picked.condition)

    def _rename(self, edits: Edits, name: exp.Expr) -> None:
        if self._is_renamed(name.name):
            start, end = name.meta["start"], name.meta["end"] + 1
            edits.replace(start, end, quote_name(self._picked.columns[name.name.lower()], quoted=True))

    def _is_renamed(self, name: str) -> bool:
        own = self._picked.columns.get(name.lower())
        return own is not None and own.lower() != name.lower()

    def _own_columns(self) -> Iterator[exp.Column]:
        """Columns of the statement that are the view's. Raises MeshError(NOT_SUPPORTED) where a name of the view's own may
        also be another table's."""
        alias = self._view.alias_or_name.lower()
        for column in self._tree.find_all(exp.Column):
            if column.table:
                if column.table.lower() == alias:
                    yield column
                continue
            if _is_of_rows(self._tree, column):
                continue
            nested = column.find_ancestor(exp.Select) is not None
            if (nested or self._joined) and self._is_renamed(column.name):
                raise self._refused(
                    f"which calls another column '{column.name}'", "write the view's name before it"
                )
            yield column

    def _check(self) -> None:
        if self._schema.checked and not isinstance(self._tree, exp.Delete):
            raise self._refused("which has a CHECK OPTION")
        table = self._picked.table
        key = self._context.rule_set.key(database_of(self._context, table.db, table.name), table.name)
        base = self._context.catalog.table(key)
        if base is None or not base.columns:
            raise self._refused("whose table is unknown")
        shown = {name.lower() for name in self._picked.columns.values()}
        hidden = {column.name.lower() for column in base.columns}.difference(self._picked.columns)
        for name in _named_columns(self._tree, self._view):
            if name in hidden:
                raise self._refused(f"which does not show '{name}'")
        numbered = any(column.auto_increment and column.name.lower() not in shown for column in base.columns)
        if isinstance(self._tree, exp.Insert):
            if numbered:
                raise self._refused("which does not show the numbered column")
            if len(shown) < len(self._picked.columns):
                raise MeshError(NOT_INSERTABLE, view=self._view.name)
        if self._tree.args.get("returning") is not None and any(map(self._is_renamed, self._picked.columns)):
            raise self._refused("which calls columns otherwise than RETURNING would")

    def _refuse_as_servers(self, definition: str) -> None:
        """Raise MeshError: NOT_UPDATABLE, NOT_INSERTABLE for a view that no server can write through."""
        if not _is_computed(parse(definition)):
            return
        if isinstance(self._tree, exp.Insert):
            raise MeshError(NOT_INSERTABLE, view=self._view.name)
        raise MeshError(NOT_UPDATABLE, view=self._view.name, verb=self._tree.key.upper())

    def _is_named_again(self) -> bool:
        """Whether a name may mean the view or something else of that name."""
        alias = self._view.alias_or_name.lower()
        targets = list(self._tree.args.get("tables") or ())
        sources = self._tree.find_all(exp.Table, exp.Subquery, exp.CTE)
        return sum(source.alias_or_name.lower() == alias for source in sources if source not in targets) > 1

    def _refused(self, why: str, instead: str = _INSTEAD) -> MeshError:
        return not_supported(f"writing through the view '{self._view.name}', {why}", instead)


def _joins(tree: exp.Expr) -> list[exp.Join]:
    """The joins of the tables an UPDATE or DELETE names, of which it writes some."""
    first = tree.this
    joins = [
        *(tree.args.get("joins") or ()),
        *(first.args.get("joins") or () if isinstance(first, exp.Table) else ()),
    ]
    return [join for join in joins if isinstance(join, exp.Join)]


def _is_computed(query: exp.Expr) -> bool:
    """Whether a query's rows are no table's (manual, "Updatable and Insertable Views")."""
    if not isinstance(query, exp.Select):
        return True
    parts = ("distinct", "group", "having", "limit", "windows")
    if any(query.args.get(part) is not None for part in parts) or query.args.get("from_") is None:
        return True
    items = (item for one in query.expressions for item in one.find_all(exp.AggFunc, exp.Window))
    return any(item.find_ancestor(exp.Select) is query for item in items)


def add_condition(edits: Edits, tokens: Sequence[Token], target: exp.Table, condition: str) -> None:
    """Edits that let an UPDATE or DELETE look at rows of the condition only."""
    behind = (at for at, token in enumerate(tokens) if token.start >= _span(target)[1])
    first = next(behind, len(tokens))
    depth = 0
    where: int | None = None
    last = len(tokens)
    for at in range(first, len(tokens)):
        kind = tokens[at].token_type
        depth += (kind is TokenType.L_PAREN) - (kind is TokenType.R_PAREN)
        if depth or kind in (TokenType.IDENTIFIER, TokenType.STRING):
            continue
        word = tokens[at].text.upper().split()[:1]
        if where is None and word == ["WHERE"]:
            where = at
        elif word and word[0] in _BEHIND_CONDITION:
            last = at
            break
    end = tokens[last - 1].end + 1
    if where is None:
        edits.insert(end, f" WHERE {condition}")
        return
    edits.insert(tokens[where + 1].start, "(")
    edits.insert(end, f") AND ({condition})")


def _picked(definition: str) -> _Picked | None:
    tree = parse(definition)
    if not isinstance(tree, exp.Select):
        return None
    # A derived table of the query, so that what derived tables pass on is asked in one way.
    outer = parse(f"SELECT 1 FROM ({definition}) AS x")
    inner = passing_query(outer) if isinstance(outer, exp.Select) else None
    source = tree.args["from_"].this if tree.args.get("from_") is not None else None
    if inner is None or tree.args.get("joins") or tree.args.get("order") or not isinstance(source, exp.Table):
        return None
    if not all(
        isinstance(item, exp.Alias) and isinstance(item.this, exp.Column) for item in tree.expressions
    ):
        return None
    columns = {item.alias.lower(): item.this.name for item in tree.expressions}
    where = tree.args.get("where")
    if where is None:
        return _Picked(source, columns, ())
    clauses = find_clauses(tokenize(definition))
    if clauses is None or any(where.find_all(exp.Select)):
        return None
    begin, end = clauses.spans["WHERE"]
    pieces: list[str] = []
    position = begin + len("WHERE")
    for column in sorted(where.find_all(exp.Column), key=lambda one: int(one.this.meta["start"])):
        first = column.args.get("db") or column.args.get("table")
        if first is None:
            return None
        pieces.append(definition[position : first.meta["start"]])
        position = column.args["table"].meta["end"] + 1
    pieces.append(definition[position:end])
    pieces[0] = pieces[0].lstrip()
    return _Picked(source, columns, tuple(pieces))


def _named_columns(tree: exp.Expr, view: exp.Table) -> list[str]:
    """Columns that the statement may mean of the view, in lower case."""
    alias = view.alias_or_name.lower()
    names = [
        column.name.lower()
        for column in tree.find_all(exp.Column)
        if (column.table.lower() == alias if column.table else not _is_of_rows(tree, column))
    ]
    return names + [name.name.lower() for name in _names_without_columns(tree, view)]


def _is_of_rows(tree: exp.Expr, column: exp.Column) -> bool:
    """Whether a column belongs to the query whose rows are inserted, which knows nothing of their target."""
    return isinstance(tree, exp.Insert) and column.find_ancestor(exp.Select) is not None


def _names_without_columns(tree: exp.Expr, view: exp.Table) -> list[exp.Expr]:
    """The view's columns where the tree has no column: in an INSERT's list, and in VALUES(…)."""
    listed = view.parent.expressions if isinstance(view.parent, exp.Schema) else []
    calls = [call for call in tree.find_all(exp.Anonymous) if call.name.upper() in ("VALUES", "VALUE")]
    inside = [one for call in calls for one in call.expressions if isinstance(one, exp.Identifier)]
    return [*listed, *inside]


def _span(table: exp.Table) -> tuple[int, int]:
    return (table.args.get("db") or table.this).meta["start"], table.this.meta["end"] + 1
