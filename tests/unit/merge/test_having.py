from __future__ import annotations

import pytest

from dbmesh.errors import MeshError
from dbmesh.merge.having import make_having_filter
from dbmesh.planner.plan import Having, HavingOperator
from dbmesh.wire.constants import ColumnType
from tests.plugins.merging import column, decimal, double, integer, row, text, values

COLUMNS = [integer("i"), decimal("d", 2), double("f")]
ROWS = [row(1, "0.50", "0.5"), row(2, None, "1e20"), row(None, "2.00", None)]


def col(index: int) -> Having:
    return Having(HavingOperator.COLUMN, column=index)


def val(value: object) -> Having:
    return Having(HavingOperator.VALUE, value=value)  # type: ignore[arg-type]


def op(kind: HavingOperator, *operands: Having) -> Having:
    return Having(kind, operands)


H = HavingOperator


@pytest.mark.parametrize(
    ("having", "kept"),
    [
        (op(H.GREATER, col(0), val(1)), ["2"]),
        (op(H.GREATER_EQUAL, col(0), val(1)), ["1", "2"]),
        (op(H.LESS, col(-2), val(1)), ["1"]),
        (op(H.LESS_EQUAL, col(0), val(1)), ["1"]),
        (op(H.EQUAL, col(1), val(0.5)), ["1"]),
        (op(H.EQUAL, col(2), val(10**20)), ["2"]),
        (op(H.NOT_EQUAL, col(0), val(1)), ["2"]),
        (op(H.EQUAL, col(1), val(None)), []),
        (op(H.NULL_SAFE_EQUAL, col(1), val(None)), ["2"]),
        (op(H.NULL_SAFE_EQUAL, col(1), col(2)), ["1"]),
        (op(H.IS_NULL, col(0)), [None]),
        (op(H.NOT, op(H.IS_NULL, col(0))), ["1", "2"]),
        (op(H.NOT, op(H.GREATER, col(0), val(1))), ["1"]),
        (op(H.AND, op(H.GREATER, col(0), val(0)), op(H.GREATER, col(1), val(0))), ["1"]),
        (op(H.OR, op(H.GREATER, col(0), val(1)), op(H.GREATER, col(1), val(1))), ["2", None]),
        (op(H.NOT, op(H.AND, op(H.EQUAL, col(1), val(1)), op(H.EQUAL, col(0), val(5)))), ["1", "2", None]),
        (op(H.NOT, op(H.OR, op(H.EQUAL, col(1), val(1)), op(H.EQUAL, col(0), val(5)))), ["1"]),
        (col(0), ["1", "2"]),
        (val(1), ["1", "2", None]),
        (val(None), []),
    ],
)
def test_condition_is_three_valued(having: Having, kept: list[str | None]) -> None:
    assert [item[0] for item in values(make_having_filter(having, COLUMNS)(ROWS))] == kept


def test_no_rows_stay_no_rows() -> None:
    assert make_having_filter(col(0), COLUMNS)([]) == []


def test_column_without_a_type_is_null() -> None:
    keep = make_having_filter(op(H.IS_NULL, col(0)), [column("n", ColumnType.NULL)])
    assert len(keep([row(None)])) == 1


@pytest.mark.parametrize(
    "having", [op(H.EQUAL, col(3), val(1)), op(H.EQUAL, col(0), val("1")), op(H.EQUAL, col(4), val(1))]
)
def test_what_is_no_exact_number_is_refused(having: Having) -> None:
    columns = [*COLUMNS, text("name"), column("f", ColumnType.FLOAT, decimals=31)]
    with pytest.raises(MeshError, match="not supported"):
        make_having_filter(having, columns)
