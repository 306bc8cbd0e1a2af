"""SELECT … INTO @variables: the query as any other, its one row into the session's variables.

Decides what becomes of none and of several rows (manual, "SELECT … INTO Statement").
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from dbmesh.backend.connection import Product
from dbmesh.engine.warnings import CountedWarnings, ShardWarning, count_of
from dbmesh.errors import INTERNAL, INTO_COLUMNS, TOO_MANY_ROWS, MeshError
from dbmesh.planner.derived.literals import unrounded
from dbmesh.planner.session_plan import SelectInto, SessionStatement
from dbmesh.session import filtering
from dbmesh.session.answering.result_sink import ResultSink
from dbmesh.session.answering.text_collations import collations
from dbmesh.session.planning import look_up
from dbmesh.session.statements import execution
from dbmesh.session.user_variables import assigned, unconverted, variable_values
from dbmesh.wire.packets import ColumnDefinition, OkPacket
from dbmesh.wire.values import decode_text_row

if TYPE_CHECKING:
    from dbmesh.session.session import Session

NO_DATA = ShardWarning("Warning", 1329, "No data - zero rows fetched, selected, or processed")
BEHIND = ShardWarning(
    "Warning",
    1287,
    "'<select expression> INTO <destination>;' is deprecated and will be removed in a future release. "
    "Please use 'SELECT <select list> INTO <destination> FROM...' instead",
)
"""What MariaDB says of INTO behind FROM."""


async def select_into(session: Session, statement: SelectInto, sink: ResultSink, more: int) -> None:
    """Run the query and assign. Raises MeshError (several rows, after the first was assigned, as on one server) or
    ShardError."""
    database, plan, literals = look_up(session, statement.query)
    if isinstance(plan, SessionStatement):
        raise MeshError(INTERNAL, reason="SELECT … INTO is no statement for data sources")
    found = _FirstRow()
    async with filtering.within(session, database, plan, statement.query):
        bound = await execution.bind(
            session, database, plan, execution.make_call(session, database, literals)
        )
        with unconverted(session):
            outcome = await execution.fetch(session, database, plan, bound, found, exact=True)
    if len(found.definitions) != len(statement.variables):
        raise MeshError(INTO_COLUMNS)
    before = [BEHIND] if statement.behind and outcome.product is Product.MARIADB else []
    behind = [NO_DATA] if found.first is None else []
    told = [*before, *outcome.warnings, *behind]
    session.warnings = CountedWarnings(told, outcome.ok.warnings + len(before) + len(behind))
    session.row_count = session.found_rows = min(found.count, 1)
    if found.first is not None:
        definitions = unrounded(found.definitions) if outcome.exact else found.definitions
        own = await collations(session, database, plan, bound, statement.query, definitions)
        values = variable_values(definitions, own, found.first, session.lexer_flags)
        for name, value in zip(statement.variables, values, strict=True):
            session.state = assigned(session.state, name, value)
    if found.count > 1:
        raise MeshError(TOO_MANY_ROWS)
    sink.ok(OkPacket(session.row_count, 0, session.status | more, count_of(session.warnings)))


class _FirstRow:
    """A sink that keeps one row and counts the others."""

    def __init__(self) -> None:
        self.definitions: Sequence[ColumnDefinition] = ()
        self.first: list[bytes | None] | None = None
        self.count = 0

    def columns(self, columns: Sequence[ColumnDefinition]) -> None:
        """See `Sink`."""
        self.definitions = columns

    def rows(self, rows: list[bytes]) -> None:
        """See `Sink`."""
        if self.first is None and rows:
            self.first = decode_text_row(rows[0])
        self.count += len(rows)
