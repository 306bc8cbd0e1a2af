"""COM_STMT_BULK_EXECUTE: a prepared write executed with many rows of values (MariaDB).

An INSERT becomes one statement of many rows, which is split over the data nodes as any other. What cannot be one statement is
executed row by row: an INSERT all or nothing, UPDATE and DELETE each for itself, as on one server.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from dbmesh.errors import (
    MALFORMED_PACKET,
    NOT_IN_PREPARED,
    ROLLED_BACK_BY_SERVER,
    MeshError,
    ShardError,
    not_supported,
)
from dbmesh.merge.counts import merge_counts
from dbmesh.planner.bulk import assigned_columns, insert_form, is_query
from dbmesh.planner.plan import CountMerge, Names, Verb
from dbmesh.session import filtering
from dbmesh.session.answering.cursors import close_cursor
from dbmesh.session.answering.result_sink import ResultSink
from dbmesh.session.planning import look_up, with_texts
from dbmesh.session.recoding import check_values
from dbmesh.session.statement_log import log_command
from dbmesh.session.statements import execution, local
from dbmesh.sql.literals import stored_text, value_text
from dbmesh.wire.bulk import BulkValue, LeftOut, parse_bulk_execute
from dbmesh.wire.commands import parse_statement_id
from dbmesh.wire.packets import ColumnDefinition, OkPacket

if TYPE_CHECKING:
    from dbmesh.session.prepared import PreparedStatement
    from dbmesh.session.session import Session, Work

_INSERTS = (Verb.INSERT, Verb.REPLACE)
_WRITES = (*_INSERTS, Verb.UPDATE, Verb.DELETE)
_UNDO = "dbmesh_bulk"


def stmt_bulk_execute(session: Session, payload: bytes, sequence: int) -> Work | None:
    """See MariaDB's knowledge base, COM_STMT_BULK_EXECUTE."""
    prepared = session.statements.find(parse_statement_id(payload), "mysqld_stmt_bulk_execute")
    session.command_text = prepared.sql
    if session.mesh.shows_statements:
        log_command(session)
    bulk = parse_bulk_execute(payload, prepared.parameter_count, prepared.parameter_types, session.encoding())
    prepared.parameter_types = bulk.types
    for row in bulk.rows:
        check_values(payload, bulk.types, row, session.lexer_flags)
    close_cursor(session, prepared)
    if not bulk.rows:
        raise MeshError(MALFORMED_PACKET)
    _, plan, _ = look_up(session, prepared.text)
    if local.answers(plan) or plan.verb not in _WRITES or (plan.verb in _INSERTS and is_query(prepared.text)):
        raise MeshError(NOT_IN_PREPARED)
    sink = _OneAnswer(session, sequence)
    session.use_sink(sink)
    return _run(session, prepared, plan.verb, bulk.rows, sink)


async def _run(
    session: Session,
    prepared: PreparedStatement,
    verb: Verb,
    rows: Sequence[Sequence[BulkValue]],
    sink: _OneAnswer,
) -> None:
    form = insert_form(prepared.text)
    if form is not None:
        listed = ", ".join(
            [with_texts(session, form.row, _inserted(session, row, form.cells)) for row in rows]
        )
        await _run_one(session, form.head + listed + form.tail, sink)
    elif verb in _INSERTS:
        await _run_together(
            session, [with_texts(session, prepared.text, _inserted(session, row)) for row in rows], sink
        )
    else:
        columns = assigned_columns(prepared.text)
        session.given = None
        for row in rows:
            await _run_one(
                session, with_texts(session, prepared.text, list(_updated(session, row, columns))), sink
            )
    sink.close(verb)


async def _run_one(session: Session, text: str, sink: _OneAnswer) -> None:
    database, plan, literals = look_up(session, text)
    if local.answers(plan):
        raise MeshError(NOT_IN_PREPARED)
    async with filtering.within(session, database, plan, text):
        call = execution.make_call(session, database, literals)
        await execution.run(
            session, database, plan, await execution.bind(session, database, plan, call), sink
        )
    sink.warnings += session.warnings


async def _run_together(session: Session, texts: Sequence[str], sink: _OneAnswer) -> None:
    """All of these or none: in the open transaction, or in one of their own."""
    transaction = session.transaction
    own = session.autocommit and not transaction.open
    if own:
        transaction.begin("")
    await transaction.savepoint(_UNDO)
    try:
        for text in texts:
            await _run_one(session, text, sink)
    except BaseException as error:
        if own:
            session.broken_transaction = None
            await session.end_transaction(commit=False)
        elif not (isinstance(error, MeshError | ShardError) and error.number in ROLLED_BACK_BY_SERVER):
            # Also when it is killed between two rows: the client may go on with its transaction.
            await transaction.roll_back_to(_UNDO)
        raise
    if own:
        sink.warnings += await session.end_transaction(commit=True)
    else:
        await transaction.release_savepoint(_UNDO)


def _inserted(session: Session, row: Sequence[BulkValue], cells: Sequence[bool] = ()) -> list[str]:
    """In a new row there is nothing that could be left as it is: its default it becomes. For `cells` see `InsertForm`."""
    return [
        "DEFAULT"
        if isinstance(value, LeftOut)
        else (stored_text if alone else value_text)(value, session.lexer_flags)
        for value, alone in zip(row, cells or [False] * len(row), strict=True)
    ]


def _updated(session: Session, row: Sequence[BulkValue], columns: Sequence[str | None]) -> Iterator[str]:
    for value, column in zip(row, columns, strict=True):
        if not isinstance(value, LeftOut):
            yield value_text(value, session.lexer_flags)
        elif column is None:
            raise not_supported(
                f"the indicator {value.name} for a parameter that is not assigned to a column", "send a value"
            )
        else:
            yield "DEFAULT" if value is LeftOut.DEFAULT else column


class _OneAnswer(ResultSink):
    """The answers of several statements as that of one: rows behind rows, counts and warnings added."""

    def __init__(self, session: Session, sequence: int) -> None:
        super().__init__(session.client, session.capabilities, Names("", {}), sequence=sequence, binary=True)
        self.warnings = list(session.warnings[:0])
        self._session = session
        self._has_columns = False
        self._oks: list[OkPacket] = []

    def columns(self, columns: Sequence[ColumnDefinition]) -> None:
        """See `ResultSink`."""
        if not self._has_columns:
            self._has_columns = True
            super().columns(columns)

    def end_rows(self, status: int, warnings: int) -> None:
        """See `ResultSink`: others may follow."""

    def ok(self, packet: OkPacket) -> None:
        """See `ResultSink`."""
        self._oks.append(packet)

    def close(self, verb: Verb) -> None:
        """Every statement has been run. ROW_COUNT() tells of all rows inserted, but of the last UPDATE or DELETE."""
        session = self._session
        session.warnings = self.warnings
        count = min(len(self.warnings), 65535)
        if self._has_columns:
            super().end_rows(session.status, count)
            return
        ok = merge_counts(CountMerge(inserts=verb in _INSERTS), self._oks)
        if verb in _INSERTS:
            session.row_count = ok.affected_rows
            session.last_insert_id = ok.last_insert_id or session.last_insert_id
        super().ok(replace(ok, status=session.status, warnings=count))
