"""PostgreSQL's errors in MySQL's numbers."""

from __future__ import annotations

import asyncpg
import pytest

from dbmesh.backend.postgres.errors import translate
from dbmesh.backend.transpile.schema import Index, Table
from dbmesh.errors import QUERY_INTERRUPTED, MeshError, ShardError


def _raised(state: str, text: str = "text", **fields: str) -> Exception:
    error = asyncpg.PostgresError.new({"C": state, "M": text, **fields})
    return translate(error, {"t": Table("t", (), (Index("k", True, ("a", "b")),))})


@pytest.mark.parametrize(
    ("state", "text", "number"),
    [
        *(("40001", "", 1213), ("40P01", "", 1213), ("55P03", "", 1205), ("21000", "", 1242)),
        *(("42P01", "", 1146), ("42703", "", 1054), ("22001", "", 1406), ("23502", "", 1048)),
        ("22003", "bigint out of range", 1690),
        ("22003", "smallint out of range", 1264),
        ("22003", "numeric field overflow", 1264),
        *(("23514", "", 1264), ("22P02", "", 1366), ("XX000", "", 1105)),
    ],
)
def test_numbers(state: str, text: str, number: int) -> None:
    error = _raised(state, text)
    assert isinstance(error, ShardError)
    assert error.number == number


def test_a_duplicate_names_entry_and_key() -> None:
    error = _raised("23505", D="Key (a, b)=(1, x) already exists.", t="t", n="t$k")
    assert isinstance(error, ShardError)
    assert (error.number, error.message) == (1062, "Duplicate entry '1-x' for key 'k'")


def test_both_sides_of_a_reference() -> None:
    child = _raised("23503", D='Key (parent)=(9) is not present in table "parent".')
    parent = _raised("23503", D='Key (id)=(1) is still referenced from table "child".')
    assert isinstance(child, ShardError)
    assert isinstance(parent, ShardError)
    assert (child.number, parent.number) == (1452, 1451)


def test_a_cancelled_statement_was_interrupted() -> None:
    error = _raised("57014")
    assert isinstance(error, MeshError)
    assert error.kind is QUERY_INTERRUPTED
