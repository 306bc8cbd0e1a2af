"""Triggers of a session's statements: where they are, by the names clients know them by.

Decides that a trigger of a sharded table is one thing, though every data node has its own: where several nodes share a data
source, each carries the name of its actual table behind its own.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from dbmesh.engine.collect import Result, collect
from dbmesh.engine.federation import LOAD_STATE
from dbmesh.errors import UNKNOWN_TRIGGER, MeshError
from dbmesh.planner.plan import CountMerge, Names, Relay, Verb
from dbmesh.planner.session_plan import DropRoutine
from dbmesh.planner.shadow.plan import on_both_sides
from dbmesh.planner.system_tables import system_nodes
from dbmesh.planner.template import Template, quote_name
from dbmesh.planner.text_plan import TextPlan, TextShot
from dbmesh.session.answering.errors import logic_text
from dbmesh.session.answering.result_sink import ResultSink
from dbmesh.session.mesh import Database
from dbmesh.session.statements import execution
from dbmesh.session.statements.system_tables import Reading
from dbmesh.sql.literals import literal_text
from dbmesh.wire.values import encode_text_row

if TYPE_CHECKING:
    from dbmesh.session.session import Session


@dataclass(frozen=True, slots=True)
class _Trigger:
    """A trigger of one data node, with its actual name and table."""

    data_source: str
    name: str
    table: str
    logic_table: str


async def drop_trigger(
    session: Session, database: Database, statement: DropRoutine, sink: ResultSink, *, more: bool
) -> None:
    """DROP TRIGGER [IF EXISTS], on every data node. Raises MeshError or ShardError."""
    found = await _triggers(session, database, statement.name)
    if not found and not statement.if_exists:
        raise MeshError(UNKNOWN_TRIGGER)
    # What is nowhere is dropped where its warning comes from.
    places = [(one.data_source, one.name) for one in found] or [(next(iter(database.pools)), statement.name)]
    exists = "IF EXISTS " if statement.if_exists else ""
    shots = tuple(
        TextShot(
            source,
            Template((f"DROP TRIGGER {exists}{quote_name(name, quoted=True)}",), session.lexer_flags).frame(
                ()
            ),
        )
        for source, name in places
    )
    plan = TextPlan(
        Verb.DDL,
        tuple(dict.fromkeys(one.logic_table for one in found)),
        shots,
        Relay() if len(shots) == 1 else CountMerge(),
        _names(database, statement.name, found),
        opens_transaction=False,
        implicit_commit=True,
        announced=True,
    )
    both = on_both_sides(database.rule_set, plan)
    bound = both.bind(execution.make_call(session, database, ()))
    await execution.run(session, database, both, bound, sink, more=more)


async def show_create_trigger(
    session: Session, database: Database, name: str, sink: ResultSink, more: int
) -> None:
    """SHOW CREATE TRIGGER, as the first data node says it. Raises MeshError or ShardError."""
    found = await _triggers(session, database, name)
    if not found:
        raise MeshError(UNKNOWN_TRIGGER)
    own = quote_name(found[0].name, quoted=True)
    shown = await ask(session, database, found[0].data_source, f"SHOW CREATE TRIGGER {own}")
    names = _names(database, name, found)
    sink.use_names(names)
    sink.columns(shown.columns)
    for row in shown.rows:
        texts = [None if value is None else value.decode("utf-8", "surrogateescape") for value in row]
        renamed = [None if text is None else logic_text(text, names, "") for text in (texts[0], texts[2])]
        texts[0], texts[2] = renamed
        values = [None if text is None else text.encode("utf-8", "surrogateescape") for text in texts]
        sink.rows([encode_text_row(values)])
    session.warnings = []
    sink.end_rows(session.status | more, 0)


async def ask(session: Session, database: Database, source: str, sql: str) -> Result:
    """The answer of a data source to a question of the session's own. Raises MeshError or ShardError."""
    connection = await database.merge_pools[source].acquire(session.flavour)
    try:
        await connection.bring_to(LOAD_STATE)
        session.announce(Reading(connection))
        return await collect(connection, sql.encode("utf-8", "surrogateescape"))
    finally:
        session.announce(None)
        connection.home.release(connection, session.now())


async def _triggers(session: Session, database: Database, name: str) -> list[_Trigger]:
    """The triggers a client knows by this name, of every data node."""
    nodes = system_nodes(database.rule_set, database.catalog)
    begins = f"LEFT(TRIGGER_NAME, {len(name)}) = {literal_text(name)}"
    sql = (
        "SELECT TRIGGER_NAME, EVENT_OBJECT_TABLE FROM information_schema.TRIGGERS "
        f"WHERE TRIGGER_SCHEMA = DATABASE() AND {begins}"
    )
    found: list[_Trigger] = []
    for source, config in database.rule_set.data_sources.items():
        if config.kind != "mysql":
            continue
        for row in (await ask(session, database, source, sql)).rows:
            actual, table = ((value or b"").decode("utf-8", "surrogateescape") for value in row)
            node = nodes[source].get(table)
            if node is not None and actual.removesuffix(node.suffix).lower() == name.lower():
                found.append(_Trigger(source, actual, table, node.logic))
    return found


def _names(database: Database, name: str, found: list[_Trigger]) -> Names:
    names = {one.name: name for one in found} | {one.table: one.logic_table for one in found}
    return Names(database.name, names)
