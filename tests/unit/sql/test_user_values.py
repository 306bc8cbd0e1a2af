"""User variables keep their types: unsigned integers, and NULLs of the type there was before."""

from __future__ import annotations

import pytest

from dbmesh.sql.user_values import binary_text, null_like, plain_literal, unsigned


@pytest.mark.parametrize(
    ("before", "null"),
    [
        ("NULL", "NULL"),
        ("null", "null"),
        ("5", "NULLIF(1,1)"),
        ("-5", "NULLIF(1,1)"),
        ("TRUE", "NULLIF(1,1)"),
        ("18446744073709551615", "NULLIF(CAST(1 AS UNSIGNED),CAST(1 AS UNSIGNED))"),
        (unsigned("5"), "NULLIF(CAST(1 AS UNSIGNED),CAST(1 AS UNSIGNED))"),
        ("1.5", "NULLIF(1.0,1.0)"),
        ("1e0", "NULLIF(1e0,1e0)"),
        ("'a'", "NULLIF('','')"),
        ("x'41'", "NULLIF(x'',x'')"),
        (binary_text("'a'", "utf8mb4"), "NULLIF('' COLLATE utf8mb4_bin,'' COLLATE utf8mb4_bin)"),
        ("NULLIF(1.0,1.0)", "NULLIF(1.0,1.0)"),
    ],
)
def test_null_keeps_the_type_there_was(before: str, null: str) -> None:
    assert null_like(before) == null


@pytest.mark.parametrize(
    ("text", "literal"),
    [
        ("'a'", "'a'"),
        (binary_text("'it''s COLLATE x'", "latin1"), "'it''s COLLATE x'"),
        (unsigned("7"), "7"),
        (null_like("1.5"), "NULL"),
        ("NULL", "NULL"),
    ],
)
def test_the_value_alone_is_a_literal(text: str, literal: str) -> None:
    assert plain_literal(text) == literal
