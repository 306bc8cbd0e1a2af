"""CREATE TRIGGER: on every data node of its table, where its body does the same there as it would on one server.

Decides that by the body's own text: on a table with rows in several places it may look at the row alone, and nothing it does
may depend on the connection or the place. A trigger of a single table may also use what is beside it. Knows no connections.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from dbmesh.errors import MeshError, not_supported
from dbmesh.planner.context import PlanContext
from dbmesh.planner.ddl_nodes import plan_everywhere
from dbmesh.planner.ddl_places import DdlTable, symbol_name, table_at
from dbmesh.planner.ddl_reading import read_place
from dbmesh.planner.lexemes import Kind, Lexeme, LexemeReader
from dbmesh.planner.routines import check_body
from dbmesh.planner.text_plan import TextPlan
from dbmesh.planner.unrepeatable import refuse_unrepeatable
from dbmesh.rules.ruleset import BroadcastTable, ShardedTable

_WRITING = frozenset(("INSERT", "UPDATE", "DELETE", "REPLACE", "LOAD", "TRUNCATE"))
_STATEMENTS = _WRITING | {"SELECT", "CALL", "DO", "EXECUTE", "PREPARE", "HANDLER", "OPEN", "TABLE", "WITH"}
"""Words whose statements may reach other rows than the trigger's own."""
_COMPARED = frozenset(
    ("IF", "ELSEIF", "WHEN", "WHILE", "UNTIL", "AND", "OR", "XOR", "NOT", "(", "=", ":=", "&&", "||", "!")
)
"""Before `NEW.column =` these begin a comparison, not an assignment."""
_INSTEAD = "do its work in the application"


def plan_create_trigger(context: PlanContext, reader: LexemeReader) -> TextPlan:
    """CREATE TRIGGER. Raises MeshError: UNKNOWN_TABLE, NOT_SUPPORTED."""
    while not reader.accept("TRIGGER"):
        reader.take()
    reader.accept("IF", "NOT", "EXISTS")
    name = read_place(reader)
    if name.database is not None:
        raise not_supported("a trigger's name with its database", "leave out the database")
    before = reader.accept("BEFORE")
    inserting = reader.looks_at("INSERT") or reader.looks_at("AFTER", "INSERT")
    while not reader.accept("ON"):
        if reader.at_end:
            raise reader.error()
        reader.take()
    place = read_place(reader)
    reader.expect("FOR", "EACH", "ROW")
    symbols = [name]
    if reader.accept_any("FOLLOWS", "PRECEDES") is not None:
        symbols.append(read_place(reader))
    table = table_at(context, place)
    body = reader.lexemes[reader.position :]
    # A trigger runs on a data source's connection, which is not the session.
    start = Lexeme(Kind.MARK, ";", ";", place.end, place.end)
    check_body((start, *body), context.statement.readable, "a trigger", ("new",))
    if table.rule is None:
        _check_beside(context, table, body)
        return plan_everywhere(context, table, place)
    _check_own_row(table, body)
    if isinstance(table.rule, ShardedTable):
        _check_place(table.name, table.rule, body, numbered=before and inserting)
    else:
        refuse_unrepeatable(body, table.name)
    plan = plan_everywhere(context, table, place, symbols=symbols)
    own = {symbol_name(table, number, name): name.name for number in range(len(table.nodes))}
    return replace(plan, names=replace(plan.names, tables={**plan.names.tables, **own}))


def _check_beside(context: PlanContext, table: DdlTable, body: Sequence[Lexeme]) -> None:
    """A single table's trigger reaches the tables of its data source: singles, and broadcast tables to read."""
    source = table.nodes[0].data_source
    writes = any(lexeme.word in _WRITING for lexeme in body)
    singles = context.catalog.single_nodes
    for name in _names(body):
        rule = context.rule_set.table(name)
        if (
            isinstance(rule, ShardedTable)
            or (isinstance(rule, BroadcastTable) and writes)
            or name in context.catalog.views
        ):
            raise _refused(f"a trigger that names '{name}', whose rows are on other data nodes too")
        if name in singles and singles[name].data_source != source:
            raise _refused(
                f"a trigger on '{table.name}' that names '{name}', which is on another data source"
            )


def _check_own_row(table: DdlTable, body: Sequence[Lexeme]) -> None:
    for at, lexeme in enumerate(body):
        if lexeme.word in _STATEMENTS and (at == 0 or body[at - 1].text != "."):
            raise _refused(
                f"a trigger with {lexeme.word} on '{table.name}', which is sharded or broadcast: other rows may be on "
                "other data nodes"
            )


def _check_place(name: str, rule: ShardedTable, body: Sequence[Lexeme], *, numbered: bool) -> None:
    """The row stays where it was placed before any trigger ran; a number the mesh gives is there before, too."""
    for column, assigned in _new_columns(body):
        if assigned and column in rule.sharding_columns:
            raise _refused(f"a trigger that sets the sharding column '{column}' of '{name}'")
        if numbered and rule.key_generator is not None and column == (rule.key_column or "").lower():
            raise _refused(
                f"a trigger BEFORE INSERT that uses '{column}' of '{name}', whose values are generated"
            )


def _new_columns(body: Sequence[Lexeme]) -> Iterator[tuple[str, bool]]:
    """The columns behind NEW, in lower case, and whether they may be assigned."""
    for at, lexeme in enumerate(body[:-2]):
        if lexeme.value.upper() == "NEW" and body[at + 1].text == ".":
            following = body[at + 3].text if at + 3 < len(body) else ""
            yield (
                body[at + 2].value.lower(),
                following in ("=", ":=") and body[at - 1].text.upper() in ("SET", ","),
            )


def _names(body: Sequence[Lexeme]) -> Iterator[str]:
    """Every name that may be a table's, in lower case."""
    for at, lexeme in enumerate(body):
        of_row = at > 1 and body[at - 1].text == "." and body[at - 2].value.upper() in ("NEW", "OLD")
        if lexeme.kind in (Kind.WORD, Kind.QUOTED) and not of_row:
            yield lexeme.value.lower()


def _refused(what: str) -> MeshError:
    return not_supported(what, _INSTEAD)
