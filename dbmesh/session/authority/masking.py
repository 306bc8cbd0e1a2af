"""What a session that reads masked columns is told about its statements: errors and warnings of data sources without the texts
that may show values or how they are masked.

Decides by the error's number. Servers print the expressions they fail in, with the values of rows they have read already.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from dbmesh.engine.warnings import ShardWarning
from dbmesh.errors import ShardError

if TYPE_CHECKING:
    from dbmesh.session.session import Session

_TOLD = frozenset(
    # Names that the client wrote, keys and values that it reads or writes itself.
    (1022, 1044, 1046, 1048, 1049, 1050, 1051, 1052, 1054, 1055, 1060, 1062, 1066, 1091, 1109, 1110, 1111, 1136, 1140, 1142, 1143,
     1146, 1169, 1172, 1205, 1213, 1222, 1227, 1241, 1242, 1248, 1253, 1260, 1264, 1265, 1267, 1270, 1271, 1290, 1292, 1305, 1317,
     1327, 1329, 1364, 1365, 1366, 1367, 1406, 1411, 1451, 1452, 1526, 1582, 1586, 1792, 1969, 2006, 2013, 3024, 3572)
)  # fmt: skip
"""Numbers of errors whose texts stay: they consist of names, of keys, and of values as the statement has them, which are masked."""
_HIDDEN = "dbmesh: the data source's text of error {number} is not shown to users who read masked columns"


def reads_masked(session: Session) -> bool:
    """Whether some column of some logic database is masked for the session's user. O(databases)."""
    plans = (database.plans for database in session.mesh.databases.values() if database.plans.has_masks)
    return any(one.seen_by(session.principals) is not one for one in plans)


def veiled(session: Session, error: Exception) -> Exception:
    """An error as the session's client may read it."""
    if not isinstance(error, ShardError) or error.number in _TOLD or not reads_masked(session):
        return error
    return ShardError(error.number, error.sqlstate, _HIDDEN.format(number=error.number))


def veiled_warnings(session: Session, warnings: Sequence[ShardWarning]) -> list[ShardWarning]:
    """Warnings as the session's client may read them."""
    if all(map(_is_told, warnings)) or not reads_masked(session):
        return list(warnings)
    return [
        one if _is_told(one) else replace(one, message=_HIDDEN.format(number=one.number)) for one in warnings
    ]


def _is_told(warning: ShardWarning) -> bool:
    # No text of a server begins with our name.
    return warning.number in _TOLD or warning.message.startswith("dbmesh")
