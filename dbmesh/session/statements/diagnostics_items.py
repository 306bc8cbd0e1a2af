"""GET DIAGNOSTICS: items of what the last statement left behind, put into user variables.

Decides what each item is. Warnings come from servers without their SQLSTATE, which their number gives (manual, "Server Error
Message Reference").
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from types import MappingProxyType
from typing import TYPE_CHECKING

from dbmesh.backend.connection import Product
from dbmesh.engine.warnings import ShardWarning
from dbmesh.errors import WRONG_CONDITION, MeshError
from dbmesh.planner.session_plan import GetDiagnostics
from dbmesh.session.answering.result_sink import ResultSink
from dbmesh.session.authority.masking import veiled_warnings
from dbmesh.session.user_variables import assigned
from dbmesh.sql.literals import decode_literal, unsigned
from dbmesh.sql.user_values import collated, value_of
from dbmesh.wire.packets import OkPacket

if TYPE_CHECKING:
    from dbmesh.session.session import Session

_STATES: Mapping[int, str] = MappingProxyType(
    {
        **dict.fromkeys((1261, 1262, 1265, 1311, 1642), "01000"),
        1329: "02000",
        1136: "21S01",
        **dict.fromkeys((1241, 1242), "21000"),
        1406: "22001",
        **dict.fromkeys((1264, 1367, 1416, 1690), "22003"),
        **dict.fromkeys((1292, 1366, 1525), "22007"),
        1365: "22012",
        **dict.fromkeys((3140, 3141), "22032"),
        **dict.fromkeys((1048, 1052, 1062, 1169, 1216, 1217, 1451, 1452, 1557, 1586, 4025), "23000"),
        **dict.fromkeys((1064, 1091, 1149, 1235, 1305, 1318, 1582, 1583), "42000"),
        1050: "42S01",
        **dict.fromkeys((1051, 1109, 1146, 1932, 4091), "42S02"),
        1060: "42S21",
        1054: "42S22",
    }
)
"""Numbers of warnings and errors whose SQLSTATE is not HY000."""
_MYSQLS: Mapping[int, str] = MappingProxyType({1366: "HY000"})
"""Where MySQL has another one than MariaDB."""


async def get_diagnostics(session: Session, statement: GetDiagnostics, sink: ResultSink, more: int) -> None:
    """See `GetDiagnostics`. A condition there is not is told by a warning, as servers do."""
    told = 0
    if not statement.condition:
        values = {"NUMBER": unsigned(str(session.warning_count)), "ROW_COUNT": str(session.row_count)}
    else:
        number = _number(session, statement.condition)
        if 0 < number <= len(session.warnings):
            [condition] = veiled_warnings(session, [session.warnings[number - 1]])
            values = _items(condition, session.mesh.product)
        else:
            refusal = MeshError(WRONG_CONDITION)
            session.warnings = [
                *session.warnings,
                ShardWarning("Error", refusal.number, str(refusal), refusal.sqlstate),
            ]
            values, told = {}, 1
    if values:
        state = session.state
        for variable, item in statement.items:
            state = assigned(state, variable, values.get(item, _text("")))
        session.state = state
    sink.ok(OkPacket(status=session.status | more, warnings=told))


def _number(session: Session, written: str) -> int:
    """The number of the condition that is asked for, 0 for what is none."""
    if written[0] == "@":
        held = session.state.user_variable(written[1:])
        value = None if held is None else value_of(held)
    else:
        value = decode_literal(written)
    if isinstance(value, str):
        value = int(value) if value.strip().isdecimal() else 0
    return int(value) if isinstance(value, int | float | Decimal) else 0


def _items(condition: ShardWarning, product: Product) -> dict[str, str]:
    """The items of a condition that are not empty, as values of variables."""
    mysql = product is Product.MYSQL
    state = (
        condition.sqlstate
        or (_MYSQLS if mysql else {}).get(condition.number)
        or _STATES.get(condition.number, "HY000")
    )
    origin = _text("ISO 9075" if mysql else "")
    return {
        "MYSQL_ERRNO": unsigned(str(condition.number)),
        "RETURNED_SQLSTATE": _text(state),
        "MESSAGE_TEXT": _text(condition.message),
        "CLASS_ORIGIN": origin,
        "SUBCLASS_ORIGIN": origin,
    }


def _text(value: str) -> str:
    return collated(value.encode("utf-8", "surrogateescape"), "utf8mb3")
