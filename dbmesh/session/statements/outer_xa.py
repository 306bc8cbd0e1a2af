"""XA transactions of an outer transaction manager: one branch of its transaction is one data source's.

Decides which data source that is, the first the transaction touches, and passes the statements on. A second one is refused: the mesh
could not promise the manager that both have prepared.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from dbmesh.engine.collect import collect
from dbmesh.errors import UNKNOWN_XID, XA_OUTSIDE, XA_WRONG_STATE, MeshError
from dbmesh.planner.session_plan import OuterXa, XaVerb
from dbmesh.planner.xa_statements import xid_text
from dbmesh.session.answering.result_sink import ResultSink
from dbmesh.session.connections import Loan
from dbmesh.session.replica_reads import remember_writes
from dbmesh.transaction.xid import FORMAT, Place
from dbmesh.wire.packets import ColumnDefinition, OkPacket

if TYPE_CHECKING:
    from dbmesh.session.session import Session

_WORDS = {
    XaVerb.END: "XA END",
    XaVerb.PREPARE: "XA PREPARE",
    XaVerb.COMMIT: "XA COMMIT",
    XaVerb.COMMIT_ONE_PHASE: "XA COMMIT",
    XaVerb.ROLLBACK: "XA ROLLBACK",
}
_OWN_FORMAT = str(FORMAT).encode()
_LAST = (XaVerb.COMMIT, XaVerb.COMMIT_ONE_PHASE, XaVerb.ROLLBACK)


async def outer_xa(session: Session, statement: OuterXa, sink: ResultSink, more: int) -> None:
    """Perform an XA statement. Raises MeshError or ShardError."""
    session.warnings = []
    transaction = session.transaction
    if statement.verb is XaVerb.RECOVER:
        await _recover(session, statement, sink, more)
        return
    if statement.verb is XaVerb.START:
        session.refuse_in_broken_transaction()
        if transaction.outer is not None:
            raise MeshError(XA_WRONG_STATE, state="ACTIVE")
        if transaction.open:
            raise MeshError(XA_OUTSIDE)
        transaction.begin("")
        transaction.outer = statement.xid
    elif statement.xid == transaction.outer:
        await _pass_on(session, statement)
    elif statement.verb in _LAST and transaction.outer is None:
        if transaction.open:
            raise MeshError(XA_OUTSIDE)
        await _end_elsewhere(session, statement)
    else:
        raise MeshError(UNKNOWN_XID)
    sink.ok(OkPacket(status=session.status | more))


async def _pass_on(session: Session, statement: OuterXa) -> None:
    """A statement about the session's own branch."""
    transaction = session.transaction
    if session.broken_transaction is not None:
        if statement.verb is not XaVerb.ROLLBACK:
            session.refuse_in_broken_transaction()
        session.broken_transaction = None
        await session.end_transaction(commit=False)
        return
    if not transaction.branches:
        # Nothing was touched, but what the manager will prepare must be somewhere.
        loan = Loan(session)
        try:
            await loan.join_first(session.current_database())
        finally:
            loan.free()
    (branch,) = transaction.branches.values()
    one_phase = " ONE PHASE" if statement.verb is XaVerb.COMMIT_ONE_PHASE else ""
    # As a COMMIT it is not interrupted: the manager must be told what has become of the branch.
    with session.uninterrupted():
        await collect(branch.connection, f"{_WORDS[statement.verb]} {statement.xid}{one_phase}".encode())
    if statement.verb in _LAST:
        readers = list(transaction.readers.values())
        remember_writes(session)
        try:
            await transaction.end_outer()
        finally:
            session.release_branches([branch, *readers])


async def _end_elsewhere(session: Session, statement: OuterXa) -> None:
    """A branch that another session, perhaps of another process, has prepared: it is on the data source that says so."""
    if statement.verb is XaVerb.COMMIT_ONE_PHASE:
        raise MeshError(UNKNOWN_XID)
    coordinator = session.mesh.coordinator
    for place in _servers(session):
        async with coordinator.connection(place) as connection:
            found = (_name(row) for row in (await collect(connection, b"XA RECOVER")).rows)
            if statement.xid in found:
                await collect(connection, f"{_WORDS[statement.verb]} {statement.xid}".encode())
                return
    raise MeshError(UNKNOWN_XID)


async def _recover(session: Session, statement: OuterXa, sink: ResultSink, more: int) -> None:
    """What is prepared on any data source, but for the mesh's own branches."""
    question = b"XA RECOVER CONVERT XID" if statement.converts else b"XA RECOVER"
    columns: tuple[ColumnDefinition, ...] = ()
    rows: list[list[str | None]] = []
    for place in _servers(session):
        async with session.mesh.coordinator.connection(place) as connection:
            shown = await collect(connection, question)
        columns = shown.columns
        rows += [
            [None if value is None else value.decode("utf-8", "surrogateescape") for value in row]
            for row in shown.rows
            if row[0] != _OWN_FORMAT
        ]
    sink.local_rows(columns, rows, session.status | more)


def _servers(session: Session) -> list[Place]:
    """One place on each server."""
    places = [place for place in session.mesh.coordinator.places() if place.compensates]
    return list({(place.host, place.port): place for place in places}.values())


def _name(row: Sequence[bytes | None]) -> str:
    length, data = int(row[1] or 0), row[3] or b""
    return xid_text(data[:length], data[length:], int(row[0] or 0))
