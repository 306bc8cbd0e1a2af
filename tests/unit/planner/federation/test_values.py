"""How each type travels."""

from __future__ import annotations

import pytest

from dbmesh.errors import MeshError
from dbmesh.model import ColumnFamily, ColumnSchema
from dbmesh.planner.federation.values import loaded, scanned
from dbmesh.planner.scans import LiteralForm


@pytest.mark.parametrize(
    ("kind", "family", "collation", "read", "form", "introducer"),
    [
        ("bigint(20) unsigned", ColumnFamily.INTEGER, None, "c", LiteralForm.NUMBER, ""),
        ("float", ColumnFamily.FLOAT, None, "c+0e0", LiteralForm.QUOTED, ""),
        ("double", ColumnFamily.FLOAT, None, "c", LiteralForm.QUOTED, ""),
        ("bit(3)", ColumnFamily.BIT, None, "CAST(c AS UNSIGNED)", LiteralForm.NUMBER, ""),
        ("enum('a')", ColumnFamily.ENUM, "latin1_bin", "CAST(c AS UNSIGNED)", LiteralForm.NUMBER, ""),
        ("varchar(9)", ColumnFamily.TEXT, "utf8mb3_bin", "CAST(c AS BINARY)", LiteralForm.QUOTED, ""),
        ("text", ColumnFamily.TEXT, "latin1_swedish_ci", "CAST(c AS BINARY)", LiteralForm.BYTES, "_latin1 "),
        ("timestamp(6)", ColumnFamily.TEMPORAL, None, "UNIX_TIMESTAMP(c)", LiteralForm.MOMENT, ""),
        ("datetime", ColumnFamily.TEMPORAL, None, "c", LiteralForm.QUOTED, ""),
        ("blob", ColumnFamily.BINARY, None, "c", LiteralForm.BYTES, ""),
        ("point", ColumnFamily.OTHER, None, "c", LiteralForm.BYTES, ""),
        ("uuid", ColumnFamily.OTHER, None, "c", LiteralForm.QUOTED, ""),
    ],
)
def test_forms(
    kind: str, family: ColumnFamily, collation: str | None, read: str, form: LiteralForm, introducer: str
) -> None:
    column = ColumnSchema("c", kind, family, collation=collation)
    assert scanned(column, "c") == read
    assert (loaded(column).form, loaded(column).introducer) == (form, introducer)


def test_an_unknown_type_is_refused() -> None:
    with pytest.raises(MeshError, match="of the type vector"):
        loaded(ColumnSchema("c", "vector(3)", ColumnFamily.OTHER))
