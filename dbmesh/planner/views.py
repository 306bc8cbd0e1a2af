"""Mesh views: views whose rows are on several data nodes.

Decides that such a view is kept as a view over the first data nodes of its tables, on one data source that has them all:
its server checks the definition, knows the columns and tells both as any server would. Its rows are never read there. A
statement that names the view is planned with the definition, in logic names, in its place (`view_expansion`). Knows no
sessions and no DDL.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from sqlglot import exp

from dbmesh.errors import NOT_SUPPORTED, MeshError
from dbmesh.model import VIEW_PREFIX
from dbmesh.planner.context import PlanContext
from dbmesh.planner.lexemes import Kind, Lexeme, LexemeReader
from dbmesh.planner.plan import Call
from dbmesh.planner.session_view import SessionValues
from dbmesh.planner.template import Frame, quote_name
from dbmesh.rules.ruleset import DataSourceConfig

_HEAD = re.compile(r"\A(select (?:[a-z_]+ )*?)sql_(?:no_)?cache ")
"""MariaDB keeps these words in a definition, and takes them at the head of a statement alone. They are about no row."""


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
    """A statement with the definitions of its views in place of their names. `reusable`: for any literals."""

    hints: str
    frame: Frame
    reusable: bool

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
    definition = _HEAD.sub(r"\1", definition, count=1)
    pieces: list[str] = []
    position = 0
    for first, second, is_table in _names(definition):
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
            if logic is None and is_table:
                return None
            if logic is None:
                # A column, of a table whose alias is the schema's name.
                position = first.start
                continue
            pieces.append(f"{quote_name(database, quoted=True)}.{quote_name(logic, quoted=True)}")
            position = second.end
    return "".join(pieces) + definition[position:]


def _names(definition: str) -> Iterator[tuple[Lexeme, Lexeme | None, bool]]:
    """The quoted names that nothing qualifies, each with the name it qualifies, and whether that is surely a table."""
    reader = LexemeReader(definition)
    before = ""
    while not reader.at_end:
        lexeme = reader.take()
        if lexeme.kind is not Kind.QUOTED:
            before = lexeme.word
            continue
        qualified = reader.peek(1) if reader.looks_at(".") else None
        is_table = before in ("FROM", "JOIN", "STRAIGHT_JOIN") or reader.peek(2).text == "."
        yield lexeme, qualified, is_table
        while reader.accept("."):
            reader.take()
        before = ""


def actual_name(name: str) -> str:
    """What a mesh view is called on its data source."""
    return VIEW_PREFIX + name


def logic_name(actual: str) -> str:
    """What a view of a data source is called by clients."""
    return actual.removeprefix(VIEW_PREFIX)


def on_same_server(one: DataSourceConfig, other: DataSourceConfig) -> bool:
    """Whether a view on one data source can read tables of the other."""
    return (one.kind, one.host, one.port) == (other.kind, other.host, other.port) and one.kind == "mysql"
