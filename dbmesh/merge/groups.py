"""Groups out of a sorted stream: neighbours with equal keys become one row.

Decides where a group begins and ends and what its row looks like: the bytes of its first row with the aggregated
columns replaced. How an aggregate adds up is `aggregates.py`'s business.
"""

from __future__ import annotations

from collections.abc import Sequence

from dbmesh.errors import not_supported
from dbmesh.merge.aggregates import Accumulator, AggregatePlan, Fields, plan_aggregate
from dbmesh.merge.fields import Field, make_field_reader
from dbmesh.merge.keys import Key, Keys
from dbmesh.merge.limits import Budget
from dbmesh.planner.plan import Aggregate
from dbmesh.wire.packets import ColumnDefinition
from dbmesh.wire.values import decode_text_row, encode_text_row


class GroupCombiner:
    """Combines groups as they pass by; holds the open group only.

    `one_group` is aggregation without GROUP BY: the answer is exactly one row, even when no shard sent any.
    `visible` is how many leading columns the client will see.
    """

    def __init__(
        self,
        aggregates: Sequence[Aggregate],
        columns: Sequence[ColumnDefinition],
        budget: Budget,
        *,
        one_group: bool,
        visible: int,
    ) -> None:
        self._plans: list[AggregatePlan] = [plan_aggregate(item, columns, budget) for item in aggregates]
        self._reads = sorted({column for plan in self._plans for column in plan.reads})
        self._read_fields = make_field_reader(self._reads) if self._reads else None
        self._columns = len(columns)
        self._visible = visible
        self._one_group = one_group
        self._key: Key = None
        self._first: bytes | None = None
        self._accumulators: list[Accumulator] = []

    def feed(self, keys: Keys, rows: Sequence[bytes]) -> list[bytes]:
        """The rows of the groups that ended. `keys` are the group keys of `rows`, ascending; unused for one group."""
        if not rows:
            return []
        done: list[bytes] = []
        group_keys: Sequence[Key] = [()] * len(rows) if self._one_group else keys
        for key, row, fields in zip(group_keys, rows, self._fields(rows), strict=True):
            if self._first is None or key != self._key:
                if self._first is not None:
                    done.append(self._end(self._first))
                self._key = key
                self._first = row
                self._accumulators = [plan.start() for plan in self._plans]
            for accumulator in self._accumulators:
                accumulator.add(fields)
        return done

    def close(self) -> list[bytes]:
        """The row of the open group; for one group that never began, the row of an aggregate over nothing."""
        if self._first is not None:
            return [self._end(self._first)]
        return [self._row_of_nothing()] if self._one_group else []

    def _fields(self, rows: Sequence[bytes]) -> Sequence[Fields]:
        if self._read_fields is None:
            return [{}] * len(rows)
        columns, _ = self._read_fields(rows)
        return [dict(zip(self._reads, fields, strict=True)) for fields in zip(*columns, strict=True)]

    def _end(self, first: bytes) -> bytes:
        fields = decode_text_row(first)
        self._first = None
        return self._complete(fields)

    def _complete(self, fields: list[Field]) -> bytes:
        for accumulator in self._accumulators:
            accumulator.write(fields)
            accumulator.close()
        return encode_text_row(fields)

    def _row_of_nothing(self) -> bytes:
        written = {column for plan in self._plans for column in plan.writes}
        if not written.issuperset(range(self._visible)):
            raise not_supported(
                "a DISTINCT aggregate of no rows beside columns that are no aggregates",
                "select the aggregates alone",
            )
        self._accumulators = [plan.start() for plan in self._plans]
        return self._complete([None] * self._columns)
