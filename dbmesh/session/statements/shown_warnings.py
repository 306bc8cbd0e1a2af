"""SHOW WARNINGS and SHOW ERRORS: what the last statement left behind.

Decides how many are shown, and as what. Who warns is `engine.warnings`' business.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from dbmesh.engine.warnings import MOST_WARNINGS, ShardWarning
from dbmesh.planner.session_plan import ShowWarnings
from dbmesh.session.answering.result_sink import ResultSink, number_column, text_column
from dbmesh.session.authority.masking import veiled_warnings
from dbmesh.session.statements.overviews import own_rows
from dbmesh.transaction.transaction import NOT_ATOMIC_WARNING
from dbmesh.wire.constants import ColumnFlag, ColumnType
from dbmesh.wire.packets import ColumnDefinition

if TYPE_CHECKING:
    from dbmesh.session.session import Session


async def show_warnings(session: Session, statement: ShowWarnings, sink: ResultSink, more: int) -> None:
    """SHOW WARNINGS, SHOW ERRORS, and their counts."""
    found = [w for w in session.warnings if not statement.errors_only or w.level == "Error"]
    columns = warning_columns(statement)
    if statement.count:
        count = session.error_count if statement.errors_only else session.warning_count
        own_rows(session, sink, columns, [[str(count)]], more)
        return
    end = None if statement.limit is None else statement.offset + statement.limit
    shown = veiled_warnings(session, _shown(session, found)[statement.offset : end])
    own_rows(session, sink, columns, [[w.level, str(w.number), w.message] for w in shown], more)


def warning_columns(statement: ShowWarnings) -> list[ColumnDefinition]:
    """The columns of that answer."""
    if statement.count:
        name = "@@session.error_count" if statement.errors_only else "@@session.warning_count"
        return [replace(number_column(name), flags=ColumnFlag.UNSIGNED | ColumnFlag.BINARY)]
    return [
        text_column("Level", 7, nullable=False),
        _code_column(),
        text_column("Message", 512, nullable=False),
    ]


def _shown(session: Session, warnings: list[ShardWarning]) -> list[ShardWarning]:
    """The first max_error_count of them, as on one server, and what dbmesh itself has to say."""
    limit = session.state.variable("max_error_count")
    most = int(limit) if limit is not None and limit.isdigit() else MOST_WARNINGS
    own = [warning for warning in warnings[most:] if warning.number == NOT_ATOMIC_WARNING]
    return warnings[:most] + own


def _code_column() -> ColumnDefinition:
    return replace(number_column("Code"), type=ColumnType.LONG, length=4)
