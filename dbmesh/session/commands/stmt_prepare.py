"""COM_STMT_PREPARE: plan a statement and tell the definitions of its parameters and columns, as a shard sees them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dbmesh.errors import TOO_MANY_STATEMENTS, MeshError
from dbmesh.session.answering.diagnostics import remember_warnings
from dbmesh.session.answering.result_sink import text_column
from dbmesh.session.planning import count_parameters, look_up
from dbmesh.session.recoding import recoded
from dbmesh.session.statements import local
from dbmesh.session.statements.describing import describe_plan, is_found_out_later
from dbmesh.wire.blocks import make_prepare_answer
from dbmesh.wire.constants import Capability
from dbmesh.wire.packets import ColumnDefinition, PrepareOk

if TYPE_CHECKING:
    from dbmesh.session.session import Session, Work

MAX_STATEMENTS = 16_382
"""Prepared statements one session may hold: MySQL's default max_prepared_stmt_count."""


def stmt_prepare(session: Session, payload: bytes, sequence: int) -> Work | None:
    """See the manual, COM_STMT_PREPARE."""
    del sequence
    if len(session.statements) >= MAX_STATEMENTS:
        raise MeshError(TOO_MANY_STATEMENTS, limit=MAX_STATEMENTS)
    sql = payload[1:]
    if session.lexer_flags.recoded:
        sql = recoded(sql, session.lexer_flags)
    session.command_text = sql
    session.statements.last = 0
    return _prepare(session, sql)


async def _prepare(session: Session, sql: bytes) -> None:
    text = sql.decode("utf-8", "surrogateescape")
    count = count_parameters(session, text)
    parameters, columns = [text_column("?")] * count, list[ColumnDefinition]()
    try:
        database, plan, literals = look_up(session, text)
    except MeshError as error:
        if not is_found_out_later(error, text):
            raise
    else:
        if local.answers(plan):
            columns = local.told_columns(session, plan)
        else:
            parameters, columns = await describe_plan(session, database, plan, literals, count)
            remember_warnings(session, [], keeps=plan.keeps_warnings)
    prepared = session.statements.add(sql, text, count)
    session.client.write(
        make_prepare_answer(
            PrepareOk(prepared.statement_id, len(columns), len(parameters), 0),
            parameters,
            columns,
            deprecate_eof=bool(session.capabilities & Capability.DEPRECATE_EOF),
            status=session.status,
        )
    )
