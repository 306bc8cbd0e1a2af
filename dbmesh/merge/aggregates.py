"""Aggregates over partial results: what each function adds up, and what it writes into the merged row.

Decides the arithmetic of COUNT, SUM, MIN, MAX, AVG, their DISTINCT forms, BIT_AND, BIT_OR, BIT_XOR and ANY. Knows
nothing of groups or streams. Sums of exact numbers are integers scaled by the column's decimals, so nothing is ever
rounded on the way. Source: manual, "Aggregate Function Descriptions".
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, Protocol

from dbmesh.errors import MeshError, not_supported
from dbmesh.merge.fields import Field
from dbmesh.merge.keys import (
    DECIMAL_TYPES,
    FLOAT_TYPES,
    INTEGER_TYPES,
    Convert,
    Key,
    absolute,
    check_weights,
    compares_by_weight,
    scaled,
    value_converter,
    weight_converter,
)
from dbmesh.merge.limits import Budget
from dbmesh.merge.numbers import average_text, decimal_text, double_text, power_of_ten, rescaled
from dbmesh.planner.plan import Aggregate, AggregateFunction, SortKey
from dbmesh.wire.constants import ColumnType
from dbmesh.wire.packets import ColumnDefinition

Fields = Mapping[int, Field]
"""Fields of one row by absolute column index; only the columns an aggregate reads."""

_ALL_BITS: Final = 0xFFFF_FFFF_FFFF_FFFF
_DISTINCT_VALUE_BYTES: Final = 64
"""Estimated memory of one distinct value besides its own bytes."""


class Accumulator(Protocol):
    """The state of one aggregate in one group."""

    def add(self, fields: Fields) -> None:
        """Take in one row of a shard."""
        ...

    def write(self, fields: list[Field]) -> None:
        """Put the result into the merged row."""
        ...

    def close(self) -> None:
        """Let go of what is held."""
        ...


class AggregatePlan:
    """One aggregate with its columns resolved: which columns it reads and how to start a group."""

    __slots__ = ("reads", "start", "writes")

    def __init__(self, reads: Sequence[int], writes: Sequence[int], start: Callable[[], Accumulator]) -> None:
        self.reads = tuple(reads)
        self.writes = tuple(writes)
        self.start = start


def plan_aggregate(
    aggregate: Aggregate, columns: Sequence[ColumnDefinition], budget: Budget
) -> AggregatePlan:
    """Resolve an aggregate against the shards' columns. Raises MeshError for types it cannot combine exactly."""
    return _PLANNERS[aggregate.function](aggregate, columns, budget)


# ------------------------------------------------------------------------------------------------- sums and counts


class _Sum:
    """COUNT, SUM, BIT_*: numbers folded together. `empty` is the result when every field was NULL."""

    __slots__ = ("_column", "_empty", "_fold", "_read", "_read_column", "_text", "_total")

    def __init__(
        self,
        column: int,
        read: Callable[[bytes], Any],
        fold: Callable[[Any, Any], Any],
        text: Callable[[Any], bytes],
        empty: Field,
        *,
        read_column: int | None = None,
    ) -> None:
        self._column = column
        self._read_column = column if read_column is None else read_column
        self._read = read
        self._fold = fold
        self._text = text
        self._empty = empty
        self._total: Any = None

    def add(self, fields: Fields) -> None:
        field = fields[self._read_column]
        if field is not None:
            number = self._read(field)
            self._total = number if self._total is None else self._fold(self._total, number)

    def write(self, fields: list[Field]) -> None:
        fields[self._column] = self._empty if self._total is None else self._text(self._total)

    def close(self) -> None:
        self._total = None


def _add(left: Any, right: Any) -> Any:
    return left + right


def _integer_text(value: int) -> bytes:
    return b"%d" % value


def _plan_count(aggregate: Aggregate, columns: Sequence[ColumnDefinition], _: Budget) -> AggregatePlan:
    column = absolute(aggregate.column, columns)
    return AggregatePlan([column], [column], lambda: _Sum(column, int, _add, _integer_text, b"0"))


def _plan_sum(aggregate: Aggregate, columns: Sequence[ColumnDefinition], _: Budget) -> AggregatePlan:
    column = read_column = absolute(aggregate.column, columns)
    if aggregate.sum_column is not None and columns[column].type in DECIMAL_TYPES:
        read_column = absolute(aggregate.sum_column, columns)
    source, shown = columns[read_column], columns[column]
    read = _number_reader(source, aggregate.function)
    text = _number_text(shown, shown.decimals)
    if read_column != column:
        text = _rounded_text(source.decimals, shown.decimals)
    return AggregatePlan(
        [read_column], [column], lambda: _Sum(column, read, _add, text, None, read_column=read_column)
    )


def _rounded_text(decimals: int, shown: int) -> Callable[[int], bytes]:
    return lambda total: decimal_text(rescaled(total, decimals, shown), shown)


def _plan_bits(aggregate: Aggregate, columns: Sequence[ColumnDefinition], _: Budget) -> AggregatePlan:
    column = absolute(aggregate.column, columns)
    if columns[column].type not in INTEGER_TYPES:
        raise _uncombinable(aggregate.function, columns[column])
    fold, empty = {
        AggregateFunction.BIT_AND: (int.__and__, b"%d" % _ALL_BITS),
        AggregateFunction.BIT_OR: (int.__or__, b"0"),
        AggregateFunction.BIT_XOR: (int.__xor__, b"0"),
    }[aggregate.function]
    return AggregatePlan([column], [column], lambda: _Sum(column, int, fold, _integer_text, empty))


def _number_reader(column: ColumnDefinition, function: AggregateFunction) -> Callable[[bytes], Any]:
    """From a field to an int scaled by the column's decimals, or to a float."""
    if column.type in FLOAT_TYPES:
        return float
    if column.type in INTEGER_TYPES:
        return int
    if column.type in DECIMAL_TYPES:
        decimals = column.decimals
        return lambda field: scaled(field, decimals)
    if column.type == ColumnType.NULL:
        return int
    raise _uncombinable(function, column)


def _number_text(column: ColumnDefinition, decimals: int) -> Callable[[Any], bytes]:
    if column.type in FLOAT_TYPES:
        return lambda number: double_text(number, decimals)
    if column.type in DECIMAL_TYPES:
        return lambda number: decimal_text(number, decimals)
    return _integer_text


def _scale(column: ColumnDefinition) -> int:
    return column.decimals if column.type in DECIMAL_TYPES else 0


def _uncombinable(function: AggregateFunction, column: ColumnDefinition) -> MeshError:
    return not_supported(
        f"{function.value.upper()} over several shards for a column of type {column.type}",
        "convert its argument to a number, or restrict the statement to one shard",
    )


# ------------------------------------------------------------------------------------------------------- averages


def _divided(total: Any, count: int, source: ColumnDefinition, target: ColumnDefinition) -> Field:
    """`total` (in units of the source column) over `count` as the target column shows it."""
    if not count:
        return None
    if isinstance(total, float):
        return double_text(total / count, target.decimals)
    if target.type in FLOAT_TYPES:
        return double_text(float(total) / power_of_ten(_scale(source)) / count, target.decimals)
    return average_text(total, _scale(source), count, target.decimals)


class _Average:
    """AVG from a column of sums and one of counts."""

    __slots__ = ("_column", "_columns", "_count", "_count_column", "_read", "_sum_column", "_total")

    def __init__(
        self,
        column: int,
        sum_column: int,
        count_column: int,
        read: Callable[[bytes], Any],
        columns: Sequence[ColumnDefinition],
    ) -> None:
        self._column = column
        self._sum_column = sum_column
        self._count_column = count_column
        self._read = read
        self._columns = columns
        self._total: Any = 0
        self._count = 0

    def add(self, fields: Fields) -> None:
        total, count = fields[self._sum_column], fields[self._count_column]
        if total is not None and count is not None:
            self._total += self._read(total)
            self._count += int(count)

    def write(self, fields: list[Field]) -> None:
        fields[self._column] = _divided(
            self._total, self._count, self._columns[self._sum_column], self._columns[self._column]
        )

    def close(self) -> None:
        self._total = self._count = 0


def _plan_average(aggregate: Aggregate, columns: Sequence[ColumnDefinition], _: Budget) -> AggregatePlan:
    if aggregate.sum_column is None or aggregate.count_column is None:
        raise not_supported("AVG over several shards without its sum and count", "report this statement")
    column = absolute(aggregate.column, columns)
    sums, counts = absolute(aggregate.sum_column, columns), absolute(aggregate.count_column, columns)
    read = _number_reader(columns[sums], aggregate.function)
    return AggregatePlan([sums, counts], [column], lambda: _Average(column, sums, counts, read, columns))


# ------------------------------------------------------------------------------------------------- extremes and any


class _Extreme:
    """MIN or MAX: the row whose key is least or greatest lends its field, and its weight where there is one."""

    __slots__ = ("_best", "_compared", "_convert", "_found", "_greatest", "_moved")

    def __init__(self, compared: int, moved: Sequence[int], convert: Convert, *, greatest: bool) -> None:
        self._compared = compared
        self._moved = moved
        self._convert = convert
        self._greatest = greatest
        self._best: Key = None
        self._found: tuple[Field, ...] = (None,) * len(moved)

    def add(self, fields: Fields) -> None:
        field = fields[self._compared]
        check_weights((field,), (fields[self._moved[0]],))
        if field is None:
            return
        key = self._convert([field])[0]
        if self._best is None or (key > self._best if self._greatest else key < self._best):
            self._best = key
            self._found = tuple(fields[column] for column in self._moved)

    def write(self, fields: list[Field]) -> None:
        for column, field in zip(self._moved, self._found, strict=True):
            fields[column] = field

    def close(self) -> None:
        self._best = None


def _plan_extreme(aggregate: Aggregate, columns: Sequence[ColumnDefinition], _: Budget) -> AggregatePlan:
    column = compared = absolute(aggregate.column, columns)
    moved = [column]
    if aggregate.weight is not None:
        moved.append(absolute(aggregate.weight, columns))
    if compares_by_weight(columns[column], aggregate.weight, aggregate.collation):
        compared = moved[1]
        convert = weight_converter(aggregate.collation)
    else:
        convert = value_converter(columns[column], shown_value_decides=True)
    greatest = aggregate.function is AggregateFunction.MAX
    return AggregatePlan(moved, moved, lambda: _Extreme(compared, moved, convert, greatest=greatest))


class _Any:
    """Any row's value, preferring one that is there: a shard without rows answers NULL where no GROUP BY is."""

    __slots__ = ("_column", "_found")

    def __init__(self, column: int) -> None:
        self._column = column
        self._found: Field = None

    def add(self, fields: Fields) -> None:
        if self._found is None:
            self._found = fields[self._column]

    def write(self, fields: list[Field]) -> None:
        fields[self._column] = self._found

    def close(self) -> None:
        self._found = None


def _plan_any(aggregate: Aggregate, columns: Sequence[ColumnDefinition], _: Budget) -> AggregatePlan:
    column = absolute(aggregate.column, columns)
    return AggregatePlan([column], [], lambda: _Any(column))


# -------------------------------------------------------------------------------------------------- distinct values


class _Distinct:
    """The distinct values of one group's arguments; rows with a NULL among them do not count."""

    __slots__ = ("_budget", "_held", "_parts", "_values", "_write")

    def __init__(
        self,
        parts: Sequence[tuple[int, int, Convert]],
        write: Callable[[set[tuple[Key, ...]], list[Field]], None],
        budget: Budget,
    ) -> None:
        self._parts = parts
        self._write = write
        self._budget = budget
        self._values: set[tuple[Key, ...]] = set()
        self._held = 0

    def add(self, fields: Fields) -> None:
        key = []
        size = _DISTINCT_VALUE_BYTES
        for value, compared, convert in self._parts:
            field = fields[compared]
            check_weights((field,), (fields[value],))
            if field is None:
                return
            size += len(field)
            key.append(convert([field])[0])
        entry = tuple(key)
        if entry not in self._values:
            self._budget.take(1, size)
            self._held += size
            self._values.add(entry)

    def write(self, fields: list[Field]) -> None:
        self._write(self._values, fields)

    def close(self) -> None:
        self._budget.give_back(len(self._values), self._held)
        self._values = set()
        self._held = 0


def _distinct_part(key: SortKey, columns: Sequence[ColumnDefinition]) -> tuple[int, int, Convert]:
    """Column of the value, column it is compared by, and how."""
    value = absolute(key.column, columns)
    if compares_by_weight(columns[value], key.weight, key.collation) and key.weight is not None:
        return value, absolute(key.weight, columns), weight_converter(key.collation)
    return value, value, value_converter(columns[value])


def _plan_distinct(
    aggregate: Aggregate, columns: Sequence[ColumnDefinition], budget: Budget
) -> AggregatePlan:
    column = absolute(aggregate.column, columns)
    parts = [_distinct_part(key, columns) for key in aggregate.arguments]
    reads = sorted({index for value, compared, _ in parts for index in (value, compared)})
    if aggregate.function is AggregateFunction.COUNT_DISTINCT:
        write = _count_writer(column)
    else:
        write = _total_writer(aggregate, columns, column, columns[parts[0][0]])
    return AggregatePlan(reads, [column], lambda: _Distinct(parts, write, budget))


def _count_writer(column: int) -> Callable[[set[tuple[Key, ...]], list[Field]], None]:
    def write(values: set[tuple[Key, ...]], fields: list[Field]) -> None:
        fields[column] = b"%d" % len(values)

    return write


def _total_writer(
    aggregate: Aggregate, columns: Sequence[ColumnDefinition], column: int, argument: ColumnDefinition
) -> Callable[[set[tuple[Key, ...]], list[Field]], None]:
    target = columns[column]
    _number_reader(argument, aggregate.function)
    averages = aggregate.function is AggregateFunction.AVG_DISTINCT

    def write(values: set[tuple[Key, ...]], fields: list[Field]) -> None:
        if not values:
            fields[column] = None
            return
        total = sum(key for (key,) in values)
        if averages:
            fields[column] = _divided(total, len(values), argument, target)
        elif target.type in FLOAT_TYPES:
            fields[column] = double_text(float(total) / power_of_ten(_scale(argument)), target.decimals)
        else:
            decimals = _scale(target)
            fields[column] = decimal_text(rescaled(total, _scale(argument), decimals), decimals)

    return write


_PLANNERS: Final[
    Mapping[AggregateFunction, Callable[[Aggregate, Sequence[ColumnDefinition], Budget], AggregatePlan]]
] = {
    AggregateFunction.COUNT: _plan_count,
    AggregateFunction.SUM: _plan_sum,
    AggregateFunction.MIN: _plan_extreme,
    AggregateFunction.MAX: _plan_extreme,
    AggregateFunction.AVG: _plan_average,
    AggregateFunction.COUNT_DISTINCT: _plan_distinct,
    AggregateFunction.SUM_DISTINCT: _plan_distinct,
    AggregateFunction.AVG_DISTINCT: _plan_distinct,
    AggregateFunction.BIT_AND: _plan_bits,
    AggregateFunction.BIT_OR: _plan_bits,
    AggregateFunction.BIT_XOR: _plan_bits,
    AggregateFunction.ANY: _plan_any,
}
