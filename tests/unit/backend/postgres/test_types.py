"""PostgreSQL's types in MySQL's terms and back."""

from __future__ import annotations

import pytest

from dbmesh.backend.postgres.types import limits, seen_as, stored_as
from dbmesh.backend.transpile import types


@pytest.mark.parametrize(
    ("kind", "modifier", "declared"),
    [
        ("integer", -1, "int"),
        ("boolean", -1, "tinyint(1)"),
        ("numeric", ((12 << 16) | 2) + 4, "decimal(12,2)"),
        ("numeric", -1, None),
        ("character varying", 24, "varchar(20)"),
        ("character varying", -1, "longtext"),
        ("character", 6, "char(2)"),
        ("timestamp without time zone", 3, "datetime(3)"),
        ("timestamp with time zone", -1, "datetime(6)"),
        ("timestamp without time zone", 0, "datetime"),
        ("time without time zone", -1, "time(6)"),
        ("point", -1, None),
    ],
)
def test_seen(kind: str, modifier: int, declared: str | None) -> None:
    assert seen_as(kind, modifier, is_enum=False) == declared


@pytest.mark.parametrize(
    ("declared", "kind", "check"),
    [
        ("tinyint(4)", "smallint", ' CHECK ("c" BETWEEN -128 AND 127)'),
        ("tinyint unsigned", "smallint", ' CHECK ("c" BETWEEN 0 AND 255)'),
        ("int unsigned", "bigint", ' CHECK ("c" BETWEEN 0 AND 4294967295)'),
        ("int", "integer", ""),
        ("bigint", "bigint", ""),
        ("decimal(10,2)", "numeric(10,2)", ""),
        ("varchar(20)", 'varchar(20) COLLATE "C"', ""),
        ("text", 'text COLLATE "C"', ""),
        ("datetime(6)", "timestamp(6)", ""),
        ("blob", "bytea", ""),
        ("double", "double precision", ""),
    ],
)
def test_stored(declared: str, kind: str, check: str) -> None:
    shown, declared_type = types.declared(declared)
    assert stored_as(shown, declared_type) == kind
    assert limits('"c"', declared_type) == check
