"""COM_FIELD_LIST: the columns of a table, as definitions without rows."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dbmesh.engine.collect import collect
from dbmesh.errors import MALFORMED_PACKET, MeshError, ShardError
from dbmesh.session import execution, local
from dbmesh.session.connections import Loan
from dbmesh.session.planning import look_up
from dbmesh.session.result_sink import rename
from dbmesh.transaction.decisions import quoted
from dbmesh.wire.framing import frame
from dbmesh.wire.packets import make_column_definition, make_end_of_rows

if TYPE_CHECKING:
    from dbmesh.session.session import Session, Work

_NULL_DEFAULT = b"\xfb"


def field_list(session: Session, payload: bytes, sequence: int) -> Work | None:
    """See the manual, COM_FIELD_LIST (deprecated, still sent by command-line clients)."""
    table, separator, _wildcard = payload[1:].partition(b"\x00")
    if not separator:
        raise MeshError(MALFORMED_PACKET)
    return _list(session, table.decode("utf-8", "surrogateescape"), sequence)


async def _list(session: Session, table: str, sequence: int) -> None:
    database, plan, literals = look_up(session, f"SELECT * FROM {quoted(table)} LIMIT 0")
    if local.answers(plan):
        raise MeshError(MALFORMED_PACKET)
    bound = plan.bind(execution.make_call(session, database, literals))
    shot = bound.shots[0]
    loan = Loan(session)
    try:
        result = await collect(await loan.take_for_reading(database, shot.data_source), shot.sql)
    except (MeshError, ShardError) as error:
        loan.free()
        raise await execution.settled(session, database, bound, error) from error
    finally:
        loan.free()
    packets = []
    for column in result.columns:
        definition = make_column_definition(rename(column, bound.names))
        packets.append(frame(definition + _NULL_DEFAULT, sequence))
        sequence = (sequence + 1) & 0xFF
    packets.append(frame(make_end_of_rows(session.status, 0, session.capabilities), sequence))
    session.client.write(b"".join(packets))
