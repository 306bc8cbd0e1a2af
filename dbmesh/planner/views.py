"""Mesh views: views whose rows are on several data nodes.

Decides that such a view is kept as a view over the first data nodes of its tables, on one data source that has them all:
its server checks the definition, knows the columns and tells both as any server would. Its rows are never read there. A
statement that names the view is planned with the definition, in logic names, as a derived table in its place. Knows no
sessions and no DDL.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from sqlglot import exp

from dbmesh.errors import INVALID_VIEW, NOT_SUPPORTED, MeshError, not_supported
from dbmesh.model import VIEW_PREFIX
from dbmesh.planner.context import PlanContext
from dbmesh.planner.elsewhere import database_of
from dbmesh.planner.lexemes import Kind, Lexeme, LexemeReader, split_lexemes
from dbmesh.planner.plan import Call, SessionValues
from dbmesh.planner.template import Frame, quote_name
from dbmesh.rules.ruleset import DataSourceConfig
from dbmesh.sql.lexer import LexerFlags


class NamesView(MeshError):
    """A statement names a mesh view where a table is wanted. The refusal, unless it can be planned with the view's
    definition: then `expansion` is the statement so written."""

    def __init__(self, view: str, context: PlanContext, tree: exp.Expr | None = None) -> None:
        super().__init__(
            NOT_SUPPORTED,
            what=f"the view '{view}', whose rows are on several data nodes, in this statement",
            instead="name its tables instead",
        )
        self.context = context
        self.tree = tree
        self.expansion: Expansion | None = None


@dataclass(frozen=True, slots=True)
class Expansion:
    """A statement with the definitions of its views in place of their names."""

    hints: str
    frame: Frame

    def text(self, literals: Sequence[object]) -> str:
        """The statement with these literals of the client's; its `?` stay."""
        call = Call(literals, SessionValues())
        return self.hints + self.frame.render(literals, call, keep_parameters=True).decode(
            "utf-8", "surrogateescape"
        )


def logic_definition(definition: str, names: Mapping[str, Mapping[str, str]], database: str) -> str | None:
    """A view's query as its server tells it, in logic names. `names` are the actual tables the view can reach, by schema,
    and what they are called in the logic `database`. None where it names another table: a server writes every table
    with its schema. O(length)."""
    pieces: list[str] = []
    position = 0
    for first, second in _names(definition):
        known = None if second is None else names.get(first.value)
        if second is None or known is None:
            # Columns of a view are qualified by its bare name.
            if first.value.startswith(VIEW_PREFIX):
                own = quote_name(logic_name(first.value), quoted=True)
                pieces += (definition[position : first.start], own)
                position = first.end
            continue
        pieces.append(definition[position : first.start])
        position = second.start
        # A function is where the statement runs.
        if definition[second.end : second.end + 1] != "(":
            logic = known.get(second.value)
            if logic is None:
                return None
            pieces.append(f"{quote_name(database, quoted=True)}.{quote_name(logic, quoted=True)}")
            position = second.end
    return "".join(pieces) + definition[position:]


def _names(definition: str) -> Iterator[tuple[Lexeme, Lexeme | None]]:
    """The quoted names that nothing qualifies, each with the name it qualifies."""
    reader = LexemeReader(definition)
    while not reader.at_end:
        lexeme = reader.take()
        if lexeme.kind is not Kind.QUOTED:
            continue
        qualified = reader.peek(1) if reader.looks_at(".") else None
        yield lexeme, qualified
        while reader.accept("."):
            reader.take()


def actual_name(name: str) -> str:
    """What a mesh view is called on its data source."""
    return VIEW_PREFIX + name


def logic_name(actual: str) -> str:
    """What a view of a data source is called by clients."""
    return actual.removeprefix(VIEW_PREFIX)


def on_same_server(one: DataSourceConfig, other: DataSourceConfig) -> bool:
    """Whether a view on one data source can read tables of the other."""
    return (one.kind, one.host, one.port) == (other.kind, other.host, other.port) and one.kind == "mysql"


def expand(found: NamesView) -> Expansion | None:
    """The statement with the definitions of the views it names, None where its tree does not show them. Raises
    MeshError: INVALID_VIEW, NOT_SUPPORTED where a view stands for more than its rows."""
    context = found.context
    tree = context.statement.tree if found.tree is None else found.tree
    edits = context.edits()
    views = [
        (table, key) for table in tree.find_all(exp.Table) if (key := _view_key(context, table)) is not None
    ]
    if not views:
        return None
    for table, key in views:
        if isinstance(table.parent, exp.Insert | exp.Update | exp.Delete | exp.Schema):
            raise not_supported(
                f"writing through the view '{table.name}', whose rows are on several data nodes",
                "write its table",
            )
        start, end = (table.args.get("db") or table.this).meta["start"], table.this.meta["end"] + 1
        own = "" if table.alias else f" AS {context.statement.text[table.this.meta['start'] : end]}"
        edits.replace(start, end, f"({_definition(context, table.name, key)}){own}")
        for column in tree.find_all(exp.Column):
            database = column.args.get("db")
            if isinstance(database, exp.Identifier) and column.table.lower() == table.name.lower():
                edits.replace(database.meta["start"], column.args["table"].meta["start"])
    return Expansion(context.statement.shape.hints, edits.build().frame(()))


def _view_key(context: PlanContext, table: exp.Table) -> str | None:
    """The key of the mesh view a table of the tree is, None when it is none."""
    if not isinstance(table.this, exp.Identifier) or "start" not in table.this.meta:
        return None
    try:
        database = database_of(context, table.db or None, table.name)
    except MeshError:
        return None
    key = context.rule_set.key(database, table.name)
    return key if key in context.catalog.views else None


def _definition(context: PlanContext, name: str, key: str) -> str:
    definition = context.catalog.views[key]
    schema = context.catalog.table(key)
    if definition is None or schema is None or not schema.columns:
        raise MeshError(INVALID_VIEW, database=context.rule_set.database, view=name)
    return _readable(definition, context.flags)


def _readable(definition: str, flags: LexerFlags) -> str:
    """The definition as a session with these flags reads it. A server writes it with back quotes and backslashes."""
    if flags.no_backslash_escapes and "\\" in definition:
        raise not_supported(
            "a view with a backslash in its definition under NO_BACKSLASH_ESCAPES", "unset it"
        )
    if not flags.ansi_quotes:
        return definition
    pieces: list[str] = []
    position = 0
    for lexeme in split_lexemes(definition):
        if lexeme.kind is Kind.QUOTED:
            own = lexeme.value.replace('"', '""')
            pieces += (definition[position : lexeme.start], f'"{own}"')
            position = lexeme.end
    return "".join(pieces) + definition[position:]
