"""Whether an INSERT into a table its server numbers gives every row a number itself.

Decides by the values of the AUTO_INCREMENT column: NULL, DEFAULT and 0 ask for a new one. What a server calls the insert
id of a given number is not LAST_INSERT_ID() (manual, "mysql_insert_id()").
"""

from __future__ import annotations

from dataclasses import dataclass

from dbmesh.model import TableSchema
from dbmesh.planner.context import PlanContext
from dbmesh.planner.insert_reading import InsertReading
from dbmesh.planner.plan import Call
from dbmesh.planner.template import slot_value
from dbmesh.sql.fingerprint import RowSet
from dbmesh.sql.lexer import LexerFlags
from dbmesh.sql.shape import Slot


@dataclass(frozen=True, slots=True)
class GivenIds:
    """The values of the numbered column, one slot per row or one of a row set."""

    slots: tuple[Slot, ...]
    flags: LexerFlags

    def all_given(self, call: Call) -> bool:
        """Whether no row asks for a number. O(rows)."""
        asking = (None, 0) if call.session.numbers_zero else (None,)
        for slot in self.slots:
            rows = None if slot.parameter else call.literals[slot.index]
            if isinstance(rows, RowSet):
                if any(cell[0] in "nN" or cell == "0" for cell in rows.cells[slot.cell :: rows.width]):
                    return False
            elif slot_value(slot, call, self.flags) in asking:
                return False
        return True


def given_ids(context: PlanContext, reading: InsertReading, schema: TableSchema | None) -> GivenIds | None:
    """None where the table has no such column, or a row leaves its value to the server or to an expression."""
    automatic = (
        next((one.name.lower() for one in schema.columns if one.auto_increment), None) if schema else None
    )
    if schema is None or automatic is None or not reading.rows:
        return None
    columns = reading.columns
    if columns is None:
        columns = tuple(column.name for column in schema.visible_columns)
    names = [name.lower() for name in columns]
    if automatic not in names:
        return None
    at = names.index(automatic)
    known = {slot.start: slot for slot in context.statement.shape.slots}
    slots: list[Slot] = []
    for row in reading.rows:
        cell = row.cells[at] if at < len(row.cells) else None
        slot = known.get(cell.start) if cell is not None and len(cell.lexemes) == 1 else None
        if slot is None:
            return None
        slots.append(slot)
    return GivenIds(tuple(slots), context.flags)
