"""COM_FIELD_LIST: the columns of a table, as definitions with their defaults and without rows."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING

from dbmesh.backend.mysql import MySQLConnection
from dbmesh.errors import MALFORMED_PACKET, MeshError, ShardError
from dbmesh.planner.plan import BoundStatement, ShardPlan
from dbmesh.planner.resolve import SYSTEM_SCHEMAS
from dbmesh.planner.scans import Federation, SystemFederation
from dbmesh.session.answering.result_sink import rename
from dbmesh.session.connections import Loan
from dbmesh.session.mesh import Database
from dbmesh.session.planning import look_up
from dbmesh.session.statements import execution, local
from dbmesh.session.statements.derived import RowsInMemory
from dbmesh.transaction.decisions import quoted
from dbmesh.wire.blocks import split_block
from dbmesh.wire.framing import frame
from dbmesh.wire.packets import make_column_definition, make_end_of_rows, read_column_definition

if TYPE_CHECKING:
    from dbmesh.session.session import Session, Work

_NULL_DEFAULT = b"\xfb"


def field_list(session: Session, payload: bytes, sequence: int) -> Work | None:
    """See the manual, COM_FIELD_LIST (deprecated, still sent by command-line clients)."""
    table, separator, wildcard = payload[1:].partition(b"\x00")
    if not separator:
        raise MeshError(MALFORMED_PACKET)
    return _list(session, table.decode("utf-8", "surrogateescape"), wildcard, sequence)


async def _list(session: Session, table: str, wildcard: bytes, sequence: int) -> None:
    system = session.database if session.database in SYSTEM_SCHEMAS else None
    name = quoted(table) if system is None else f"{system}.{quoted(table)}"
    database, plan, literals = look_up(session, f"SELECT * FROM {name} LIMIT 0")
    if local.answers(plan):
        raise MeshError(MALFORMED_PACKET)
    bound = plan.bind(execution.make_call(session, database, literals))
    definitions = None
    if (
        system is None
        and not bound.written_in
        and not isinstance(bound.answer, Federation | SystemFederation)
    ):
        definitions = await _listed(session, database, bound, table, wildcard)
    if definitions is None:
        definitions = await _queried(session, database, plan, bound, wildcard)
    packets = [frame(definition, sequence + place) for place, definition in enumerate(definitions)]
    end = make_end_of_rows(session.status, 0, session.capabilities)
    packets.append(frame(end, sequence + len(definitions)))
    session.client.write(b"".join(packets))


async def _listed(
    session: Session, database: Database, bound: BoundStatement, table: str, wildcard: bytes
) -> list[bytes] | None:
    """The same of a data source that has the table, or one like it; None where it does not know the command."""
    actual = next(
        (name for name, logic in bound.names.tables.items() if logic.lower() == table.lower()), table
    )
    loan = Loan(session)
    try:
        connection = await loan.take_for_reading(database, bound.shots[0].data_source)
        if not isinstance(connection, MySQLConnection):
            return None
        block = await connection.field_list(actual.encode("utf-8", "surrogateescape"), wildcard)
    except (MeshError, ShardError) as error:
        loan.free()
        raise await execution.settled(session, database, bound, error) from error
    finally:
        loan.free()
    definitions = []
    for payload in split_block(block):
        column, end = read_column_definition(payload)
        definitions.append(make_column_definition(rename(column, bound.names)) + payload[end:])
    return definitions


async def _queried(
    session: Session, database: Database, plan: ShardPlan, bound: BoundStatement, wildcard: bytes
) -> list[bytes]:
    """The columns of a query of no rows, whose defaults nobody tells."""
    found = RowsInMemory(session.mesh.limits)
    found.use_names(bound.names)
    await execution.fetch(session, database, plan, bound, found)
    wanted = _pattern(wildcard.decode("utf-8", "surrogateescape"))
    return [
        make_column_definition(column) + _NULL_DEFAULT
        for column in found.definitions
        if wanted.fullmatch(column.name.decode("utf-8", "surrogateescape"))
    ]


def _pattern(wildcard: str) -> re.Pattern[str]:
    """The names a wildcard means; an empty one means all."""
    letters: Iterable[str] = wildcard or "%"
    return re.compile(
        "".join({"%": ".*", "_": "."}.get(letter) or re.escape(letter) for letter in letters),
        re.IGNORECASE | re.DOTALL,
    )
